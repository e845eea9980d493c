#include "common/yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/yaml_tree.h"

/* A walk through the source beside a scalar's text. */
struct yaml_walk {
    const struct yaml_node *node; /* the scalar; NULL: none yet */
    const char *p;                /* in its text */
    const char *at, *end;         /* in the source */
    unsigned line, column;
    char style; /* quote or block sign */
};

struct yaml_node *yaml_root(struct yaml *y)
{
    return &y->root;
}

const char *yaml_file(const struct yaml *y)
{
    return y->name;
}

const void *yaml_bytes(const struct yaml *y, size_t *len)
{
    *len = y->len;
    return y->bytes;
}

void yaml_close(struct yaml *y)
{
    if (!y)
        return;
    yaml_alloc_fini(y);
    free(y->walk);
    free(y->name);
    free(y->bytes);
    free(y);
}

/* Takes bytes, also on failure. */
static int yaml_build(const char *file, char *bytes, size_t len, struct findings *f,
                      struct yaml **out)
{
    int err = ERR_NOMEM;
    struct yaml *y = calloc(1, sizeof *y);
    if (!y) {
        free(bytes);
        return err;
    }
    y->bytes = bytes;
    y->len = len;
    y->name = strdup(file);
    y->root.file = y;
    y->walk = calloc(1, sizeof *y->walk);
    if (y->name && bytes && y->walk)
        err = yaml_tree_read(y, f);
    if (err)
        yaml_close(y);
    else
        *out = y;
    return err;
}

static int too_large(const char *file, struct findings *f)
{
    findings_add(f, (struct finding_place){file, 0, 0}, FINDING_LIMIT,
                 "the file is larger than 1 MB\nsplit it");
    return ERR_INVALID;
}

int yaml_parse(const char *file, const char *text, size_t len, struct findings *f,
               struct yaml **out)
{
    if (len > YAML_SIZE_MAX)
        return too_large(file, f);
    char *bytes = malloc(len + 1);
    if (bytes) {
        memcpy(bytes, text, len);
        bytes[len] = 0;
    }
    return yaml_build(file, bytes, len, f, out);
}

static unsigned hex4(const char *p)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        const char *digit = p[i] ? strchr("0123456789abcdef", p[i] | 0x20) : NULL;
        if (!digit)
            return 0;
        value = value * 16 + (unsigned)(digit - "0123456789abcdef");
    }
    return value;
}

/* YAML knows no surrogate pairs: \ud83d\ude00 becomes \U0001f600, two bytes shorter. */
static void join_surrogates(char *text, size_t *len)
{
    size_t to = 0;
    for (size_t i = 0; i < *len;) {
        unsigned high = text[i] == '\\' && text[i + 1] == 'u' ? hex4(text + i + 2) : 0;
        bool pair = high >> 10 == 0xd800 >> 10 && *len - i >= 12 && text[i + 6] == '\\' &&
                    text[i + 7] == 'u' && hex4(text + i + 8) >> 10 == 0xdc00 >> 10;
        if (pair) {
            char joined[11];
            unsigned code = 0x10000 + ((high & 0x3ff) << 10) + (hex4(text + i + 8) & 0x3ff);
            snprintf(joined, sizeof joined, "\\U%08x", code);
            memcpy(text + to, joined, 10);
            to += 10;
            i += 12;
            continue;
        }
        size_t n = text[i] == '\\' && i + 1 < *len ? 2 : 1;
        memmove(text + to, text + i, n);
        to += n;
        i += n;
    }
    text[to] = 0;
    *len = to;
}

static bool has_suffix(const char *text, const char *suffix)
{
    size_t len = strlen(text), n = strlen(suffix);
    return len >= n && strcmp(text + len - n, suffix) == 0;
}

/* Up to one byte more than allowed, so that too much is noticed. NULL: *reason is an errno. */
static char *bytes_read(const char *path, size_t *len, int *reason)
{
    FILE *in = fopen(path, "re");
    char *bytes = in ? malloc(YAML_SIZE_MAX + 2) : NULL;
    *reason = errno;
    if (bytes) {
        *len = fread(bytes, 1, YAML_SIZE_MAX + 1, in);
        *reason = errno;
        bytes[*len] = 0;
        if (ferror(in)) {
            free(bytes);
            bytes = NULL;
        }
    }
    if (in)
        fclose(in);
    return bytes;
}

int yaml_read(const char *path, struct findings *f, struct yaml **out)
{
    size_t len;
    int reason;
    char *bytes = bytes_read(path, &len, &reason);
    if (bytes && len <= YAML_SIZE_MAX) {
        if (has_suffix(path, ".json"))
            join_surrogates(bytes, &len);
        return yaml_build(path, bytes, len, f, out);
    }
    if (bytes) {
        free(bytes);
        return too_large(path, f);
    }
    findings_add(f, (struct finding_place){path, 0, 0}, FINDING_READ,
                 "cannot be read: %s\ncheck the path and its permissions", strerror(reason));
    return reason == ENOENT ? ERR_NOT_FOUND : reason == ENOMEM ? ERR_NOMEM : ERR_INVALID;
}

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    if (!map || map->type != YAML_MAP)
        return NULL;
    for (const struct yaml_node *m = map->first; m; m = m->next)
        if (strcmp(m->key, key) == 0)
            return m;
    return NULL;
}

int yaml_set_text(struct yaml *y, struct yaml_node *node, const char *text)
{
    size_t len = strlen(text);
    bool block = node->whole != node->text;
    char *copy = yaml_alloc(y, len + 1);
    char *whole = block ? yaml_alloc(y, len + 2) : copy;
    if (!copy || !whole)
        return ERR_TOO_LARGE;
    memcpy(copy, text, len + 1);
    if (block) {
        memcpy(whole, text, len);
        memcpy(whole + len, "\n", 2);
    }
    node->source = node->text;
    node->text = copy;
    node->whole = whole;
    node->type = YAML_TEXT;
    node->filled = true;
    return 0;
}

struct finding_place yaml_place(const struct yaml_node *node)
{
    return (struct finding_place){node->file->name, node->line, node->column};
}

struct finding_place yaml_place_key(const struct yaml_node *node)
{
    if (!node->key)
        return yaml_place(node);
    return (struct finding_place){node->file->name, node->key_line, node->key_column};
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool is_continuation(const struct yaml_walk *w)
{
    return w->at < w->end && ((unsigned char)*w->at & 0xc0) == 0x80;
}

/* One character, not one byte. */
static void walk_step(struct yaml_walk *w)
{
    if (w->at >= w->end)
        return;
    if (*w->at == '\n') {
        w->line++;
        w->column = 1;
    } else {
        w->column++;
    }
    do
        w->at++;
    while (is_continuation(w));
}

static void walk_spaces(struct yaml_walk *w)
{
    while (w->at < w->end && is_space(*w->at))
        walk_step(w);
}

/* The opening quote or a block's header line, so that the walk stands on the first character. */
static char walk_open(struct yaml_walk *w)
{
    char style = w->at < w->end ? *w->at : 0;
    if (style == '|' || style == '>') {
        while (w->at < w->end && *w->at != '\n')
            walk_step(w);
        walk_spaces(w);
    } else if (style == '\'' || style == '"') {
        walk_step(w);
    }
    return style;
}

static void walk_escape(struct yaml_walk *w, char style)
{
    if (style == '"' && w->at < w->end && *w->at == '\\') {
        char kind = w->at + 1 < w->end ? w->at[1] : 0;
        unsigned more = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
        for (unsigned i = 0; i < more + 1; i++)
            walk_step(w);
    } else if (style == '\'' && w->end - w->at >= 2 && w->at[0] == '\'' && w->at[1] == '\'') {
        walk_step(w);
    }
}

static bool is_block(const struct yaml_walk *w)
{
    return w->style == '|' || w->style == '>';
}

static void walk_begin(struct yaml_walk *w, const struct yaml_node *node)
{
    const struct yaml *y = node->file;
    *w = (struct yaml_walk){.node = node,
                            .p = node->text,
                            .at = y->bytes + node->at,
                            .end = y->bytes + y->len,
                            .line = node->line,
                            .column = node->column};
    w->style = walk_open(w);
    if (is_block(w))
        w->p += strspn(w->p, " \n\t");
}

/* Runs of white space are one step on both sides: folding and indentation live there. */
static void walk_on(struct yaml_walk *w, size_t offset)
{
    const char *text = w->node->text;
    while (*w->p && (size_t)(w->p - text) < offset) {
        if (is_space(*w->p) && w->at < w->end && is_space(*w->at)) {
            size_t run = strspn(w->p, " \n\t\r");
            if (offset - (size_t)(w->p - text) < run)
                return;
            w->p += run;
            walk_spaces(w);
            continue;
        }
        walk_escape(w, w->style);
        walk_step(w);
        do
            w->p++;
        while (((unsigned char)*w->p & 0xc0) == 0x80);
    }
}

/* It goes on where it was: who looks through a text asks for one place after the other. */
struct finding_place yaml_place_in(const struct yaml_node *node, size_t offset)
{
    struct finding_place place = yaml_place(node);
    struct yaml_walk *w = node->file->walk;
    if (!node->text || node->filled)
        return place;
    if (w->node != node || (size_t)(w->p - node->text) > offset)
        walk_begin(w, node);
    walk_on(w, offset);
    place.line = w->line;
    place.column = w->column;
    return place;
}
