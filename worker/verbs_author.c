/* The verbs of who writes flows: check, eval, test, explain. */
#include "worker/verbs.h"

#include <unistd.h>

#include "common/exit_code.h"
#include "common/flow_load.h"
#include "common/log.h"
#include "worker/check.h"
#include "worker/eval.h"
#include "worker/explain.h"
#include "worker/test.h"

int verbs_check(const struct verb_call *call)
{
    const struct config *c = call->config;
    const char *flows = config_text(c, "flows");
    const struct check_settings s = {
        .dirs = call->words_n > 1 ? call->words + 1 : &flows,
        .dirs_n = call->words_n > 1 ? call->words_n - 1
                  : flows           ? 1
                                    : 0,
        .load = {.upstreams_file = config_text(c, "upstreams"),
                 .secrets_dir = config_text(c, "secrets"),
                 .secrets_away = config_bool(c, "offline")},
        .deny_warnings = config_bool(c, "deny-warnings"),
        .json = config_bool(c, "json"),
        .excerpt = isatty(STDOUT_FILENO) == 1,
        .config = config_bool(c, "show") ? c : NULL,
        .servers = config_bool(c, "offline") ? NULL : verbs_check_servers,
        .servers_arg = &c,
    };
    log_open("offpath-worker", false, LOG_WARN); /* of the servers it tries */
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

int verbs_eval(const struct verb_call *call)
{
    const struct config *c = call->config;
    const struct eval_settings s = {.flow = call->words_n > 1 ? call->words[1] : NULL,
                                    .request = config_text(c, "request"),
                                    .replies = config_text(c, "replies"),
                                    .rows = config_text(c, "rows"),
                                    .user = config_text(c, "user"),
                                    .load = load_of(c),
                                    .json = config_bool(c, "json")};
    return eval_run(&s, stdout, stderr);
}

int verbs_test(const struct verb_call *call)
{
    const struct config *c = call->config;
    const char *flows = config_text(c, "flows");
    const struct test_settings s = {.paths = call->words_n > 1 ? call->words + 1 : &flows,
                                    .paths_n =
                                        call->words_n > 1 ? call->words_n - 1 : flows != NULL,
                                    .load = load_of(c),
                                    .json = config_bool(c, "json")};
    log_open("offpath-worker", false, LOG_ERROR);
    return test_run(&s, stdout, stderr);
}

int verbs_explain(const struct verb_call *call)
{
    return explain_run(call->words_n > 1 ? call->words[1] : NULL, config_bool(call->config, "json"),
                       stdout);
}
