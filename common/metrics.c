#include "common/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_scan.h"

enum { SERIES_MAX = 1000, CHAINS = 256, BUCKETS = 20, LABELS_MAX = 512 };

/* Upper bounds; what is over the last falls into +Inf. */
static const struct {
    int64_t us;
    const char *text;
} bounds[BUCKETS] = {
    {500, "0.0005"},    {1000, "0.001"},    {2500, "0.0025"},   {5000, "0.005"},
    {10000, "0.01"},    {25000, "0.025"},   {50000, "0.05"},    {100000, "0.1"},
    {250000, "0.25"},   {500000, "0.5"},    {1000000, "1"},     {2500000, "2.5"},
    {5000000, "5"},     {10000000, "10"},   {30000000, "30"},   {60000000, "60"},
    {120000000, "120"}, {300000000, "300"}, {600000000, "600"}, {INT64_C(3600000000), "3600"},
};

enum kind { COUNTER, GAUGE, HISTOGRAM };

struct histogram {
    atomic_int_fast64_t sum_us;
    atomic_int_fast64_t counts[BUCKETS + 1]; /* not yet added up; the last is +Inf */
};

struct metric {
    atomic_int_fast64_t value; /* counter, gauge */
    struct histogram *histogram;
    double (*fn)(void *arg);
    void *arg;
    bool ended; /* what fn read is no more: not printed */
    char *labels;
    struct metric *next;    /* in the order they were made */
    struct metric *chained; /* same hash */
};

struct family {
    char *name, *help;
    enum kind kind;
    struct metric *first, *last, *chains[CHAINS];
    size_t n;
    struct family *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over the lists, not the values */
static struct family *families, *families_last;

/* What callers get without memory, or for a name that is already of another kind. */
static struct metric *dummy(enum kind kind)
{
    static struct histogram histogram;
    static struct metric plain, with_histogram = {.histogram = &histogram};
    return kind == HISTOGRAM ? &with_histogram : &plain;
}

static uint32_t hash(const char *text)
{
    uint32_t h = 2166136261u;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 16777619u;
    return h;
}

static void free_family(struct family *f)
{
    for (struct metric *m = f->first, *next; m; m = next) {
        next = m->next;
        free(m->histogram);
        free(m->labels);
        free(m);
    }
    free(f->name);
    free(f->help);
    free(f);
}

static struct family *family(const char *name, const char *help, enum kind kind)
{
    for (struct family *f = families; f; f = f->next)
        if (strcmp(f->name, name) == 0)
            return f->kind == kind ? f : NULL;
    struct family *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->kind = kind;
    f->name = strdup(name);
    f->help = strdup(help);
    if (!f->name || !f->help) {
        free_family(f);
        return NULL;
    }
    if (families_last)
        families_last->next = f;
    else
        families = f;
    families_last = f;
    return f;
}

static struct metric *find(const struct family *f, const char *labels)
{
    for (struct metric *m = f->chains[hash(labels) % CHAINS]; m; m = m->chained)
        if (strcmp(m->labels, labels) == 0)
            return m;
    return NULL;
}

static struct metric *make(struct family *f, const char *labels)
{
    struct metric *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->labels = strdup(labels);
    m->histogram = f->kind == HISTOGRAM ? calloc(1, sizeof *m->histogram) : NULL;
    if (!m->labels || (f->kind == HISTOGRAM && !m->histogram)) {
        free(m->histogram);
        free(m->labels);
        free(m);
        return NULL;
    }
    struct metric **chain = &f->chains[hash(labels) % CHAINS];
    m->chained = *chain;
    *chain = m;
    if (f->last)
        f->last->next = m;
    else
        f->first = m;
    f->last = m;
    f->n++;
    return m;
}

/* Every value becomes "other": a="x",b="y" -> a="other",b="other". */
static void other_labels(const char *labels, char out[LABELS_MAX])
{
    struct buf b;
    buf_init(&b, LABELS_MAX - 1);
    bool quoted = false;
    for (const char *p = labels; *p; p++) {
        if (*p == '"') {
            quoted = !quoted;
            buf_text(&b, quoted ? "\"other" : "\"");
        } else if (!quoted) {
            buf_char(&b, *p);
        } else if (*p == '\\' && p[1]) {
            p++;
        }
    }
    memcpy(out, buf_str(&b), b.len + 1);
    buf_fini(&b);
}

static struct metric *get(const char *name, const char *labels, const char *help, enum kind kind)
{
    struct metric *m = NULL;
    pthread_mutex_lock(&lock);
    struct family *f = family(name, help, kind);
    if (f) {
        m = find(f, labels);
        char other[LABELS_MAX];
        if (!m && f->n >= SERIES_MAX) {
            other_labels(labels, other);
            labels = other;
            m = find(f, labels);
        }
        if (!m)
            m = make(f, labels);
    }
    pthread_mutex_unlock(&lock);
    return m ? m : dummy(kind);
}

struct metric *metrics_counter(const char *name, const char *labels, const char *help)
{
    return get(name, labels, help, COUNTER);
}

struct metric *metrics_gauge(const char *name, const char *labels, const char *help)
{
    return get(name, labels, help, GAUGE);
}

struct metric *metrics_histogram(const char *name, const char *labels, const char *help)
{
    return get(name, labels, help, HISTOGRAM);
}

void metrics_gauge_fn(const char *name, const char *labels, const char *help,
                      double (*fn)(void *arg), void *arg)
{
    struct metric *m = get(name, labels, help, GAUGE);
    if (m == dummy(GAUGE))
        return;
    pthread_mutex_lock(&lock);
    m->fn = fn;
    m->arg = arg;
    m->ended = false;
    pthread_mutex_unlock(&lock);
}

void metrics_gauge_fn_end(const void *arg)
{
    pthread_mutex_lock(&lock);
    for (const struct family *f = families; f; f = f->next)
        for (struct metric *m = f->kind == GAUGE ? f->first : NULL; m; m = m->next)
            if (m->fn && m->arg == arg) {
                m->fn = NULL;
                m->arg = NULL;
                m->ended = true;
            }
    pthread_mutex_unlock(&lock);
}

void metrics_add(struct metric *m, int64_t n)
{
    atomic_fetch_add_explicit(&m->value, n, memory_order_relaxed);
}

void metrics_set(struct metric *m, int64_t value)
{
    atomic_store_explicit(&m->value, value, memory_order_relaxed);
}

void metrics_observe_us(struct metric *m, int64_t us)
{
    struct histogram *h = m->histogram;
    int i = 0;
    if (!h)
        return;
    while (i < BUCKETS && us > bounds[i].us)
        i++;
    atomic_fetch_add_explicit(&h->counts[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_us, us, memory_order_relaxed);
}

int64_t metrics_value(const struct metric *m)
{
    int64_t sum = 0;
    if (!m->histogram)
        return atomic_load_explicit(&m->value, memory_order_relaxed);
    for (int i = 0; i <= BUCKETS; i++)
        sum += atomic_load_explicit(&m->histogram->counts[i], memory_order_relaxed);
    return sum;
}

void metrics_label(char *out, size_t size, const char *value)
{
    const unsigned char *p = (const unsigned char *)value, *end = p + strlen(value);
    size_t used = 0;
    while (p < end) {
        size_t n = json_utf8_len(p, end), room = size - used;
        char pair[2] = {'\\', (char)(*p == '\n' ? 'n' : *p)};
        bool escaped = *p == '"' || *p == '\\' || *p == '\n';
        size_t len = escaped ? 2 : n ? n : 1;
        if (len + 1 > room)
            break;
        memcpy(out + used, escaped ? pair : n ? (const char *)p : "?", len);
        used += len;
        p += n ? n : 1;
    }
    if (size > 0)
        out[used] = 0;
}

/* name{labels,extra} */
static void print_series(const char *name, const char *suffix, const char *labels,
                         const char *bound, struct buf *out)
{
    buf_text(out, name);
    buf_text(out, suffix);
    if (!labels[0] && !bound) {
        buf_char(out, ' ');
        return;
    }
    buf_char(out, '{');
    buf_text(out, labels);
    if (bound)
        buf_printf(out, "%sle=\"%s\"", labels[0] ? "," : "", bound);
    buf_text(out, "} ");
}

static void print_double(double v, struct buf *out)
{
    if (isnan(v))
        buf_text(out, "NaN\n");
    else if (isinf(v))
        buf_text(out, v > 0 ? "+Inf\n" : "-Inf\n");
    else
        buf_printf(out, "%.15g\n", v);
}

static void print_histogram(const char *name, const struct metric *m, struct buf *out)
{
    int64_t sum = 0;
    for (int i = 0; i <= BUCKETS; i++) {
        sum += atomic_load_explicit(&m->histogram->counts[i], memory_order_relaxed);
        print_series(name, "_bucket", m->labels, i < BUCKETS ? bounds[i].text : "+Inf", out);
        buf_printf(out, "%lld\n", (long long)sum);
    }
    print_series(name, "_sum", m->labels, NULL, out);
    print_double((double)atomic_load_explicit(&m->histogram->sum_us, memory_order_relaxed) / 1e6,
                 out);
    print_series(name, "_count", m->labels, NULL, out);
    buf_printf(out, "%lld\n", (long long)sum);
}

static void print_head(const struct family *f, struct buf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    buf_printf(out, "# HELP %s ", f->name);
    for (const char *p = f->help; *p; p++) {
        if (*p == '\n' || *p == '\\')
            buf_text(out, *p == '\n' ? "\\n" : "\\\\");
        else
            buf_char(out, *p);
    }
    buf_printf(out, "\n# TYPE %s %s\n", f->name, kinds[f->kind]);
}

void metrics_print(struct buf *out)
{
    pthread_mutex_lock(&lock);
    for (const struct family *f = families; f; f = f->next) {
        print_head(f, out);
        for (const struct metric *m = f->first; m; m = m->next) {
            if (m->ended)
                continue;
            if (f->kind == HISTOGRAM) {
                print_histogram(f->name, m, out);
                continue;
            }
            print_series(f->name, "", m->labels, NULL, out);
            if (m->fn)
                print_double(m->fn(m->arg), out);
            else
                buf_printf(out, "%lld\n", (long long)metrics_value(m));
        }
    }
    pthread_mutex_unlock(&lock);
}

void metrics_reset(void)
{
    pthread_mutex_lock(&lock);
    for (struct family *f = families, *next; f; f = next) {
        next = f->next;
        free_family(f);
    }
    families = families_last = NULL;
    pthread_mutex_unlock(&lock);
}
