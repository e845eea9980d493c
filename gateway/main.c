/* offpath-gateway: wiring. HTTP comes in through serve.c; read accept.c to follow one request. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/auth_setup.h"
#include "gateway/gateway.h"

enum { STOP_S = 45 }; /* mg_stop and librdkafka have no time limit of their own */

static sigset_t stop_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return set;
}

/* Sleep; a second signal ends patience. */
static int pause_ms(void *arg, int ms)
{
    sigset_t set = stop_signals();
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    (void)arg;
    return sigtimedwait(&set, NULL, &t) > 0;
}

static void give_up(int signal)
{
    static const char text[] = "offpath-gateway: could not stop in time, ends now\n";
    (void)signal;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(EXIT_GOOD);
}

/* The watchdog of stopping: an alarm that this thread alone takes. */
static void stop_by_force_in(unsigned seconds)
{
    struct sigaction action = {.sa_handler = give_up};
    sigset_t alarm_only;
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    sigaction(SIGALRM, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
    alarm(seconds);
}

static int say(int code, const char *why)
{
    fprintf(stderr, "offpath-gateway: %s\n", why);
    return code;
}

/* SIGHUP, or a file that changed: the flows are read again. */
static void serve_until_stopped(struct gateway *g)
{
    const struct timespec second = {1, 0};
    sigset_t set = stop_signals();
    sigaddset(&set, SIGHUP);
    for (;;) {
        int signal = sigtimedwait(&set, NULL, &second);
        if (signal == SIGHUP)
            gateway_reload(g);
        else if (signal > 0)
            return;
        else
            gateway_tick(g);
    }
}

static int run(const struct options *o)
{
    char why[GATEWAY_WHY] = "";
    struct gateway *g = NULL;
    sigset_t blocked = stop_signals();
    sigaddset(&blocked, SIGALRM); /* no thread but this one ever meets a signal */
    sigaddset(&blocked, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    int code = gateway_open(o, &g, why);
    if (!code)
        code = gateway_announce(g, why);
    if (code) {
        gateway_close(g);
        return say(code, why);
    }
    serve_until_stopped(g);
    stop_by_force_in(STOP_S + (unsigned)o->drain_wait_ms / 1000);
    code = gateway_drain(g, pause_ms);
    gateway_close(g);
    return code;
}

static void show_settings(const struct config *c)
{
    struct buf out = {0};
    config_show(c, &out);
    fputs(buf_str(&out), stdout);
    fflush(stdout);
    buf_fini(&out);
}

static bool has(int argc, char **argv, const char *flag)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], flag) == 0)
            return true;
    return false;
}

static int print_help(void)
{
    struct buf out = {0};
    options_help(&out);
    fputs(buf_str(&out), stdout);
    buf_fini(&out);
    return EXIT_GOOD;
}

/* --show belongs to `check` and is no setting: taken out before settings are read. */
static bool take_show(int *argc, char **argv)
{
    int kept = 1;
    for (int i = 1; i < *argc; i++)
        if (strcmp(argv[i], "--show") != 0)
            argv[kept++] = argv[i];
    bool found = kept < *argc;
    *argc = kept;
    return found;
}

static int token(const struct config *c)
{
    char why[AUTH_SETUP_WHY] = "out of memory";
    int code = auth_print_token(c, why);
    return code ? say(code, why) : code;
}

static int dispatch(const struct config *c, bool show)
{
    const char *const *verbs;
    struct options o;
    char why[OPTIONS_WHY];
    size_t n = config_positionals(c, &verbs);
    if (n == 1 && strcmp(verbs[0], "token") == 0)
        return token(c);
    if (n != 1 || (strcmp(verbs[0], "run") != 0 && strcmp(verbs[0], "check") != 0))
        return say(EXIT_USAGE, "say `run`, `check` or `token`; --help lists everything");
    bool checks = strcmp(verbs[0], "check") == 0;
    if (checks && show) /* before anything is found: it may be what one looks for */
        show_settings(c);
    if (options_read(c, &o, why) != 0)
        return say(EXIT_USAGE, why);
    log_open("offpath-gateway", o.log_json, o.log_level);
    return checks ? gateway_check_flows(&o) : run(&o);
}

int main(int argc, char **argv)
{
    char why[512];
    struct config *config;
    if (has(argc, argv, "--help") || has(argc, argv, "-h"))
        return print_help();
    if (has(argc, argv, "--version")) {
        puts("offpath-gateway " OFFPATH_VERSION);
        return EXIT_GOOD;
    }
    bool show = take_show(&argc, argv);
    if (config_read(options_table, options_n, argc, argv, &config, why) != 0)
        return say(EXIT_USAGE, why);
    int code = dispatch(config, show);
    config_free(config);
    return code;
}
