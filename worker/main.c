/* offpath-worker: takes jobs from Kafka, makes their calls, saves what came of them. Wiring only.
 */
#include "common/expr.h"
#include "common/flow_load.h"
#include "common/log.h"
#include "worker/admin.h"
#include "worker/check.h"
#include "worker/eval.h"
#include "worker/explain.h"
#include "worker/migrate.h"
#include "worker/preflight.h"
#include "worker/run.h"
#include "worker/test.h"
#include "worker/topics.h"
#include "worker/user_databases.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct program {
    struct config *config;
    const char *const *words; /* the verb and what follows */
    size_t words_n;
};

static int complain(int code, const char *why)
{
    fprintf(stderr, "offpath-worker: %s\n", why);
    return code;
}

static int help(FILE *out, int code)
{
    struct buf text;
    buf_init(&text, 0);
    settings_help(&text);
    fputs(buf_str(&text), out);
    buf_fini(&text);
    return code;
}

static int exit_of(int err)
{
    switch (err) {
    case ERR_INVALID:
        return WORKER_USAGE;
    case ERR_SETUP:
        return WORKER_DEPENDENCY;
    case ERR_EXISTS:
        return WORKER_CONFLICT;
    case ERR_IO:
        return WORKER_DEPENDENCY;
    default:
        return WORKER_BUG;
    }
}

static const struct sql_settings user_connect = {5000, 10000};

/* ---- run */

static int preflight(const struct settings *s, struct run *r, char why[PREFLIGHT_WHY])
{
    const struct broker_settings broker = {
        .servers = s->kafka, .client_id = "offpath-worker", .properties = s->kafka_properties};
    const struct record_settings record = {.url = s->mysql, .connect_ms = 5000, .io_ms = 10000};
    int err = admin_listen(s->admin, &r->admin_fd, &r->admin_port, why);
    if (!err)
        err = preflight_topics(&broker, r->flows->set, &r->flows->topics, why);
    if (!err)
        err = preflight_record(&record, why);
    if (!err)
        err = preflight_databases(s, r->flows->set, stderr, why);
    return err;
}

static int run_with(const struct settings *s)
{
    char why[PREFLIGHT_WHY] = "";
    struct generation_flows flows = {0};
    struct run r = {.settings = s, .flows = &flows, .admin_fd = -1};
    int code = WORKER_GOOD, err = preflight_settings(s, why);
    if (err)
        return complain(WORKER_USAGE, why);
    err = preflight_flows(s, &flows.set, why);
    if (err)
        return complain(err == ERR_INVALID ? WORKER_FINDINGS : WORKER_BUG, why);
    err = preflight_only(s, flows.set, why);
    if (!err)
        err = preflight(s, &r, why);
    if (!err) {
        code = run_worker(&r);
        r.admin_fd = -1;
    } else {
        code = complain(exit_of(err), why[0] ? why : err_text(err));
    }
    if (r.admin_fd >= 0)
        close(r.admin_fd);
    generation_flows_fini(&flows);
    return code;
}

static int verb_run(const struct program *p)
{
    struct settings s = {0};
    char why[SETTINGS_WHY] = "";
    if (settings_read(p->config, &s, why))
        return complain(WORKER_USAGE, why);
    log_open("offpath-worker", s.log_json, s.log_level);
    run_block_signals();
    int code = WORKER_BUG;
    if (expr_start() || expr_prove_threads())
        complain(code, "the expression engine does not start");
    else
        code = run_with(&s);
    expr_stop();
    settings_fini(&s);
    return code;
}

/* ---- check */

/* Those of the settings, if there are any; errors in them are `check`'s to show. */
static int flows_of(const struct config *c, struct flow_set **set)
{
    const struct flow_load_settings load = {.flows_dir = config_text(c, "flows"),
                                            .upstreams_file = config_text(c, "upstreams"),
                                            .secrets_dir = config_text(c, "secrets")};
    struct findings f;
    if (!load.flows_dir || access(load.flows_dir, F_OK))
        return 0;
    findings_init(&f);
    int err = flow_load(&load, &f, set);
    findings_fini(&f);
    return err;
}

static int servers(void *arg, FILE *out)
{
    const struct config *c = arg;
    struct flow_set *set = NULL;
    const char *record = config_text(c, "mysql");
    int err = preflight_servers(c, out);
    if (expr_start())
        return WORKER_BUG;
    if (record && !flows_of(c, &set) && set) {
        const struct user_databases users = {
            .set = set, .record = record, .connect = &user_connect};
        err |= user_databases_show(&users, out);
    }
    flow_set_put(set);
    expr_stop();
    return err ? WORKER_DEPENDENCY : WORKER_GOOD;
}

static int verb_check(const struct program *p)
{
    const struct config *c = p->config;
    const char *flows = config_text(c, "flows");
    const struct check_settings s = {
        .dirs = p->words_n > 1 ? p->words + 1 : &flows,
        .dirs_n = p->words_n > 1 ? p->words_n - 1
                  : flows        ? 1
                                 : 0,
        .load = {.upstreams_file = config_text(c, "upstreams"),
                 .secrets_dir = config_text(c, "secrets"),
                 .secrets_away = config_bool(c, "offline")},
        .deny_warnings = config_bool(c, "deny-warnings"),
        .json = config_bool(c, "json"),
        .excerpt = isatty(STDOUT_FILENO) == 1,
        .config = config_bool(c, "show") ? c : NULL,
        .servers = config_bool(c, "offline") ? NULL : servers,
        .servers_arg = p->config,
    };
    return check_run(&s, stdout);
}

/* For what calls nobody: secrets may be away, as on the machine that tests a change. */
static struct flow_load_settings load_of(const struct config *c)
{
    return (struct flow_load_settings){.flows_dir = config_text(c, "flows"),
                                       .upstreams_file = config_text(c, "upstreams"),
                                       .secrets_dir = config_text(c, "secrets"),
                                       .secrets_away = true};
}

static int verb_eval(const struct program *p)
{
    const struct config *c = p->config;
    const struct eval_settings s = {.flow = p->words_n > 1 ? p->words[1] : NULL,
                                    .request = config_text(c, "request"),
                                    .replies = config_text(c, "replies"),
                                    .rows = config_text(c, "rows"),
                                    .user = config_text(c, "user"),
                                    .load = load_of(c),
                                    .json = config_bool(c, "json")};
    return eval_run(&s, stdout, stderr);
}

static int verb_test(const struct program *p)
{
    const struct config *c = p->config;
    const char *flows = config_text(c, "flows");
    const struct test_settings s = {.paths = p->words_n > 1 ? p->words + 1 : &flows,
                                    .paths_n = p->words_n > 1 ? p->words_n - 1 : flows != NULL,
                                    .load = load_of(c),
                                    .json = config_bool(c, "json")};
    log_open("offpath-worker", false, LOG_ERROR);
    return test_run(&s, stdout, stderr);
}

static int verb_explain(const struct program *p)
{
    return explain_run(p->words_n > 1 ? p->words[1] : NULL, stdout);
}

/* ---- topics, migrate */

static struct operator_io operator_of(const struct program *p)
{
    return (struct operator_io){.out = stdout,
                                .err = stderr,
                                .in = stdin,
                                .terminal = isatty(STDIN_FILENO) == 1,
                                .yes = config_bool(p->config, "yes")};
}

static int topics_of(const struct settings *s, const struct program *p)
{
    char why[PREFLIGHT_WHY] = "";
    const struct broker_settings broker = {
        .servers = s->kafka, .client_id = "offpath-worker", .properties = s->kafka_properties};
    const struct operator_io io = operator_of(p);
    struct flow_set *set = NULL;
    int err = preflight_flows(s, &set, why);
    if (err)
        return complain(err == ERR_INVALID ? WORKER_FINDINGS : WORKER_BUG, why);
    int code = topics_verb(&broker, set, p->words_n > 1 ? p->words[1] : "", &io);
    flow_set_put(set);
    return code;
}

static int verb_topics(const struct program *p)
{
    struct settings s = {0};
    char why[SETTINGS_WHY] = "";
    if (settings_read(p->config, &s, why))
        return complain(WORKER_USAGE, why);
    log_open("offpath-worker", s.log_json, LOG_WARN);
    int code = expr_start() ? complain(WORKER_BUG, "the expression engine does not start")
                            : topics_of(&s, p);
    expr_stop();
    settings_fini(&s);
    return code;
}

static int verb_migrate(const struct program *p)
{
    const struct record_settings s = {
        .url = config_text(p->config, "mysql"), .connect_ms = 5000, .io_ms = 60000};
    const struct operator_io io = operator_of(p);
    if (!s.url)
        return complain(WORKER_USAGE, "--mysql is not set; write mysql://user:pass@host:port/db");
    struct flow_set *set = NULL;
    if (expr_start())
        return complain(WORKER_BUG, "the expression engine does not start");
    if (flows_of(p->config, &set))
        fputs(
            "migrate: the flows cannot be read (`offpath-worker check` says why): users' databases "
            "are left out\n",
            stderr);
    const struct user_databases users = {.set = set, .record = s.url, .connect = &user_connect};
    int code = migrate_verb(&s, set ? &users : NULL, p->words_n > 1 ? p->words[1] : "", &io);
    flow_set_put(set);
    expr_stop();
    return code;
}

/* ---- verbs */

static const struct {
    const char *name;
    int (*fn)(const struct program *);
} verbs[] = {
    {"run", verb_run},         {"check", verb_check},     {"eval", verb_eval},
    {"test", verb_test},       {"explain", verb_explain}, {"topics", verb_topics},
    {"migrate", verb_migrate},
};

static int unknown_verb(const char *word)
{
    char why[300];
    snprintf(
        why, sizeof why,
        "there is no \"%.60s\"; write run, topics, migrate, check, eval, test or explain (--help "
        "shows all)",
        word);
    return complain(WORKER_USAGE, why);
}

static int dispatch(const struct program *p)
{
    if (p->words_n == 0)
        return help(stderr, WORKER_USAGE);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, p->words[0]) == 0)
            return verbs[i].fn(p);
    return unknown_verb(p->words[0]);
}

int main(int argc, char **argv)
{
    struct program p = {0};
    char why[SETTINGS_WHY] = "";
    size_t n = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return help(stdout, WORKER_GOOD);
        if (strcmp(argv[i], "--version") == 0) {
            printf("offpath-worker %s\n", OFFPATH_VERSION);
            return WORKER_GOOD;
        }
    }
    const struct config_option *table = settings_table(&n);
    if (config_read(table, n, argc, argv, &p.config, why))
        return complain(WORKER_USAGE, why);
    p.words_n = config_positionals(p.config, &p.words);
    int code = dispatch(&p);
    config_free(p.config);
    return code;
}
