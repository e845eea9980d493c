/* The part of the store that needs no client. */
#include "common/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/hex.h"

struct store_value store_text(const char *text)
{
    return store_bytes(text, text ? strlen(text) : 0);
}

/* All up to 8, then with three significant bits. */
size_t store_rows_fill(size_t n)
{
    size_t size = n, step = 1;
    if (n >= STORE_ROWS_MAX)
        return STORE_ROWS_MAX;
    for (; size >= 8; size /= 2)
        step *= 2;
    return size * step;
}

size_t store_rows_cover(size_t n)
{
    size_t size = 1;
    while (size < n)
        size *= 2;
    return size > 64 ? STORE_ROWS_MAX : size;
}

/* What repeating cannot mend must be told from what it can: a row is given up for the former. So
 * only data (22, 23, and those that say HY000), statements (42) and logins (28) are refused; all
 * else is taken for a server that is not well. */
int store_err_of(unsigned number, const char *sqlstate)
{
    static const struct {
        unsigned number;
        int err;
    } numbers[] = {
        {1205, ERR_CONFLICT},  /* lock wait time-out */
        {1213, ERR_CONFLICT},  /* deadlock */
        {1050, ERR_EXISTS},    /* table is there */
        {1062, ERR_EXISTS},    /* duplicate key */
        {1054, ERR_SETUP},     /* no such column */
        {1142, ERR_SETUP},     /* no right to the table */
        {1143, ERR_SETUP},     /* or the column */
        {1146, ERR_SETUP},     /* no such table */
        {1153, ERR_TOO_LARGE}, /* packet too large, says the server */
        {2020, ERR_TOO_LARGE}, /* or the client */
        {2008, ERR_NOMEM},     /* the client has no memory */
        {1203, ERR_IO},        /* too many connections of this user */
        {1226, ERR_IO},        /* used up what this user may */
        {1461, ERR_IO},        /* too many prepared statements */
        {1265, ERR_REFUSED},   /* data truncated */
        {1300, ERR_REFUSED},   /* not valid in this character set */
        {1364, ERR_REFUSED},   /* no default value */
        {1366, ERR_REFUSED},   /* incorrect value */
    };
    static const char *const refused[] = {"22", "23", "28", "42"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (numbers[i].number == number)
            return numbers[i].err;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (strncmp(sqlstate, refused[i], 2) == 0)
            return ERR_REFUSED;
    return ERR_IO;
}

/* A trigger's own error (45000), a CHECK and much else say what will never do; that a server is not
 * well has a list that is short enough. */
int store_err_of_user(unsigned number, const char *sqlstate)
{
    static const unsigned duplicates[] = {1022, 1062, 1169, 1586};
    static const unsigned unwell[] = {
        1021, 1026, 1030, 1037, 1038, 1040, 1041, 1047, 1053, 1077, 1078, 1079,
        1114, 1158, 1159, 1160, 1161, 1180, 1203, 1206, 1226, 1290, 1317, 1461,
        1615, 1637, 1792, 1836, 1927, 1969, 3024, 3101, 3572, 4031,
    };
    for (size_t i = 0; i < sizeof duplicates / sizeof *duplicates; i++)
        if (duplicates[i] == number)
            return ERR_EXISTS;
    for (size_t i = 0; i < sizeof unwell / sizeof *unwell; i++)
        if (unwell[i] == number)
            return ERR_IO;
    int err = store_err_of(number, sqlstate);
    bool client = number >= 2000 && number < 3000;
    if (err == ERR_CONFLICT || err == ERR_NOMEM || (err == ERR_IO && client))
        return err;
    return strncmp(sqlstate, "08", 2) == 0 ? ERR_IO : ERR_REFUSED;
}

void store_hide_value(unsigned number, const char *text, char *out, size_t size)
{
    /* Duplicate entry '%s' for key ..., Incorrect ... value: '%s' for column ..., Truncated ... */
    static const unsigned quoting[] = {1062, 1105, 1292, 1300, 1366, 1367,
                                       1411, 1525, 1586, 1690, 1918, 3854};
    const char *from = NULL, *to = NULL;
    if (number == 1526) { /* the one that writes it without quotes */
        snprintf(out, size, "Table has no partition for value ...");
        return;
    }
    for (size_t i = 0; i < sizeof quoting / sizeof *quoting; i++)
        if (quoting[i] == number)
            from = strchr(text, '\'');
    for (const char *p = from; p && (p = strstr(p + 1, "' for ")) != NULL;)
        to = p; /* the last: the value may hold the words, too */
    if (from && !to)
        to = strrchr(from + 1, '\'');
    if (from)
        snprintf(out, size, "%.*s'...%s", (int)(from - text), text, to ? to : "'");
    else
        snprintf(out, size, "%s", text);
}

int store_sql_text(const struct store_sql *q, size_t rows, struct buf *out)
{
    buf_text(out, q->head);
    for (size_t i = 0; q->row && i < rows; i++) {
        if (i)
            buf_text(out, q->join ? q->join : ",");
        buf_text(out, q->row);
    }
    if (q->row)
        buf_text(out, q->tail);
    return buf_ok(out);
}

/* Decodes [from, to) into out; false: does not fit, bad %XX, or a NUL. */
static bool decode(const char *from, const char *to, char *out, size_t size)
{
    size_t n = 0;
    for (; from < to; from++) {
        int c = (unsigned char)*from;
        if (c == '%') {
            int hi = from + 1 < to ? hex_digit(from[1]) : -1,
                lo = from + 2 < to ? hex_digit(from[2]) : -1;
            if (hi < 0 || lo < 0)
                return false;
            c = hi * 16 + lo;
            from += 2;
        }
        if (c == 0 || n + 1 >= size)
            return false;
        out[n++] = (char)c;
    }
    out[n] = 0;
    return true;
}

static const char *find(const char *from, const char *to, char c)
{
    const char *p = memchr(from, c, (size_t)(to - from));
    return p ? p : to;
}

static const char *find_last(const char *from, const char *to, char c)
{
    const char *p = memrchr(from, c, (size_t)(to - from));
    return p ? p : to;
}

static const char *read_port(const char *p, const char *end, unsigned *port)
{
    unsigned v = 0;
    if (p == end)
        return "has an empty port";
    for (; p < end; p++) {
        if (*p < '0' || *p > '9' || v > 65535)
            return "has a port that is no number";
        v = v * 10 + (unsigned)(*p - '0');
    }
    *port = v;
    return v && v <= 65535 ? NULL : "has a port outside 1 to 65535";
}

static const char *read_authority(const char *p, const char *end, struct store_url *u)
{
    const char *at = find_last(p, end, '@');
    if (at < end) {
        const char *colon = find(p, at, ':');
        if (!decode(p, colon, u->user, sizeof u->user))
            return "has a user that is too long or badly encoded";
        if (colon < at && !decode(colon + 1, at, u->pass, sizeof u->pass))
            return "has a password that is too long or badly encoded";
        p = at + 1;
    }
    const char *host = p, *stop = find(p, end, ':');
    if (p < end && *p == '[') { /* IPv6 */
        host = p + 1;
        stop = find(p, end, ']');
        if (stop == end)
            return "has a host that is not valid";
        p = stop + 1;
    } else
        p = stop;
    if (!decode(host, stop, u->host, sizeof u->host))
        return "has a host that is too long or badly encoded";
    if (p < end && *p != ':')
        return "has a host that is not valid";
    return p < end ? read_port(p + 1, end, &u->port) : NULL;
}

static bool is(const char *from, const char *to, const char *word)
{
    return (size_t)(to - from) == strlen(word) && memcmp(from, word, strlen(word)) == 0;
}

static const char *read_option(const char *p, const char *end, struct store_url *u)
{
    const char *eq = find(p, end, '='), *value = eq < end ? eq + 1 : end;
    if (is(p, eq, "tls") && (is(value, end, "on") || is(value, end, "off")))
        u->tls = is(value, end, "on");
    else if (is(p, eq, "tls"))
        return "has a tls that is neither on nor off";
    else if (is(p, eq, "ca"))
        return decode(value, end, u->ca, sizeof u->ca) ? NULL : "has a ca that is too long";
    else if (is(p, eq, "socket"))
        return decode(value, end, u->socket, sizeof u->socket) ? NULL
                                                               : "has a socket that is too long";
    else
        return "has an option that is none of tls, ca, socket";
    return NULL;
}

static const char *read_url(const char *url, struct store_url *u)
{
    static const char scheme[] = "mysql://";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0)
        return "does not start with mysql://";
    const char *p = url + sizeof scheme - 1, *end = p + strlen(p);
    const char *query = find(p, end, '?'), *slash = find(p, query, '/');
    const char *wrong = read_authority(p, slash, u);
    if (wrong)
        return wrong;
    if (slash == query || slash + 1 == query)
        return "names no database";
    if (!decode(slash + 1, query, u->db, sizeof u->db))
        return "has a database that is too long or badly encoded";
    while (!wrong && query < end) {
        const char *next = find(query + 1, end, '&');
        wrong = read_option(query + 1, next, u);
        query = next;
    }
    if (!wrong && !u->host[0] && !u->socket[0])
        return "names no host";
    return wrong;
}

int store_url_parse(const char *url, struct store_url *out, char why[STORE_WHY])
{
    struct store_url u = {.port = 3306};
    const char *wrong = read_url(url, &u);
    if (wrong) {
        snprintf(why, STORE_WHY, "the MySQL address %s: give mysql://user:password@host:port/db",
                 wrong);
        return ERR_INVALID;
    }
    *out = u;
    return 0;
}
