/* flow_load.h - flow files and upstreams.yaml become a flow_set, or a list of what is wrong.
 * The only way a set is made: `check`, start-up and reload run this same code. Nothing is ignored:
 * an unknown key, a key this version does not support and a value that does not fit are findings,
 * all in one run, each at its line. Blocking (reads files, compiles expressions: 15 ms each on
 * Debian 12); any thread. expr_start() must have run. */
#pragma once
#include "common/finding.h"
#include "common/flow.h"

enum { FLOWS_MAX = 500, UPSTREAMS_MAX = 500, DATABASES_MAX = 100 };

struct flow_load_settings {
    const char *flows_dir; /* *.yaml *.yml *.json (capitals: a warning); *.test.* and hidden files
                              are no flows */
    const char *upstreams_file; /* NULL: upstreams.yaml beside the folder */
    const char *secrets_dir;    /* of ${file:name}; NULL: /run/secrets */
    bool secrets_away; /* one that is not there, or a file of `tls`, is no error: nothing is called
                        */
    /* ${env:NAME}: NULL when unset. The hook itself NULL: the process's environment. */
    const char *(*getenv)(void *arg, const char *name);
    void *getenv_arg;
};

/* Is a file of this name in the folder a flow? */
bool flow_load_is_flow(const char *name);

/* Load all. findings: borrowed, sorted when this returns, warnings included. *out: owned by one
 * user (flow_set_put). Values from ${file:} are registered with log_secret_passing. Returns 0
 * (there may be warnings), ERR_INVALID (at least one error in findings; also for a folder that does
 * not exist), ERR_NOMEM. */
int flow_load(const struct flow_load_settings *settings, struct findings *findings,
              struct flow_set **out) must_use;

/* The upstreams file flow_load would read: settings' own, or the one beside the folder. 0, or
 * ERR_TOO_LARGE. */
int flow_load_upstreams_path(const struct flow_load_settings *settings, char *out,
                             size_t size) must_use;
