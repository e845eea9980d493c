#include "common/verb.h"

#include <string.h>

/* Text as roff takes it: no request at the begin of a line, backslashes and hyphens as written. */
static void text(const char *s, struct buf *out)
{
    bool begins = true;
    for (; *s; s++) {
        if (begins && (*s == '.' || *s == '\''))
            buf_text(out, "\\&");
        begins = *s == '\n';
        if (*s == '\\')
            buf_text(out, "\\e");
        else if (*s == '-')
            buf_text(out, "\\-");
        else
            buf_char(out, *s);
    }
}

/* As it stands, line by line. */
static void verbatim(const char *s, struct buf *out)
{
    buf_text(out, ".RS 4\n.nf\n");
    text(s, out);
    buf_text(out, "\n.fi\n.RE\n");
}

static void option(const struct config_option *o, struct buf *out)
{
    char env[80] = "OFFPATH_";
    size_t n = strlen(env);
    for (const char *p = o->name; *p && n + 1 < sizeof env; p++)
        env[n++] = *p == '-' ? '_' : (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
    env[n] = 0;
    buf_text(out, ".TP\n");
    if (o->kind == CONFIG_SECRET) { /* no flag: every user of the machine could read it */
        buf_printf(out, ".BR %s \", \" %s_FILE\n", env, env);
    } else {
        buf_text(out, ".B ");
        text("--", out);
        text(o->name, out);
        if (o->placeholder) {
            buf_text(out, " \\fI");
            text(o->placeholder, out);
            buf_text(out, "\\fR");
        }
        buf_char(out, '\n');
    }
    text(o->help, out);
    if (o->value && *o->value && o->kind != CONFIG_SECRET && o->kind != CONFIG_BOOL) {
        buf_text(out, " (default: ");
        text(o->value, out);
        buf_char(out, ')');
    }
    buf_char(out, '\n');
}

/* Those of a verb that takes all settings stand in their own chapter. */
static void options(const struct verb_program *p, const struct verb *v, struct buf *out)
{
    for (size_t i = 0; i < *p->options_n; i++) {
        const struct config_option *o = &p->options[i];
        bool chapter = v && v->settings && verb_has_flag(p, NULL, o->name);
        if (o->help && verb_shows_flag(p, v, o->name) && !chapter)
            option(o, out);
    }
    if (verb_shows_file(v) && !(v && v->settings))
        option(&config_file_option, out);
}

static void verb(const struct verb_program *p, const struct verb *v, struct buf *out)
{
    buf_printf(out, ".SS \"%s\"\n", v->name);
    text(v->summary, out);
    buf_text(out, ".\n.PP\n.RS 4\n.nf\n");
    const char *at = v->forms;
    do {
        size_t n = strcspn(at, "\n");
        struct buf form = {0};
        buf_printf(&form, "%s %s%s%.*s", p->name, v->name, n ? " " : "", (int)n, at);
        text(buf_str(&form), out);
        buf_char(out, '\n');
        buf_fini(&form);
        at += n + (at[n] == '\n');
    } while (*at);
    buf_text(out, ".fi\n.RE\n");
    options(p, v, out);
    buf_text(out, ".PP\nExamples:\n");
    verbatim(v->examples, out);
    buf_text(out, ".PP\nExit status:\n");
    verbatim(v->exits, out);
}

void verb_print_manual(const struct verb_program *p, struct buf *out)
{
    buf_printf(out, ".TH \"%s\" 1 \"\" \"Offpath %s\" \"Offpath\"\n.SH NAME\n", p->name,
               p->version);
    text(p->name, out);
    buf_text(out, " \\- ");
    text(p->summary, out);
    buf_text(out, "\n.SH SYNOPSIS\n.B ");
    text(p->name, out);
    buf_text(out, "\n.I VERB\n[\\fIFLAGS\\fR]\n.SH VERBS\n");
    for (size_t i = 0; i < p->verbs_n; i++)
        verb(p, &p->verbs[i], out);
    buf_text(out, ".SH SETTINGS\nOf the verbs that run or check something. A flag wins over the "
                  "environment (OFFPATH_NAME, or a file named by OFFPATH_NAME_FILE), that over the "
                  "file of --config, that over the default.\n");
    options(p, NULL, out);
    buf_text(out, ".SH EXIT STATUS\n");
    text(p->exits, out);
    buf_char(out, '\n');
}
