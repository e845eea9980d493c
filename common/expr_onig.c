#include "common/expr_onig.h"

#include <dlfcn.h>
#include <oniguruma.h>

/* Without it a pattern like \s+$ takes a time that grows with the square of the text's length. A
 * harmless one goes back a few times per character, and a text has at most a million of them. */
enum { BACK_MAX = 10000000, PLACES_MAX = 1000000, NESTED_MAX = 200 };

typedef int search_fn(OnigRegex, const OnigUChar *, const OnigUChar *, const OnigUChar *,
                      const OnigUChar *, OnigRegion *, OnigOptionType);
static search_fn *real_search;

__attribute__((constructor)) static void find_real(void)
{
    *(void **)&real_search = dlsym(RTLD_NEXT, "onig_search");
}

/* Stands in for Oniguruma's, which libjq calls by its global name. Behind an empty match jq goes on
 * at the next byte, in the middle of a character perhaps, and jq 1.6 then counts characters past
 * the end of the text. That is an error instead. */
#pragma GCC visibility push(default)
int onig_search(OnigRegex regex, const OnigUChar *text, const OnigUChar *end,
                const OnigUChar *start, const OnigUChar *range, OnigRegion *region,
                OnigOptionType option)
{
    if (start > text && start < end && (*start & 0xC0) == 0x80)
        return ONIGERR_INVALID_CODE_POINT_VALUE;
    return real_search(regex, text, end, start, range, region, option);
}
#pragma GCC visibility pop

void expr_onig_limit(void)
{
    onig_set_retry_limit_in_search(BACK_MAX);
    onig_set_parse_depth_limit(NESTED_MAX); /* 4096 by itself, which takes a megabyte of stack */
    onig_set_match_stack_limit_size(PLACES_MAX);
}
