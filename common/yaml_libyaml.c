#include "common/yaml.h"

#include <string.h>
#include <yaml.h>

#include "common/yaml_tree.h"

/* One node per event, recursion bounded by YAML_DEPTH_MAX. Problems that leave a usable tree are
 * findings and the parse goes on; `broken` ends it. */
struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one; empty after reader_drop */
    bool loaded;
    size_t chars, bytes; /* a place in the file: so many characters are so many bytes */
    struct yaml_tree tree;
};

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* libyaml counts characters; marks come in the file's order, nearly. */
static size_t byte_of(struct reader *r, const yaml_mark_t *m)
{
    const struct yaml *y = r->tree.file;
    for (; r->chars < m->index && r->bytes < y->len; r->chars++)
        do
            r->bytes++;
        while (is_continuation(y->bytes[r->bytes]));
    for (; r->chars > m->index && r->bytes > 0; r->chars--)
        do
            r->bytes--;
        while (r->bytes > 0 && is_continuation(y->bytes[r->bytes]));
    return r->bytes;
}

static struct finding_place place_of(const struct reader *r, const yaml_mark_t *m)
{
    return (struct finding_place){r->tree.file->name, (unsigned)m->line + 1,
                                  (unsigned)m->column + 1};
}

struct hint {
    const char *problem, *todo;
};
static const struct hint hints[] = {
    {"cannot start any token", "indent with spaces; text that starts with `@`, `%` or a backquote "
                               "needs quotes"},
    {"mapping values are not allowed", "text that holds `: ` needs quotes; check the indentation"},
    {"unknown escape character", "in double quotes a backslash is YAML's own; use single quotes"},
    {"expected <block end>", "check the indentation of this line and the one above"},
    {"could not find expected ':'", "a line needs `key: value`; check quotes and indentation"},
    {"unexpected end of stream", "close the quote"},
    {"unknown anchor", "write the `&anchor` before the first `*alias`"},
    {"undefined alias", "write the `&anchor` before the first `*alias`"},
};

static const char *hint_for(const char *problem)
{
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (strstr(problem, hints[i].problem))
            return hints[i].todo;
    return "mend the YAML at this place or just before it";
}

static void syntax_finding(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) {
        r->tree.err = ERR_NOMEM;
        return;
    }
    const char *problem = p->problem ? p->problem : "not readable";
    struct finding_place at = place_of(r, &p->problem_mark);
    if (p->error == YAML_READER_ERROR) /* the reader knows a byte, no mark */
        at = yaml_tree_at(&r->tree, p->problem_offset + yaml_mark_length(r->tree.file));
    if (p->context && p->context_mark.line != p->problem_mark.line)
        findings_add(r->tree.findings, at, FINDING_SYNTAX, "%s, %s that began in line %zu\n%s",
                     problem, p->context, p->context_mark.line + 1, hint_for(problem));
    else
        findings_add(r->tree.findings, at, FINDING_SYNTAX, "%s%s%s\n%s", problem,
                     p->context ? ", " : "", p->context ? p->context : "", hint_for(problem));
    r->tree.err = ERR_INVALID;
}

static void reader_drop(struct reader *r)
{
    if (r->loaded)
        yaml_event_delete(&r->event);
    r->loaded = false;
}

/* Load the next event; its type, or YAML_NO_EVENT after an error. */
static yaml_event_type_t reader_next(struct reader *r)
{
    reader_drop(r);
    if (r->tree.err)
        return YAML_NO_EVENT;
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        syntax_finding(r);
        return YAML_NO_EVENT;
    }
    r->loaded = true;
    return r->event.type;
}

static void refuse_tag(struct reader *r, const yaml_char_t *tag)
{
    if (tag)
        findings_add(r->tree.findings, place_of(r, &r->event.start_mark), FINDING_YAML,
                     "tags like `%s` are not used here\nremove it; quote the value to make it text",
                     (const char *)tag);
}

static void read_scalar(struct reader *r, struct yaml_node *node)
{
    const yaml_event_t *e = &r->event;
    yaml_scalar_style_t style = e->data.scalar.style;
    struct yaml_scalar s = {.text = (const char *)e->data.scalar.value,
                            .len = e->data.scalar.length,
                            .plain = style == YAML_PLAIN_SCALAR_STYLE,
                            .block = style == YAML_LITERAL_SCALAR_STYLE ||
                                     style == YAML_FOLDED_SCALAR_STYLE};
    refuse_tag(r, e->data.scalar.tag);
    yaml_tree_scalar(&r->tree, node, &s);
}

static void read_node(struct reader *r, struct yaml_node *node, unsigned depth);

static void read_list(struct reader *r, struct yaml_node *list, unsigned depth)
{
    while (reader_next(r) != YAML_SEQUENCE_END_EVENT && !r->tree.err) {
        struct yaml_node *child = yaml_tree_child(&r->tree, list);
        if (child)
            read_node(r, child, depth + 1);
    }
}

/* The member a key event begins; NULL after an error. For a key that is refused it is in no map:
 * its value is read, and that is all. */
static struct yaml_node *read_key(struct reader *r, struct yaml_node *map, unsigned depth)
{
    const yaml_event_t *e = &r->event;
    struct finding_place at = place_of(r, &e->start_mark);
    if (e->type != YAML_SCALAR_EVENT) {
        struct yaml_node *skipped = yaml_tree_new(&r->tree);
        findings_add(r->tree.findings, at, FINDING_YAML,
                     "a key must be plain text\nwrite a name before the `:`");
        if (skipped)
            read_node(r, skipped, depth + 1);
        return yaml_tree_new(&r->tree);
    }
    refuse_tag(r, e->data.scalar.tag);
    struct yaml_key key = {(const char *)e->data.scalar.value, e->data.scalar.length, at,
                           e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE};
    return yaml_tree_member(&r->tree, map, &key);
}

static void read_map(struct reader *r, struct yaml_node *map, unsigned depth)
{
    while (reader_next(r) != YAML_MAPPING_END_EVENT && !r->tree.err) {
        struct yaml_node *member = read_key(r, map, depth);
        if (member && reader_next(r) != YAML_NO_EVENT)
            read_node(r, member, depth + 1);
    }
}

/* The current event begins the node. */
static void read_node(struct reader *r, struct yaml_node *node, unsigned depth)
{
    const yaml_event_t *e = &r->event;
    struct finding_place at = place_of(r, &e->start_mark);
    node->line = at.line;
    node->column = at.column;
    node->at = byte_of(r, &e->start_mark);
    if (depth > YAML_DEPTH_MAX) {
        yaml_tree_limit(&r->tree, at, "more than 64 levels");
        return;
    }
    switch (e->type) {
    case YAML_ALIAS_EVENT:
        yaml_tree_alias(&r->tree, node, (const char *)e->data.alias.anchor, depth);
        return;
    case YAML_SCALAR_EVENT:
        yaml_tree_anchor(&r->tree, node, (const char *)e->data.scalar.anchor);
        read_scalar(r, node);
        break;
    case YAML_SEQUENCE_START_EVENT:
        node->type = YAML_LIST;
        yaml_tree_anchor(&r->tree, node, (const char *)e->data.sequence_start.anchor);
        refuse_tag(r, e->data.sequence_start.tag);
        read_list(r, node, depth);
        break;
    case YAML_MAPPING_START_EVENT:
        node->type = YAML_MAP;
        yaml_tree_anchor(&r->tree, node, (const char *)e->data.mapping_start.anchor);
        refuse_tag(r, e->data.mapping_start.tag);
        read_map(r, node, depth);
        break;
    default:
        return;
    }
    yaml_tree_close(&r->tree, node);
}

static void read_document(struct reader *r)
{
    yaml_event_type_t type = reader_next(r);
    while (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT)
        type = reader_next(r);
    if (type == YAML_STREAM_END_EVENT) {
        findings_add(r->tree.findings, (struct finding_place){r->tree.file->name, 1, 1},
                     FINDING_SYNTAX, "the file is empty\nwrite `key: value` lines");
        r->tree.err = ERR_INVALID;
    }
    if (r->tree.err)
        return;
    read_node(r, &r->tree.file->root, 0);
    while (!r->tree.err && type != YAML_STREAM_END_EVENT) {
        type = reader_next(r);
        if (type == YAML_DOCUMENT_START_EVENT) {
            findings_add(r->tree.findings, place_of(r, &r->event.start_mark), FINDING_YAML,
                         "a second document begins here\none file holds one document");
            break;
        }
    }
}

int yaml_tree_read(struct yaml *file, struct findings *f)
{
    struct reader r = {.tree = {.file = file, .findings = f}};
    if (!yaml_parser_initialize(&r.parser))
        return ERR_NOMEM;
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    r.bytes = yaml_mark_length(file);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)file->bytes + r.bytes,
                                 file->len - r.bytes);
    read_document(&r);
    reader_drop(&r);
    yaml_parser_delete(&r.parser);
    yaml_tree_fini(&r.tree);
    return r.tree.err;
}
