#include "common/verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/finding.h"

const struct verb *verb_find(const struct verb_program *p, const char *name)
{
    for (size_t i = 0; i < p->verbs_n; i++)
        if (strcmp(p->verbs[i].name, name) == 0)
            return &p->verbs[i];
    return NULL;
}

const char *verb_next_word(const char **at, size_t *len)
{
    for (; **at; *at += strcspn(*at, "\n")) {
        *at += strspn(*at, "[| \n");
        const char *word = *at;
        *len = strspn(word, "abcdefghijklmnopqrstuvwxyz");
        *at += *len;
        if (*len)
            return word;
    }
    return NULL;
}

const struct verb *verb_of_line(const struct verb_program *p, int argc, char *const *argv)
{
    const struct verb *v = NULL;
    for (int i = 1; i < argc && !v; i++)
        v = verb_find(p, argv[i]);
    return v;
}

void verb_unknown(const struct verb_program *p, const char *word, char why[512])
{
    const char **names = calloc(p->verbs_n, sizeof *names);
    size_t n = names ? p->verbs_n : 0;
    for (size_t i = 0; i < n; i++)
        names[i] = p->verbs[i].name;
    const char *near = nearest_name(word, names, n);
    if (near)
        snprintf(why, 512, "there is no \"%.60s\"; did you mean `%s`?", word, near);
    else
        snprintf(why, 512, "there is no \"%.60s\"; --help lists the verbs", word);
    free(names);
}

static bool in_list(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = list; *at;) {
        size_t n = strcspn(at, " ");
        if (n == len && memcmp(at, name, n) == 0)
            return true;
        at += n + (at[n] == ' ');
    }
    return false;
}

bool verb_has_flag(const struct verb_program *p, const struct verb *v, const char *option)
{
    if (v && v->flags && in_list(v->flags, option))
        return true;
    for (size_t i = 0; i < p->verbs_n; i++)
        if (p->verbs[i].flags && in_list(p->verbs[i].flags, option))
            return false;
    return !v || v->settings;
}

bool verb_shows_flag(const struct verb_program *p, const struct verb *v, const char *option)
{
    return verb_has_flag(p, v, option) || (v && v->uses && in_list(v->uses, option));
}

bool verb_is_of_one_word(const struct verb *v, const char *option)
{
    return v->only && in_list(v->only + strcspn(v->only, " "), option);
}

bool verb_shows_file(const struct verb *v)
{
    return !v || v->settings || v->flags || v->uses;
}

/* The word behind the verb if it knows it and has flags that are of another; else NULL: a word that
 * it does not know is what the verb complains of. */
static const char *word_without(const struct verb *v, const struct verb_call *call)
{
    const char *given = call->words_n > 1 ? call->words[1] : "", *at = v->forms;
    size_t len, n = v->only ? strcspn(v->only, " ") : 0;
    if (!n || (strlen(given) == n && memcmp(v->only, given, n) == 0))
        return NULL;
    for (const char *word; (word = verb_next_word(&at, &len));)
        if (strlen(given) == len && memcmp(word, given, len) == 0)
            return given;
    return NULL;
}

/* An option that no verb lists is a setting, and those are taken by every verb. */
int verb_check_flags(const struct verb_program *p, const struct verb *v,
                     const struct verb_call *call, char why[512])
{
    const char *word = word_without(v, call);
    for (size_t i = 0; i < *p->options_n; i++) {
        const char *name = p->options[i].name;
        if (strcmp(config_origin(call->config, name), "flag") != 0)
            continue;
        if (!verb_has_flag(p, v, name) && !verb_has_flag(p, NULL, name))
            snprintf(why, 512, "`%s` knows no --%s; `%s %s --help` lists its flags", v->name, name,
                     p->name, v->name);
        else if (word && verb_is_of_one_word(v, name))
            snprintf(why, 512, "`%s %s` knows no --%s; `%s %.*s` does", v->name, word, name,
                     v->name, (int)strcspn(v->only, " "), v->only);
        else
            continue;
        return ERR_INVALID;
    }
    return 0;
}

int verb_check_words(const struct verb_program *p, const struct verb *v,
                     const struct verb_call *call, char why[512])
{
    if (call->words_n <= v->words_max + 1)
        return 0;
    snprintf(why, 512, "`%s` does not know what \"%.60s\" is; `%s %s --help` shows what may follow",
             v->name, call->words[v->words_max + 1], p->name, v->name);
    return ERR_INVALID;
}

/* ---- help */

/* Each line of text with this before it. */
static void lines(struct buf *out, const char *before, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        buf_printf(out, "%s%.*s\n", before, (int)n, text);
        text += n + (text[n] == '\n');
    }
}

/* "usage: " before the first line, as many blanks before the others. */
static void usage(const struct verb_program *p, const struct verb *v, struct buf *out)
{
    const char *at = v->forms, *label = "usage:";
    do {
        size_t n = strcspn(at, "\n");
        buf_printf(out, "%s %s %s%s%.*s\n", label, p->name, v->name, n ? " " : "", (int)n, at);
        label = "      ";
        at += n + (at[n] == '\n');
    } while (*at);
}

static void options(const struct verb_program *p, const struct verb *v, struct buf *out)
{
    for (size_t i = 0; i < *p->options_n; i++)
        if (verb_shows_flag(p, v, p->options[i].name))
            config_help(&p->options[i], 1, out);
    if (verb_shows_file(v))
        config_help(&config_file_option, 1, out);
}

void verb_help(const struct verb_program *p, const struct verb *v, struct buf *out)
{
    buf_printf(out, "%s %s - %s\n\n", p->name, v->name, v->summary);
    usage(p, v, out);
    buf_text(out, "\nexamples:\n");
    lines(out, "  ", v->examples);
    if (v->settings)
        buf_text(out, "\nsettings (flag > OFFPATH_NAME > --config file > default):\n");
    else if (v->flags || v->uses)
        buf_text(out, "\nflags (also OFFPATH_NAME, or name: value in the --config file):\n");
    options(p, v, out);
    buf_text(out, "\nexit:\n");
    lines(out, "  ", v->exits);
}

void verb_help_all(const struct verb_program *p, struct buf *out)
{
    buf_printf(out, "%s %s - %s\n\nusage: %s VERB [FLAGS]\n       %s VERB --help\n", p->name,
               p->version, p->summary, p->name, p->name);
    buf_printf(out, "       %s --version | --print man|bash|zsh\n\nverbs:\n", p->name);
    for (size_t i = 0; i < p->verbs_n; i++)
        buf_printf(out, "  %-8s  %s\n", p->verbs[i].name, p->verbs[i].summary);
    buf_text(out, "\nexamples:\n");
    lines(out, "  ", p->examples);
    buf_text(out, "\nsettings (flag > OFFPATH_NAME > --config file > default):\n");
    options(p, NULL, out);
    buf_text(out, "\nexit:\n");
    lines(out, "  ", p->exits);
}

int verb_print(const struct verb_program *p, const char *kind, struct buf *out)
{
    if (strcmp(kind, "man") == 0)
        verb_print_manual(p, out);
    else if (strcmp(kind, "bash") == 0)
        verb_print_bash(p, out);
    else if (strcmp(kind, "zsh") == 0)
        verb_print_zsh(p, out);
    else
        return ERR_INVALID;
    return 0;
}
