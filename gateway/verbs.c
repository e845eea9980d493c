#include "gateway/verbs.h"

#include "gateway/errors_verb.h"
#include "gateway/flows_verb.h"
#include "gateway/jobs_verb.h"
#include "gateway/openapi_verb.h"
#include "gateway/options.h"
#include "gateway/run.h"
#include "gateway/send.h"

#define ASKING "url token json color timeout"
#define ASKING_EXITS                                                              \
    "1 the gateway says the request is wrong, 2 usage, 3 no answer or not now,\n" \
    "4 not allowed (401, 403, 429), 5 a conflict, or nobody knows if it was done"
#define JOB_EXITS "0 succeeded, 10 partial, 11 failed, 12 expired, 13 cancelled,\n"

static const struct verb verbs[] = {
    {.name = "run",
     .forms = "[SETTINGS]",
     .summary = "accept jobs over HTTP until SIGTERM",
     .settings = true,
     .examples = "offpath-gateway run --config gateway.yaml\n"
                 "offpath-gateway run --config gateway.yaml --listen 0.0.0.0:8480\n"
                 "OFFPATH_LISTEN=127.0.0.1:0 offpath-gateway run --ports-file ports.json",
     .exits = "0 stopped, 1 findings in flow files, 2 usage or settings,\n"
              "3 a server, topic or table is missing, 5 a port is taken, 70 a bug in Offpath",
     .run = run_verb},
    {.name = "check",
     .forms = "[SETTINGS]\n--show [SETTINGS]",
     .summary = "check settings and flow files",
     .flags = "show json",
     .settings = true,
     .examples = "offpath-gateway check --config gateway.yaml\n"
                 "offpath-gateway check --flows flows --json\n"
                 "offpath-gateway check --show",
     .exits = "0 good, 1 findings in flow files, 2 usage or settings",
     .run = check_verb},
    {.name = "send",
     .forms = "FLOW [JSON|@FILE|-]",
     .words_max = 2,
     .summary = "start a job ({} without JSON), watch it, print its result",
     .flags = "key no-wait dry-run curl " ASKING,
     .examples = "offpath-gateway send price-compare '{\"productId\":\"42\"}'\n"
                 "offpath-gateway send price-compare @request.json --no-wait\n"
                 "jq -c .query input.json | offpath-gateway send price-compare - --json",
     .exits = JOB_EXITS ASKING_EXITS ",\n130 interrupted; the job goes on",
     .run = send_verb},
    {.name = "jobs",
     .forms = "[list]\nshow ID\nwatch ID\ncancel ID",
     .words_max = 2,
     .summary = "your jobs: list them, look at one, watch it, call it off",
     .flags = "flow state since limit " ASKING,
     .only = "list flow state since limit",
     .examples = "offpath-gateway jobs list --state failed --since 2h\n"
                 "offpath-gateway jobs show 3f9a2c41\n"
                 "offpath-gateway jobs watch 3f9a2c41 --json",
     .exits = "watch: " JOB_EXITS "130 interrupted; the others: 0 good\n" ASKING_EXITS,
     .run = jobs_verb},
    {.name = "flows",
     .forms = "",
     .summary = "the flows you may start",
     .flags = ASKING,
     .examples = "offpath-gateway flows\n"
                 "offpath-gateway flows --url https://jobs.example\n"
                 "OFFPATH_TOKEN_FILE=alice.jwt offpath-gateway flows --json",
     .exits = "0 good\n" ASKING_EXITS,
     .run = flows_verb},
    {.name = "openapi",
     .forms = "--flows DIR",
     .summary = "print the OpenAPI document of the flow files",
     .uses = "flows upstreams public-url",
     .examples = "offpath-gateway openapi --flows flows > openapi.json\n"
                 "offpath-gateway openapi --flows flows --public-url https://jobs.example\n"
                 "offpath-gateway openapi --config gateway.yaml",
     .exits = "0 good, 1 findings in flow files, 2 usage or settings",
     .run = openapi_verb},
    {.name = "errors",
     .forms = "[CODE]",
     .words_max = 1,
     .summary = "what a code in an answer means",
     .flags = "json",
     .examples = "offpath-gateway errors\n"
                 "offpath-gateway errors outcome-unknown\n"
                 "offpath-gateway errors schema --json",
     .exits = "0 good, 2 no such code",
     .run = errors_verb},
    {.name = "token",
     .forms = "--user NAME --jwt-hs256-file FILE",
     .summary = "make a token, signed with --jwt-hs256-file",
     .flags = "user scope ttl",
     .uses = "jwt-hs256-file jwt-issuer jwt-audience",
     .examples = "offpath-gateway token --user alice --jwt-hs256-file jwt.secret\n"
                 "export OFFPATH_TOKEN=$(offpath-gateway token --user alice --ttl 8h)\n"
                 "offpath-gateway token --user ops --scope 'read write'",
     .exits = "0 good, 2 usage, or no local key",
     .run = token_verb},
};

const struct verb_program gateway_program = {
    .name = "offpath-gateway",
    .summary = "accepts jobs over HTTP, into Kafka",
    .version = OFFPATH_VERSION,
    .verbs = verbs,
    .verbs_n = sizeof verbs / sizeof verbs[0],
    .options = options_table,
    .options_n = &options_n,
    .examples = "offpath-gateway run --config gateway.yaml\n"
                "offpath-gateway send price-compare '{\"productId\":\"42\"}'\n"
                "offpath-gateway jobs list",
    .exits = "0 good, 1 findings, 2 usage or settings, 3 something did not answer,\n"
             "4 not allowed, 5 conflict, 70 a bug in Offpath; 10 to 13: see `send --help`",
};
