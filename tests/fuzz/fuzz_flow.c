/* Flow files and upstreams.yaml: no text may crash the loader, and each text gives a set or a
 * finding. Expressions are doubled here, since compiling one takes 15 ms; fuzz_expr_path and
 * fuzz_template have real ones. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/flow_loader.h"

struct expr {
    char *text;
    bool ready;
};

static int compile(struct expr *e, struct expr_error *error)
{
    const char *bad = strstr(e->text, "bad");
    if (bad) {
        error->line = (unsigned)(bad - e->text) % 5;
        error->column = (unsigned)(bad - e->text) % 7;
        snprintf(error->text, sizeof error->text, "%.30s/0 is not defined", bad + 3);
        return ERR_EXPRESSION;
    }
    e->ready = true;
    return 0;
}

int expr_compile(const char *text, unsigned visible, struct expr **out, struct expr_error *error)
{
    struct expr *e = calloc(1, sizeof *e);
    e->text = strdup(text);
    if (!(visible & EXPR_LATER) && compile(e, error) != 0) {
        expr_free(e);
        return ERR_EXPRESSION;
    }
    *out = e;
    return 0;
}

int expr_compile_later(struct expr *const *list, size_t n, expr_wrong_fn *wrong, void *arg)
{
    for (size_t i = 0; i < n; i++) {
        struct expr_error error = {0};
        if (!list[i]->ready && compile(list[i], &error) != 0)
            wrong(arg, list[i], &error);
    }
    return 0;
}

bool expr_is_ready(const struct expr *e)
{
    return e->ready;
}

void expr_free(struct expr *e)
{
    if (e)
        free(e->text);
    free(e);
}

int expr_eval(struct expr *e, const struct expr_vars *vars, struct json **out,
              struct expr_error *error)
{
    (void)vars;
    if (error && strstr(e->text, "fail"))
        snprintf(error->text, sizeof error->text, "failed");
    *out = strstr(e->text, "fail") ? NULL : json_new_text(e->text);
    return *out ? 0 : ERR_EXPRESSION;
}

int expr_view(struct expr *e, const struct expr_vars *vars, const struct json **out,
              struct json **owned, struct expr_error *error)
{
    int err = expr_eval(e, vars, owned, error);
    if (!err)
        *out = *owned;
    return err;
}

unsigned expr_uses(const struct expr *e)
{
    return strstr(e->text, "$calls") ? VAR_BIT(VAR_CALLS) : VAR_BIT(VAR_REQUEST);
}

const char *expr_source(const struct expr *e)
{
    return e->text;
}

int expr_start(void)
{
    return 0;
}

void expr_stop(void)
{
}

static const char *no_env(void *arg, const char *name)
{
    (void)arg;
    return name[0] == 'A' ? "value" : NULL;
}

static struct flow_set *set_new(void)
{
    struct flow_set *set = calloc(1, sizeof *set);
    set->refs = 1;
    set->flows = calloc(1, sizeof *set->flows);
    return set;
}

static void fuzz_upstreams(struct flow_loader *l, const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("upstreams", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    flow_load_upstreams(l, path);
    close(fd);
}

static void fuzz_flow(struct flow_loader *l, const uint8_t *data, size_t size)
{
    struct flow_file f = {.loader = l, .flow = &l->set->flows[l->set->flows_n++]};
    snprintf(f.flow->name, sizeof f.flow->name, "fuzz");
    int err = yaml_parse("fuzz.yaml", (const char *)data, size, l->findings, &f.yaml);
    if (err && l->findings->errors == 0)
        abort();
    if (!err) {
        f.uses = calloc(FLOW_USES_MAX, sizeof *f.uses);
        f.call_read = calloc(FLOW_CALLS_MAX, sizeof *f.call_read);
        flow_env_fill(l, f.yaml, false);
        bool good = flow_keys_check(l, yaml_root(f.yaml), MAP_FLOW);
        if (!good && l->findings->errors == 0)
            abort();
        if (good) {
            flow_load_flow(&f);
            flow_compile(l, &f, 1);
            flow_lint(&f);
        }
    }
    free(f.uses);
    free(f.call_read);
    yaml_close(f.yaml);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct flow_load_settings settings = {.flows_dir = "flows", .getenv = no_env};
    struct findings findings;
    struct buf text;
    findings_init(&findings);
    struct flow_loader l = {.settings = &settings, .findings = &findings, .set = set_new()};
    if (size > 10 && memmem(data, size, "upstreams:", 10))
        fuzz_upstreams(&l, data, size);
    else
        fuzz_flow(&l, data, size);
    flow_load_emit_end(&l);
    findings_sort(&findings);
    buf_init(&text, 0);
    findings_print(&findings, true, &text);
    findings_print_json(&findings, &text);
    buf_fini(&text);
    findings_fini(&findings);
    flow_set_put(l.set);
    return 0;
}
