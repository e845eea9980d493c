#include "common/yaml_tree.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_SIZE = 32 * 1024, MEMORY_MAX = 16 * 1024 * 1024 };
#define INTEGER_MAX 9007199254740992.0 /* 2^53 */

struct yaml_chunk {
    struct yaml_chunk *next;
    size_t used, size;
    _Alignas(16) char bytes[];
};

void *yaml_alloc(struct yaml *y, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (size > MEMORY_MAX - y->used)
        return NULL;
    struct yaml_chunk *c = y->chunks;
    if (!c || size > c->size - c->used) {
        size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
        c = malloc(sizeof *c + room);
        if (!c)
            return NULL;
        *c = (struct yaml_chunk){.next = y->chunks, .size = room};
        y->chunks = c;
    }
    void *p = c->bytes + c->used;
    c->used += size;
    y->used += size;
    return p;
}

void yaml_alloc_fini(struct yaml *y)
{
    while (y->chunks) {
        struct yaml_chunk *next = y->chunks->next;
        free(y->chunks);
        y->chunks = next;
    }
}

size_t yaml_mark_length(const struct yaml *y)
{
    return y->len >= 3 && memcmp(y->bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

static const char *text_copy(struct yaml_tree *t, const char *text, size_t len)
{
    char *copy = yaml_alloc(t->file, len + 1);
    if (!copy) {
        t->err = ERR_NOMEM;
        return NULL;
    }
    memcpy(copy, text, len);
    copy[len] = 0;
    return copy;
}

void yaml_tree_limit(struct yaml_tree *t, struct finding_place at, const char *what)
{
    if (t->alias_at.line) /* what it names is fine where it stands */
        at = t->alias_at;
    findings_add(t->findings, at, FINDING_LIMIT, "%s\nmake the file smaller or flatter", what);
    t->err = ERR_INVALID;
}

struct finding_place yaml_tree_at(const struct yaml_tree *t, size_t offset)
{
    struct finding_place at = {t->file->name, 1, 1};
    for (size_t i = yaml_mark_length(t->file); i < offset && i < t->file->len; i++) {
        unsigned char c = (unsigned char)t->file->bytes[i];
        if (c == '\n') {
            at.line++;
            at.column = 1;
        } else if ((c & 0xc0) != 0x80) {
            at.column++;
        }
    }
    return at;
}

/* Count a node; alias copies count too, which is what stops an alias bomb. */
static bool node_count(struct yaml_tree *t, struct finding_place at)
{
    if (t->err)
        return false;
    if (++t->nodes <= YAML_NODES_MAX)
        return true;
    yaml_tree_limit(t, at, "more than 20,000 nodes (aliases expanded)");
    return false;
}

static struct yaml_node *node_new(struct yaml_tree *t, struct finding_place at)
{
    if (!node_count(t, at))
        return NULL;
    struct yaml_node *node = yaml_alloc(t->file, sizeof *node);
    if (!node) {
        t->err = ERR_NOMEM;
        return NULL;
    }
    *node = (struct yaml_node){.file = t->file};
    return node;
}

struct yaml_node *yaml_tree_new(struct yaml_tree *t)
{
    return node_new(t, (struct finding_place){t->file->name, 1, 1});
}

static void node_append(struct yaml_node *parent, struct yaml_node *child)
{
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    child->parent = parent;
    child->index = parent->n++;
}

struct yaml_node *yaml_tree_child(struct yaml_tree *t, struct yaml_node *list)
{
    struct yaml_node *child = node_new(t, yaml_place(list));
    if (child)
        node_append(list, child);
    return child;
}

static bool key_check(struct yaml_tree *t, const struct yaml_node *map, const struct yaml_key *key)
{
    if (memchr(key->text, 0, key->len))
        findings_add(t->findings, key->at, FINDING_YAML, "a key holds a NUL character\nremove it");
    else if (!key->quoted && key->len == 0)
        findings_add(t->findings, key->at, FINDING_YAML,
                     "a key is missing\nwrite a name before the `:`");
    else if (!key->quoted && strcmp(key->text, "<<") == 0)
        findings_add(t->findings, key->at, FINDING_YAML,
                     "merge keys (`<<`) are not used here\nwrite the keys out, or alias a whole "
                     "value");
    else if (yaml_get(map, key->text))
        findings_add(t->findings, key->at, FINDING_DUPLICATE,
                     "`%s` stands twice in this map (first in line %u)\nremove one", key->text,
                     yaml_get(map, key->text)->key_line);
    else
        return true;
    return false;
}

struct yaml_node *yaml_tree_member(struct yaml_tree *t, struct yaml_node *map,
                                   const struct yaml_key *key)
{
    struct yaml_node *member = node_new(t, key->at);
    if (!member)
        return NULL;
    if (map->n >= YAML_MEMBERS_MAX) {
        yaml_tree_limit(t, key->at, "more than 2,000 keys in one map");
        return NULL;
    }
    member->key = text_copy(t, key->text, key->len);
    member->key_line = key->at.line;
    member->key_column = key->at.column;
    if (member->key && key_check(t, map, key))
        node_append(map, member);
    return member->key ? member : NULL;
}

static size_t digits(const char *p)
{
    return strspn(p, "0123456789");
}

/* JSON's number grammar, but for leading zeros, which are told apart. */
static bool is_number(const char *p, bool *leading_zero)
{
    p += *p == '-';
    size_t n = digits(p);
    if (n == 0)
        return false;
    *leading_zero = n > 1 && p[0] == '0';
    p += n;
    if (*p == '.') {
        n = digits(++p);
        if (n == 0)
            return false;
        p += n;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        n = digits(p);
        if (n == 0)
            return false;
        p += n;
    }
    return *p == 0;
}

/* 2^53 + 1 reads as 2^53, so integers are compared as integers. */
static bool is_rounded(const char *text, double number)
{
    if (!isfinite(number) || fabs(number) > INTEGER_MAX)
        return true;
    bool integer = !strpbrk(text, ".eE");
    return integer && llabs(strtoll(text, NULL, 10)) > (long long)INTEGER_MAX;
}

static void type_number(struct yaml_tree *t, struct yaml_node *node, bool leading_zero)
{
    double number = strtod(node->text, NULL);
    node->type = YAML_NUMBER;
    node->number = number;
    if (leading_zero)
        findings_add(t->findings, yaml_place(node), FINDING_NUMBER,
                     "`%s` has a leading zero, which a number would lose\nquote it", node->text);
    else if (is_rounded(node->text, number))
        findings_add(t->findings, yaml_place(node), FINDING_NUMBER,
                     "`%.40s` is beyond 2^53 and would be rounded\nquote it", node->text);
}

static void type_plain(struct yaml_tree *t, struct yaml_node *node)
{
    bool leading_zero = false;
    if (strcmp(node->text, "null") == 0) {
        node->type = YAML_NULL;
    } else if (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0) {
        node->type = YAML_BOOL;
        node->truth = node->text[0] == 't';
    } else if (is_number(node->text, &leading_zero)) {
        type_number(t, node, leading_zero);
    } else if (!node->text[0]) {
        node->missing = true;
        findings_add(t->findings, yaml_place(node), FINDING_KIND,
                     "a value is missing\nwrite it, or null, or ''");
    }
}

void yaml_tree_scalar(struct yaml_tree *t, struct yaml_node *node, const struct yaml_scalar *s)
{
    node->type = YAML_TEXT;
    node->whole = node->text = text_copy(t, s->text, s->len);
    if (!node->text)
        return;
    if (memchr(s->text, 0, s->len))
        findings_add(t->findings, yaml_place(node), FINDING_YAML,
                     "text holds a NUL character\nremove it");
    if (s->block && s->len && s->text[s->len - 1] == '\n')
        node->text = text_copy(t, s->text, s->len - 1);
    node->quoted = !s->plain;
    if (s->plain && node->text)
        type_plain(t, node);
}

void yaml_tree_anchor(struct yaml_tree *t, struct yaml_node *node, const char *name)
{
    if (!name || t->err)
        return;
    if (t->anchors_n == YAML_ANCHORS_MAX) {
        yaml_tree_limit(t, yaml_place(node), "more than 1,000 anchors");
        return;
    }
    if (!t->anchors)
        t->anchors = calloc(YAML_ANCHORS_MAX, sizeof *t->anchors);
    const char *copy = text_copy(t, name, strlen(name));
    if (!t->anchors || !copy) {
        t->err = ERR_NOMEM;
        return;
    }
    t->anchors[t->anchors_n++] = (struct yaml_anchor){copy, node, true};
}

void yaml_tree_close(struct yaml_tree *t, const struct yaml_node *node)
{
    for (size_t i = t->anchors_n; i-- > 0;)
        if (t->anchors[i].node == node)
            t->anchors[i].open = false;
}

static void copy_children(struct yaml_tree *t, struct yaml_node *to, const struct yaml_node *from,
                          unsigned depth);

/* Everything but place in the parent: key and siblings stay the copy's own. */
static void copy_node(struct yaml_tree *t, struct yaml_node *to, const struct yaml_node *from,
                      unsigned depth)
{
    struct yaml_node own = *to;
    *to = *from;
    to->key = own.key;
    to->key_line = own.key_line;
    to->key_column = own.key_column;
    to->parent = own.parent;
    to->index = own.index;
    to->next = NULL;
    to->first = to->last = NULL;
    to->n = 0;
    copy_children(t, to, from, depth);
}

static void copy_children(struct yaml_tree *t, struct yaml_node *to, const struct yaml_node *from,
                          unsigned depth)
{
    if (from->first && depth >= YAML_DEPTH_MAX) {
        yaml_tree_limit(t, yaml_place(from), "more than 64 levels");
        return;
    }
    for (const struct yaml_node *c = from->first; c && !t->err; c = c->next) {
        struct yaml_node *copy = node_new(t, yaml_place(from));
        if (!copy)
            return;
        copy->key = c->key;
        copy->key_line = c->key_line;
        copy->key_column = c->key_column;
        node_append(to, copy);
        copy_node(t, copy, c, depth + 1);
    }
}

void yaml_tree_alias(struct yaml_tree *t, struct yaml_node *node, const char *name, unsigned depth)
{
    for (size_t i = t->anchors_n; i-- > 0;) {
        const struct yaml_anchor *a = &t->anchors[i];
        if (strcmp(a->name, name) != 0)
            continue;
        if (a->open) {
            findings_add(t->findings, yaml_place(node), FINDING_YAML,
                         "`*%s` stands inside the value it names\nmove it out", name);
            t->err = ERR_INVALID;
            return;
        }
        t->alias_at = yaml_place(node);
        copy_node(t, node, a->node, depth);
        t->alias_at.line = 0;
        return;
    }
    findings_add(t->findings, yaml_place(node), FINDING_SYNTAX,
                 "`*%s` names no anchor\nwrite `&%s` before the value it stands for", name, name);
    t->err = ERR_INVALID;
}

void yaml_tree_fini(struct yaml_tree *t)
{
    free(t->anchors);
    t->anchors = NULL;
}
