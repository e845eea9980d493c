/* verb_program.h - what holds for the verbs of both programs. main sets
 * `p` to the one that is looked at. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/verb.h"

static const struct verb_program *p;

static bool is_shown(const struct buf *out, const char *option)
{
    char flag[64], env[64] = "\n  OFFPATH_";
    size_t n = strlen(env);
    snprintf(flag, sizeof flag, "  --%s ", option);
    for (const char *s = option; *s; s++)
        env[n++] = *s == '-' ? '_' : (char)(*s - 'a' + 'A');
    snprintf(env + n, sizeof env - n, "_FILE");
    return strstr(buf_str(out), flag) || strstr(buf_str(out), env);
}

static bool uses(const struct verb *v, const char *option)
{
    char list[128], word[64];
    snprintf(list, sizeof list, " %s ", v->uses ? v->uses : "");
    snprintf(word, sizeof word, " %s ", option);
    return strstr(list, word) != NULL;
}

/* Each option stands in the help of the verbs that take it, and in no other. */
static void helps_with_each_option_where_it_belongs(void **state)
{
    (void)state;
    for (size_t i = 0; i < p->verbs_n; i++) {
        const struct verb *v = &p->verbs[i];
        struct buf out = {0};
        verb_help(p, v, &out);
        for (size_t k = 0; k < *p->options_n; k++)
            if (p->options[k].help &&
                is_shown(&out, p->options[k].name) !=
                    (verb_has_flag(p, v, p->options[k].name) || uses(v, p->options[k].name)))
                fail_msg("%s --help: --%s", v->name, p->options[k].name);
        buf_fini(&out);
    }
}

static void a_verb_lists_options_that_exist(void **state)
{
    (void)state;
    for (size_t i = 0; i < p->verbs_n; i++) {
        char flags[256];
        snprintf(flags, sizeof flags, "%s", p->verbs[i].flags ? p->verbs[i].flags : "");
        for (char *save, *f = strtok_r(flags, " ", &save); f; f = strtok_r(NULL, " ", &save)) {
            size_t k = 0;
            while (k < *p->options_n && strcmp(p->options[k].name, f) != 0)
                k++;
            if (k == *p->options_n)
                fail_msg("%s: there is no --%s", p->verbs[i].name, f);
        }
    }
}

/* "list flow state": a word of its forms, and flags of its own. */
static void has_flags_of_one_word_that_it_knows(void **state)
{
    (void)state;
    for (size_t i = 0; i < p->verbs_n; i++) {
        const struct verb *v = &p->verbs[i];
        char list[128];
        snprintf(list, sizeof list, "%s", v->only ? v->only : "");
        char *save, *word = strtok_r(list, " ", &save), *flag = strtok_r(NULL, " ", &save);
        assert_true(!v->only || (flag && strstr(v->forms, word)));
        for (; flag; flag = strtok_r(NULL, " ", &save))
            assert_true(verb_has_flag(p, v, flag) && verb_is_of_one_word(v, flag));
    }
}

/* What a form names may be written, and one word more may not. */
static void takes_as_many_words_as_its_forms_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < p->verbs_n; i++) {
        const struct verb *v = &p->verbs[i];
        const char *words[8] = {v->name, "a", "b", "c", "d"};
        struct verb_call call = {.words = words, .words_n = v->words_max + 1};
        char why[512];
        assert_int_equal(verb_check_words(p, v, &call, why), 0);
        if (v->words_max == VERB_ANY)
            continue;
        call.words_n++;
        assert_int_equal(verb_check_words(p, v, &call, why), ERR_INVALID);
        assert_non_null(strstr(why, words[v->words_max + 1]));
        assert_true(v->words_max > 0 || strncmp(v->forms, "[SETTINGS]", 10) == 0 || !v->forms[0] ||
                    v->forms[0] == '-');
    }
}

static void every_line_of_help_fits_80_columns(void **state)
{
    (void)state;
    for (size_t i = 0; i <= p->verbs_n; i++) {
        struct buf out = {0};
        if (i < p->verbs_n)
            verb_help(p, &p->verbs[i], &out);
        else
            verb_help_all(p, &out);
        for (const char *at = buf_str(&out); *at;) {
            size_t n = strcspn(at, "\n");
            if (n > 80)
                fail_msg("%zu columns: %.*s", n, (int)n, at);
            at += n + (at[n] == '\n');
        }
        buf_fini(&out);
    }
}

static void names_all_verbs_and_their_exits(void **state)
{
    struct buf out = {0};
    (void)state;
    verb_help_all(p, &out);
    for (size_t i = 0; i < p->verbs_n; i++) {
        char line[64];
        snprintf(line, sizeof line, "\n  %-8s  ", p->verbs[i].name);
        assert_non_null(strstr(buf_str(&out), line));
        assert_non_null(p->verbs[i].exits);
        assert_non_null(p->verbs[i].run);
    }
    assert_non_null(strstr(buf_str(&out), "\n  --kafka "));
    assert_null(strstr(buf_str(&out), "\n  --json "));
    buf_fini(&out);
}

static void prints_what_is_there_for_shells_and_man(void **state)
{
    static const char *const kinds[] = {"bash", "zsh", "man"};
    struct buf out = {0};
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        buf_clear(&out);
        assert_int_equal(verb_print(p, kinds[k], &out), 0);
        for (size_t i = 0; i < p->verbs_n; i++)
            assert_non_null(strstr(buf_str(&out), p->verbs[i].name));
        assert_non_null(strstr(buf_str(&out), k == 2 ? "\\-\\-json" : "--json"));
    }
    assert_int_equal(verb_print(p, "fish", &out), ERR_INVALID);
    buf_fini(&out);
}

/* Where a kind of print has what is about a verb: behind its name between these two, up to end. */
struct place {
    const char *kind, *before, *after, *end;
};

static void part_of(const struct place *w, const char *name, struct buf *out)
{
    struct buf all = {0};
    char mark[80];
    snprintf(mark, sizeof mark, "%s%s%s", w->before, name, w->after);
    assert_int_equal(verb_print(p, w->kind, &all), 0);
    const char *at = strstr(buf_str(&all), mark);
    if (!at)
        fail_msg("%s: no %s", w->kind, mark);
    at += strlen(mark);
    const char *stop = strstr(at, w->end);
    assert_non_null(stop);
    buf_clear(out);
    buf_add(out, at, (size_t)(stop - at));
    buf_fini(&all);
}

/* ".B \-\-no\-wait", ".BR OFFPATH_TOKEN" of a secret. */
static bool is_explained(const struct buf *manual, const struct config_option *o)
{
    char line[128];
    size_t n;
    snprintf(line, sizeof line, o->kind == CONFIG_SECRET ? "\n.BR OFFPATH_" : "\n.B \\-\\-");
    n = strlen(line);
    for (const char *s = o->name; *s; s++)
        if (o->kind == CONFIG_SECRET)
            line[n++] = *s == '-' ? '_' : (char)(*s - 'a' + 'A');
        else if (*s == '-')
            n += (size_t)snprintf(line + n, sizeof line - n, "\\-");
        else
            line[n++] = *s;
    line[n] = 0;
    for (const char *at = buf_str(manual); (at = strstr(at, line)); at += n)
        if (at[n] == ' ' || at[n] == '\n')
            return true;
    return false;
}

static void check_offer(const char *kind, const struct buf *offer, const struct verb *v,
                        const struct buf *help)
{
    for (size_t k = 0; k < *p->options_n; k++) {
        const struct config_option *o = &p->options[k];
        char flag[64];
        snprintf(flag, sizeof flag, "--%s ", o->name);
        bool offered = strstr(buf_str(offer), flag) != NULL;
        if (o->help && offered != (o->kind != CONFIG_SECRET && is_shown(help, o->name)))
            fail_msg("%s of `%s`: --%s", kind, v->name, o->name);
    }
}

/* What a verb's help shows is what shells offer behind it and what the manual explains of it; the
 * settings, which several verbs take, stand in a chapter of their own there. */
static void offers_and_explains_what_help_shows(void **state)
{
    static const struct place shells[] = {{"bash", "\n    ", ") word='", "'"},
                                          {"zsh", "\n    ", ") flags=(", ")"}},
                              verb = {"man", "\n.SS \"", "\"\n", "\n.S"},
                              chapter = {"man", "\n.SH ", "\n", "\n.SH"};
    (void)state;
    struct buf part = {0}, settings = {0};
    part_of(&chapter, "SETTINGS", &settings);
    for (size_t i = 0; i < p->verbs_n; i++) {
        const struct verb *v = &p->verbs[i];
        struct buf help = {0};
        verb_help(p, v, &help);
        for (size_t k = 0; k < 2; k++) {
            part_of(&shells[k], v->name, &part);
            check_offer(shells[k].kind, &part, v, &help);
        }
        part_of(&verb, v->name, &part);
        for (size_t k = 0; k < *p->options_n; k++) {
            const struct config_option *o = &p->options[k];
            bool told = is_explained(&part, o) || (v->settings && is_explained(&settings, o));
            if (o->help && told != is_shown(&help, o->name))
                fail_msg("manual of `%s`: --%s", v->name, o->name);
        }
        buf_fini(&help);
    }
    buf_fini(&part);
    buf_fini(&settings);
}

/* Where a value is due no flag or verb is offered: a case for each option that has one. */
static void knows_after_which_flags_a_value_follows(void **state)
{
    static const struct place shells[] = {
        {"bash", "    case ${COMP_WORDS[COMP_CWORD-1]} in", "\n", "\n    esac"},
        {"zsh", "    case ${words[CURRENT-1]} in", "\n", "\n    esac"}};
    (void)state;
    struct buf part = {0};
    for (size_t k = 0; k < 2; k++) {
        part_of(&shells[k], "", &part);
        for (size_t i = 0; i < *p->options_n; i++) {
            const struct config_option *o = &p->options[i];
            char first[80], later[80], last[80];
            snprintf(first, sizeof first, "    --%s)", o->name);
            snprintf(later, sizeof later, "--%s|", o->name);
            snprintf(last, sizeof last, "|--%s)", o->name);
            bool due = strstr(buf_str(&part), first) || strstr(buf_str(&part), later) ||
                       strstr(buf_str(&part), last);
            if (due != (o->help && o->placeholder && o->kind != CONFIG_SECRET))
                fail_msg("%s: --%s", shells[k].kind, o->name);
        }
    }
    buf_fini(&part);
}

#define VERB_PROGRAM_TESTS                                         \
    cmocka_unit_test(helps_with_each_option_where_it_belongs),     \
        cmocka_unit_test(a_verb_lists_options_that_exist),         \
        cmocka_unit_test(has_flags_of_one_word_that_it_knows),     \
        cmocka_unit_test(takes_as_many_words_as_its_forms_name),   \
        cmocka_unit_test(every_line_of_help_fits_80_columns),      \
        cmocka_unit_test(names_all_verbs_and_their_exits),         \
        cmocka_unit_test(prints_what_is_there_for_shells_and_man), \
        cmocka_unit_test(offers_and_explains_what_help_shows),     \
        cmocka_unit_test(knows_after_which_flags_a_value_follows)
