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

static bool is_word(char c)
{
    return c >= 'a' && c <= 'z';
}

/* The words a verb knows: those in small letters at the begin of its forms, "[list]", "show ID". */
static void words(const struct verb *v, struct buf *out)
{
    for (const char *at = v->forms; *at;) {
        size_t n = strcspn(at, "\n");
        const char *end = at + n;
        for (; at < end && (is_word(*at) || *at == '[' || *at == '|' || *at == ' '); at++)
            if (is_word(*at)) {
                size_t len = 1;
                while (is_word(at[len]))
                    len++;
                buf_printf(out, "%.*s ", (int)len, at);
                at += len - 1;
            }
        at = end + (*end == '\n');
    }
}

static void flags(const struct verb_program *p, const struct verb *v, struct buf *out)
{
    for (size_t i = 0; i < *p->options_n; i++) {
        const struct config_option *o = &p->options[i];
        if (o->help && o->kind != CONFIG_SECRET && verb_shows_flag(p, v, o->name))
            buf_printf(out, "--%s ", o->name);
    }
    buf_printf(out, "%s--help", verb_shows_file(v) ? "--config " : "");
}

/* After these a file follows. */
static void file_flags(const struct verb_program *p, struct buf *out)
{
    buf_text(out, "--config");
    for (size_t i = 0; i < *p->options_n; i++) {
        const char *what = p->options[i].placeholder;
        if (p->options[i].help && what && (strstr(what, "FILE") || strstr(what, "DIR")))
            buf_printf(out, "|--%s", p->options[i].name);
    }
}

void verb_print_bash(const struct verb_program *p, struct buf *out)
{
    buf_printf(out, "# bash completion of %s; made by `%s --print bash`\n_", p->name, p->name);
    function(p, out);
    buf_text(out, "()\n{\n    local word verb='' given=${COMP_WORDS[COMP_CWORD]}\n"
                  "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
                  "        case \" ");
    verbs(p, out);
    buf_text(out, " \" in *\" $word \"*) verb=$word; break ;; esac\n    done\n"
                  "    case ${COMP_WORDS[COMP_CWORD-1]} in\n    ");
    file_flags(p, out);
    buf_text(out, ") COMPREPLY=($(compgen -f -- \"$given\")); return ;;\n    esac\n"
                  "    case $verb in\n");
    for (size_t i = 0; i < p->verbs_n; i++) {
        buf_printf(out, "    %s) word='", p->verbs[i].name);
        words(&p->verbs[i], out);
        flags(p, &p->verbs[i], out);
        buf_text(out, "' ;;\n");
    }
    buf_text(out, "    *) word='");
    verbs(p, out);
    buf_text(out,
             " --help --version' ;;\n    esac\n"
             "    COMPREPLY=($(compgen -W \"$word\" -- \"$given\"))\n}\ncomplete -o default -F _");
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
    buf_printf(out, "#compdef %s\n# zsh completion; made by `%s --print zsh`\n_", p->name, p->name);
    function(p, out);
    buf_text(out, "()\n{\n    local verb='' w\n    local -a verbs flags\n    verbs=(\n");
    for (size_t i = 0; i < p->verbs_n; i++)
        described(p->verbs[i].name, p->verbs[i].summary, out);
    buf_text(out, "    )\n    for w in ${words[2,CURRENT-1]}; do\n"
                  "        (( ${verbs[(I)$w:*]} )) && verb=$w && break\n    done\n"
                  "    case ${words[CURRENT-1]} in\n    ");
    file_flags(p, out);
    buf_text(out, ") _files; return ;;\n    esac\n    case $verb in\n");
    for (size_t i = 0; i < p->verbs_n; i++) {
        buf_printf(out, "    %s) flags=(", p->verbs[i].name);
        words(&p->verbs[i], out);
        flags(p, &p->verbs[i], out);
        buf_text(out, ") ;;\n");
    }
    buf_text(out, "    *) _describe verb verbs; return ;;\n    esac\n"
                  "    compadd -- $flags\n    _files\n}\n_");
    function(p, out);
    buf_text(out, " \"$@\"\n");
}
