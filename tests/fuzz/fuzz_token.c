/* Any Authorization value and any key set: nothing is read outside, and nothing counts that was not
 * signed. A first byte picks the way: a token as it is, claims under a good signature, a key set.
 */
#include <stdlib.h>
#include <string.h>

#include "common/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char secret[] = "a secret of more than 32 bytes, for tests";
static const struct token_rules rules = {"", "", 1u << JOSE_HS256};

static void check(const struct jose_key *k, const char *token, bool is_signed)
{
    struct token_user u = {0};
    const char *why = NULL;
    int err = token_check(&rules, k, token, 1795561200LL * 1000000, &u, &why);
    if (err ? !why : !is_signed || !u.sub[0] || owner_is_nobody(&u.owner))
        abort();
    (void)token_has_scope(&u, "a");
}

static void read_set(const char *text, size_t len)
{
    struct jwks *s = NULL;
    if (jwks_parse(text, len, &s) != 0)
        return;
    if (jwks_size(s) == 0 || jwks_size(s) > JWKS_KEYS_MAX || jwks_find(s, JOSE_HS256, ""))
        abort();
    jwks_put(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jose_key *key;
    struct buf token = {0};
    if (size == 0 || (!key && jose_key_secret(secret, sizeof secret - 1, &key) != 0))
        return 0;
    char *text = malloc(size);
    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    if (data[0] % 3 == 0)
        check(key, text, false);
    else if (data[0] % 3 == 1 && jose_sign(key, text, size - 1, &token) == 0)
        check(key, buf_str(&token), true);
    else
        read_set(text, size - 1);
    buf_fini(&token);
    free(text);
    return 0;
}
