/* The verbs of who runs workers: run, topics, migrate. */
#include "worker/verbs.h"

#include <stdio.h>
#include <unistd.h>

#include "common/exit_code.h"
#include "common/expr.h"
#include "common/flow_load.h"
#include "common/log.h"
#include "common/ports_file.h"
#include "common/server_urls.h"
#include "worker/admin.h"
#include "worker/migrate.h"
#include "worker/preflight.h"
#include "worker/run.h"
#include "worker/topics.h"
#include "worker/user_databases.h"

static int complain(int code, const char *why)
{
    fprintf(stderr, "offpath-worker: %s\n", why);
    return code;
}

static int exit_of(int err)
{
    switch (err) {
    case ERR_INVALID:
        return EXIT_USAGE;
    case ERR_SETUP:
        return EXIT_DEPENDENCY;
    case ERR_EXISTS:
        return EXIT_CONFLICT;
    case ERR_IO:
        return EXIT_DEPENDENCY;
    default:
        return EXIT_BUG;
    }
}

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
    int code = EXIT_GOOD, err = server_urls_check(s->redis, s->mysql, why);
    if (!err)
        err = ports_file_check(s->ports_file, why);
    if (err)
        return complain(EXIT_USAGE, why);
    err = preflight_flows(s, &flows.set, why);
    if (err)
        return complain(err == ERR_INVALID ? EXIT_FINDINGS : EXIT_BUG, why);
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

int verbs_run(const struct verb_call *call)
{
    struct settings s = {0};
    char why[SETTINGS_WHY] = "";
    if (settings_read(call->config, &s, why))
        return complain(EXIT_USAGE, why);
    log_open("offpath-worker", s.log_json, s.log_level);
    run_block_signals();
    int code = EXIT_BUG;
    if (expr_start() || expr_prove_threads())
        complain(code, "the expression engine does not start");
    else
        code = run_with(&s);
    expr_stop();
    settings_fini(&s);
    return code;
}

static struct operator_io operator_of(const struct verb_call *call)
{
    return (struct operator_io){.out = stdout,
                                .err = stderr,
                                .in = stdin,
                                .terminal = isatty(STDIN_FILENO) == 1,
                                .yes = config_bool(call->config, "yes")};
}

static int topics_of(const struct settings *s, const struct verb_call *call)
{
    char why[PREFLIGHT_WHY] = "";
    const struct broker_settings broker = {
        .servers = s->kafka, .client_id = "offpath-worker", .properties = s->kafka_properties};
    const struct operator_io io = operator_of(call);
    struct flow_set *set = NULL;
    int err = preflight_flows(s, &set, why);
    if (err)
        return complain(err == ERR_INVALID ? EXIT_FINDINGS : EXIT_BUG, why);
    int code = topics_run(&broker, set, call->words_n > 1 ? call->words[1] : "", &io);
    flow_set_put(set);
    return code;
}

int verbs_topics(const struct verb_call *call)
{
    struct settings s = {0};
    char why[SETTINGS_WHY] = "";
    if (settings_read_log(call->config, &s, why) || settings_read_kafka(call->config, &s, why))
        return complain(EXIT_USAGE, why);
    log_open("offpath-worker", s.log_json, LOG_WARN);
    int code = expr_start() ? complain(EXIT_BUG, "the expression engine does not start")
                            : topics_of(&s, call);
    expr_stop();
    return code;
}

static const struct sql_settings user_connect = {5000, 10000};

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

int verbs_check_servers(void *arg, FILE *out)
{
    const struct config *c = *(const struct config *const *)arg;
    struct flow_set *set = NULL;
    const char *record = config_text(c, "mysql");
    bool json = config_bool(c, "json");
    if (expr_start())
        return EXIT_BUG;
    int unread = flows_of(c, &set);
    int err = preflight_servers(c, unread ? NULL : set, json, out);
    if (record && !unread && set) {
        const struct user_databases users = {
            .set = set, .record = record, .connect = &user_connect};
        err |= user_databases_show(&users, json, out);
    }
    flow_set_put(set);
    expr_stop();
    return err ? EXIT_DEPENDENCY : EXIT_GOOD;
}

int verbs_migrate(const struct verb_call *call)
{
    const struct record_settings s = {
        .url = config_text(call->config, "mysql"), .connect_ms = 5000, .io_ms = 60000};
    const struct operator_io io = operator_of(call);
    if (!s.url)
        return complain(EXIT_USAGE, "--mysql is not set; write mysql://user:pass@host:port/db");
    struct flow_set *set = NULL;
    if (expr_start())
        return complain(EXIT_BUG, "the expression engine does not start");
    if (flows_of(call->config, &set))
        fputs(
            "migrate: the flows cannot be read (`offpath-worker check` says why): users' databases "
            "are left out\n",
            stderr);
    const struct user_databases users = {.set = set, .record = s.url, .connect = &user_connect};
    int code = migrate_run(&s, set ? &users : NULL, call->words_n > 1 ? call->words[1] : "", &io);
    flow_set_put(set);
    expr_stop();
    return code;
}
