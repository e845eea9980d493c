#include "common/expr_onig.h"

#include <oniguruma.h>

/* Without it a pattern like \s+$ takes a time that grows with the square of the text's length. A
 * harmless one goes back a few times per character, and a text has at most a million of them. */
enum { BACK_MAX = 10000000, PLACES_MAX = 1000000 };

void expr_onig_limit(void)
{
    onig_set_retry_limit_in_search(BACK_MAX);
    onig_set_match_stack_limit_size(PLACES_MAX);
}
