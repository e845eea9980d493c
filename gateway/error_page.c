#include "gateway/error_page.h"

#include <string.h>

#include "common/job.h"
#include "gateway/pages.h"

/* All texts are ours: no character that means something in HTML is among them (a test looks). */
static void section(struct buf *b, const char *what, const char *user, const char *operator)
{
    buf_printf(b, "<section><h2>%s</h2><p>%s</p><p class=\"quiet\">For operators: %s</p></section>",
               what, user, operator);
}

static bool print_problem(struct buf *b, const char *code)
{
    const struct err_info *e;
    for (unsigned i = 0; (e = err_at(i)) != NULL; i++)
        if (strcmp(e->code, code) == 0)
            break;
    if (!e)
        return false;
    buf_printf(b, "<section><h2>As an answer, status %d</h2><p>It means: %s.</p><p>%s</p>", e->http,
               e->title, err_help(e->code));
    if (e->retry_s >= 0)
        buf_printf(b, "<p>Asking again can help: wait %d s first.</p></section>", e->retry_s);
    else
        buf_text(b, "<p>Asking again without a change does not help.</p></section>");
    return true;
}

static bool print_code(struct buf *b, const char *code)
{
    bool found = print_problem(b, code);
    enum job_reason reason = reason_parse(code);
    enum call_code call = call_code_parse(code);
    if (reason != REASON_NONE) {
        section(b, "As the reason of a job", reason_for_user(reason), reason_for_operator(reason));
        found = true;
    }
    if (call > CALL_OK && call < CALL_CODE_COUNT) {
        section(b, "As the error of a call", call_code_for_user(call),
                call_code_for_operator(call));
        found = true;
    }
    return found;
}

int error_page(struct http_reply *r, const char *code)
{
    struct buf text = {0};
    bool found = print_code(&text, code);
    if (found) {
        r->status = 200;
        r->type = "text/html; charset=utf-8";
        pages_policy(r);
        buf_printf(&r->body,
                   "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta "
                   "name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>%s - "
                   "Offpath</title><link rel=\"stylesheet\" href=\"/console/style.css\"></head>"
                   "<body><header><a class=\"brand\" href=\"/\">Offpath</a></header><main>"
                   "<h1><code>%s</code></h1>%s</main></body></html>\n",
                   code, code, buf_str(&text));
    }
    buf_fini(&text);
    return found ? 0 : ERR_NO_ROUTE;
}
