/* A schema and a value, with a NUL byte between: compiling and checking end, say the same twice,
 * and list a problem exactly when there is one. */
#include <stdlib.h>
#include <string.h>

#include "common/schema.h"

static void must(int condition)
{
    if (!condition)
        abort();
}

static void check_report(const struct schema_report *report, int rc)
{
    must(report->n <= SCHEMA_PROBLEMS_MAX && (rc == 0) == (report->n == 0));
    for (size_t i = 0; i < report->n; i++) {
        const struct schema_problem *p = &report->problems[i];
        must(memchr(p->pointer, 0, sizeof p->pointer) && memchr(p->keyword, 0, sizeof p->keyword));
        must(memchr(p->text, 0, sizeof p->text) && *p->text);
        must(!*p->pointer || *p->pointer == '/');
    }
}

static void check(const struct schema *s, const struct json *v)
{
    struct schema_report first, second;
    int rc = schema_check(s, v, &first);
    must(rc == 0 || rc == ERR_SCHEMA);
    check_report(&first, rc);
    must(schema_check(s, v, &second) == rc && first.n == second.n);
    struct json *copy = json_copy(v);
    must(schema_check(s, copy, &second) == rc && first.n == second.n);
    json_free(copy);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    const char *text = (const char *)data, *end = text + size;
    const char *middle = size ? memchr(text, 0, size) : NULL;
    struct json *source = NULL, *value = NULL;
    struct schema *s = NULL;
    struct schema_report report = {.n = 0};
    if (!middle || json_parse(text, (size_t)(middle - text), NULL, &source, NULL))
        return 0;
    int rc = schema_compile(source, &s, schema_report_take, &report);
    check_report(&report, rc);
    if (rc == 0 && json_parse(middle + 1, (size_t)(end - middle - 1), NULL, &value, NULL) == 0)
        check(s, value);
    schema_free(s);
    json_free(value);
    json_free(source);
    return 0;
}
