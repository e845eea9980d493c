/* terminal.h - how a verb talks to a person: results on one stream, the rest on the other, colour
 * and a line that renews itself only where somebody watches. Main thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum terminal_tone { TONE_PLAIN, TONE_GOOD, TONE_WARN, TONE_BAD, TONE_FAINT };

struct terminal {
    FILE *out, *err; /* results; everything else */
    bool colour;     /* on err */
    bool colour_out;
    bool live;   /* err is a terminal: a line may be renewed */
    bool shown;  /* such a line stands there */
    int columns; /* of out; 0: no terminal, nothing is cut */
};

/* colour: "auto", "always", "never"; auto asks the streams, NO_COLOR and TERM. False: another word.
 */
bool terminal_open(struct terminal *t, FILE *out, FILE *err, const char *colour);

/* The codes that begin and end a tone on that stream; "" without colour. Lent for ever. */
const char *terminal_tone(const struct terminal *t, const FILE *stream, enum terminal_tone tone);
const char *terminal_plain(const struct terminal *t, const FILE *stream);

/* A line on err that the next one, or terminal_clear, takes the place of. Nothing unless live. */
void terminal_renew(struct terminal *t, const char *text);
void terminal_clear(struct terminal *t);

/* Text of others as one line: control characters and those that turn the direction of writing are
 * shown as `?`, so that it cannot move the cursor. At most `width` characters, the last then `…`;
 * 0: all. Appended to `out` of `size` bytes, cut to fit. */
void terminal_clean(const char *text, int width, char *out, size_t size);

/* JSON of others and a new line: what terminal_clean would show as `?` stands there as \uXXXX,
 * which means the same. */
void terminal_json(FILE *stream, const char *json);

/* A clean text and a new line on that stream, behind `indent` characters that stand there already.
 * On a terminal a word that would pass its edge begins a line, indented as far. */
void terminal_words(const struct terminal *t, FILE *stream, const char *text, int indent);

/* "212 ms", "2,430 ms", "35.2 s", "12 min 5 s". */
void terminal_took(int64_t ms, char *out, size_t size);
