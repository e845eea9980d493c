/* register.h - T2: puts accepted jobs into MySQL behind the requests' backs, in batches of all that
 * waits up to 100 rows. MySQL away: rows wait here, up to 10,000, and are tried again; beyond that
 * they are dropped and counted (the job runs all the same: its worker writes the row at the claim).
 * Also knows the server's clock. Any thread. */
#pragma once
#include "common/clock.h"
#include "common/flow.h"
#include "common/record.h"

enum { REGISTER_QUEUE = 10000, REGISTER_BATCH = 100 };

/* One job to register. */
struct register_row {
    struct job_id id;
    struct owner owner;
    const struct flow *flow; /* borrowed */
    uint8_t mac[ID_MAC];
    int64_t created_us, deadline_us; /* deadline 0: none */
};

/* Opens a connection to the record; 0, ERR_IO, ERR_REFUSED, ERR_SETUP with a line in why[256]. */
typedef int register_open_fn(void *arg, struct record **out, char *why);

struct registrar_settings {
    register_open_fn *open;
    void *arg;
    const struct clock *clock;
    int gather_ms, retry_ms, tick_ms; /* tick: how often an idle connection is tried */
};

struct registrar;
/* Starts the thread; does not wait for MySQL. *out: owned (registrar_close). 0, ERR_NOMEM. */
int registrar_open(const struct registrar_settings *s, struct registrar **out) must_use;
/* Topics may hold records for so long: when to look after a job without deadline. The longest that
 * was ever said counts. */
void registrar_keep(struct registrar *r, int64_t retention_ms);
/* Never blocks. Dropped and counted if the queue is full. */
void registrar_put(struct registrar *r, const struct register_row *row);
/* Wait until all is in MySQL, at most wait_ms; how many rows still wait. */
size_t registrar_flush(struct registrar *r, int wait_ms);
void registrar_close(struct registrar *r); /* NULL is fine */

bool registrar_up(const struct registrar *r); /* the last try reached MySQL */
/* Why MySQL cannot be used as it is (no tables, another version, login refused); "" if it can, or
 * nothing is known. */
void registrar_refusal(struct registrar *r, char why[256]);
/* Wall time in the server's clock (record_clock.h): ours until MySQL was reached once. */
int64_t registrar_now_us(const struct registrar *r);
