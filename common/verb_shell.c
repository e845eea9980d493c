#include "common/verb.h"

#include <string.h>

/* "offpath_gateway": a shell function's name. */
static void function(const struct verb_program *p, struct buf *out)
{
    for (const char *c = p->name; *c; c++)
        buf_char(out, *c == '-' ? '_' : *c);
}

static void verbs(const struct verb_program *p, struct buf *out)
{
    for (size_t i = 0; i < p->verbs_n; i++)
        buf_printf(out, "%s%s", i ? " " : "", p->verbs[i].name);
}

static void words(const struct verb *v, struct buf *out)
{
    size_t len;
    for (const char *at = v->forms, *word; (word = verb_next_word(&at, &len));)
        buf_printf(out, "%.*s ", (int)len, word);
}

static bool has_words(const struct verb *v)
{
    size_t len;
    const char *at = v->forms;
    return verb_next_word(&at, &len) != NULL;
}

/* all: also those that are of one of its words. */
static void flags(const struct verb_program *p, const struct verb *v, bool all, struct buf *out)
{
    for (size_t i = 0; i < *p->options_n; i++) {
        const struct config_option *o = &p->options[i];
        if (o->help && o->kind != CONFIG_SECRET && verb_shows_flag(p, v, o->name) &&
            (all || !verb_is_of_one_word(v, o->name)))
            buf_printf(out, "--%s ", o->name);
    }
    buf_printf(out, "%s--help", verb_shows_file(v) ? "--config " : "");
}

/* What stands in both scripts, with what a shell does where a value is due. */
struct shell {
    const char *files;   /* any file */
    const char *at_file; /* `@` and a file */
    const char *words;   /* these: %s */
    const char *nothing; /* nobody can know */
    const char *list;    /* of a verb: what may follow it, up to the words and flags */
    const char *list_end;
};

/* $verb is the verb, and behind a word that it knows VERB/WORD. */
static void find_verb(const struct verb_program *p, struct buf *out)
{
    buf_text(out, "        case $verb/$w in\n        ");
    for (size_t i = 0; i < p->verbs_n; i++)
        buf_printf(out, "%s/%s", i ? "|" : "", p->verbs[i].name);
    buf_text(out, ") verb=$w ;;\n");
    for (size_t i = 0; i < p->verbs_n; i++) {
        const char *at = p->verbs[i].forms, *gap = "        ";
        size_t len;
        for (const char *word; (word = verb_next_word(&at, &len)); gap = "|")
            buf_printf(out, "%s%s/%.*s", gap, p->verbs[i].name, (int)len, word);
        if (has_words(&p->verbs[i]))
            buf_text(out, ") verb=$verb/$w ;;\n");
    }
    buf_text(out, "        esac\n");
}

enum value { NO_VALUE, FILES, AT_FILE, WORDS, OTHER };
/* "DIR", "FILE|URL"; "JSON|@FILE"; "text|json"; "HOST:PORT". */
static enum value value_of(const struct config_option *o)
{
    const char *what = o->placeholder;
    if (!o->help || !what || o->kind == CONFIG_SECRET)
        return NO_VALUE;
    if (strstr(what, "@FILE"))
        return AT_FILE;
    if (strstr(what, "FILE") || strstr(what, "DIR"))
        return FILES;
    return what[strspn(what, "abcdefghijklmnopqrstuvwxyz|")] ? OTHER : WORDS;
}

static void flags_with(const struct verb_program *p, enum value value, const char *first,
                       const char *then, struct buf *out)
{
    for (size_t i = 0; i < *p->options_n; i++)
        if (value_of(&p->options[i]) == value) {
            buf_printf(out, "%s--%s", first, p->options[i].name);
            first = "|";
        }
    if (strcmp(first, "|") == 0)
        buf_printf(out, ") %s ;;\n", then);
}

static void word_case(const char *flag, const char *alternatives, const char *then, struct buf *out)
{
    char list[128];
    size_t n = 0;
    for (const char *c = alternatives; *c && n + 1 < sizeof list; c++)
        list[n++] = *c == '|' ? ' ' : *c;
    list[n] = 0;
    const char *hole = strstr(then, "%s");
    buf_printf(out, "    --%s) %.*s%s%s ;;\n", flag, (int)(hole - then), then, list, hole + 2);
}

/* What stands before the cursor may want a value. */
static void values(const struct verb_program *p, const struct shell *s, struct buf *out)
{
    flags_with(p, FILES, "    --config|", s->files, out);
    flags_with(p, AT_FILE, "    ", s->at_file, out);
    flags_with(p, OTHER, "    ", s->nothing, out);
    word_case("print", "man|bash|zsh", s->words, out);
    for (size_t i = 0; i < *p->options_n; i++)
        if (value_of(&p->options[i]) == WORDS)
            word_case(p->options[i].name, p->options[i].placeholder, s->words, out);
}

static void list(const struct verb_program *p, const struct verb *v, bool all,
                 const struct shell *s, struct buf *out)
{
    flags(p, v, all, out);
    buf_printf(out, "%s ;;\n", s->list_end);
}

static void lists(const struct verb_program *p, const struct shell *s, struct buf *out)
{
    for (size_t i = 0; i < p->verbs_n; i++) {
        const struct verb *v = &p->verbs[i];
        buf_printf(out, "    %s) %s", v->name, s->list);
        words(v, out);
        list(p, v, true, s, out);
        if (v->only) {
            buf_printf(out, "    %s/%.*s) %s", v->name, (int)strcspn(v->only, " "), v->only,
                       s->list);
            list(p, v, true, s, out);
        }
        if (has_words(v)) {
            buf_printf(out, "    %s/*) %s", v->name, s->list);
            list(p, v, false, s, out);
        }
    }
}

void verb_print_bash(const struct verb_program *p, struct buf *out)
{
    static const struct shell bash = {
        .files = "COMPREPLY=($(compgen -f -- \"$given\")); return",
        .at_file = "COMPREPLY=($(compgen -P @ -f -- \"${given#@}\")); return",
        .words = "value='%s'",
        .nothing = "value=' '",
        .list = "word='",
        .list_end = "'"};
    buf_printf(out, "# bash completion of %s; made by `%s --print bash`\n_", p->name, p->name);
    function(p, out);
    buf_text(out, "()\n{\n    local w word verb='' value='' given=${COMP_WORDS[COMP_CWORD]}\n"
                  "    for w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n");
    find_verb(p, out);
    buf_text(out, "    done\n    case ${COMP_WORDS[COMP_CWORD-1]} in\n");
    values(p, &bash, out);
    buf_text(out, "    esac\n    case $verb in\n");
    lists(p, &bash, out);
    buf_text(out, "    *) word='");
    verbs(p, out);
    buf_text(out, " --help --version --print' ;;\n    esac\n"
                  "    [ -z \"$value\" ] || compopt +o default 2> /dev/null # no files instead\n"
                  "    COMPREPLY=($(compgen -W \"${value:-$word}\" -- \"$given\"))\n}\n"
                  "complete -o default -F _");
    function(p, out);
    buf_printf(out, " %s\n", p->name);
}

/* In single quotes, where a colon would end the word that is described. */
static void described(const char *name, const char *text, struct buf *out)
{
    buf_printf(out, "        '%s:", name);
    for (; *text; text++)
        if (*text == '\'')
            buf_text(out, "'\\''");
        else
            buf_char(out, *text);
    buf_text(out, "'\n");
}

void verb_print_zsh(const struct verb_program *p, struct buf *out)
{
    static const struct shell zsh = {
        .files = "_files; return",
        .at_file = "if compset -P @; then _files; else compadd -S '' -- @; fi; return",
        .words = "compadd -- %s; return",
        .nothing = "return",
        .list = "flags=(",
        .list_end = ")"};
    buf_printf(out, "#compdef %s\n# zsh completion; made by `%s --print zsh`\n_", p->name, p->name);
    function(p, out);
    buf_text(out, "()\n{\n    local verb='' w\n    local -a verbs flags\n    verbs=(\n");
    for (size_t i = 0; i < p->verbs_n; i++)
        described(p->verbs[i].name, p->verbs[i].summary, out);
    buf_text(out, "    )\n    for w in ${words[2,CURRENT-1]}; do\n");
    find_verb(p, out);
    buf_text(out, "    done\n    case ${words[CURRENT-1]} in\n");
    values(p, &zsh, out);
    buf_text(out, "    esac\n    case $verb in\n");
    lists(p, &zsh, out);
    buf_text(out, "    *) _describe verb verbs; compadd -- --help --version --print; return ;;\n"
                  "    esac\n    compadd -- $flags\n    _files\n}\n_");
    function(p, out);
    buf_text(out, " \"$@\"\n");
}
