#include "common/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log_mask.h"
#include "common/log_rate.h"
#include "common/metrics.h"

enum { PAIRS_MAX = 24, VALUE_MAX = 2048, LINE_MAX_BYTES = 512 * 1024, NUMBERS = 8 };
enum { STALL_MS = 100 }; /* so long is a reader waited for, once, before lines are dropped */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over all of this but `minimum` */
static struct log_mask mask;
static struct log_rate rate;
static char program_name[32] = "offpath";
static bool as_json;
static struct {
    bool stalled, torn;    /* the reader; the last line's end was dropped */
    uint64_t lines;        /* dropped since the last line that was written */
    struct metric *metric; /* all of them */
} dropped;
static atomic_int minimum = LOG_INFO;

static _Thread_local struct log_ids scope;

struct line {
    struct buf out, value; /* value: one masked value, reused */
    bool json;
    size_t pairs;
};

void log_open(const char *program, bool json, enum log_level min)
{
    pthread_mutex_lock(&lock);
    snprintf(program_name, sizeof program_name, "%s", program);
    as_json = json;
    atomic_store(&minimum, (int)min);
    memset(&rate, 0, sizeof rate);
    dropped.metric = metrics_counter("offpath_log_dropped_total", "",
                                     "Log lines dropped because nobody read them");
    pthread_mutex_unlock(&lock);
}

static void add_secret(const char *value, bool stays)
{
    if (!value)
        return;
    pthread_mutex_lock(&lock);
    int rc = log_mask_add(&mask, value, stays);
    pthread_mutex_unlock(&lock);
    if (rc)
        log_error("secret-not-masked", "error", err_text(rc));
}

void log_secret(const char *value)
{
    add_secret(value, true);
}

void log_secret_passing(const char *value)
{
    add_secret(value, false);
}

/* Cut where it does not fit. Each request passes here some times: no printf. */
static void keep(char *to, size_t size, const char *text)
{
    size_t n = text ? strnlen(text, size - 1) : 0;
    if (n)
        memcpy(to, text, n);
    to[n] = 0;
}

struct log_ids log_scope(const char *job, const char *request)
{
    struct log_ids before = scope;
    keep(scope.job, sizeof scope.job, job);
    keep(scope.request, sizeof scope.request, request);
    return before;
}

void log_scope_restore(const struct log_ids *before)
{
    scope = *before;
}

const char *log_number(long long n)
{
    static _Thread_local char texts[NUMBERS][24];
    static _Thread_local unsigned next;
    char *text = texts[next++ % NUMBERS];
    snprintf(text, sizeof texts[0], "%lld", n);
    return text;
}

/* Could a reader of a text line take this value for more than one? */
static bool needs_quotes(const struct buf *value)
{
    for (size_t i = 0; i < value->len; i++) {
        unsigned char c = (unsigned char)value->data[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
            return true;
    }
    return value->len == 0;
}

static void add_pair(struct line *l, const char *name, const char *value)
{
    buf_clear(&l->value);
    log_mask_text(&mask, value ? value : "", VALUE_MAX, &l->value);
    const char *text = buf_str(&l->value);
    if (l->json) {
        if (l->pairs > 0)
            buf_char(&l->out, ',');
        json_print_text(name, strlen(name), &l->out);
        buf_char(&l->out, ':');
    } else {
        buf_printf(&l->out, " %s=", name);
    }
    if (l->json || needs_quotes(&l->value))
        json_print_text(text, l->value.len, &l->out);
    else
        buf_text(&l->out, text);
    l->pairs++;
}

static void add_head(struct line *l, enum log_level level, const char *event)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char time[CLOCK_TEXT];
    clock_format(clock_wall_us(clock_real()), time);
    if (l->json) {
        buf_char(&l->out, '{');
        add_pair(l, "time", time);
        add_pair(l, "level", names[level]);
        add_pair(l, "program", program_name);
        add_pair(l, "event", event);
    } else {
        buf_printf(&l->out, "%s %-5s %s %s", time, names[level], program_name, event);
    }
}

static bool has_pair(va_list pairs, const char *name)
{
    va_list look;
    const char *n;
    bool found = false;
    va_copy(look, pairs);
    while (!found && (n = va_arg(look, const char *)) != NULL) {
        found = strcmp(n, name) == 0;
        (void)va_arg(look, const char *);
    }
    va_end(look);
    return found;
}

static void add_pairs(struct line *l, va_list pairs)
{
    /* The thread's own, unless the line names another job or request. */
    if (scope.job[0] && !has_pair(pairs, "job"))
        add_pair(l, "job", scope.job);
    if (scope.request[0] && !has_pair(pairs, "request"))
        add_pair(l, "request", scope.request);
    const char *name;
    while ((name = va_arg(pairs, const char *)) != NULL && l->pairs < PAIRS_MAX)
        add_pair(l, name, va_arg(pairs, const char *));
}

/* Most that a write takes without waiting where there is room at all, which poll tells. */
static size_t piece_max(void)
{
    struct stat st;
    return fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode) ? LINE_MAX_BYTES : PIPE_BUF;
}

static bool has_room(void)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    dropped.stalled = poll(&p, 1, dropped.stalled ? 0 : STALL_MS) == 0;
    return !dropped.stalled;
}

/* One write of a line that is not long, so that those of several processes do not mix. A loop logs,
 * too: whoever reads and stalls must not stop it. False: dropped, or its end. */
static bool write_line(const struct buf *out)
{
    const char *p = out->data;
    size_t left = out->len, most = piece_max();
    while (left > 0 && has_room()) {
        ssize_t n = write(STDERR_FILENO, p, left < most ? left : most);
        if (n < 0 && errno != EINTR)
            return true; /* nobody to tell */
        p += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
    if (left < out->len)
        dropped.torn = left > 0;
    return left == 0;
}

/* suppressed: lines that this one counts. */
static void put_line(const struct line *l, uint64_t suppressed)
{
    if (write_line(&l->out)) {
        dropped.lines = 0;
        return;
    }
    dropped.lines += 1 + suppressed;
    if (dropped.metric)
        metrics_add(dropped.metric, 1 + (int64_t)suppressed);
}

void log_write(enum log_level level, const char *event, ...)
{
    if ((int)level < atomic_load_explicit(&minimum, memory_order_relaxed))
        return;
    int saved = errno;
    uint64_t suppressed = 0;
    struct line l = {.pairs = 0};
    buf_init(&l.out, LINE_MAX_BYTES);
    buf_init(&l.value, LINE_MAX_BYTES);
    pthread_mutex_lock(&lock);
    bool allowed = log_rate_take(&rate, event, clock_mono_us(clock_real()), &suppressed);
    if (allowed) {
        va_list pairs;
        va_start(pairs, event);
        l.json = as_json;
        if (dropped.torn)
            buf_char(&l.out, '\n');
        add_head(&l, level, event);
        add_pairs(&l, pairs);
        va_end(pairs);
        if (suppressed > 0)
            add_pair(&l, "suppressed", log_number((long long)suppressed));
        if (dropped.lines > 0)
            add_pair(&l, "dropped", log_number((long long)dropped.lines));
        buf_text(&l.out, l.json ? "}\n" : "\n");
        if (buf_ok(&l.out) == 0)
            put_line(&l, suppressed);
    }
    pthread_mutex_unlock(&lock);
    buf_fini(&l.out);
    buf_fini(&l.value);
    errno = saved;
}
