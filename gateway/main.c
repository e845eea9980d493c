/* offpath-gateway: its command line. HTTP comes in through serve.c; read accept.c to follow one
 * request. */
#include <stdio.h>
#include <string.h>

#include "gateway/options.h"
#include "gateway/verbs.h"

static const struct verb_program *const program = &gateway_program;

static int complain(const char *why)
{
    fprintf(stderr, "%s: %s\n", program->name, why);
    return EXIT_USAGE;
}

static bool has(int argc, char **argv, const char *flag)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], flag) == 0)
            return true;
    return false;
}

static int print_help(int argc, char **argv)
{
    const struct verb *v = verb_of_line(program, argc, argv);
    struct buf out = {0};
    if (v)
        verb_help(program, v, &out);
    else
        verb_help_all(program, &out);
    fputs(buf_str(&out), stdout);
    buf_fini(&out);
    return EXIT_GOOD;
}

static int print_kind(const char *kind)
{
    struct buf out = {0};
    if (verb_print(program, kind, &out) != 0)
        return complain("--print is man, bash or zsh");
    fputs(buf_str(&out), stdout);
    buf_fini(&out);
    return EXIT_GOOD;
}

static int dispatch(const struct config *c)
{
    struct verb_call call = {.config = c};
    char why[512];
    call.words_n = config_positionals(c, &call.words);
    if (call.words_n == 0)
        return complain("say what to do; --help lists the verbs");
    const struct verb *v = verb_find(program, call.words[0]);
    if (!v) {
        verb_unknown(program, call.words[0], why);
        return complain(why);
    }
    return verb_check_flags(program, v, c, why) ? complain(why) : v->run(&call);
}

int main(int argc, char **argv)
{
    char why[512];
    struct config *config;
    if (has(argc, argv, "--help") || has(argc, argv, "-h"))
        return print_help(argc, argv);
    if (argc == 2 && has(argc, argv, "--version")) {
        printf("%s %s\n", program->name, program->version);
        return EXIT_GOOD;
    }
    if (argc == 3 && strcmp(argv[1], "--print") == 0)
        return print_kind(argv[2]);
    if (config_read(options_table, options_n, argc, argv, &config, why) != 0)
        return complain(why);
    int code = dispatch(config);
    config_free(config);
    return code;
}
