#include "common/password.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *prefix;
    unsigned long cost;
    size_t max;
} kinds[] = {[PASSWORD_BCRYPT] = {"$2b$", 10, PASSWORD_BCRYPT_MAX},
             [PASSWORD_YESCRYPT] = {"$y$", 0, PASSWORD_YESCRYPT_MAX}};

size_t password_max(enum password_kind kind)
{
    return kinds[kind].max;
}

/* crypt_r's memory is 32 KB, too much for some threads' stacks; wiped: it keeps the plain text. */
static int crypt_into(const char *plain, const char *setting, char out[PASSWORD_HASH])
{
    struct crypt_data *data = calloc(1, sizeof *data);
    if (!data)
        return ERR_NOMEM;
    const char *hash = crypt_r(plain, setting, data);
    int err = hash && hash[0] != '*' && strlen(hash) < PASSWORD_HASH ? 0 : ERR_UNSUPPORTED;
    if (!err)
        memcpy(out, hash, strlen(hash) + 1);
    explicit_bzero(data, sizeof *data);
    free(data);
    return err;
}

int password_hash(enum password_kind kind, const char *plain, char out[PASSWORD_HASH])
{
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    if (!plain[0])
        return ERR_INVALID;
    if (strlen(plain) > kinds[kind].max)
        return ERR_TOO_LARGE;
    if (!crypt_gensalt_rn(kinds[kind].prefix, kinds[kind].cost, NULL, 0, salt, (int)sizeof salt))
        return ERR_UNSUPPORTED;
    return crypt_into(plain, salt, out);
}

static bool is_all(const char *text, size_t len)
{
    return strspn(text, "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") ==
               len &&
           !text[len];
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* $2b$10$ and 53 characters. */
static bool is_bcrypt(const char *t)
{
    return strlen(t) == 60 && t[0] == '$' && t[1] == '2' && strchr("aby", t[2]) && t[3] == '$' &&
           is_digit(t[4]) && is_digit(t[5]) && t[6] == '$' && is_all(t + 7, 53);
}

/* $y$, parameters, salt, and 43 characters. */
static bool is_yescrypt(const char *t)
{
    if (strncmp(t, "$y$", 3) != 0 || strlen(t) >= PASSWORD_HASH)
        return false;
    const char *salt = strchr(t + 3, '$');
    const char *hash = salt ? strchr(salt + 1, '$') : NULL;
    return hash && salt > t + 3 && hash > salt + 1 && is_all(hash + 1, 43);
}

bool password_is_hash(enum password_kind kind, const char *text)
{
    return kind == PASSWORD_BCRYPT ? is_bcrypt(text) : is_yescrypt(text);
}

bool password_matches(const char *plain, const char *hash)
{
    char again[PASSWORD_HASH];
    return crypt_into(plain, hash, again) == 0 && strcmp(again, hash) == 0;
}
