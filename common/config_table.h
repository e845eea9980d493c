/* config_table.h - the settings while they are read and afterwards; for config*.c only. */
#pragma once
#include "common/config.h"

enum { CONFIG_WHY = 512, CONFIG_ENV = 96 };

struct config_value {
    char *text;   /* owned; NULL: unset */
    char *origin; /* owned; NULL: unset */
    int64_t number;
};

struct config {
    const struct config_option *options; /* borrowed; n of them */
    struct config_value *values;         /* n + 1: the last is the implicit `config` */
    size_t n;
    const char **positionals;
    size_t positionals_n;
};

/* Is b (b_len of it) that name? `-` and `_` are the same. */
bool config_same_name(const char *a, const char *b, size_t b_len);
/* Place of the option (n: the implicit `config`), or -1. len: of name. */
int config_find(const struct config *c, const char *name, size_t len);
const struct config_option *config_option_at(const struct config *c, int i);

/* Check text against the option's kind and keep copies. 0, ERR_NOMEM, ERR_INVALID with why. where:
 * for the message; origin: for config_origin. */
int config_set(struct config *c, int i, const char *text, const char *where, const char *origin,
               char why[CONFIG_WHY]) must_use;

/* OFFPATH_ and the name in capitals. */
void config_env_name(const char *name, char out[CONFIG_ENV]);

/* The sources, weakest first. */
int config_from_file(struct config *c, char why[CONFIG_WHY]) must_use;
int config_from_environment(struct config *c, char why[CONFIG_WHY]) must_use;
int config_from_flags(struct config *c, int argc, char **argv, char why[CONFIG_WHY]) must_use;
