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

static const struct json *element(const struct json *list, const char *digits, size_t *at)
{
    size_t index = 0;
    if (!*digits || (digits[0] == '0' && digits[1]) || strlen(digits) > 9)
        return NULL;
    for (; *digits; digits++) {
        if (*digits < '0' || *digits > '9')
            return NULL;
        index = index * 10 + (size_t)(*digits - '0');
    }
    *at = index;
    return json_at(list, index);
}

struct ref { /* under way */
    struct schema_compiler *c;
    struct schema_rule *rule;
    const struct schema_path *path; /* of the reference */
    char *scratch;
};

static int refuse(const struct ref *r, const char *text)
{
    return schema_compile_refuse(r->c, r->rule->keyword, r->path, text);
}

/* Go from `at`, which stands at path, to what the fragment's rest names, like /$defs/x. Its node is
 * made with the path it has in the schema: that is where its mistakes are. */
static int follow(const struct ref *r, const struct json *at, const char *fragment,
                  const struct schema_path *path)
{
    size_t index = 0;
    if (at && !*fragment)
        return schema_is_one(at) ? schema_node_make(r->c, at, path, &r->rule->node)
                                 : refuse(r, "must point to a schema: an object, true or false");
    if (!at || *fragment++ != '/' || !token(&fragment, r->scratch))
        return refuse(r, "points to nothing in this schema");
    const struct json *next =
        json_is(at, JSON_ARRAY) ? element(at, r->scratch, &index) : json_get(at, r->scratch);
    struct schema_path below = {path, next ? json_key(next) : NULL, index};
    return follow(r, next, fragment, &below);
}

SCHEMA_COMPILER(schema_compile_ref)
{
    (void)siblings;
    const char *text = json_text(rule->value);
    if (!text || text[0] != '#')
        return schema_compile_refuse(c, rule->keyword, path,
                                     "must point into this schema, like `#/$defs/NAME`");
    struct ref r = {c, rule, path, malloc(strlen(text) + 1)};
    int rc =
        r.scratch ? follow(&r, c->schema->source, text + 1, &(struct schema_path){0}) : ERR_NOMEM;
    free(r.scratch);
    return rc;
}

SCHEMA_CHECK(schema_check_ref)
{
    return schema_fits(run, rule->node, value, path);
}
