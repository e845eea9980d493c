/* config.h - settings of a program: flag > environment (OFFPATH_*) > config file (--config, YAML) >
 * default. A program lists its options in one table; --help and `check --show` print it.
 * OFFPATH_X_FILE reads OFFPATH_X from a file (64 KB, without the last newline), unless the table
 * has an option of that name. An empty variable counts as unset. `-` and `_` in names are the same.
 * Belongs to the main thread until start-up is over, read-only afterwards. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "common/buf.h"

enum config_kind { CONFIG_TEXT, CONFIG_NUMBER, CONFIG_BOOL, CONFIG_DURATION, CONFIG_SECRET };
struct config_option {
    const char *name; /* "kafka": flag --kafka, environment OFFPATH_KAFKA, key kafka in the file */
    enum config_kind kind;   /* SECRET: never from a flag, masked when shown */
    const char *value;       /* default as text; NULL: none */
    const char *placeholder; /* "HOST:PORT,..." for --help */
    const char *help;        /* NULL: taken and checked, but not shown: a key of the other program,
                                for both may share one file */
};

/* The file's path: `config`, which need not stand in a table. */
extern const struct config_option config_file_option;

struct config;
/* Reads argv (flags anywhere, `--x v`, `--x=v`, `--flag` for BOOL, `--` ends; argv[0] is the
 * program), environment and file. options, argv: borrowed until config_free; positionals: what is
 * left of argv, lent. The values of SECRETs, and the password in a URL, are given to log_secret. 0;
 * ERR_NOMEM; ERR_INVALID with why = one line that says what to do (unknown flag: nearest name;
 * wrong kind: what is expected). *out: owned (config_free). */
int config_read(const struct config_option *options, size_t n, int argc, char **argv,
                struct config **out, char why[512]) must_use;
void config_free(struct config *c);
size_t config_positionals(const struct config *c, const char *const **list);

/* By the option's name. A name that is not in the table is a bug: NULL, 0, false. */
const char *config_text(const struct config *c, const char *name); /* NULL if unset; lent */
int64_t config_number(const struct config *c, const char *name);
bool config_bool(const struct config *c, const char *name);
int64_t config_ms(const struct config *c, const char *name); /* DURATION */
const char *config_origin(const struct config *c,
                          const char *name); /* "flag", "OFFPATH_KAFKA", "file.yaml:3", "default" */

/* Append text as people may see it: the passwords of its URLs and its secret properties as ***. */
void config_mask(const char *text, struct buf *out);
void config_show(const struct config *c, struct buf *out); /* name value origin, secrets as *** */
void config_show_json(const struct config *c,
                      struct buf *out); /* {setting, value, origin} a line */
void config_help(const struct config_option *options, size_t n, struct buf *out);

/* Is this the name of a property (of Kafka's clients) whose value nobody may see? */
bool config_is_secret(const char *name, size_t len);

/* 200ms 3s 5m 2h 30d -> ms; 100B 16KB 1MB 1GB (x1024) -> bytes. Always with a unit. 0 or
 * ERR_INVALID. Shared with flow files. */
int config_parse_duration(const char *text, int64_t *ms) must_use;
int config_parse_size(const char *text, size_t *bytes) must_use;
