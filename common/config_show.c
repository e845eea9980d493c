/* The settings as people and programs read them: --help, `check --show`. */
#include "common/config.h"

#include <stdio.h>
#include <string.h>

#include "common/config_table.h"
#include "common/json.h"

/* Width of the widest first column, so that the others line up. */
static int name_width(const struct config *c)
{
    int width = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->options[i].help && (int)strlen(c->options[i].name) > width)
            width = (int)strlen(c->options[i].name);
    return width;
}

bool config_is_secret(const char *name, size_t len)
{
    static const char *const parts[] = {"password", "passphrase", "secret", "key.pem",
                                        "sasl.oauthbearer.config"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (memmem(name, len, parts[i], strlen(parts[i])))
            return true;
    return false;
}

/* Behind the first `=`, or `: ` by mistake, that has a secret's name before it; NULL: there is
 * none. */
static const char *secret_in(const char *line, const char *end)
{
    for (const char *name = line, *p = line; p < end; p++) {
        bool is_end = *p == '=' || (*p == ':' && p + 1 < end && p[1] == ' ');
        if (is_end && config_is_secret(name, (size_t)(p - name)))
            return p + 1;
        if (is_end)
            name = p + 1;
    }
    return NULL;
}

/* The password of a URL: from *from, behind the colon, to the `@`; NULL: there is none. */
static const char *password_in(const char *line, const char *end, const char **from)
{
    const char *scheme = memmem(line, (size_t)(end - line), "://", 3);
    const char *at = scheme ? memrchr(scheme, '@', (size_t)(end - scheme)) : NULL;
    const char *colon = at ? memchr(scheme + 3, ':', (size_t)(at - scheme - 3)) : NULL;
    *from = colon ? colon + 1 : NULL;
    return colon ? at : NULL;
}

static void mask_line(const char *line, size_t len, struct buf *out)
{
    const char *end = line + len, *from = secret_in(line, end), *to = end;
    if (!from)
        to = password_in(line, end, &from);
    if (!from) {
        buf_add(out, line, len);
        return;
    }
    buf_add(out, line, (size_t)(from - line));
    buf_text(out, "***");
    buf_add(out, to, (size_t)(end - to));
}

void config_mask(const char *text, struct buf *out)
{
    for (bool more = true; more;) {
        size_t len = strcspn(text, "\n");
        mask_line(text, len, out);
        more = text[len] != 0;
        if (more)
            buf_char(out, '\n');
        text += len + more;
    }
}

static void show_value(const struct config_option *o, const char *text, struct buf *shown)
{
    buf_clear(shown);
    if (!text)
        buf_text(shown, "(unset)");
    else if (o->kind == CONFIG_SECRET)
        buf_text(shown, "***");
    else
        config_mask(text, shown);
}

void config_show(const struct config *c, struct buf *out)
{
    int width = name_width(c);
    struct buf shown;
    buf_init(&shown, 65536);
    for (size_t i = 0; i < c->n; i++) {
        const struct config_option *o = &c->options[i];
        if (!o->help)
            continue;
        show_value(o, c->values[i].text, &shown);
        buf_printf(out, "%-*s  %-30s  %s\n", width, o->name, buf_str(&shown),
                   config_origin(c, o->name));
    }
    buf_fini(&shown);
}

void config_show_json(const struct config *c, struct buf *out)
{
    struct buf shown;
    buf_init(&shown, 65536);
    for (size_t i = 0; i < c->n; i++) {
        const struct config_option *o = &c->options[i];
        const char *text = c->values[i].text, *origin = config_origin(c, o->name);
        if (!o->help)
            continue;
        buf_printf(out, "{\"setting\":\"%s\",\"value\":", o->name);
        show_value(o, text, &shown);
        if (text)
            json_print_text(buf_str(&shown), shown.len, out);
        else
            buf_text(out, "null");
        buf_text(out, ",\"origin\":");
        json_print_text(origin, strlen(origin), out);
        buf_text(out, "}\n");
    }
    buf_fini(&shown);
}

enum { HELP_COLUMN = 34, HELP_COLUMNS = 80 };

/* From `at` on, which is a column: whole words, further lines below the first. */
static void print_words(const char *text, size_t at, struct buf *out)
{
    for (const char *gap = ""; *text; gap = " ") {
        size_t n = strcspn(text, " ");
        if (*gap && at + 1 + n > HELP_COLUMNS) {
            buf_printf(out, "\n%*s", HELP_COLUMN, "");
            at = HELP_COLUMN;
            gap = "";
        }
        buf_printf(out, "%s%.*s", gap, (int)n, text);
        at += strlen(gap) + n;
        text += n + (text[n] == ' ');
    }
    buf_char(out, '\n');
}

void config_help(const struct config_option *options, size_t n, struct buf *out)
{
    struct buf text = {0};
    for (size_t i = 0; i < n; i++) {
        const struct config_option *o = &options[i];
        char env[CONFIG_ENV], usage[128];
        if (!o->help)
            continue;
        config_env_name(o->name, env);
        if (o->kind == CONFIG_SECRET)
            snprintf(usage, sizeof usage, "%s_FILE", env);
        else
            snprintf(usage, sizeof usage, "--%s%s%s", o->name, o->placeholder ? " " : "",
                     o->placeholder ? o->placeholder : "");
        bool own_line = strlen(usage) > HELP_COLUMN - 3;
        buf_printf(out, "  %s%s%*s", usage, own_line ? "\n" : "",
                   own_line ? HELP_COLUMN : HELP_COLUMN - 2 - (int)strlen(usage), "");
        buf_clear(&text);
        buf_text(&text, o->help);
        if (o->value && *o->value && o->kind != CONFIG_SECRET && o->kind != CONFIG_BOOL)
            buf_printf(&text, " (%s)", o->value);
        print_words(buf_str(&text), HELP_COLUMN, out);
    }
    buf_fini(&text);
}
