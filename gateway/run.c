#include "gateway/run.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/complaint.h"
#include "gateway/auth_setup.h"
#include "gateway/gateway.h"

enum { STOP_S = 45 }; /* mg_stop and librdkafka have no time limit of their own */

static volatile sig_atomic_t due = EXIT_GOOD; /* the status to end with, for give_up */

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
    _exit(due);
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

static int say(int code, bool json, const char *why)
{
    return complain(&(struct complaint){stderr, "offpath-gateway", json}, code, "%s", why);
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

static int serve(const struct options *o)
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
        return say(code, false, why);
    }
    serve_until_stopped(g);
    stop_by_force_in(STOP_S + (unsigned)o->drain_wait_ms / 1000);
    code = due = gateway_drain(g, pause_ms);
    gateway_close(g);
    return code;
}

static void show_settings(const struct config *c, bool json)
{
    struct buf out = {0};
    if (json)
        config_show_json(c, &out);
    else
        config_show(c, &out);
    fputs(buf_str(&out), stdout);
    fflush(stdout);
    buf_fini(&out);
}

static int read_settings(const struct verb_call *call, struct options *o, bool json)
{
    char why[OPTIONS_WHY];
    if (options_read(call->config, o, why) != 0)
        return say(EXIT_USAGE, json, why);
    log_open("offpath-gateway", o->log_json, o->log_level);
    return EXIT_GOOD;
}

int run_verb(const struct verb_call *call)
{
    struct options o;
    int code = read_settings(call, &o, false);
    return code ? code : serve(&o);
}

int check_verb(const struct verb_call *call)
{
    struct options o;
    bool json = config_bool(call->config, "json");
    if (config_bool(call->config,
                    "show")) /* before anything is found: it may be what one looks for */
        show_settings(call->config, json);
    char why[GATEWAY_WHY] = "";
    int code = read_settings(call, &o, json);
    if (!code)
        code = gateway_check(&o, json, why);
    return why[0] ? say(code, json, why) : code;
}

int token_verb(const struct verb_call *call)
{
    char why[AUTH_SETUP_WHY] = "out of memory";
    int code = auth_print_token(call->config, why);
    return code ? say(code, false, why) : code;
}
