#include "common/flow_watch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { PATH_LEN = 4096 };

/* FNV-1a: no enemy chooses what is hashed here. */
static void mix_byte(uint64_t *hash, uint8_t byte)
{
    *hash = (*hash ^ byte) * 0x100000001b3;
}

static void mix_text(uint64_t *hash, const char *text)
{
    do
        mix_byte(hash, (uint8_t)*text);
    while (*text++);
}

static void mix_number(uint64_t *hash, uint64_t n)
{
    for (int shift = 0; shift < 64; shift += 8)
        mix_byte(hash, (uint8_t)(n >> shift));
}

static void mix_file(uint64_t *hash, const char *path)
{
    struct stat st;
    mix_text(hash, path);
    if (stat(path, &st))
        return;
    mix_number(hash, (uint64_t)st.st_size);
    mix_number(hash, (uint64_t)st.st_mtim.tv_sec);
    mix_number(hash, (uint64_t)st.st_mtim.tv_nsec);
    mix_number(hash, (uint64_t)st.st_ino);
}

static int is_flow(const struct dirent *e)
{
    return flow_load_is_flow(e->d_name);
}

static uint64_t look(const struct flow_watch *w)
{
    uint64_t hash = 0xcbf29ce484222325;
    char path[PATH_LEN];
    struct dirent **list = NULL;
    const char *dir = w->settings->flows_dir;
    int n = scandir(dir, &list, is_flow, alphasort);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, list[i]->d_name);
        mix_file(&hash, path);
        free(list[i]);
    }
    free(list);
    if (flow_load_upstreams_path(w->settings, path, sizeof path) == 0)
        mix_file(&hash, path);
    return hash;
}

void flow_watch_init(struct flow_watch *w, const struct flow_load_settings *settings)
{
    *w = (struct flow_watch){.settings = settings};
    flow_watch_mark(w);
}

bool flow_watch_changed(struct flow_watch *w)
{
    uint64_t now = look(w);
    bool still = now == w->seen;
    w->seen = now;
    if (!still)
        return false;
    bool due = w->again && --w->again == 0;
    if (now == w->loaded && !due)
        return false;
    w->loaded = now;
    w->again = 0;
    return true;
}

void flow_watch_mark(struct flow_watch *w)
{
    w->loaded = w->seen = look(w);
    w->again = 0;
}

void flow_watch_again(struct flow_watch *w)
{
    w->again = FLOW_WATCH_AGAIN;
}
