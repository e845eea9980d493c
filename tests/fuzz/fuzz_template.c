/* Any text as a template in any place: it compiles or is refused with a place inside the text; what
 * is rendered keeps the promises of its place. Only holes that need no jq are rendered, jq is slow
 * to compile. */
#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/expr_path.h"
#include "common/expr_scan.h"
#include "common/template.h"

static const char data[] = "{\"a\":\"x/..\\n\\u00e4\",\"d\":\"..\",\"e\":\"\",\"n\":-1.5e300,"
                           "\"l\":[\"p\",\".\",1],\"o\":{},\"t\":true}";

static void check(bool good, const char *what, const char *text)
{
    if (good)
        return;
    fprintf(stderr, "%s: [%s]\n", what, text);
    abort();
}

/* Does every hole do without jq? A text that does not split is taken, it must be refused quickly.
 */
static bool is_quick(const char *text)
{
    struct expr_error error;
    for (const char *at = text; (at = strstr(at, "\\(")) != NULL;) {
        size_t len = 0;
        struct expr_path *path = NULL;
        if (at > text && at[-1] == '\\') {
            at++;
            continue;
        }
        if (expr_scan_hole(at + 2, &len, &error) != 0)
            return true;
        char *hole = strndup(at + 2, len);
        int err = hole ? expr_path_compile(hole, &path) : ERR_NOMEM;
        free(hole);
        expr_path_free(path);
        if (err)
            return false;
        at += 2 + len;
    }
    return true;
}

static void check_rendered(enum template_place place, const char *text, const struct buf *out)
{
    struct json *again = NULL;
    if (place == TEMPLATE_BODY) {
        check(json_parse(buf_str(out), out->len, &(struct json_limits){.size_max = 1 << 22}, &again,
                         NULL) == 0,
              "the body is no JSON", text);
        json_free(again);
    }
    bool has_control = false;
    for (const char *p = buf_str(out); *p; p++)
        has_control = has_control || iscntrl((unsigned char)*p);
    for (const char *p = text; *p; p++)
        has_control = has_control && !iscntrl((unsigned char)*p); /* the author's own */
    check(place == TEMPLATE_TEXT || place == TEMPLATE_BODY || !has_control, "a control character",
          text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct json *request;
    struct template *t = NULL;
    struct template_error error = {0};
    struct expr_vars vars = {0};
    struct buf out;
    if (!request && json_parse(data, strlen(data), NULL, &request, NULL) != 0)
        abort();
    if (len < 1 || len > 1000)
        return 0;
    enum template_place place = (enum template_place)(bytes[0] % 4);
    struct json *literal = json_new_text_n((const char *)bytes + 1, len - 1);
    const char *text = json_text(literal);
    vars.value[VAR_REQUEST] = request;
    if (!literal || !is_quick(text)) {
        json_free(literal);
        return 0;
    }
    int err = template_compile(literal, place, VAR_BIT(VAR_REQUEST), &t, &error);
    if (err)
        check(error.expr.text[0] && error.expr.line >= 1 && error.expr.line <= len + 1,
              "refused without a reason or place", text);
    buf_init(&out, 1 << 21);
    if (!err && template_render_text(t, &vars, &out, &error.expr) == 0)
        check_rendered(place, text, &out);
    buf_fini(&out);
    template_free(t);
    json_free(literal);
    return 0;
}
