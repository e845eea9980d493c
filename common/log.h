/* log.h - structured log on stderr: one line, one write, text or JSON. Any thread.
 * Fields are name, value pairs as text; `job` and `request` are the names of a job's and a
 * request's id and stand on every line that has one (log_scope sets them for the thread). Never log
 * secrets, bodies, results or user text: log_secret(value) registers a value that is masked
 * wherever it appears. Repeated lines of one event are rate-limited: 50 at once, then 5 per second,
 * the rest counted ("suppressed"). No line waits for its reader: one that stalls for 100 ms loses
 * lines until it reads on ("dropped" on the next, offpath_log_dropped_total). */
#pragma once
#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_open(const char *program, bool json, enum log_level min);
void log_secret(const char *value); /* copied; shorter than 4 characters is ignored */
/* The same of one that others may follow, as of a file that is read again: say it again now and
 * then while it is in use, for after some hundred others it is forgotten. */
void log_secret_passing(const char *value);

struct log_ids {
    char job[40], request[68]; /* longer ones are cut; "": none */
};
/* Ids of what this thread works on from now on; NULL: none. Returns those before: a callback that
 * runs in the middle of another's work restores them. */
struct log_ids log_scope(const char *job, const char *request);
void log_scope_restore(const struct log_ids *before);

/* event: a stable name, "job-finished"; then pairs, ended by NULL: log_info("started", "port",
 * "8480", NULL). Values: NULL prints as "". */
void log_write(enum log_level level, const char *event, ...) __attribute__((sentinel));
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__, NULL)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__, NULL)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__, NULL)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__, NULL)

/* A number as text for a field: lives until 8 more calls in this thread. */
const char *log_number(long long n);
