#include "gateway/auth_issuers.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char form[] = "write `ISSUER jwks=FILE|URL audience=TEXT algorithms=NAME,...`";

static int refuse(char why[AUTH_ISSUERS_WHY], unsigned line, const char *what)
{
    snprintf(why, AUTH_ISSUERS_WHY, "line %u %s; %s", line, what, form);
    return ERR_INVALID;
}

/* The next word, cut off; NULL: none is left. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " \t\r");
    size_t len = strcspn(word, " \t\r");
    if (!len)
        return NULL;
    *at = word + len + (word[len] != 0);
    word[len] = 0;
    return word;
}

static bool take_word(struct auth_source *s, const char *word)
{
    static const char *const names[] = {"jwks=", "audience=", "algorithms="};
    const char **values[] = {&s->jwks, &s->audience, &s->algorithms};
    for (int i = 0; i < 3; i++) {
        size_t len = strlen(names[i]);
        if (strncmp(word, names[i], len) != 0)
            continue;
        bool good = !*values[i] && word[len];
        *values[i] = word + len;
        return good;
    }
    return false;
}

static int take_line(char *line, unsigned number, struct auth_source *out,
                     char why[AUTH_ISSUERS_WHY])
{
    struct auth_source s = {.issuer = next_word(&line)};
    for (char *word; (word = next_word(&line)) != NULL;)
        if (!take_word(&s, word))
            return refuse(why, number, "holds a word that is not known, empty or there twice");
    if (!s.issuer || !s.jwks)
        return refuse(why, number, "names no jwks=");
    *out = s;
    return 0;
}

static bool is_known(const struct auth_source *list, size_t n, const char *issuer)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].issuer, issuer) == 0)
            return true;
    return false;
}

int auth_issuers_parse(char *text, struct auth_source out[AUTH_ISSUERS_MAX], size_t *n,
                       char why[AUTH_ISSUERS_WHY])
{
    size_t found = 0;
    unsigned number = 0;
    for (char *line = text, *next; line; line = next) {
        number++;
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        line += strspn(line, " \t\r");
        if (!*line || *line == '#')
            continue;
        if (found == AUTH_ISSUERS_MAX)
            return refuse(why, number, "is one too many: 16 issuers can be told apart");
        int err = take_line(line, number, &out[found], why);
        if (err)
            return err;
        if (is_known(out, found, out[found].issuer))
            return refuse(why, number, "names an issuer that stands above, too");
        found++;
    }
    if (!found)
        return refuse(why, 1, "names no issuer");
    *n = found;
    return 0;
}
