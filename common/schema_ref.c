#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "common/schema_node.h"

/* One token of a URI fragment, up to the next / : %XX, then ~0 and ~1 undone. Moves *p behind it;
 * false if it is malformed. out has room for the rest of the fragment. */
static bool token(const char **p, char *out)
{
    const char *s = *p;
    for (; *s && *s != '/'; s++) {
        char c = *s;
        if (c == '%') {
            int high = hex_digit(s[1]), low = high < 0 ? -1 : hex_digit(s[2]);
            if (low < 0 || (high | low) == 0)
                return false;
            c = (char)(high << 4 | low);
            s += 2;
        }
        if (c == '~') {
            if (s[1] != '0' && s[1] != '1')
                return false;
            c = *++s == '0' ? '~' : '/';
        }
        *out++ = c;
    }
    *out = 0;
    *p = s;
    return true;
}

static const struct json *element(const struct json *list, const char *digits)
{
    size_t index = 0;
    if (!*digits || (digits[0] == '0' && digits[1]) || strlen(digits) > 9)
        return NULL;
    for (; *digits; digits++) {
        if (*digits < '0' || *digits > '9')
            return NULL;
        index = index * 10 + (size_t)(*digits - '0');
    }
    return json_at(list, index);
}

/* The value a fragment like #/$defs/x names, or NULL. */
static const struct json *resolve(const struct json *root, const char *fragment, char *scratch)
{
    const struct json *at = root;
    while (at && *fragment == '/') {
        fragment++;
        if (!token(&fragment, scratch))
            return NULL;
        at = json_is(at, JSON_ARRAY) ? element(at, scratch) : json_get(at, scratch);
    }
    return *fragment ? NULL : at;
}

SCHEMA_COMPILER(schema_compile_ref)
{
    (void)siblings;
    const char *text = json_text(rule->value);
    if (!text || text[0] != '#')
        return schema_compile_refuse(c, rule->keyword, path,
                                     "must point into this schema, like `#/$defs/NAME`");
    char *scratch = malloc(strlen(text) + 1);
    if (!scratch)
        return ERR_NOMEM;
    const struct json *target = resolve(c->schema->source, text + 1, scratch);
    free(scratch);
    if (!target)
        return schema_compile_refuse(c, rule->keyword, path, "points to nothing in this schema");
    return schema_node_make(c, target, path, &rule->node);
}

SCHEMA_CHECK(schema_check_ref)
{
    return schema_fits(run, rule->node, value, path);
}
