#include "common/flow_secrets.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/flow_loader.h"
#include "common/log.h"

enum { FILES_MAX = 1000, PATH_SIZE = 4200 };

struct secret_file {
    char *path;
    bool there; /* one that was emptied is not: it is about to be written */
    bool held;  /* it was not empty once */
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct flow_secrets {
    struct flow_set *set;
    struct flow_load_settings settings;
    struct secret_file *files;
    size_t files_n;
};

/* ---- files */

/* Has it changed since the last look? */
static bool file_look(struct secret_file *f)
{
    struct stat st = {0};
    struct secret_file before = *f;
    bool found = stat(f->path, &st) == 0;
    f->held |= st.st_size > 0;
    f->there = found && (st.st_size > 0 || !f->held);
    f->device = st.st_dev;
    f->inode = st.st_ino;
    f->size = st.st_size;
    f->changed = st.st_mtim;
    return f->there != before.there || f->device != before.device || f->inode != before.inode ||
           f->size != before.size || f->changed.tv_sec != before.changed.tv_sec ||
           f->changed.tv_nsec != before.changed.tv_nsec;
}

static int file_add(struct flow_secrets *s, const char *name)
{
    char path[PATH_SIZE];
    flow_env_path(&s->settings, name, path, sizeof path);
    for (size_t i = 0; i < s->files_n; i++)
        if (strcmp(s->files[i].path, path) == 0)
            return 0;
    if (s->files_n == FILES_MAX)
        return 0;
    struct secret_file *more = realloc(s->files, (s->files_n + 1) * sizeof *more);
    if (!more)
        return ERR_NOMEM;
    s->files = more;
    struct secret_file *f = &s->files[s->files_n];
    *f = (struct secret_file){.path = strdup(path)};
    if (!f->path)
        return ERR_NOMEM;
    file_look(f);
    s->files_n++;
    return 0;
}

typedef int file_fn(struct flow_secrets *s, const char *name);

/* fn for each `${file:NAME}` of source, until it gives an error. */
static int each_file(struct flow_secrets *s, const char *source, file_fn *fn)
{
    int err = 0;
    for (const char *p = source; p && !err && (p = strstr(p, "${file:")) != NULL;) {
        const char *end = strchr(p, '}');
        char *name = end ? strndup(p + 7, (size_t)(end - p - 7)) : NULL;
        err = name ? fn(s, name) : ERR_NOMEM;
        free(name);
        p = end;
    }
    return err;
}

static int file_is_there(struct flow_secrets *s, const char *name)
{
    char path[PATH_SIZE];
    flow_env_path(&s->settings, name, path, sizeof path);
    for (size_t i = 0; i < s->files_n; i++)
        if (strcmp(s->files[i].path, path) == 0)
            return s->files[i].there ? 0 : ERR_NOT_FOUND;
    return 0; /* too many to look at each */
}

/* ---- values */

/* source NULL: as it was. */
static int again(struct flow_secrets *s, const char *source, const char *was, char **out)
{
    if (source) {
        int err = each_file(s, source, file_is_there);
        return err ? err : flow_env_again(&s->settings, source, out);
    }
    *out = was ? strdup(was) : NULL;
    return was && !*out ? ERR_NOMEM : 0;
}

static int header_again(struct flow_secrets *s, const char *source, const char *was, char **out)
{
    int err = again(s, source, was, out);
    return err ? err : flow_header_is_good(*out) ? 0 : ERR_INVALID;
}

static int sign_again(struct flow_secrets *s, const struct sigv4_keys *source,
                      const struct sigv4_keys *was, struct sigv4_keys *out)
{
    const struct {
        const char *source, *was;
        char **out;
    } parts[] = {
        [FLOW_SIGN_SERVICE] = {source->service, was->service, &out->service},
        [FLOW_SIGN_REGION] = {source->region, was->region, &out->region},
        [FLOW_SIGN_ACCESS_KEY] = {source->access_key, was->access_key, &out->access_key},
        [FLOW_SIGN_SECRET_KEY] = {source->secret_key, was->secret_key, &out->secret_key},
        [FLOW_SIGN_SESSION_TOKEN] = {source->session_token, was->session_token,
                                     &out->session_token},
    };
    int err = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !err; i++) {
        char **text = parts[i].out;
        err = again(s, parts[i].source, parts[i].was, text);
        if (!err && *text && !flow_sign_is_good((enum flow_sign_part)i, *text))
            err = ERR_INVALID;
        if (!err && *text && !**text) { /* as at start-up: there is none */
            free(*text);
            *text = NULL;
        }
    }
    return err;
}

static int renew(struct flow_secrets *s, const struct upstream *u, struct credentials *out)
{
    const struct credentials *was = upstream_credentials(u);
    int err = 0;
    out->headers = calloc(was->headers_n + 1, sizeof *out->headers);
    if (!out->headers)
        return ERR_NOMEM;
    for (size_t i = 0; i < was->headers_n && !err; i++) {
        struct header *h = &out->headers[out->headers_n++];
        err = again(s, NULL, was->headers[i].name, &h->name);
        if (!err)
            err = header_again(s, u->sources->headers[i].value, was->headers[i].value, &h->value);
    }
    return err ? err : sign_again(s, &u->sources->sign, &was->sign, &out->sign);
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same(const struct credentials *a, const struct credentials *b)
{
    for (size_t i = 0; i < a->headers_n; i++)
        if (!same(a->headers[i].value, b->headers[i].value))
            return false;
    return same(a->sign.access_key, b->sign.access_key) &&
           same(a->sign.secret_key, b->sign.secret_key) &&
           same(a->sign.session_token, b->sign.session_token) &&
           same(a->sign.region, b->sign.region) && same(a->sign.service, b->sign.service);
}

/* What is in use and was not read again stays masked, too. */
static void say_again(const struct upstream *u)
{
    const struct credentials *c = upstream_credentials(u), *source = u->sources;
    for (size_t i = 0; i < c->headers_n; i++)
        if (source->headers[i].value)
            log_secret_passing(c->headers[i].value);
    log_secret_passing(source->sign.access_key ? c->sign.access_key : NULL);
    log_secret_passing(source->sign.secret_key ? c->sign.secret_key : NULL);
    log_secret_passing(source->sign.session_token ? c->sign.session_token : NULL);
}

static bool renew_upstream(struct flow_secrets *s, struct upstream *u)
{
    struct credentials *new = calloc(1, sizeof *new);
    int err = new ? renew(s, u, new) : ERR_NOMEM;
    if (err || is_same(new, upstream_credentials(u))) {
        credentials_free(new);
        if (err)
            say_again(u);
        if (err)
            log_warn("secret-not-read", "upstream", u->name, "why", err_text(err), "means",
                     "the values read before stay in use");
        return false;
    }
    new->older = u->credentials;
    u->credentials = new;
    log_info("secret-read-again", "upstream", u->name);
    return true;
}

static bool renew_database(struct flow_secrets *s, struct database *d)
{
    const char *was = database_password(d);
    char *text = NULL;
    int err = d->password_source ? again(s, d->password_source, was, &text) : 0;
    if (text && !flow_password_is_good(text))
        err = ERR_INVALID;
    bool changed = !err && text && !same(text, was);
    size_t size = changed ? strlen(text) + 1 : 0;
    struct renewed_password *new = changed ? malloc(sizeof *new + size) : NULL;
    if (changed && !new)
        err = ERR_NOMEM;
    if (new) {
        memcpy(new->text, text, size);
        new->older = d->renewed;
        d->renewed = new;
        log_info("secret-read-again", "database", d->name);
    } else {
        log_secret_passing(was);
    }
    if (err)
        log_warn("secret-not-read", "database", d->name, "why", err_text(err), "means",
                 "the password read before stays in use");
    free(text);
    return new != NULL;
}

/* ---- the whole */

static int sources_of(struct flow_secrets *s, const struct upstream *u)
{
    const struct credentials *c = u->sources;
    int err = 0;
    for (size_t i = 0; c && i < c->headers_n && !err; i++)
        err = each_file(s, c->headers[i].value, file_add);
    const char *parts[] = {c ? c->sign.service : NULL, c ? c->sign.region : NULL,
                           c ? c->sign.access_key : NULL, c ? c->sign.secret_key : NULL,
                           c ? c->sign.session_token : NULL};
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !err; i++)
        err = each_file(s, parts[i], file_add);
    return err;
}

int flow_secrets_open(struct flow_set *set, const char *secrets_dir, struct flow_secrets **out)
{
    struct flow_secrets *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    s->set = flow_set_get(set);
    s->settings.secrets_dir = secrets_dir;
    int err = 0;
    for (size_t i = 0; i < set->upstreams_n && !err; i++)
        err = sources_of(s, &set->upstreams[i]);
    for (size_t i = 0; i < set->databases_n && !err; i++)
        err = each_file(s, set->databases[i].password_source, file_add);
    if (err)
        flow_secrets_close(s);
    else
        *out = s;
    return err;
}

unsigned flow_secrets_look(struct flow_secrets *s)
{
    bool changed = false;
    unsigned renewed = 0;
    for (size_t i = 0; i < s->files_n; i++) {
        bool was = s->files[i].there, differs = file_look(&s->files[i]);
        changed |= differs && s->files[i].there;
        if (was && !s->files[i].there)
            log_warn("secret-gone", "file", s->files[i].path, "means",
                     "the value read before stays in use");
    }
    for (size_t i = 0; i < s->set->databases_n && changed; i++)
        renewed += renew_database(s, &s->set->databases[i]);
    for (size_t i = 0; i < s->set->upstreams_n && changed; i++)
        if (s->set->upstreams[i].sources)
            renewed += renew_upstream(s, &s->set->upstreams[i]);
    return renewed;
}

void flow_secrets_close(struct flow_secrets *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->files_n; i++)
        free(s->files[i].path);
    free(s->files);
    flow_set_put(s->set);
    free(s);
}
