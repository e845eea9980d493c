/* demo.h - the users of a demonstration: whoever sits at this machine may be one of them without a
 * token. Only a gateway with --demo-users has them, which options.c refuses wherever another
 * machine or another key could be meant. Any thread. */
#pragma once
#include "gateway/auth.h"
#include "gateway/http.h"

enum { DEMO_USER = 32, DEMO_TTL_S = 12 * 3600 };

/* Is this a list NAME=SUB,... of [a-z0-9-]? Who has no SUB is known by the name. */
bool demo_is_list(const char *users);
/* The console's shell, with the names in it; kept by no browser, as there may be none next time. */
void demo_page(const char *users, struct http_reply *r);
/* POST /v1/login?demo=NAME: 200 and the cookie, as login_post with a token of this user would. 404
 * for another name; 403 to a page that is not ours, under a name that is not this machine's, or
 * through a proxy. */
void demo_login(const char *users, const struct auth *a, const struct http_request *q,
                struct http_reply *r);
