/* Any bytes: the parser ends, stays inside them, and what it takes it prints so that it reads back
 * as the same value. First byte: the depth allowed. */
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

static void must(int condition)
{
    if (!condition)
        abort();
}

static struct json *read_back(const struct buf *text)
{
    struct json *v = NULL;
    struct json_limits limits = {.size_max = 64u << 20, .depth_max = 512};
    must(json_parse(buf_str(text), text->len, &limits, &v, NULL) == 0);
    return v;
}

static void check_value(const struct json *v)
{
    struct buf plain, sorted, again;
    buf_init(&plain, 0);
    buf_init(&sorted, 0);
    buf_init(&again, 0);
    json_print(v, &plain);
    json_print_sorted(v, &sorted);
    must(buf_ok(&plain) == 0 && buf_ok(&sorted) == 0);
    struct json *a = read_back(&plain), *b = read_back(&sorted), *copy = json_copy(v);
    must(json_equal(v, a) && json_equal(v, b) && json_equal(b, a) && json_equal(v, copy));
    json_print(a, &again); /* one form only */
    must(again.len == plain.len && memcmp(buf_str(&again), buf_str(&plain), plain.len) == 0);
    json_free(a);
    json_free(b);
    json_free(copy);
    buf_fini(&plain);
    buf_fini(&sorted);
    buf_fini(&again);
}

/* Text taken as a string is printed as JSON whatever its bytes are. */
static void check_text(const char *bytes, size_t len)
{
    struct buf out;
    buf_init(&out, 0);
    json_print_text(bytes, len, &out);
    struct json *v = read_back(&out), *made = json_new_text_n(bytes, len);
    must(json_equal(v, made));
    json_free(v);
    json_free(made);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct json *v = NULL;
    struct json_error error;
    struct json_limits limits = {.depth_max = size ? data[0] : 0};
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    int rc = json_parse(text, size - 1, &limits, &v, &error);
    if (rc) {
        must(rc == ERR_NOT_JSON || rc == ERR_BIG_NUMBER);
        must(error.offset <= size - 1 && *error.what);
        must(strnlen(error.pointer, sizeof error.pointer) < sizeof error.pointer);
    } else {
        check_value(v);
    }
    json_free(v);
    check_text(text, size - 1);
    return 0;
}
