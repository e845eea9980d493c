#include "worker/check.h"

#include "common/complaint.h"
#include "common/config.h"
#include "common/exit_code.h"

enum { OUTPUT_MAX = 16 * 1024 * 1024 };

struct totals {
    size_t flows;
    struct findings found; /* their counts only */
    bool no_memory;
};

static void print_findings(const struct check_settings *s, const struct findings *f, FILE *out)
{
    struct buf text;
    buf_init(&text, OUTPUT_MAX);
    if (s->json)
        findings_print_json(f, &text);
    else
        findings_print(f, s->excerpt, &text);
    fputs(buf_str(&text), out);
    buf_fini(&text);
}

static void check_folder(const struct check_settings *s, const char *dir, struct totals *t,
                         FILE *out)
{
    struct flow_load_settings load = s->load;
    struct flow_set *set = NULL;
    struct findings findings;
    load.flows_dir = dir;
    findings_init(&findings);
    int err = flow_load(&load, &findings, &set);
    if (err == ERR_NOMEM)
        t->no_memory = true;
    if (err == 0)
        t->flows += set->flows_n;
    t->found.errors += findings.errors;
    t->found.warnings += findings.warnings;
    print_findings(s, &findings, out);
    findings_fini(&findings);
    flow_set_put(set);
}

static void print_sum(const struct check_settings *s, const struct totals *t, FILE *out)
{
    struct buf text = {0};
    if (!s->json)
        findings_print_sum(&t->found, t->flows, &text);
    fputs(buf_str(&text), out);
    buf_fini(&text);
}

static void print_config(const struct check_settings *s, FILE *out)
{
    struct buf text;
    buf_init(&text, OUTPUT_MAX);
    if (s->json)
        config_show_json(s->config, &text);
    else
        config_show(s->config, &text);
    fputs(buf_str(&text), out);
    buf_fini(&text);
}

int check_run(const struct check_settings *s, FILE *out)
{
    struct totals t = {0};
    if (s->config)
        print_config(s, out);
    if (s->dirs_n == 0)
        return complain(&(struct complaint){stderr, "offpath-worker", s->json}, EXIT_USAGE,
                        "check needs a folder of flow files: check deploy/flows");
    if (expr_start() != 0)
        return EXIT_BUG;
    for (size_t i = 0; i < s->dirs_n; i++)
        check_folder(s, s->dirs[i], &t, out);
    expr_stop();
    print_sum(s, &t, out);
    if (t.no_memory)
        return EXIT_BUG;
    if (t.found.errors > 0 || (t.found.warnings > 0 && s->deny_warnings))
        return EXIT_FINDINGS;
    return s->servers ? s->servers(s->servers_arg, out) : EXIT_GOOD;
}
