/* flow_scan.h - finds the variables an expression or template mentions, without compiling it.
 * Knows jq's strings, interpolations, blanks and comments, so `"$user"` in quotes is no variable
 * and
 * `$ user . "id"` is one. Findings rest on it: what it does not see is not refused. jq decides what
 * an expression means. Pure; any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* NESTING: expr_scan.h refuses what is deeper, two brackets a level. */
enum { SCAN_NAME = 64, SCAN_FIELDS = 4, SCAN_NESTING = 100 };

struct flow_ref {
    size_t offset;        /* byte of the `$` */
    char name[SCAN_NAME]; /* "request", without `$` */
    bool bare;            /* in a template, outside `\( )`: plain text */
    bool bound;           /* behind `as`: the expression's own variable */
    /* the fields that follow: `$calls.a.b`, `$calls ["a"]`; numbers and computed ones end the list
     */
    char field[SCAN_FIELDS][SCAN_NAME];
    size_t field_offset[SCAN_FIELDS];
    size_t fields;
    size_t end; /* byte behind the last field and its `?` */
};

struct flow_scan { /* where a scan stands; made by flow_scan_init */
    const char *text;
    size_t at;
    bool template, in_string, after_as;
    unsigned level;               /* holes open */
    unsigned paren[SCAN_NESTING]; /* parentheses open in each */
};

/* text: borrowed until the scan is over. template: a string with holes, else an expression. */
void flow_scan_init(struct flow_scan *s, const char *text, bool template);
bool flow_scan_next(struct flow_scan *s, struct flow_ref *out); /* false: no more */
