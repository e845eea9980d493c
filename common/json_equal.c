#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/json_sort.h"

static int by_name(const void *a, const void *b)
{
    const struct json *const *x = a, *const *y = b;
    return strcmp(json_key(*x), json_key(*y));
}

const struct json **json_sort_members(const struct json *first, size_t n)
{
    const struct json **list = malloc((n ? n : 1) * sizeof(struct json *));
    if (!list)
        return NULL;
    for (size_t i = 0; i < n; i++, first = json_next(first))
        list[i] = first;
    qsort(list, n, sizeof(struct json *), by_name);
    return list;
}

static bool elements_equal(const struct json *a, const struct json *b)
{
    const struct json *x = json_first(a), *y = json_first(b);
    for (; x && y; x = json_next(x), y = json_next(y))
        if (!json_equal(x, y))
            return false;
    return !x && !y;
}

static size_t count(const struct json *first)
{
    size_t n = 0;
    for (; first; first = json_next(first))
        n++;
    return n;
}

static bool unordered_equal(const struct json *a, const struct json *b)
{
    size_t n = count(a);
    if (n != count(b))
        return false;
    const struct json **x = json_sort_members(a, n), **y = json_sort_members(b, n);
    bool equal = x && y; /* without memory: not equal */
    for (size_t i = 0; equal && i < n; i++)
        equal = strcmp(json_key(x[i]), json_key(y[i])) == 0 && json_equal(x[i], y[i]);
    free(x);
    free(y);
    return equal;
}

/* Mostly both list their names in one order. The sort takes only the rest: to compare a member
 * twice would double the work with every level. */
static bool members_equal(const struct json *a, const struct json *b)
{
    const struct json *x = json_first(a), *y = json_first(b);
    for (; x && y && strcmp(json_key(x), json_key(y)) == 0; x = json_next(x), y = json_next(y))
        if (!json_equal(x, y))
            return false;
    return (!x && !y) || unordered_equal(x, y);
}

bool json_equal(const struct json *a, const struct json *b)
{
    if (json_type(a) != json_type(b))
        return false;
    switch (json_type(a)) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return json_bool(a) == json_bool(b);
    case JSON_NUMBER:
        return json_number(a) == json_number(b);
    case JSON_STRING:
        return strcmp(json_text(a), json_text(b)) == 0;
    case JSON_ARRAY:
        return elements_equal(a, b);
    default:
        return members_equal(a, b);
    }
}
