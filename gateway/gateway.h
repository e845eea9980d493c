/* gateway.h - the gateway as one thing: its parts opened in order, checked, served, drained and
 * closed in reverse. Belongs to the main thread. */
#pragma once
#include "gateway/options.h"

struct gateway;

enum { GATEWAY_WHY = 512 };

/* Open everything up to listening. Kafka and the topics must be there; Redis and MySQL may be away
 * (said in the log and in /readyz), but tables of another version or a refused login are refused
 * here. o: borrowed until close. 0, or an exit_code with one line in why that says what to do;
 * findings of flow files are printed to stderr. *out: owned (gateway_close). */
int gateway_open(const struct options *o, struct gateway **out, char why[GATEWAY_WHY]) must_use;
/* Write {pid, listen, admin} where --ports-file says; nothing without it. 0 or an exit_code. */
int gateway_announce(struct gateway *g, char why[GATEWAY_WHY]) must_use;
/* Read the flow files again and serve them from the next request on; what is wrong is refused and
 * said (log, metrics, /readyz), and the old ones stay. Blocks while Kafka is asked. */
void gateway_reload(struct gateway *g);
/* Every second: reload what has changed on disk, give back what is over. */
void gateway_tick(struct gateway *g);
/* Stop as drain.h says. pause: sleep that tells of a second signal. An exit_code: EXIT_DEPENDENCY
 * if Kafka can be written to by a new process only (it has sent SIGTERM to itself and logged why).
 */
int gateway_drain(struct gateway *g, int (*pause)(void *arg, int ms));
void gateway_close(struct gateway *g); /* NULL is fine */

/* Settings and flow files, as `check` does, without asking a server: findings go to stdout (json:
 * an object a line), what is wrong with a setting to why ("": nothing is). An exit_code. */
int gateway_check(const struct options *o, bool json, char why[GATEWAY_WHY]);
