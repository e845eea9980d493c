/* verb.h - the verbs of a program: one table for finding them, their --help, completion and manual.
 * Pure but for what a verb itself does; main thread. */
#pragma once
#include "common/config.h"

struct verb_call {
    const struct config *config;
    const char *const *words; /* the verb and what follows */
    size_t words_n;
};

enum { VERB_ANY = 1 << 20 };
struct verb {
    const char *name;
    const char *forms;                    /* what may follow, a line for each form; "" nothing */
    size_t words_max;                     /* how many may follow at most: VERB_ANY: as one likes */
    const char *summary;                  /* one line, no full stop */
    const char *flags;                    /* its own options, with a space between; NULL: none */
    const char *only;                     /* "list flow state": flags of this word alone; NULL */
    const char *uses;                     /* settings that its help shows as well; NULL: none */
    bool settings;                        /* takes the settings: what no verb has as its own */
    const char *examples;                 /* lines */
    const char *exits;                    /* lines: "0 good, 2 usage" */
    int (*run)(const struct verb_call *); /* the exit status */
};

struct verb_program { /* all lent for ever */
    const char *name, *summary, *version;
    const struct verb *verbs;
    size_t verbs_n;
    const struct config_option *options;
    const size_t *options_n;
    const char *examples; /* lines */
    const char *exits;
};

/* The program: --help, --version, --print, or the verb. The exit status. */
int verb_main(const struct verb_program *p, int argc, char **argv);

/* The words that a verb knows, one by one: of "[list]\nshow ID" list and show. *at: its forms at
 * first. NULL: no more; lent with them. */
const char *verb_next_word(const char **at, size_t *len);

/* NULL: there is none of this name. */
const struct verb *verb_find(const struct verb_program *p, const char *name);
/* The verb that a command line with --help asks about, NULL: the program. */
const struct verb *verb_of_line(const struct verb_program *p, int argc, char *const *argv);
/* One line for somebody who wrote another word, with the nearest verb. */
void verb_unknown(const struct verb_program *p, const char *word, char why[512]);
/* 0, or ERR_INVALID with why: a flag on the command line belongs to other verbs, or to another word
 * of this one. What stands in the environment or a file is for all verbs and does not matter. */
int verb_check_flags(const struct verb_program *p, const struct verb *v,
                     const struct verb_call *call, char why[512]) must_use;
/* 0, or ERR_INVALID with why: words stand behind the verb that it does not know. */
int verb_check_words(const struct verb_program *p, const struct verb *v,
                     const struct verb_call *call, char why[512]) must_use;
/* Does the option belong to this verb (NULL: to none, so that it is a setting)? */
bool verb_has_flag(const struct verb_program *p, const struct verb *v, const char *option);
/* The same, or one of the settings it uses: what --help, the shells and the manual tell of it. */
bool verb_shows_flag(const struct verb_program *p, const struct verb *v, const char *option);

/* Is the option of no use behind some of the verb's words (all but the first of v->only)? */
bool verb_is_of_one_word(const struct verb *v, const char *option);

/* Is --config of use to it (NULL: the program)? */
bool verb_shows_file(const struct verb *v);

/* --help: of the program, of one verb. */
void verb_help_all(const struct verb_program *p, struct buf *out);
void verb_help(const struct verb_program *p, const struct verb *v, struct buf *out);

/* --print man|bash|zsh: a manual page in roff, a completion script. ERR_INVALID: no such kind. */
int verb_print(const struct verb_program *p, const char *kind, struct buf *out) must_use;
/* Its parts: verb_manual.c, verb_shell.c. */
void verb_print_manual(const struct verb_program *p, struct buf *out);
void verb_print_bash(const struct verb_program *p, struct buf *out);
void verb_print_zsh(const struct verb_program *p, struct buf *out);
