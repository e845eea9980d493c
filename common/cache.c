#include "common/cache.h"
#include <stdlib.h>
#include <string.h>

void cache_arg(struct cache_command *c, const void *bytes, size_t len)
{
    /* counted past the end: a command with too many arguments is refused, never sent cut */
    if (c->argc < CACHE_ARGS_MAX) {
        c->argv[c->argc] = bytes;
        c->argv_len[c->argc] = len;
    }
    c->argc++;
}

void cache_arg_text(struct cache_command *c, const char *text)
{
    cache_arg(c, text, strlen(text));
}

bool cache_command_is_valid(const struct cache_command *c)
{
    return c->argc && c->argc <= CACHE_ARGS_MAX && c->keys <= c->argc &&
           (unsigned)c->script < SCRIPT_COUNT;
}

void cache_reply_fini(struct cache_reply *r)
{
    free(r->text);
    *r = (struct cache_reply){0};
}

bool cache_get(struct cache *c, const char *name, struct cache_reply *out)
{
    struct cache_command get = {.script = SCRIPT_NONE};
    *out = (struct cache_reply){0};
    cache_arg_text(&get, "GET");
    cache_arg_text(&get, name);
    if (cache_call(c, &get, 1, out))
        return false;
    if (out->type == REPLY_TEXT)
        return true;
    cache_reply_fini(out);
    return false;
}
