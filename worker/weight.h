/* weight.h - what JSON takes in memory, which is many times its text where its values are short:
 * each is a block of its own. For bounds, so roughly, and never much too low. Pure. */
#pragma once
#include <stddef.h>

struct json;
size_t weight_of_value(const struct json *v); /* NULL: 0 */
/* The same of a text before it is parsed, at least; one that is not JSON weighs something, too. */
size_t weight_of_text(const char *text, size_t len);
