#include "worker/verbs.h"

#include "worker/settings.h"

#define READING "flows upstreams secrets"

static const struct verb verbs[] = {
    {.name = "run",
     .forms = "[SETTINGS]",
     .summary = "take jobs from Kafka and do them until SIGTERM",
     .settings = true,
     .examples = "offpath-worker run --config worker.yaml --shards 2\n"
                 "offpath-worker run --config worker.yaml --only price-compare,digest\n"
                 "OFFPATH_ADMIN=127.0.0.1:0 offpath-worker run --ports-file ports.json",
     .exits = "0 stopped, 1 findings in flow files, 2 usage or settings,\n"
              "3 a server, topic or table is missing, 5 a port is taken, 70 a bug in Offpath",
     .run = verbs_run},
    {.name = "check",
     .forms = "[DIR...]",
     .words_max = VERB_ANY,
     .summary = "check flow files as start-up does, and try every server",
     .flags = "offline deny-warnings show json",
     .settings = true,
     .examples = "offpath-worker check flows --offline --deny-warnings\n"
                 "offpath-worker check --config worker.yaml\n"
                 "offpath-worker check --config worker.yaml --show --offline",
     .exits = "0 good, 1 findings in flow files, 2 usage or settings,\n"
              "3 a server did not answer, 70 a bug in Offpath",
     .run = verbs_check},
    {.name = "eval",
     .forms = "FLOW|FILE",
     .words_max = 1,
     .summary = "each expression of a flow, and what it gives",
     .flags = "request replies rows user json",
     .uses = READING,
     .examples =
         "offpath-worker eval flows/price-compare.yaml\n"
         "offpath-worker eval price-compare --flows flows --request '{\"productId\":\"7\"}'\n"
         "offpath-worker eval flows/price-compare.yaml --replies @replies.json --json",
     .exits = "0 good, 1 an expression failed, or findings in flow files, 2 usage,\n"
              "70 a bug in Offpath",
     .run = verbs_eval},
    {.name = "test",
     .forms = "[FILE|DIR...]",
     .words_max = VERB_ANY,
     .summary = "run the tests of flows, in virtual time",
     .flags = "json",
     .uses = READING,
     .examples = "offpath-worker test flows\n"
                 "offpath-worker test flows/price-compare.test.yaml\n"
                 "offpath-worker test flows --json",
     .exits = "0 all passed, 1 one failed, or findings in flow files, 2 usage,\n"
              "70 a bug in Offpath",
     .run = verbs_test},
    {.name = "explain",
     .forms = "[CODE]",
     .words_max = 1,
     .summary = "what a code of a finding, a job or a call means",
     .flags = "json",
     .examples = "offpath-worker explain\n"
                 "offpath-worker explain F031\n"
                 "offpath-worker explain http-5xx --json",
     .exits = "0 good, 2 no such code",
     .run = verbs_explain},
    {.name = "topics",
     .forms = "plan\napply",
     .words_max = 1,
     .summary = "the topics of the flows: what is missing, and make it",
     .flags = "yes",
     .only = "apply yes",
     .uses = READING " kafka kafka-properties",
     .examples = "offpath-worker topics plan --flows flows --kafka k1:9092\n"
                 "offpath-worker topics plan --config worker.yaml\n"
                 "offpath-worker topics apply --config worker.yaml --yes",
     .exits = "0 good, 1 findings in flow files, 2 usage or settings,\n"
              "3 Kafka did not answer or refused, 5 not confirmed, 70 a bug in Offpath",
     .run = verbs_topics},
    {.name = "migrate",
     .forms = "status\nplan\napply",
     .words_max = 1,
     .summary = "the tables of the record: what is missing, and make it",
     .flags = "yes",
     .only = "apply yes",
     .uses = READING " mysql",
     .examples = "offpath-worker migrate status --config worker.yaml\n"
                 "offpath-worker migrate plan --config worker.yaml > review.sql\n"
                 "offpath-worker migrate apply --config worker.yaml --yes",
     .exits = "0 good, 1 status: something to apply, 2 usage or settings,\n"
              "3 MySQL did not answer or refused, or lacks a table it had,\n"
              "5 not confirmed, or another migrate runs, 70 a bug in Offpath",
     .run = verbs_migrate},
};

const struct verb_program worker_program = {
    .name = "offpath-worker",
    .summary = "takes jobs from Kafka, makes their calls",
    .version = OFFPATH_VERSION,
    .verbs = verbs,
    .verbs_n = sizeof verbs / sizeof verbs[0],
    .options = settings_table,
    .options_n = &settings_n,
    .examples = "offpath-worker check flows --offline --deny-warnings\n"
                "offpath-worker topics apply --yes && offpath-worker migrate apply --yes\n"
                "offpath-worker run --config worker.yaml --shards 2",
    .exits = "0 good, 1 findings in flow files, 2 usage or settings,\n"
             "3 something is missing or did not answer, 5 a port is taken, or no --yes,\n"
             "70 a bug in Offpath",
};
