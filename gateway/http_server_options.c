#include "gateway/http_server_options.h"

#include <stdio.h>
#include <string.h>

/* The watch (seats.h, body_watch.h) keeps the deadlines, and tells who was too slow. civetweb's own
 * are for what the watch cannot find: it says no more than "malformed", takes a body that pauses
 * for one that ended, and can read on behind no pause within a chunk. */
enum { BEHIND_MS = 1000 };

void http_server_options_fill(const struct http_server_settings *s, const char *ports,
                              struct http_server_options *out)
{
    const char *list[HTTP_SERVER_OPTIONS][2] = {{"listening_ports", ports},
                                                {"num_threads", out->threads},
                                                {"connection_queue", "64"},
                                                {"listen_backlog", "1024"},
                                                {"enable_keep_alive", "yes"},
                                                {"keep_alive_timeout_ms", out->keep},
                                                {"request_timeout_ms", out->stall},
                                                {"max_request_size", out->size},
                                                {"tcp_nodelay", "1"},
                                                {"decode_url", "no"},
                                                {"enable_directory_listing", "no"},
                                                {"access_control_allow_origin", ""},
                                                {"access_control_allow_methods", ""},
                                                {"access_control_allow_headers", ""},
                                                {NULL, NULL}};
    snprintf(out->threads, sizeof out->threads, "%u", s->threads);
    int longest_ms = s->header_ms > s->body_ms ? s->header_ms : s->body_ms;
    snprintf(out->stall, sizeof out->stall, "%d", longest_ms + BEHIND_MS);
    snprintf(out->keep, sizeof out->keep, "%d", s->keep_alive_ms + s->header_ms + BEHIND_MS);
    snprintf(out->size, sizeof out->size, "%u", s->header_max);
    memcpy(out->list, list, sizeof list);
}
