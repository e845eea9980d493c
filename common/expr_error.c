#include "common/expr.h"

#include <string.h>

/* In jq's messages, those that tell more first. */
static const char *const known[] = {"Cannot iterate over null",
                                    "Cannot iterate over",
                                    "Cannot index null",
                                    "Cannot index number",
                                    "Cannot index string",
                                    "Cannot index array",
                                    "Cannot index object",
                                    "Cannot index",
                                    "Cannot use",
                                    "Cannot update",
                                    "Cannot delete",
                                    "Cannot check whether",
                                    "Object keys must be strings",
                                    "Start and end indices of an",
                                    "Range bounds must be numeric",
                                    "input must be an array",
                                    "input must be a string",
                                    "separator must be strings",
                                    "Invalid numeric literal",
                                    "Invalid literal",
                                    "while parsing",
                                    "is not valid base64 data",
                                    "is not valid in a csv row",
                                    "is not a valid format",
                                    "is not a valid modifier string",
                                    "is not a valid regex",
                                    "Regex failure",
                                    "a time beyond the years 1 to 9999",
                                    "is not a string",
                                    "not a string or array",
                                    "does not match format",
                                    "can not be escaped for shell",
                                    "cannot be parsed as a number",
                                    "cannot be parsed",
                                    "cannot be added",
                                    "cannot be subtracted",
                                    "cannot be multiplied",
                                    "cannot be divided because the divisor is zero",
                                    "cannot be divided",
                                    "cannot be negated",
                                    "cannot be sorted",
                                    "cannot be grouped",
                                    "cannot be matched",
                                    "cannot be searched",
                                    "cannot be iterated over",
                                    "cannot be csv-formatted",
                                    "cannot be tsv-formatted",
                                    "cannot have their containment checked",
                                    "has no keys",
                                    "has no length",
                                    "number required",
                                    "requires"};

const char *expr_error_plain(const struct expr_error *e)
{
    if (!e->thrown)
        return e->text;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strstr(e->text, known[i]))
            return known[i];
    return "it threw an error; `offpath-worker eval` shows it";
}
