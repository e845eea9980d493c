#include "worker/test.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/exit_code.h"
#include "common/flow_test.h"
#include "common/sql_template.h"
#include "worker/arguments.h"
#include "worker/test_story.h"

enum { PATH_LEN = 4096 };

struct testing {
    const struct test_settings *s;
    FILE *out;
    struct complaint to;
    struct flow_set *set; /* of `dir` */
    char dir[PATH_LEN];
    size_t run, failed;
    int code;
};

static void worse(struct testing *t, int code)
{
    if (code > t->code)
        t->code = code;
}

/* ---- upstreams */

struct script {
    struct flow_test *test;
};

/* The first reply of this call and item that was not given yet; the last one again and again. */
static void play(void *arg, const struct http_request *r, struct http_fake_reply *reply)
{
    struct flow_test *t = ((struct script *)arg)->test;
    struct flow_test_reply *found = NULL;
    for (size_t i = 0; i < t->replies_n; i++) {
        struct flow_test_reply *p = &t->replies[i];
        bool fits = strcmp(p->call, r->call) == 0 && (p->item < 0 || p->item == r->item);
        if (!fits)
            continue;
        found = p;
        if (!p->used)
            break;
    }
    if (!found) {
        reply->code = CALL_CONNECT; /* nobody is there */
        return;
    }
    found->used = true;
    *reply = (struct http_fake_reply){.code = found->hang ? CALL_OK : found->code,
                                      .status = found->code == CALL_OK ? found->status : 0,
                                      .body = found->body,
                                      .header = found->header,
                                      .delay_ms = found->delay_ms,
                                      .hang = found->hang};
}

/* ---- what came of it */

struct verdict {
    struct buf lines; /* differences, as text or JSON */
    size_t differences, calls;
    unsigned line; /* of the first that differs */
    int64_t virtual_ms, real_ms;
};

static void differ_text(struct verdict *v, const struct flow_test_want *w, const struct json *got,
                        const char *why)
{
    buf_printf(&v->lines, "      %s   want ", w->path);
    json_print(w->value, &v->lines);
    buf_printf(&v->lines, "  got %s", why ? why : "");
    if (!why)
        json_print(got, &v->lines);
    buf_char(&v->lines, '\n');
}

static void differ_json(struct verdict *v, const struct flow_test_want *w, const struct json *got,
                        const char *why)
{
    buf_printf(&v->lines, "%s{\"line\":%u,\"path\":", v->differences > 1 ? "," : "", w->line);
    json_print_text(w->path, strlen(w->path), &v->lines);
    buf_text(&v->lines, ",\"want\":");
    json_print(w->value, &v->lines);
    buf_text(&v->lines, why ? ",\"error\":" : ",\"got\":");
    if (why)
        json_print_text(why, strlen(why), &v->lines);
    else
        json_print(got, &v->lines);
    buf_char(&v->lines, '}');
}

static void judge(struct testing *t, const struct flow_test *test, const struct json *story,
                  struct verdict *v)
{
    for (size_t i = 0; i < test->wants_n; i++) {
        const struct flow_test_want *w = &test->wants[i];
        struct expr_vars vars = {.value[VAR_BODY] = story};
        struct expr_error error = {0};
        struct json *got = NULL;
        int err = expr_eval(w->expr, &vars, &got, &error);
        if (err || !json_equal(got, w->value)) {
            v->line = v->differences++ ? v->line : w->line;
            (t->s->json ? differ_json : differ_text)(v, w, got, err ? error.text : NULL);
        }
        json_free(got);
    }
}

static int try_one(struct testing *t, const struct flow *f, struct flow_test *test,
                   struct verdict *v)
{
    struct script script = {.test = test};
    struct trial *trial = NULL;
    struct trial_end end = {0};
    struct json *story = NULL;
    int64_t begin = clock_mono_ms(clock_real());
    int err = trial_open(t->set, f, &trial);
    if (!err) {
        http_client_fake_decide(trial_http(trial), play, &script);
        for (size_t i = 0; i < test->rows_n; i++)
            sql_fake_rows(trial_sql(trial), sql_template_text(test->rows[i].load->sql),
                          test->rows[i].rows);
        err = trial_run(trial,
                        &(struct trial_job){test->request, test->user, test->refill, test->items,
                                            test->items_n},
                        &end);
    }
    if (!err)
        err = test_story(t->set, f, &end, trial, &story);
    if (!err) {
        v->calls = json_size(json_get(story, "requests"));
        v->virtual_ms = end.ms;
        judge(t, test, story, v);
    }
    json_free(story);
    trial_end_fini(&end);
    trial_close(trial);
    v->real_ms = clock_mono_ms(clock_real()) - begin;
    return err;
}

/* ---- telling */

static void tell_text(struct testing *t, const char *path, const struct flow_test *test,
                      const struct verdict *v)
{
    if (v->differences == 0)
        fprintf(t->out, "ok    %-42s %zu call%s, %.1f s virtual, %lld ms\n", test->name, v->calls,
                v->calls == 1 ? "" : "s", (double)v->virtual_ms / 1000, (long long)v->real_ms);
    else
        fprintf(t->out, "FAIL  %-42s %s:%u\n%s", test->name, path, v->line, buf_str(&v->lines));
}

static void tell_json(struct testing *t, const char *path, const struct flow_test *test,
                      const struct verdict *v)
{
    struct buf line;
    buf_init(&line, 0);
    buf_text(&line, "{\"file\":");
    json_print_text(path, strlen(path), &line);
    buf_printf(&line, ",\"line\":%u,\"name\":", v->differences ? v->line : test->line);
    json_print_text(test->name, strlen(test->name), &line);
    buf_printf(&line, ",\"ok\":%s,\"calls\":%zu,\"virtual_ms\":%lld,\"ms\":%lld,\"differences\":[",
               v->differences ? "false" : "true", v->calls, (long long)v->virtual_ms,
               (long long)v->real_ms);
    buf_text(&line, buf_str(&v->lines));
    fprintf(t->out, "%s]}\n", buf_str(&line));
    buf_fini(&line);
}

static void run_one(struct testing *t, const char *path, const struct flow *f,
                    struct flow_test *test)
{
    struct verdict v = {0};
    buf_init(&v.lines, 16 << 20);
    int err = try_one(t, f, test, &v);
    t->run++;
    if (err) {
        worse(t, complain(&t->to, EXIT_BUG, "%s:%u: \"%s\" could not be run: %s", path, test->line,
                          test->name, err_text(err)));
    } else {
        (t->s->json ? tell_json : tell_text)(t, path, test, &v);
    }
    if (v.differences) {
        t->failed++;
        worse(t, EXIT_FINDINGS);
    }
    buf_fini(&v.lines);
}

/* ---- files */

static int folder_load(struct testing *t, const char *path)
{
    struct flow_load_settings load = t->s->load;
    char dir[PATH_LEN];
    const char *slash = strrchr(path, '/');
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    if (t->set && strcmp(dir, t->dir) == 0)
        return 0;
    flow_set_put(t->set);
    t->set = NULL;
    snprintf(t->dir, sizeof t->dir, "%s", dir);
    load.flows_dir = t->dir;
    return argument_folder(&load, &t->set, t->to.err);
}

static void run_file(struct testing *t, const char *path)
{
    struct findings findings;
    struct flow_tests tests = {0};
    const struct flow *f = NULL;
    struct buf text;
    int code = folder_load(t, path);
    if (code) {
        worse(t, code);
        return;
    }
    findings_init(&findings);
    buf_init(&text, 0);
    int err = flow_tests_read(path, t->set, &findings, &f, &tests);
    findings_print(&findings, false, &text);
    fputs(buf_str(&text), t->to.err);
    if (err)
        worse(t, err == ERR_NOMEM ? EXIT_BUG : EXIT_FINDINGS);
    for (size_t i = 0; i < tests.n && !err; i++)
        run_one(t, path, f, &tests.list[i]);
    buf_fini(&text);
    findings_fini(&findings);
    flow_tests_free(&tests);
}

static int is_test_file(const struct dirent *e)
{
    const char *test = strstr(e->d_name, ".test.");
    return e->d_name[0] != '.' && test &&
           (strcmp(test, ".test.yaml") == 0 || strcmp(test, ".test.yml") == 0 ||
            strcmp(test, ".test.json") == 0);
}

static void run_folder(struct testing *t, const char *dir)
{
    struct dirent **list = NULL;
    size_t len = strlen(dir);
    int n = scandir(dir, &list, is_test_file, alphasort);
    while (len > 1 && dir[len - 1] == '/')
        len--;
    if (n == 0)
        worse(t, complain(&t->to, EXIT_GOOD, "no tests in %s: put NAME.test.yaml beside NAME.yaml",
                          dir));
    for (int i = 0; i < n; i++) {
        char path[PATH_LEN];
        snprintf(path, sizeof path, "%.*s/%s", (int)len, dir, list[i]->d_name);
        run_file(t, path);
        free(list[i]);
    }
    free(list);
}

static void run_path(struct testing *t, const char *path)
{
    struct stat st;
    if (stat(path, &st))
        worse(t, complain(&t->to, EXIT_USAGE, "%s: there is no such file or folder", path));
    else if (S_ISDIR(st.st_mode))
        run_folder(t, path);
    else
        run_file(t, path);
}

int test_run(const struct test_settings *s, FILE *out, FILE *err)
{
    struct testing t = {.s = s, .out = out, .to = {err, "offpath-worker", s->json}};
    if (s->paths_n == 0)
        return complain(&t.to, EXIT_USAGE, "test needs files or a folder: test deploy/flows");
    if (expr_start() != 0)
        return EXIT_BUG;
    for (size_t i = 0; i < s->paths_n; i++)
        run_path(&t, s->paths[i]);
    flow_set_put(t.set);
    expr_stop();
    if (!s->json && t.run)
        fprintf(out, "%zu test%s, %zu failed\n", t.run, t.run == 1 ? "" : "s", t.failed);
    return t.code;
}
