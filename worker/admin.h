/* admin.h - the worker's three GET answers (/healthz /readyz /metrics), served by its own loop so
 * that a stuck loop fails its health check. One answer per connection; bounded in connections,
 * bytes and time. Belongs to its loop's thread, but admin_listen. */
#pragma once
#include "common/buf.h"
#include "common/loop.h"

enum {
    ADMIN_CONNECTIONS = 32,
    ADMIN_REQUEST_MAX = 4096,
    ADMIN_DEADLINE_MS = 5000,
    ADMIN_WHY = 200
};

struct admin;

/* Take a port: "host:port", port 0: any. *fd: owned, not blocking. 0; ERR_INVALID: no such address;
 * ERR_EXISTS: the port is taken; ERR_IO. why: one line that says what to do. */
int admin_listen(const char *address, int *fd, int *port, char why[ADMIN_WHY]) must_use;

/* Body and content type of a path; the status, 404 for what it does not know. */
typedef int admin_answer_fn(void *arg, const char *path, struct buf *body, const char **type);

/* fd: taken. 0 or ERR_NOMEM. *out: owned (admin_close). */
int admin_open(struct loop *loop, int fd, admin_answer_fn *answer, void *arg,
               struct admin **out) must_use;
void admin_close(struct admin *a); /* open connections are cut; NULL is fine */
