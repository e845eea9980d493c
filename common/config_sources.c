#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_table.h"
#include "common/finding.h"
#include "common/yaml.h"

enum { FILE_MAX = 64 * 1024 };

/* A whole small file without its last newline, owned; NULL with why. */
static char *read_file(const char *env, const char *path, char why[CONFIG_WHY])
{
    char *text = malloc(FILE_MAX + 2);
    FILE *f = text ? fopen(path, "rbe") : NULL;
    if (!f) {
        snprintf(why, CONFIG_WHY, "%s: %.200s cannot be read: %s", env, path, strerror(errno));
        free(text);
        return NULL;
    }
    size_t len = fread(text, 1, FILE_MAX + 1, f);
    bool bad = ferror(f) != 0 || len > FILE_MAX || memchr(text, 0, len);
    fclose(f);
    if (bad) {
        snprintf(why, CONFIG_WHY, "%s: %.200s is no text file of at most 64 KB", env, path);
        free(text);
        return NULL;
    }
    if (len > 0 && text[len - 1] == '\n')
        len--;
    if (len > 0 && text[len - 1] == '\r')
        len--;
    text[len] = 0;
    return text;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* OFFPATH_X_FILE, unless x-file is an option itself. */
static int from_env_file(struct config *c, int i, const char *env, char why[CONFIG_WHY])
{
    char name[CONFIG_ENV + 8], option[CONFIG_ENV];
    snprintf(name, sizeof name, "%s_FILE", env);
    snprintf(option, sizeof option, "%.80s-file", config_option_at(c, i)->name);
    const char *path = variable(name);
    if (!path || config_find(c, option, strlen(option)) >= 0)
        return 0;
    if (variable(env)) {
        snprintf(why, CONFIG_WHY, "%s and %s are both set; unset one", env, name);
        return ERR_INVALID;
    }
    char *text = read_file(name, path, why);
    if (!text)
        return ERR_INVALID;
    int rc = config_set(c, i, text, name, name, why);
    free(text);
    return rc;
}

int config_from_environment(struct config *c, char why[CONFIG_WHY])
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i <= c->n; i++) {
        char env[CONFIG_ENV];
        config_env_name(config_option_at(c, (int)i)->name, env);
        rc = from_env_file(c, (int)i, env, why);
        if (rc == 0 && variable(env))
            rc = config_set(c, (int)i, variable(env), env, env, why);
    }
    return rc;
}

static int refuse_key(const struct config *c, const struct yaml_node *node, char why[CONFIG_WHY])
{
    const char **names = calloc(c->n + 1, sizeof *names);
    if (!names)
        return ERR_NOMEM;
    for (size_t i = 0; i < c->n; i++)
        names[i] = c->options[i].name;
    const char *near = nearest_name(node->key, names, c->n);
    snprintf(why, CONFIG_WHY, "%.200s:%u: unknown setting `%.60s`%s%s%s", yaml_file(node->file),
             node->key_line, node->key, near ? "; did you mean `" : "", near ? near : "",
             near ? "`?" : "");
    free(names);
    return ERR_INVALID;
}

static int from_node(struct config *c, const struct yaml_node *node, char why[CONFIG_WHY])
{
    char origin[280], where[360];
    snprintf(origin, sizeof origin, "%.200s:%u", yaml_file(node->file), node->line);
    snprintf(where, sizeof where, "%s: %.60s", origin, node->key);
    int i = config_find(c, node->key, strlen(node->key));
    if (i < 0)
        return refuse_key(c, node, why);
    if (i == config_find(c, "config", 6) || !node->text) {
        snprintf(why, CONFIG_WHY, "%s %s", where,
                 node->text ? "cannot stand in the file itself" : "must be one value");
        return ERR_INVALID;
    }
    return node->type == YAML_NULL ? 0 : config_set(c, i, node->text, where, origin, why);
}

int config_from_file(struct config *c, char why[CONFIG_WHY])
{
    const char *path = c->values[config_find(c, "config", 6)].text;
    struct yaml *y = NULL;
    struct findings f;
    findings_init(&f);
    int rc = yaml_read(path, &f, &y);
    if (rc == ERR_NOMEM)
        goto out;
    if (rc || f.errors > 0) {
        findings_first(&f, why, CONFIG_WHY);
        rc = ERR_INVALID;
        goto out;
    }
    const struct yaml_node *root = yaml_root(y);
    if (root->type != YAML_MAP && root->type != YAML_NULL) {
        snprintf(why, CONFIG_WHY, "%.200s: a map of settings must stand here, `name: value`", path);
        rc = ERR_INVALID;
        goto out;
    }
    for (const struct yaml_node *node = root->first; rc == 0 && node; node = node->next)
        rc = from_node(c, node, why);
out:
    yaml_close(y);
    findings_fini(&f);
    return rc;
}

/* Unknown flag: say which one may be meant; --help is one, though no setting. */
static int refuse_flag(const struct config *c, const char *flag, size_t len, char why[CONFIG_WHY])
{
    char typed[64];
    const char **names = calloc(c->n + 2, sizeof *names);
    if (!names)
        return ERR_NOMEM;
    snprintf(typed, sizeof typed, "%.*s", (int)(len < 60 ? len : 60), flag);
    for (size_t i = 0; i <= c->n; i++)
        names[i] = config_option_at(c, (int)i)->name;
    names[c->n + 1] = "help";
    const char *near = nearest_name(typed, names, c->n + 2);
    if (near)
        snprintf(why, CONFIG_WHY, "unknown flag --%s; did you mean --%s?", typed, near);
    else
        snprintf(why, CONFIG_WHY, "unknown flag --%s; --help lists them", typed);
    free(names);
    return ERR_INVALID;
}

/* The flag at argv[*at]; moves *at on if its value is the next argument. */
static int from_flag(struct config *c, int argc, char **argv, int *at, char why[CONFIG_WHY])
{
    const char *flag = argv[*at] + 2, *equals = strchr(flag, '=');
    size_t len = equals ? (size_t)(equals - flag) : strlen(flag);
    char where[80];
    snprintf(where, sizeof where, "--%.*s", (int)(len < 60 ? len : 60), flag);
    int i = config_find(c, flag, len);
    if (i < 0)
        return refuse_flag(c, flag, len, why);
    const struct config_option *o = config_option_at(c, i);
    if (o->kind == CONFIG_SECRET) {
        char env[CONFIG_ENV];
        config_env_name(o->name, env);
        snprintf(why, CONFIG_WHY,
                 "--%s is a secret and everybody can read flags; set %s_FILE to a file that holds "
                 "it",
                 o->name, env);
        return ERR_INVALID;
    }
    const char *value = equals ? equals + 1 : o->kind == CONFIG_BOOL ? "true" : NULL;
    if (!value && *at + 1 < argc && strncmp(argv[*at + 1], "--", 2) != 0)
        value = argv[++*at];
    if (!value) {
        snprintf(why, CONFIG_WHY, "--%s needs a value: --%s %s", o->name, o->name,
                 o->placeholder ? o->placeholder : "VALUE");
        return ERR_INVALID;
    }
    snprintf(where, sizeof where, "--%s", o->name);
    return config_set(c, i, value, where, "flag", why);
}

int config_from_flags(struct config *c, int argc, char **argv, char why[CONFIG_WHY])
{
    c->positionals_n = 0; /* flags are read twice: first for --config */
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            while (++i < argc)
                c->positionals[c->positionals_n++] = argv[i];
        } else if (strncmp(argv[i], "--", 2) == 0) {
            int rc = from_flag(c, argc, argv, &i, why);
            if (rc)
                return rc;
        } else if (argv[i][0] == '-' && argv[i][1]) {
            snprintf(why, CONFIG_WHY,
                     "unknown flag %.60s; flags have two dashes, --help lists them", argv[i]);
            return ERR_INVALID;
        } else {
            c->positionals[c->positionals_n++] = argv[i];
        }
    }
    return 0;
}
