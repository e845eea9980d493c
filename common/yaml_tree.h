/* yaml_tree.h - how yaml_libyaml.c builds the tree of yaml.h: memory, typing, anchors, limits.
 * Internal to yaml*.c; never names libyaml. One build = one thread. */
#pragma once
#include "common/yaml.h"

enum { YAML_ANCHORS_MAX = 1000, YAML_MEMBERS_MAX = 2000 };

struct yaml_chunk;
struct yaml_walk;
struct yaml {
    struct yaml_node root;
    char *name, *bytes; /* owned */
    size_t len;
    struct yaml_walk *walk;    /* where yaml_place_in was last; owned */
    struct yaml_chunk *chunks; /* nodes and strings */
    size_t used;
};
void *yaml_alloc(struct yaml *y, size_t size); /* NULL: no memory, or over 16 MB in all */
void yaml_alloc_fini(struct yaml *y);
/* Bytes of the byte order mark at its start, 3 or 0. */
size_t yaml_mark_length(const struct yaml *y);

struct yaml_anchor {
    const char *name; /* lent with the file */
    struct yaml_node *node;
    bool open; /* its end has not come: an alias would contain itself */
};

/* A tree in the making. err: 0, or why it was given up (a finding says it, but for ERR_NOMEM). */
struct yaml_tree {
    struct yaml *file;
    struct findings *findings;
    int err;
    size_t nodes;
    struct yaml_anchor *anchors;
    size_t anchors_n;
    struct finding_place alias_at; /* of the alias being filled in; line 0: none */
};

struct yaml_scalar {
    const char *text; /* borrowed */
    size_t len;
    bool plain, block;
};
struct yaml_key {
    const char *text; /* borrowed */
    size_t len;
    struct finding_place at;
    bool quoted;
};

/* yaml_libyaml.c: fill file->root from file->bytes. 0, ERR_INVALID with a finding, ERR_NOMEM. */
int yaml_tree_read(struct yaml *file, struct findings *f) must_use;

/* Each gives NULL after setting err. member: refuses `<<`, twice the same key, an empty key. */
struct yaml_node *yaml_tree_new(struct yaml_tree *t);
struct yaml_node *yaml_tree_child(struct yaml_tree *t, struct yaml_node *list);
struct yaml_node *yaml_tree_member(struct yaml_tree *t, struct yaml_node *map,
                                   const struct yaml_key *key);

/* Type a scalar; a number that would change or a missing value is a finding. */
void yaml_tree_scalar(struct yaml_tree *t, struct yaml_node *node, const struct yaml_scalar *s);
/* Name a node (name NULL: nothing); it is open until yaml_tree_close. */
void yaml_tree_anchor(struct yaml_tree *t, struct yaml_node *node, const char *name);
void yaml_tree_close(struct yaml_tree *t, const struct yaml_node *node);
/* Make node, at this depth, a copy of what the anchor names. */
void yaml_tree_alias(struct yaml_tree *t, struct yaml_node *node, const char *name, unsigned depth);
/* Give up: what is "more than 64 levels". */
void yaml_tree_limit(struct yaml_tree *t, struct finding_place at, const char *what);
/* Line and column of a byte of the file. */
struct finding_place yaml_tree_at(const struct yaml_tree *t, size_t offset);
void yaml_tree_fini(struct yaml_tree *t); /* the anchors; not the file */
