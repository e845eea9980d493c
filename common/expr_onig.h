/* expr_onig.h - what holds the regular expressions of jq's test, match, sub and so on. They run in
 * Oniguruma, which knows nothing of jq's halt nor of expr_guard.h. Once this file is linked, jq's
 * search fails where it would begin in the middle of a character. */
#pragma once

/* For the whole process; before the first evaluation. A search that goes back more than ten million
 * times (some 50 ms) fails, and so does one that keeps more than a million places to go back to, or
 * nests 200 groups. */
void expr_onig_limit(void);
