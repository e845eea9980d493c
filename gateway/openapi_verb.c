#include "gateway/openapi_verb.h"

#include <stdio.h>
#include <unistd.h>

#include "common/expr.h"
#include "common/flow_load.h"
#include "gateway/openapi.h"
#include "gateway/options.h"

static int complain(int code, const char *why)
{
    fprintf(stderr, "offpath-gateway: %s\n", why);
    return code;
}

static bool all(const void *arg, const struct flow *f)
{
    (void)arg;
    (void)f;
    return true;
}

static int print(const struct flow_set *flows, const char *url)
{
    struct buf out = {0};
    int err = openapi_print(flows, all, NULL, url ? url : "", &out);
    if (!err)
        puts(buf_str(&out));
    buf_fini(&out);
    return err ? complain(EXIT_BUG, "out of memory") : EXIT_GOOD;
}

int openapi_verb(const struct verb_call *call)
{
    const struct config *c = call->config;
    const struct flow_load_settings load = {.flows_dir = config_text(c, "flows"),
                                            .upstreams_file = config_text(c, "upstreams"),
                                            .secrets_dir = config_text(c, "secrets"),
                                            .secrets_away = true};
    struct findings findings;
    struct flow_set *flows = NULL;
    struct buf text = {0};
    if (!load.flows_dir)
        return complain(EXIT_USAGE, "--flows (OFFPATH_FLOWS) is not set; name the folder of your "
                                    "flow files");
    if (expr_start())
        return complain(EXIT_BUG, "the expression engine does not start");
    findings_init(&findings);
    int err = flow_load(&load, &findings, &flows);
    findings_print(&findings, isatty(STDERR_FILENO) == 1, &text);
    fputs(buf_str(&text), stderr);
    int code = err == ERR_INVALID ? EXIT_FINDINGS
               : err              ? complain(EXIT_BUG, "out of memory")
                                  : print(flows, config_text(c, "public-url"));
    flow_set_put(flows);
    findings_fini(&findings);
    buf_fini(&text);
    expr_stop();
    return code;
}
