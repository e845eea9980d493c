#include "common/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_table.h"
#include "common/log.h"

const struct config_option config_file_option = {"config", CONFIG_TEXT, NULL, "FILE",
                                                 "settings file (YAML), name: value"};

bool config_same_name(const char *a, const char *b, size_t b_len)
{
    for (size_t i = 0; i < b_len; i++)
        if (a[i] != (b[i] == '_' ? '-' : b[i]))
            return false;
    return a[b_len] == 0;
}

int config_find(const struct config *c, const char *name, size_t len)
{
    for (size_t i = 0; i < c->n; i++)
        if (config_same_name(c->options[i].name, name, len))
            return (int)i;
    return config_same_name(config_file_option.name, name, len) ? (int)c->n : -1;
}

const struct config_option *config_option_at(const struct config *c, int i)
{
    return (size_t)i < c->n ? &c->options[i] : &config_file_option;
}

void config_env_name(const char *name, char out[CONFIG_ENV])
{
    snprintf(out, CONFIG_ENV, "OFFPATH_%s", name);
    for (char *p = out; *p; p++) {
        if (*p >= 'a' && *p <= 'z')
            *p = (char)(*p - 'a' + 'A');
        else if (*p == '-')
            *p = '_';
    }
}

static bool parse_number(const char *text, int64_t *out)
{
    int64_t value = 0;
    bool negative = *text == '-';
    const char *p = text + negative;
    if (!*p)
        return false;
    for (; *p; p++) {
        int digit = negative ? -(*p - '0') : *p - '0';
        if (*p < '0' || *p > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *out = value;
    return true;
}

static bool parse_bool(const char *text, int64_t *out)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return false;
    *out = *text == 't';
    return true;
}

/* What the kind expects, or NULL if the text is right. */
static const char *parse(enum config_kind kind, const char *text, int64_t *number)
{
    switch (kind) {
    case CONFIG_NUMBER:
        return parse_number(text, number) ? NULL : "a whole number";
    case CONFIG_BOOL:
        return parse_bool(text, number) ? NULL : "true or false";
    case CONFIG_DURATION:
        return config_parse_duration(text, number) ? "a duration: 200ms, 3s, 5m, 2h or 30d" : NULL;
    default:
        return NULL;
    }
}

int config_set(struct config *c, int i, const char *text, const char *where, const char *origin,
               char why[CONFIG_WHY])
{
    int64_t number = 0;
    const char *expected = parse(config_option_at(c, i)->kind, text, &number);
    if (expected) {
        snprintf(why, CONFIG_WHY, "%s: \"%.100s\" is not %s", where, text, expected);
        return ERR_INVALID;
    }
    struct config_value new = {strdup(text), strdup(origin), number}, *old = &c->values[i];
    if (!new.text || !new.origin) {
        free(new.text);
        free(new.origin);
        return ERR_NOMEM;
    }
    free(old->text);
    free(old->origin);
    *old = new;
    return 0;
}

static int from_defaults(struct config *c, char why[CONFIG_WHY])
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->n; i++)
        if (c->options[i].value)
            rc = config_set(c, (int)i, c->options[i].value, c->options[i].name, "default", why);
    return rc;
}

/* Also the password of scheme://user:password@host, which a log line may hold alone. */
static void keep_out_of_log(const char *text)
{
    log_secret(text);
    const char *user = strstr(text, "://"), *at = user ? strrchr(user, '@') : NULL;
    const char *colon = user ? strchr(user + 3, ':') : NULL;
    if (!at || !colon || colon > at)
        return;
    char *password = strndup(colon + 1, (size_t)(at - colon - 1));
    log_secret(password);
    free(password);
}

/* A stronger source overwrites a weaker one. The file's path may come from any but the file. */
static int read_sources(struct config *c, int argc, char **argv, char why[CONFIG_WHY])
{
    int rc = from_defaults(c, why);
    if (rc == 0)
        rc = config_from_environment(c, why);
    if (rc == 0)
        rc = config_from_flags(c, argc, argv, why);
    int file = config_find(c, "config", 6);
    if (rc || !c->values[file].text)
        return rc;
    rc = config_from_file(c, why);
    if (rc == 0)
        rc = config_from_environment(c, why);
    return rc ? rc : config_from_flags(c, argc, argv, why);
}

int config_read(const struct config_option *options, size_t n, int argc, char **argv,
                struct config **out, char why[512])
{
    int rc = ERR_NOMEM;
    struct config *c = calloc(1, sizeof *c);
    snprintf(why, CONFIG_WHY, "out of memory");
    if (!c)
        return rc;
    c->options = options;
    c->n = n;
    c->values = calloc(n + 1, sizeof *c->values);
    c->positionals = calloc((size_t)argc + 1, sizeof *c->positionals);
    if (c->values && c->positionals)
        rc = read_sources(c, argc, argv, why);
    if (rc) {
        config_free(c);
        return rc;
    }
    for (size_t i = 0; i < n; i++)
        if (options[i].kind == CONFIG_SECRET && c->values[i].text)
            keep_out_of_log(c->values[i].text);
    why[0] = 0;
    *out = c;
    return 0;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    for (size_t i = 0; c->values && i <= c->n; i++) {
        free(c->values[i].text);
        free(c->values[i].origin);
    }
    free(c->values);
    free(c->positionals);
    free(c);
}

size_t config_positionals(const struct config *c, const char *const **list)
{
    *list = c->positionals;
    return c->positionals_n;
}

static const struct config_value *get(const struct config *c, const char *name)
{
    static const struct config_value unset;
    int i = config_find(c, name, strlen(name));
    return i < 0 ? &unset : &c->values[i];
}

const char *config_text(const struct config *c, const char *name)
{
    return get(c, name)->text;
}

int64_t config_number(const struct config *c, const char *name)
{
    return get(c, name)->number;
}

bool config_bool(const struct config *c, const char *name)
{
    return get(c, name)->number != 0;
}

int64_t config_ms(const struct config *c, const char *name)
{
    return get(c, name)->number;
}

const char *config_origin(const struct config *c, const char *name)
{
    const char *origin = get(c, name)->origin;
    return origin ? origin : "default";
}
