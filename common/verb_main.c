#include "common/verb.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/complaint.h"
#include "common/exit_code.h"

static bool has(int argc, char **argv, const char *flag)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], flag) == 0)
            return true;
    return false;
}

static int refuse(const struct verb_program *p, bool json, const char *why)
{
    return complain(&(struct complaint){stderr, p->name, json}, EXIT_USAGE, "%s", why);
}

static int print_help(const struct verb_program *p, int argc, char **argv)
{
    const struct verb *v = verb_of_line(p, argc, argv);
    struct buf out = {0};
    if (v)
        verb_help(p, v, &out);
    else
        verb_help_all(p, &out);
    fputs(buf_str(&out), stdout);
    buf_fini(&out);
    return EXIT_GOOD;
}

static int print_kind(const struct verb_program *p, const char *kind)
{
    struct buf out = {0};
    if (verb_print(p, kind, &out) != 0)
        return refuse(p, false, "--print is man, bash or zsh");
    fputs(buf_str(&out), stdout);
    buf_fini(&out);
    return EXIT_GOOD;
}

static int dispatch(const struct verb_program *p, const struct config *c)
{
    struct verb_call call = {.config = c};
    bool json = config_bool(c, "json");
    char why[512];
    call.words_n = config_positionals(c, &call.words);
    if (call.words_n == 0)
        return refuse(p, json, "say what to do; --help lists the verbs");
    const struct verb *v = verb_find(p, call.words[0]);
    if (!v) {
        verb_unknown(p, call.words[0], why);
        return refuse(p, json, why);
    }
    if (verb_check_flags(p, v, &call, why) || verb_check_words(p, v, &call, why))
        return refuse(p, json, why);
    return v->run(&call);
}

static int run_line(const struct verb_program *p, int argc, char **argv)
{
    char why[512];
    struct config *config;
    if (has(argc, argv, "--help") || has(argc, argv, "-h"))
        return print_help(p, argc, argv);
    if (argc == 2 && has(argc, argv, "--version")) {
        printf("%s %s\n", p->name, p->version);
        return EXIT_GOOD;
    }
    if (argc == 3 && strcmp(argv[1], "--print") == 0)
        return print_kind(p, argv[2]);
    if (config_read(p->options, *p->options_n, argc, argv, &config, why) != 0)
        return refuse(p, has(argc, argv, "--json"), why); /* there are no settings to ask */
    int code = dispatch(p, config);
    config_free(config);
    return code;
}

/* A result that did not reach its file or pipe was not given, whatever the verb says. Who stopped
 * reading (`| head`) knows it. */
static int check_output(const struct verb_program *p, bool json, int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    if (errno != EPIPE)
        (void)complain(&(struct complaint){stderr, p->name, json}, EXIT_DEPENDENCY,
                       "standard output cannot be written%s%s", errno ? ": " : "",
                       errno ? strerror(errno) : "");
    return code ? code : EXIT_DEPENDENCY;
}

int verb_main(const struct verb_program *p, int argc, char **argv)
{
    int code = run_line(p, argc, argv);
    return check_output(p, has(argc, argv, "--json"), code);
}
