#include "gateway/proxies.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/http.h"

enum { BITS = 128, BITS_V4 = 32, BITS_MAPPED = BITS - BITS_V4, ENTRY_TEXT = 64 };

static const char between[] = ", \t\r\n";

/* ---- addresses, all of 16 bytes */

static bool is_v4(const unsigned char a[16])
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(a, mapped, sizeof mapped) == 0;
}

static bool read_address(const char *text, unsigned char out[16])
{
    struct in6_addr v6;
    struct in_addr v4;
    if (inet_pton(AF_INET6, text, &v6) == 1) {
        memcpy(out, &v6, 16);
        return true;
    }
    if (inet_pton(AF_INET, text, &v4) != 1)
        return false;
    memset(out, 0, 10);
    memset(out + 10, 0xff, 2);
    memcpy(out + 12, &v4, 4);
    return true;
}

static void print_address(const unsigned char a[16], char text[PROXIES_ADDRESS])
{
    if (is_v4(a))
        inet_ntop(AF_INET, a + 12, text, PROXIES_ADDRESS);
    else
        inet_ntop(AF_INET6, a, text, PROXIES_ADDRESS);
}

/* ---- networks */

static void cut_to(unsigned char a[16], unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = bits > i * 8 ? bits - i * 8 : 0;
        if (kept < 8)
            a[i] &= (unsigned char)(0xff << (8 - kept));
    }
}

static bool holds(const struct proxy_net *net, const unsigned char a[16])
{
    unsigned char cut[16];
    memcpy(cut, a, 16);
    cut_to(cut, net->bits);
    return is_v4(net->base) == is_v4(a) && memcmp(cut, net->base, 16) == 0;
}

static bool is_ours(const struct proxies *p, const unsigned char a[16])
{
    for (size_t i = 0; i < p->n; i++)
        if (holds(&p->net[i], a))
            return true;
    return false;
}

static bool read_bits(const char *text, bool v4, unsigned *out)
{
    unsigned most = v4 ? BITS_V4 : BITS;
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 3 || text[digits])
        return false;
    unsigned long bits = strtoul(text, NULL, 10);
    *out = (unsigned)bits + (v4 ? BITS_MAPPED : 0);
    return bits <= most;
}

static int refuse(char why[PROXIES_WHY], const char *text, const char *what)
{
    snprintf(why, PROXIES_WHY, "\"%.60s\" %s", text, what);
    return ERR_INVALID;
}

/* entry is cut at its slash. */
static int read_net(char *entry, struct proxy_net *out, char why[PROXIES_WHY])
{
    char whole[ENTRY_TEXT], fits[PROXIES_ADDRESS];
    char *slash = strchr(entry, '/');
    struct proxy_net net = {.bits = BITS};
    snprintf(whole, sizeof whole, "%s", entry);
    if (slash)
        *slash = 0;
    if (!read_address(entry, net.base))
        return refuse(why, whole, "is no address; write 10.0.0.0/8 or 2001:db8::/32");
    bool v4 = !strchr(entry, ':');
    if (slash && !read_bits(slash + 1, v4, &net.bits))
        return refuse(why, whole, "has no length of a network; write 10.0.0.0/8 or 2001:db8::/32");
    unsigned char cut[16];
    memcpy(cut, net.base, 16);
    cut_to(cut, net.bits);
    if (memcmp(cut, net.base, 16) != 0) { /* else a slip trusts more than was meant */
        char what[80];
        print_address(cut, fits);
        snprintf(what, sizeof what, "is in the middle of its network; write %s/%u", fits,
                 v4 ? net.bits - BITS_MAPPED : net.bits);
        return refuse(why, whole, what);
    }
    *out = net;
    return 0;
}

int proxies_read(const char *text, struct proxies *out, char why[PROXIES_WHY])
{
    struct proxies p = {0};
    const char *at = text ? text : "";
    for (at += strspn(at, between); *at; at += strspn(at, between)) {
        char entry[ENTRY_TEXT];
        size_t n = strcspn(at, between);
        snprintf(entry, sizeof entry, "%.*s", (int)n, at);
        if (p.n == PROXIES_MAX)
            return refuse(why, entry, "is one network too many; write at most 64");
        int err = read_net(entry, &p.net[p.n], why);
        if (err)
            return err;
        p.n++;
        at += n;
    }
    *out = p;
    return 0;
}

/* ---- X-Forwarded-For */

/* "192.0.2.1", "192.0.2.1:443", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:443". */
static bool read_entry(const char *at, size_t n, unsigned char out[16])
{
    char text[ENTRY_TEXT], *address = text, *port = NULL;
    if (n >= sizeof text)
        return false;
    memcpy(text, at, n);
    text[n] = 0;
    if (*text == '[') {
        char *end = strchr(text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return false;
        port = end[1] ? end + 2 : NULL;
        *end = 0;
        address++;
        if (!strchr(address, ':'))
            return false;
    } else if (strchr(text, ':') == strrchr(text, ':') && strchr(text, ':')) {
        port = strchr(text, ':');
        *port++ = 0;
    }
    if (port && (!*port || port[strspn(port, "0123456789")]))
        return false;
    return read_address(address, out);
}

/* One line from its right end; empty entries count for nothing. True: the search is over. */
static bool walk(const struct proxies *p, const char *line, unsigned char client[16])
{
    const char *end = line + strlen(line);
    while (end > line) {
        const char *start = end;
        while (start > line && start[-1] != ',')
            start--;
        const char *from = start, *to = end;
        while (from < to && (*from == ' ' || *from == '\t'))
            from++;
        while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
            to--;
        if (to > from) {
            if (!read_entry(from, (size_t)(to - from), client))
                return true;
            if (!is_ours(p, client))
                return true;
        }
        end = start > line ? start - 1 : line;
    }
    return false;
}

const char *proxies_client(const struct proxies *p, const struct http_request *q,
                           char text[PROXIES_ADDRESS])
{
    unsigned char client[16];
    if (!p->n || !q->client || !read_address(q->client, client) || !is_ours(p, client))
        return q->client;
    for (size_t i = q->headers_n; i > 0; i--)
        if (http_name_is(&q->headers[i - 1], "x-forwarded-for") &&
            walk(p, q->headers[i - 1].value, client))
            break;
    print_address(client, text);
    return text;
}
