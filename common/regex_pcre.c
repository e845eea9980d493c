#include "common/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* About 10 ms at worst; a simple pattern over 1 MB of text stays far below, a
 * repeated group over some 20 KB. */
enum { MATCH_LIMIT = 500000, DEPTH_LIMIT = 50000, HEAP_LIMIT_KB = 10240 };

/* ECMA's reading where Perl's differs: \uXXXX, [] and [^], unset groups match nothing, and $ is
 * the very end. */
static const uint32_t OPTIONS = PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX |
                                PCRE2_ALLOW_EMPTY_CLASS | PCRE2_MATCH_UNSET_BACKREF |
                                PCRE2_NEVER_BACKSLASH_C;

struct regex {
    pcre2_code *code;
    pcre2_match_context *limits; /* read only once made */
};

static pcre2_code *compile(const char *pattern, char why[REGEX_WHY])
{
    int error = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) {
        why[0] = 0;
        return NULL;
    }
    pcre2_set_newline(context, PCRE2_NEWLINE_ANYCRLF); /* what . does not match */
    pcre2_set_compile_extra_options(context, PCRE2_EXTRA_ALT_BSUX);
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, OPTIONS, &error, &at, context);
    pcre2_compile_context_free(context);
    if (!code) {
        PCRE2_UCHAR text[REGEX_WHY - 32];
        pcre2_get_error_message(error, text, sizeof text);
        snprintf(why, REGEX_WHY, "%s at character %zu", (const char *)text, at + 1);
    }
    return code;
}

int regex_compile(const char *pattern, struct regex **out, char why[REGEX_WHY])
{
    struct regex *r = calloc(1, sizeof *r);
    int rc = ERR_NOMEM;
    if (!r)
        return rc;
    r->code = compile(pattern, why);
    if (!r->code) {
        rc = why[0] ? ERR_INVALID : ERR_NOMEM;
        goto out;
    }
    r->limits = pcre2_match_context_create(NULL);
    if (!r->limits)
        goto out;
    pcre2_set_match_limit(r->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(r->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(r->limits, HEAP_LIMIT_KB);
    *out = r;
    return 0;
out:
    regex_free(r);
    return rc;
}

void regex_free(struct regex *r)
{
    if (!r)
        return;
    pcre2_match_context_free(r->limits);
    pcre2_code_free(r->code);
    free(r);
}

int regex_match(const struct regex *r, const char *text, size_t len)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (!data)
        return ERR_NOMEM;
    int rc = pcre2_match(r->code, (PCRE2_SPTR)text, len, 0, PCRE2_NO_UTF_CHECK, data, r->limits);
    pcre2_match_data_free(data);
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    if (rc == PCRE2_ERROR_NOMEMORY)
        return ERR_NOMEM;
    return rc >= 0 ? 1 : ERR_TOO_LARGE;
}
