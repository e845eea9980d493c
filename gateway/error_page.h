/* error_page.h - GET /errors/{code}: what a code of a problem, a call or a job means and what to
 * do, as a page without script. Pure; any thread. */
#pragma once
#include "gateway/http.h"

/* 0, ERR_NO_ROUTE (no such code). */
int error_page(struct http_reply *r, const char *code) must_use;
