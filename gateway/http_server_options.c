#include "gateway/http_server_options.h"

#include <stdio.h>
#include <string.h>

void http_server_options_fill(const struct http_server_settings *s, const char *ports,
                              struct http_server_options *out)
{
    const char *list[HTTP_SERVER_OPTIONS][2] = {{"listening_ports", ports},
                                                {"num_threads", out->threads},
                                                {"connection_queue", "64"},
                                                {"listen_backlog", "1024"},
                                                {"enable_keep_alive", "yes"},
                                                {"keep_alive_timeout_ms", out->keep},
                                                {"request_timeout_ms", out->header},
                                                {"max_request_size", out->size},
                                                {"tcp_nodelay", "1"},
                                                {"decode_url", "no"},
                                                {"enable_directory_listing", "no"},
                                                {"access_control_allow_origin", ""},
                                                {"access_control_allow_methods", ""},
                                                {"access_control_allow_headers", ""},
                                                {NULL, NULL}};
    snprintf(out->threads, sizeof out->threads, "%u", s->threads);
    snprintf(out->header, sizeof out->header, "%d", s->header_ms);
    snprintf(out->keep, sizeof out->keep, "%d", s->keep_alive_ms);
    snprintf(out->size, sizeof out->size, "%u", s->header_max);
    memcpy(out->list, list, sizeof list);
}
