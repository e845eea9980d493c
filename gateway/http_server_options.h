/* http_server_options.h - the settings of an HTTP server as civetweb wants them: names and values
 * in text. */
#pragma once
#include "gateway/http_server.h"

enum { HTTP_SERVER_OPTIONS = 16 };

struct http_server_options {
    char threads[16], stall[16], keep[16], size[16]; /* where some of the values stand */
    const char *list[HTTP_SERVER_OPTIONS][2];        /* ends in NULL */
};

/* ports: "HOST:PORT", borrowed as long as the options. */
void http_server_options_fill(const struct http_server_settings *s, const char *ports,
                              struct http_server_options *out);
