/* flow_secrets.h - `${file:}` of upstreams.yaml read again when a file changes, so that a key, a
 * session token or the password of a database is renewed without a restart. Calls take what is
 * there when they are sent, connections what is there when they are opened. A file that vanishes,
 * is emptied, or holds what start-up would refuse, leaves the values of its upstream or database as
 * they were and is named once. */
#pragma once
#include "common/flow.h"

struct flow_secrets;

/* set: one more user. secrets_dir: as it was loaded with; borrowed until close. 0 or ERR_NOMEM. */
int flow_secrets_open(struct flow_set *set, const char *secrets_dir,
                      struct flow_secrets **out) must_use;
/* Look at the files; how many upstreams and databases have new values. Blocking; one thread at a
 * time. */
unsigned flow_secrets_look(struct flow_secrets *s);
void flow_secrets_close(struct flow_secrets *s); /* NULL is fine */
