/* server_urls.h - can the addresses of Redis and MySQL be understood, and used by this program?
 * What a start looks at before it asks any server. Pure. */
#pragma once
#include "common/err.h"

enum { SERVER_URLS_WHY = 512 };

/* 0, or ERR_INVALID with why: the setting, and what is wrong with it; nothing of the addresses. */
int server_urls_check(const char *redis, const char *mysql, char why[SERVER_URLS_WHY]) must_use;
