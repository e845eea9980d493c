#include "common/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "common/json_pointer.h"
#include "common/json_scan.h"

static const size_t SIZE_DEFAULT = 1u << 20;

/* A struct json is a cJSON under another name. */
static cJSON *inner(const struct json *v)
{
    return (cJSON *)(uintptr_t)v;
}

static struct json *outer(const cJSON *v)
{
    return (struct json *)(uintptr_t)v;
}

int json_parse(const char *text, size_t len, const struct json_limits *limits, struct json **out,
               struct json_error *error)
{
    struct json_error unused;
    size_t size_max = limits && limits->size_max ? limits->size_max : SIZE_DEFAULT;
    unsigned depth_max = limits && limits->depth_max ? limits->depth_max : JSON_DEPTH_VALUE;
    error = error ? error : &unused;
    *error = (struct json_error){.what = ""};
    if (len > size_max) {
        error->offset = size_max;
        error->what = "the text is too large";
        return ERR_TOO_LARGE;
    }
    int rc = json_scan(text, len, depth_max < JSON_DEPTH_MAX ? depth_max : JSON_DEPTH_MAX,
                       limits && limits->rounds, error);
    if (rc == ERR_BIG_NUMBER || (rc == ERR_NOT_JSON && strcmp(error->what, "duplicate key") == 0))
        json_pointer_at(text, len, error->offset, error->pointer, sizeof error->pointer);
    if (rc)
        return rc;
    cJSON *tree = cJSON_ParseWithLengthOpts(text, len, NULL, 0);
    if (!tree) { /* the scan lets nothing through that cJSON refuses */
        error->what = "out of memory";
        return ERR_NOMEM;
    }
    *out = outer(tree);
    return 0;
}

void json_wipe_text(struct json *v)
{
    if (json_is(v, JSON_STRING))
        explicit_bzero(inner(v)->valuestring, strlen(inner(v)->valuestring));
}

void json_free(struct json *v)
{
    cJSON_Delete(inner(v));
}

struct json *json_copy(const struct json *v)
{
    if (!v)
        return json_new_null();
    cJSON *copy = cJSON_Duplicate(inner(v), 1);
    if (copy) { /* the name belongs to the place the value came from */
        cJSON_free(copy->string);
        copy->string = NULL;
    }
    return outer(copy);
}

enum json_type json_type(const struct json *v)
{
    switch (v ? inner(v)->type & 0xff : cJSON_NULL) {
    case cJSON_False:
    case cJSON_True:
        return JSON_BOOL;
    case cJSON_Number:
        return JSON_NUMBER;
    case cJSON_String:
        return JSON_STRING;
    case cJSON_Array:
        return JSON_ARRAY;
    case cJSON_Object:
        return JSON_OBJECT;
    default:
        return JSON_NULL;
    }
}

bool json_is(const struct json *v, enum json_type t)
{
    return json_type(v) == t;
}

bool json_bool(const struct json *v)
{
    return cJSON_IsTrue(inner(v));
}

double json_number(const struct json *v)
{
    return cJSON_IsNumber(inner(v)) ? inner(v)->valuedouble : 0;
}

bool json_is_integer(const struct json *v)
{
    return cJSON_IsNumber(inner(v)) && floor(inner(v)->valuedouble) == inner(v)->valuedouble;
}

const char *json_text(const struct json *v)
{
    return cJSON_IsString(inner(v)) ? inner(v)->valuestring : NULL;
}

const struct json *json_get(const struct json *object, const char *key)
{
    if (!json_is(object, JSON_OBJECT))
        return NULL;
    for (const cJSON *m = inner(object)->child; m; m = m->next)
        if (strcmp(m->string, key) == 0)
            return outer(m);
    return NULL;
}

const struct json *json_first(const struct json *v)
{
    return v ? outer(inner(v)->child) : NULL;
}

const struct json *json_next(const struct json *v)
{
    return v ? outer(inner(v)->next) : NULL;
}

const char *json_key(const struct json *v)
{
    return v ? inner(v)->string : NULL;
}

const struct json *json_at(const struct json *array, size_t index)
{
    const struct json *v = json_is(array, JSON_ARRAY) ? json_first(array) : NULL;
    while (v && index-- > 0)
        v = json_next(v);
    return v;
}

size_t json_size(const struct json *v)
{
    size_t n = 0;
    for (const struct json *e = json_first(v); e; e = json_next(e))
        n++;
    return n;
}

struct json *json_new_null(void)
{
    return outer(cJSON_CreateNull());
}

struct json *json_new_bool(bool b)
{
    return outer(cJSON_CreateBool(b));
}

struct json *json_new_number(double n)
{
    return outer(isfinite(n) ? cJSON_CreateNumber(n) : cJSON_CreateNull());
}

/* A copy in cJSON's memory, every byte that is no UTF-8 or is NUL replaced. */
static char *clean_copy(const char *text, size_t len)
{
    static const char replacement[] = "\xef\xbf\xbd";
    const unsigned char *p = (const unsigned char *)text, *end = p + len;
    size_t bad = 0;
    for (size_t n; p < end; p += n ? n : 1) {
        n = *p ? json_utf8_len(p, end) : 0;
        bad += n == 0;
    }
    char *copy = cJSON_malloc(len + 2 * bad + 1), *to = copy;
    if (!copy)
        return NULL;
    if (bad == 0 && len > 0)
        memcpy(to, text, len);
    to += bad == 0 ? len : 0;
    for (p = (const unsigned char *)text; bad > 0 && p < end;) {
        size_t n = *p ? json_utf8_len(p, end) : 0;
        memcpy(to, n ? (const char *)p : replacement, n ? n : 3);
        to += n ? n : 3;
        p += n ? n : 1;
    }
    *to = 0;
    return copy;
}

struct json *json_new_text(const char *text)
{
    return json_new_text_n(text, strlen(text));
}

struct json *json_new_text_n(const char *text, size_t len)
{
    char *copy = clean_copy(text, len);
    cJSON *v = copy ? cJSON_CreateNull() : NULL;
    if (!v) {
        cJSON_free(copy);
        return NULL;
    }
    v->type = cJSON_String;
    v->valuestring = copy;
    return outer(v);
}

struct json *json_new_array(void)
{
    return outer(cJSON_CreateArray());
}

struct json *json_new_object(void)
{
    return outer(cJSON_CreateObject());
}

bool json_is_deeper(const struct json *v, unsigned depth)
{
    if (!json_is(v, JSON_ARRAY) && !json_is(v, JSON_OBJECT))
        return false;
    if (depth == 0)
        return true;
    for (const struct json *i = json_first(v); i; i = json_next(i)) {
        if (json_is_deeper(i, depth - 1))
            return true;
    }
    return false;
}

/* Refuse, free the value. */
static int refuse(int err, struct json *value)
{
    json_free(value);
    return err;
}

/* Append a member or element; cJSON keeps the last one in child->prev. */
static int append(struct json *container, enum json_type type, struct json *value)
{
    if (!container || !value)
        return refuse(ERR_NOMEM, value);
    if (!json_is(container, type) || container == value)
        return refuse(ERR_INVALID, container == value ? NULL : value);
    return cJSON_AddItemToArray(inner(container), inner(value)) ? 0 : refuse(ERR_NOMEM, value);
}

int json_push(struct json *array, struct json *value)
{
    return append(array, JSON_ARRAY, value);
}

int json_add(struct json *object, const char *key, struct json *value)
{
    if (!value)
        return ERR_NOMEM;
    cJSON_free(inner(value)->string);
    inner(value)->string = clean_copy(key, strlen(key));
    if (!inner(value)->string)
        return refuse(ERR_NOMEM, value);
    return append(object, JSON_OBJECT, value);
}

int json_put(struct json *object, const char *key, struct json *value)
{
    const struct json *old = value ? json_get(object, key) : NULL;
    if (!old)
        return json_add(object, key, value);
    inner(value)->string = inner(old)->string;
    inner(old)->string = NULL;
    return cJSON_ReplaceItemViaPointer(inner(object), inner(old), inner(value)) ? 0 : ERR_BUG;
}
