#include "common/server_urls.h"

#include <stdio.h>

#include "common/cache_url.h"
#include "common/store.h"

int server_urls_check(const char *redis, const char *mysql, char why[SERVER_URLS_WHY])
{
    struct cache_address cache;
    struct store_url store;
    const char *what = "";
    char text[STORE_WHY] = "";
    if (cache_url_check(redis, &cache, &what)) {
        snprintf(why, SERVER_URLS_WHY, "--redis (OFFPATH_REDIS): %s; write redis://host:port",
                 what);
        return ERR_INVALID;
    }
    if (store_url_parse(mysql, &store, text)) {
        snprintf(why, SERVER_URLS_WHY, "--mysql (OFFPATH_MYSQL): %s", text);
        return ERR_INVALID;
    }
    return 0;
}
