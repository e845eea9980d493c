#include "common/http_route.h"

#include "common/http_address.h"

int http_route_line(const struct http_route *r, const char *addresses, struct buf *line)
{
    buf_clear(line);
    buf_char(line, '+'); /* no longer than curl's own would be kept */
    buf_text(line, names_wait_name(&r->wait));
    buf_char(line, ':');
    buf_number(line, r->port);
    buf_char(line, ':');
    buf_text(line, addresses);
    return buf_ok(line) ? ERR_NOMEM : 0;
}

int http_route_find(struct http_route *r, struct names *n, const char *url, int64_t max_ms,
                    struct buf *line, bool *waits)
{
    struct http_host host;
    const char *addresses;
    buf_clear(line);
    *waits = false;
    if (!http_url_host(url, &host))
        return 0;
    int err = names_find(n, host.name, max_ms, &r->wait, &addresses);
    if (err)
        return err;
    r->port = host.port;
    *waits = !addresses;
    return addresses ? http_route_line(r, addresses, line) : 0;
}
