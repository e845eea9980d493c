#include "worker/weight.h"

#include <stdbool.h>
#include <string.h>

#include "common/json.h"

enum { NODE = 64, STRING = 8 }; /* bytes of a value; of a text and a name besides its own */

size_t weight_of_value(const struct json *v)
{
    if (!v)
        return 0;
    const char *text = json_text(v), *key = json_key(v);
    size_t bytes = NODE + (text ? strlen(text) + STRING : 0) + (key ? strlen(key) + STRING : 0);
    for (const struct json *i = json_first(v); i; i = json_next(i))
        bytes += weight_of_value(i);
    return bytes;
}

/* A container's first value comes behind its bracket, each other one behind a comma. */
size_t weight_of_text(const char *text, size_t len)
{
    size_t values = 1, quotes = 0;
    bool inside = false; /* a string */
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '"') {
            inside = !inside;
            quotes++;
        } else if (inside) {
            i += c == '\\';
        } else {
            values += c == ',' || c == '[' || c == '{';
        }
    }
    return values * NODE + (quotes + 1) / 2 * STRING + len;
}
