#include "common/log_mask.h"

#include <stdlib.h>
#include <string.h>

static struct log_secret *find(struct log_mask *m, const char *value)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->secrets[i].text, value) == 0)
            return &m->secrets[i];
    return NULL;
}

/* For another; one that does not stay gives its place. NULL: all stay. */
static struct log_secret *place(struct log_mask *m)
{
    struct log_secret *oldest = NULL;
    if (m->n < LOG_SECRETS_MAX)
        return &m->secrets[m->n++];
    for (size_t i = 0; i < m->n; i++) {
        struct log_secret *s = &m->secrets[i];
        if (!s->stays && (!oldest || s->said < oldest->said))
            oldest = s;
    }
    if (oldest)
        free(oldest->text);
    return oldest;
}

int log_mask_add(struct log_mask *m, const char *value, bool stays)
{
    size_t len = strlen(value);
    if (len < LOG_SECRET_MIN)
        return 0;
    struct log_secret *s = find(m, value);
    if (s) {
        s->stays |= stays;
        s->said = ++m->said;
        return 0;
    }
    char *copy = strdup(value);
    if (!copy)
        return ERR_NOMEM;
    s = place(m);
    if (!s) {
        free(copy);
        return ERR_FULL;
    }
    *s = (struct log_secret){copy, len, stays, ++m->said};
    return 0;
}

void log_mask_fini(struct log_mask *m)
{
    for (size_t i = 0; i < m->n; i++)
        free(m->secrets[i].text);
    m->n = 0;
}

/* Length of the longest secret that begins here; 0: none. */
static size_t secret_at(const struct log_mask *m, const char *p, size_t left)
{
    size_t longest = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct log_secret *s = &m->secrets[i];
        if (s->len > longest && s->len <= left && s->text[0] == *p && !memcmp(s->text, p, s->len))
            longest = s->len;
    }
    return longest;
}

void log_mask_text(const struct log_mask *m, const char *text, size_t max, struct buf *out)
{
    size_t len = strlen(text), start = out->len;
    for (size_t i = 0; i < len;) {
        if (out->len - start >= max) {
            buf_add(out, "...", 3);
            return;
        }
        size_t secret = secret_at(m, text + i, len - i);
        if (secret)
            buf_add(out, "***", 3);
        else
            buf_char(out, text[i]);
        i += secret ? secret : 1;
    }
}
