#include "common/flow_loader.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

/* Names are not looked for in what was filled in: one pass, left to right. */
enum { FILLED_MAX = 64 * 1024, NAME_LEN_MAX = 255, PATH_LEN_MAX = 4096 };

struct filling {
    struct flow_loader *loader;
    const struct yaml_node *node;
    bool secrets;
    struct buf out;
    bool failed;
};

static void fill_error(struct filling *f, size_t offset, const char *what, const char *todo)
{
    if (f->node) /* else it is filled in again, and who asked says so */
        findings_add(f->loader->findings, yaml_place_in(f->node, offset), FINDING_PLACEHOLDER,
                     "%s\n%s", what, todo);
    f->failed = true;
}

static const char *env_get(const struct flow_load_settings *s, const char *name)
{
    return s->getenv ? s->getenv(s->getenv_arg, name) : getenv(name);
}

static void fill_env(struct filling *f, size_t offset, char *body)
{
    char *fallback = strstr(body, ":-");
    if (fallback) {
        *fallback = 0;
        fallback += 2;
    }
    size_t len = strspn(body, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    if (len == 0 || body[len] || isdigit((unsigned char)body[0])) {
        fill_error(f, offset, "`${env:...}` needs a name of A-Z, 0-9 and `_`",
                   "write `${env:NAME}` or `${env:NAME:-default}`");
        return;
    }
    const char *value = env_get(f->loader->settings, body);
    if (fallback && (!value || !value[0]))
        value = fallback;
    if (value) {
        buf_text(&f->out, value);
        return;
    }
    char what[NAME_LEN_MAX + 60];
    snprintf(what, sizeof what, "the environment has no `%.200s`", body);
    fill_error(f, offset, what, "set it, or give a default: `${env:NAME:-default}`");
}

/* The file's text without its last newline, at most FILLED_MAX. 0, ERR_NOT_FOUND, ERR_TOO_LARGE. */
static int secret_read(const char *path, char *text)
{
    FILE *in = fopen(path, "re");
    if (!in)
        return ERR_NOT_FOUND;
    size_t len = fread(text, 1, FILLED_MAX + 1, in);
    bool bad = ferror(in) != 0;
    fclose(in);
    if (bad)
        return ERR_NOT_FOUND;
    if (len > FILLED_MAX || memchr(text, 0, len))
        return ERR_TOO_LARGE;
    while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    text[len] = 0;
    return 0;
}

void flow_env_path(const struct flow_load_settings *settings, const char *name, char *out,
                   size_t size)
{
    const char *dir = settings->secrets_dir ? settings->secrets_dir : "/run/secrets";
    bool whole = name[0] == '/';
    snprintf(out, size, "%s%s%s", whole ? "" : dir, whole ? "" : "/", name);
}

static void fill_file(struct filling *f, size_t offset, const char *name)
{
    char path[PATH_LEN_MAX], what[PATH_LEN_MAX + 60];
    if (!f->secrets) {
        fill_error(f, offset, "a flow file takes no `${file:}`",
                   "put the secret into upstreams.yaml, out of sight of expressions");
        return;
    }
    if (!name[0] || (name[0] != '/' && strstr(name, ".."))) {
        fill_error(f, offset, "`${file:...}` needs a name in the secrets folder or a whole path",
                   "write `${file:name}`");
        return;
    }
    flow_env_path(f->loader->settings, name, path, sizeof path);
    char *text = malloc(FILLED_MAX + 2);
    int err = text ? secret_read(path, text) : ERR_NOMEM;
    if (err == 0) {
        log_secret_passing(text);
        buf_text(&f->out, text);
    } else if (err == ERR_NOT_FOUND && f->loader->settings->secrets_away) {
        buf_text(&f->out, "not-here");
    } else {
        snprintf(what, sizeof what, "`%s` %s", path,
                 err == ERR_TOO_LARGE ? "is no text of at most 64 KB" : "cannot be read");
        fill_error(f, offset, what, "write the secret there, or mend the name");
    }
    free(text);
}

/* `${...}` at text: fill it in; gives the byte behind it. */
static const char *fill_one(struct filling *f, const char *text, const char *at)
{
    size_t offset = (size_t)(at - text);
    const char *end = strchr(at, '}');
    if (!end) {
        fill_error(f, offset, "`${` without `}`", "close it; `$${` writes `${`");
        return at + strlen(at); /* nor is there one for those behind it */
    }
    char *body = strndup(at + 2, (size_t)(end - at - 2));
    if (!body) {
        f->loader->no_memory = f->failed = true;
        return end + 1;
    }
    if (strncmp(body, "env:", 4) == 0)
        fill_env(f, offset, body + 4);
    else if (strncmp(body, "file:", 5) == 0)
        fill_file(f, offset, body + 5);
    else
        fill_error(f, offset, "only `${env:NAME}` and `${file:name}` are known",
                   "`$${` writes `${`");
    free(body);
    return end + 1;
}

static void fill_text(struct filling *f, const char *text)
{
    const char *p = text;
    while (*p) {
        const char *next = strstr(p, "${");
        if (!next) {
            buf_text(&f->out, p);
            return;
        }
        bool escaped = next > p && next[-1] == '$';
        buf_add(&f->out, p, (size_t)(next - p) - escaped);
        if (escaped) {
            buf_text(&f->out, "${");
            p = next + 2;
        } else {
            p = fill_one(f, text, next);
        }
    }
}

int flow_env_again(const struct flow_load_settings *settings, const char *source, char **out)
{
    struct flow_loader l = {.settings = settings};
    struct filling f = {.loader = &l, .secrets = true};
    buf_init(&f.out, FILLED_MAX);
    buf_text(&f.out, "");
    fill_text(&f, source);
    int err = f.failed ? ERR_NOT_FOUND : buf_ok(&f.out);
    if (!err)
        *out = buf_take(&f.out, NULL);
    buf_fini(&f.out);
    return err;
}

static void fill_scalar(struct flow_loader *l, struct yaml *y, struct yaml_node *n, bool secrets)
{
    struct filling f = {.loader = l, .node = n, .secrets = secrets};
    if (!strstr(n->text, "${"))
        return;
    buf_init(&f.out, FILLED_MAX);
    fill_text(&f, n->text);
    int err = buf_ok(&f.out);
    flow_digest_add(l, buf_str(&f.out), f.out.len);
    if (!err && !f.failed)
        err = yaml_set_text(y, n, buf_str(&f.out));
    if (err)
        fill_error(&f, 0, "what is filled in here is larger than 64 KB", "make it smaller");
    buf_fini(&f.out);
}

static void fill_node(struct flow_loader *l, struct yaml *y, struct yaml_node *n, bool secrets)
{
    if (n->type == YAML_TEXT)
        fill_scalar(l, y, n, secrets);
    for (struct yaml_node *c = n->first; c; c = c->next)
        fill_node(l, y, c, secrets);
}

void flow_env_fill(struct flow_loader *l, struct yaml *y, bool secrets)
{
    fill_node(l, y, yaml_root(y), secrets);
}
