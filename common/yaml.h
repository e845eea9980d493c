/* yaml.h - a YAML (or JSON) file as a tree that knows where each value stands.
 * libyaml's events behind yaml_libyaml.c, nowhere else. Typing is ours: plain `true`, `false`,
 * `null` and JSON numbers are typed, all else is text (`no`, `~`, `1_000`, `2024-01-01` too).
 * Refused, each as a finding at its place: duplicate keys, `<<`, tags, a second document, leading
 * zeros, numbers beyond 2^53, a key without a value, NUL characters; more than 1 MB, 64 levels,
 * 20,000 nodes counting alias expansion, 1,000 anchors, 2,000 members of a map. An alias is a copy
 * of what it names and keeps the anchor's lines. Belongs to one thread. */
#pragma once
#include "common/finding.h"

enum { YAML_SIZE_MAX = 1024 * 1024, YAML_DEPTH_MAX = 64, YAML_NODES_MAX = 20000 };

enum yaml_type { YAML_NULL, YAML_BOOL, YAML_NUMBER, YAML_TEXT, YAML_LIST, YAML_MAP };

struct yaml; /* one file */

/* All strings are lent with the file and hold no NUL inside. */
struct yaml_node {
    enum yaml_type type;
    unsigned line, column; /* from 1, of its first character (a block's `|`) */
    bool truth;            /* YAML_BOOL */
    double number;         /* YAML_NUMBER */
    const char *text;   /* every scalar as written, without quotes and a block's last newline; NULL
                           for  list, map */
    const char *whole;  /* the same with the block's last newline */
    bool quoted;        /* a text in quotes, or a block */
    bool missing;       /* a key without a value; a finding says so already */
    bool filled;        /* yaml_set_text was here: `text` stands nowhere in the file */
    const char *source; /* what `text` was before; NULL: it was not filled */
    const char *key;    /* member of a map: its name; else NULL */
    unsigned key_line, key_column;
    struct yaml_node *first, *last, *next; /* children of list and map in their order */
    size_t n;                              /* how many */
    const struct yaml_node *parent;        /* NULL: the root */
    size_t index;                          /* its place in the parent, from 0 */
    size_t at;                             /* byte of the file where it begins */
    const struct yaml *file;
};

/* Read text (borrowed; `file` is its name in findings). 0: *out is a tree, owned (yaml_close); it
 * may still have findings (a duplicate key): look at f->errors before you trust it. ERR_INVALID: no
 * tree, and at least one finding says why. ERR_NOMEM. */
int yaml_parse(const char *file, const char *text, size_t len, struct findings *f,
               struct yaml **out) must_use;
/* The same from disk; also ERR_NOT_FOUND when there is no such file (with a finding). In a file
 * named *.json surrogate pairs (\ud83d\ude00) are read as JSON does. A byte order mark at the
 * start counts for nothing. */
int yaml_read(const char *path, struct findings *f, struct yaml **out) must_use;
/* Free the tree; NULL is fine. (libyaml exports a yaml_free of its own: the name is taken.) */
void yaml_close(struct yaml *y);

struct yaml_node *yaml_root(struct yaml *y);               /* never NULL; lent with y */
const char *yaml_file(const struct yaml *y);               /* the name given */
const void *yaml_bytes(const struct yaml *y, size_t *len); /* the file as read; lent */

/* Member of a map; NULL if absent or no map. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

/* The node as JSON, owned (json_free); NULL without memory. */
struct json;
struct json *yaml_json(const struct yaml_node *node);

/* Replace a scalar's text (copied) after the parse, `${env:X}` filled in. It becomes YAML_TEXT; a
 * block keeps its last newline in `whole`. 0, ERR_TOO_LARGE (16 MB per file in all, or no memory).
 */
int yaml_set_text(struct yaml *y, struct yaml_node *node, const char *text) must_use;

/* Where a node, its key, or byte `offset` of its `text` stands in the file. Folding, quotes and
 * block indentation are walked through, which is cheap for offsets that rise; what was filled in
 * gives the node's own place. */
struct finding_place yaml_place(const struct yaml_node *node);
struct finding_place yaml_place_key(const struct yaml_node *node); /* no key: as yaml_place */
struct finding_place yaml_place_in(const struct yaml_node *node, size_t offset);
