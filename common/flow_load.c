#include "common/flow_load.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/digest.h"
#include "common/flow_loader.h"

enum { PATH_LEN_MAX = 4096 };

int flow_load_upstreams_path(const struct flow_load_settings *s, char *out, size_t size)
{
    const char *dir = s->flows_dir;
    size_t len = strlen(dir);
    int n;
    while (len > 1 && dir[len - 1] == '/')
        len--;
    size_t parent = len;
    while (parent > 0 && dir[parent - 1] != '/')
        parent--;
    bool dots = dir[parent] == '.' && strspn(dir + parent, ".") == len - parent;
    if (s->upstreams_file)
        n = snprintf(out, size, "%s", s->upstreams_file);
    else if (dots)
        n = snprintf(out, size, "%.*s/../upstreams.yaml", (int)len, dir);
    else
        n = snprintf(out, size, "%.*supstreams.yaml", (int)parent, dir);
    return n < 0 || (size_t)n >= size ? ERR_TOO_LARGE : 0;
}

/* ---- the folder */

static bool ends_in(const char *name, const char *suffix)
{
    size_t len = strlen(name), n = strlen(suffix);
    return len > n && strcmp(name + len - n, suffix) == 0;
}

static const char *const suffixes[] = {".yaml", ".yml", ".json"};

/* Length of a flow file's name without its ending; 0: no flow file. */
static size_t stem_length(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (ends_in(name, suffixes[i]))
            len -= strlen(suffixes[i]);
    bool test = len > 5 && strncmp(name + len - 5, ".test", 5) == 0;
    return name[0] == '.' || test || len == strlen(name) ? 0 : len;
}

bool flow_load_is_flow(const char *name)
{
    return stem_length(name) > 0;
}

/* The ending it would be read with, in small letters; NULL: nobody takes it for one of ours. */
static const char *suffix_meant(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; name[0] != '.' && i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t n = strlen(suffixes[i]);
        if (len > n && !ends_in(name, suffixes[i]) && strcasecmp(name + len - n, suffixes[i]) == 0)
            return suffixes[i];
    }
    return NULL;
}

static int is_misnamed(const struct dirent *entry)
{
    return suffix_meant(entry->d_name) != NULL;
}

static int is_flow_file(const struct dirent *entry)
{
    return flow_load_is_flow(entry->d_name);
}

bool flow_has_file(const struct flow_loader *l, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < l->files_n; i++) {
        const char *file = l->files[i]->d_name;
        if (stem_length(file) == len && strncmp(file, name, len) == 0)
            return true;
    }
    return false;
}

static void folder_finding(struct flow_loader *l, const char *what, const char *todo)
{
    struct finding_place at = {l->settings->flows_dir, 0, 0};
    findings_add(l->findings, at, FINDING_READ, "%s\n%s", what, todo);
}

static void lint_misnamed(struct flow_loader *l, const char *name)
{
    char path[PATH_LEN_MAX];
    const char *suffix = suffix_meant(name);
    int n = snprintf(path, sizeof path, "%s/%s", l->settings->flows_dir, name);
    if (n > 0 && (size_t)n < sizeof path)
        findings_add(l->findings, (struct finding_place){path, 0, 0}, FINDING_W_FILE,
                     "no file that ends in `%s` is read\nwrite `%s`",
                     name + strlen(name) - strlen(suffix), suffix);
}

static void lint_folder(struct flow_loader *l)
{
    struct dirent **list = NULL;
    int n = scandir(l->settings->flows_dir, &list, is_misnamed, alphasort);
    for (int i = 0; i < n; i++) {
        lint_misnamed(l, list[i]->d_name);
        free(list[i]);
    }
    free(list);
}

/* ---- one file */

static struct flow *flow_of_name(struct flow_set *set, const char *name)
{
    for (size_t i = 0; i < set->flows_n; i++)
        if (strcmp(set->flows[i].name, name) == 0)
            return &set->flows[i];
    return NULL;
}

static void flow_file_fini(struct flow_file *f)
{
    free(f->call_read);
    free(f->uses);
    yaml_close(f->yaml);
}

void flow_digest_add(struct flow_loader *l, const void *bytes, size_t len)
{
    if (!l->set)
        return;
    const struct digest_part parts[] = {{l->set->digest, sizeof l->set->digest}, {bytes, len}};
    uint8_t digest[DIGEST_SIZE];
    digest_sha256(parts, 2, digest);
    memcpy(l->set->digest, digest, sizeof digest);
}

static void read_flow(struct flow_file *f, const char *stem)
{
    struct flow *flow = f->flow;
    uint8_t digest[DIGEST_SIZE];
    struct digest_part part;
    part.bytes = yaml_bytes(f->yaml, &part.len);
    digest_sha256(&part, 1, digest);
    memcpy(flow->rev, digest, sizeof flow->rev);
    flow_digest_add(f->loader, stem, strlen(stem));
    flow_digest_add(f->loader, part.bytes, part.len);
    snprintf(flow->name, sizeof flow->name, "%.63s", stem);
    f->uses = value_array(f->loader, FLOW_USES_MAX, sizeof *f->uses);
    f->call_read = value_array(f->loader, FLOW_CALLS_MAX, sizeof *f->call_read);
    flow_env_fill(f->loader, f->yaml, false);
    if (f->uses && f->call_read && flow_keys_check(f->loader, yaml_root(f->yaml), MAP_FLOW)) {
        flow_load_flow(f);
        f->read = true;
    }
}

/* What is no file (a pipe without a writer, say) might never end. */
static bool is_readable(struct flow_loader *l, const char *path)
{
    struct stat st;
    if (stat(path, &st) || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
        return true; /* reading it says what is wrong */
    findings_add(l->findings, (struct finding_place){path, 0, 0}, FINDING_READ,
                 "this is no regular file\nput a file here, or a link to one");
    return false;
}

/* f: zeroed; f->read stays false if there is nothing to look at any more. */
static void read_file(struct flow_loader *l, const char *name, struct flow_file *f)
{
    char path[PATH_LEN_MAX], stem[256];
    f->loader = l;
    int n = snprintf(path, sizeof path, "%s/%s", l->settings->flows_dir, name);
    if (n < 0 || (size_t)n >= sizeof path) {
        folder_finding(l, "a path here is too long", "move the folder");
        return;
    }
    snprintf(stem, sizeof stem, "%.*s", (int)stem_length(name), name);
    struct finding_place whole = {path, 0, 0};
    if (strcmp(stem, "upstreams") == 0) {
        findings_add(l->findings, whole, FINDING_NAME,
                     "upstreams.yaml is no flow\nit stands beside the folder, not in it");
        return;
    }
    if (flow_of_name(l->set, stem)) {
        findings_add(l->findings, whole, FINDING_NAME, "two files for the flow `%s`\nremove one",
                     stem);
        return;
    }
    if (is_readable(l, path) && yaml_read(path, l->findings, &f->yaml) == ERR_NOMEM)
        l->no_memory = true;
    if (!f->yaml)
        return;
    f->flow = &l->set->flows[l->set->flows_n++];
    read_flow(f, stem);
}

/* Their expressions are compiled together; what needs the whole flow is looked at behind that. */
static void read_files(struct flow_loader *l, struct dirent **list, size_t n)
{
    struct flow_file *files = value_array(l, n, sizeof *files);
    l->files = list;
    l->files_n = n;
    l->set->flows = value_array(l, n, sizeof *l->set->flows);
    if (!files || !l->set->flows) {
        free(files);
        return;
    }
    for (size_t i = 0; i < n; i++)
        read_file(l, list[i]->d_name, &files[i]);
    flow_compile(l, files, n);
    for (size_t i = 0; i < n; i++) {
        if (files[i].read)
            flow_lint(&files[i]);
        flow_file_fini(&files[i]);
    }
    free(files);
}

/* A folder that is not there says enough: upstreams beside it are not looked for. */
static void read_all(struct flow_loader *l)
{
    struct dirent **list = NULL;
    char upstreams[PATH_LEN_MAX];
    int n = scandir(l->settings->flows_dir, &list, is_flow_file, alphasort);
    if (n < 0) {
        folder_finding(l, strerror(errno), "check the path (--flows, OFFPATH_FLOWS)");
        return;
    }
    lint_folder(l);
    if (flow_load_upstreams_path(l->settings, upstreams, sizeof upstreams) == 0)
        flow_load_upstreams(l, upstreams);
    if (n == 0)
        folder_finding(l, "no flow files here", "put one YAML file per flow into it");
    else if (n > FLOWS_MAX)
        folder_finding(l, "more than 500 flow files", "remove some");
    else
        read_files(l, list, (size_t)n);
    flow_load_emit_end(l);
    for (int i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

int flow_load(const struct flow_load_settings *settings, struct findings *findings,
              struct flow_set **out)
{
    size_t before = findings->errors;
    struct flow_loader l = {.settings = settings, .findings = findings};
    l.set = calloc(1, sizeof *l.set);
    if (!l.set)
        return ERR_NOMEM;
    l.set->refs = 1;
    read_all(&l);
    findings_sort(findings);
    int err = l.no_memory ? ERR_NOMEM : findings->errors > before ? ERR_INVALID : 0;
    if (err)
        flow_set_put(l.set);
    else
        *out = l.set;
    return err;
}
