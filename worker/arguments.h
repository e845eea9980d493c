/* arguments.h - what the author's verbs (eval, test) are given on the command line. Main thread. */
#pragma once
#include <stdio.h>
#include "common/complaint.h"
#include "common/flow_load.h"
#include "common/json.h"

/* JSON, or `@FILE` that holds it. text NULL: *out stays as it is. 0, or 2 and said. */
int argument_json(const char *flag, const char *text, struct json **out,
                  const struct complaint *to);

/* A flow's name (load.flows_dir says where) or its file. name: the flow's. *set: its folder,
 * loaded; owned (flow_set_put). 0; 1 with findings on to->err; 2 and said; 70. */
int argument_flow(const char *flow, const struct flow_load_settings *load, char *name, size_t size,
                  struct flow_set **set, const struct complaint *to);
/* Load a folder; findings on err. 0, 1, 70. */
int argument_folder(const struct flow_load_settings *load, struct flow_set **set, FILE *err);
