#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/schema_node.h"

enum { SHOWN = 150 };

/* A value of the schema as text for a message, cut. */
static const char *show(const struct json *value, bool elements, char out[SHOWN])
{
    struct buf b;
    size_t used = 0;
    out[0] = 0;
    buf_init(&b, 0);
    if (!elements)
        json_print(value, &b);
    for (const struct json *v = elements ? json_first(value) : NULL; v; v = json_next(v)) {
        json_print(v, &b);
        if (json_next(v))
            buf_text(&b, ", ");
    }
    const char *text = buf_str(&b);
    size_t cut = b.len < SHOWN ? b.len : SHOWN - 4;
    while (cut < b.len && cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80)
        cut--; /* between two characters */
    memcpy(out, text, cut);
    used = cut;
    memcpy(out + used, cut < b.len ? "..." : "", cut < b.len ? 4 : 1);
    buf_fini(&b);
    return out;
}

static void show_types(unsigned types, char out[SHOWN])
{
    static const struct {
        unsigned bit;
        const char *name;
    } rows[] = {{1u << JSON_STRING, "a string"},    {1u << JSON_NUMBER, "a number"},
                {SCHEMA_INTEGER, "a whole number"}, {1u << JSON_BOOL, "true or false"},
                {1u << JSON_ARRAY, "an array"},     {1u << JSON_OBJECT, "an object"},
                {1u << JSON_NULL, "null"}};
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (types & rows[i].bit)
            used += (size_t)snprintf(out + used, SHOWN - used, "%s%s", used ? " or " : "",
                                     rows[i].name);
}

SCHEMA_CHECK(schema_check_type)
{
    char types[SHOWN];
    if ((rule->types & 1u << json_type(value)) ||
        ((rule->types & SCHEMA_INTEGER) && json_is_integer(value)))
        return true;
    if (run->quiet > 0)
        return false;
    show_types(rule->types, types);
    return schema_refuse(run, rule->keyword, path, "must be %s", types);
}

SCHEMA_CHECK(schema_check_enum)
{
    char shown[SHOWN];
    for (const struct json *v = json_first(rule->value); v; v = json_next(v))
        if (json_equal(v, value))
            return true;
    if (run->quiet > 0)
        return false;
    return schema_refuse(run, rule->keyword, path, "must be one of %s",
                         show(rule->value, true, shown));
}

SCHEMA_CHECK(schema_check_const)
{
    char shown[SHOWN];
    if (json_equal(rule->value, value))
        return true;
    if (run->quiet > 0)
        return false;
    return schema_refuse(run, rule->keyword, path, "must be %s", show(rule->value, false, shown));
}

SCHEMA_CHECK(schema_check_minimum)
{
    return json_number(value) >= rule->number ||
           schema_refuse(run, rule->keyword, path, "must be at least %.15g", rule->number);
}

SCHEMA_CHECK(schema_check_maximum)
{
    return json_number(value) <= rule->number ||
           schema_refuse(run, rule->keyword, path, "must be at most %.15g", rule->number);
}

SCHEMA_CHECK(schema_check_above)
{
    return json_number(value) > rule->number ||
           schema_refuse(run, rule->keyword, path, "must be more than %.15g", rule->number);
}

SCHEMA_CHECK(schema_check_below)
{
    return json_number(value) < rule->number ||
           schema_refuse(run, rule->keyword, path, "must be less than %.15g", rule->number);
}

static bool nearly(double a, double b)
{
    return fabs(a - b) <= 4 * DBL_EPSILON * fabs(b);
}

/* 0.0075 is a multiple of 0.0001 for people, though not for doubles: the nearest multiple may miss
 * by a rounding. Whole numbers are exact; all of them are multiples of 1/n. */
static bool is_multiple(double value, double of)
{
    if (floor(value) == value && floor(of) == of)
        return fmod(value, of) == 0;
    if (floor(value) == value && nearly(round(1 / of) * of, 1))
        return true;
    double times = round(value / of);
    return fabs(times) <= 1 / DBL_EPSILON && nearly(times * of, value);
}

SCHEMA_CHECK(schema_check_multiple)
{
    return is_multiple(json_number(value), rule->number) ||
           schema_refuse(run, rule->keyword, path, "must be a multiple of %.15g", rule->number);
}

/* Characters, not bytes. */
static size_t length(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

SCHEMA_CHECK(schema_check_min_length)
{
    if (length(json_text(value)) >= rule->min)
        return true;
    if (rule->min == 1)
        return schema_refuse(run, rule->keyword, path, "must not be empty");
    return schema_refuse(run, rule->keyword, path, "must have at least %zu characters", rule->min);
}

SCHEMA_CHECK(schema_check_max_length)
{
    return length(json_text(value)) <= rule->max ||
           schema_refuse(run, rule->keyword, path, "must have at most %zu character%s", rule->max,
                         rule->max == 1 ? "" : "s");
}

SCHEMA_CHECK(schema_check_pattern)
{
    char shown[SHOWN];
    const char *text = json_text(value);
    int rc = regex_match(rule->regex, text, strlen(text));
    if (rc < 0)
        return schema_give_up(run, rule->keyword, path);
    if (rc == 1 || run->quiet > 0)
        return rc == 1;
    return schema_refuse(run, rule->keyword, path, "must match the pattern %s",
                         show(rule->value, false, shown));
}

static const char *things(const struct json *value, size_t n)
{
    if (json_is(value, JSON_ARRAY))
        return n == 1 ? "item" : "items";
    return n == 1 ? "member" : "members";
}

SCHEMA_CHECK(schema_check_min_size)
{
    return json_size(value) >= rule->min ||
           schema_refuse(run, rule->keyword, path, "must have at least %zu %s", rule->min,
                         things(value, rule->min));
}

SCHEMA_CHECK(schema_check_max_size)
{
    return json_size(value) <= rule->max ||
           schema_refuse(run, rule->keyword, path, "must have at most %zu %s", rule->max,
                         things(value, rule->max));
}
