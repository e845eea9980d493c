#include "common/id.h"

#include <stdio.h>
#include <string.h>

#include "common/digest.h"
#include "common/hex.h"

/* The parts of a UUID, in bits: 48 ms | 4 version | 10 bucket, 2 more | 2 variant | 38 more | 24
 * tag. */
struct parts {
    uint8_t time[6];
    uint8_t version;
    unsigned bucket;
    uint8_t random[5]; /* 40 bits: the 2 and the 38 */
};

static struct digest_part text(const char *s)
{
    return (struct digest_part){s, strlen(s) + 1}; /* with its 0: no two fields run together */
}

static struct job_id assemble(const struct parts *p)
{
    struct job_id id;
    memcpy(id.b, p->time, 6);
    unsigned low = (p->bucket << 2) | (p->random[0] >> 6);
    id.b[6] = (uint8_t)((unsigned)p->version << 4 | low >> 8);
    id.b[7] = (uint8_t)low;
    id.b[8] = (uint8_t)(0x80 | (p->random[0] & 0x3f));
    memcpy(id.b + 9, p->random + 1, 4);
    memset(id.b + 13, 0, 3);
    return id;
}

static void tag(const struct id_secret *s, const struct job_id *id, const struct owner *o,
                uint8_t out[3])
{
    uint8_t h[DIGEST_SIZE];
    digest_hmac(s->b, sizeof s->b,
                (struct digest_part[]){text("id"), {id->b, 13}, {o->b, sizeof o->b}}, 3, h);
    memcpy(out, h, 3);
}

static unsigned first10(const uint8_t b[2])
{
    return (unsigned)b[0] << 2 | b[1] >> 6;
}

static void put_ms(uint8_t out[6], int64_t ms)
{
    for (int i = 5; i >= 0; i--, ms >>= 8)
        out[i] = (uint8_t)(ms & 0xff);
}

struct owner owner_of(const char *iss, const char *sub)
{
    uint8_t h[DIGEST_SIZE];
    struct owner o;
    digest_sha256((struct digest_part[]){text(iss), {sub, strlen(sub)}}, 2, h);
    memcpy(o.b, h, sizeof o.b);
    return o;
}

bool owner_is_nobody(const struct owner *o)
{
    static const struct owner nobody;
    return memcmp(o, &nobody, sizeof nobody) == 0;
}

struct job_id id_new(const struct id_secret *s, const struct owner *o, const struct clock *c,
                     struct rng *r)
{
    struct parts p = {.version = 7};
    uint8_t bucket[2] = {o->b[0], o->b[1]};
    put_ms(p.time, clock_wall_us(c) / 1000);
    rng_fill(r, p.random, sizeof p.random);
    if (owner_is_nobody(o))
        rng_fill(r, bucket, sizeof bucket);
    p.bucket = first10(bucket);
    struct job_id id = assemble(&p);
    tag(s, &id, o, id.b + 13);
    return id;
}

struct job_id id_from_key(const struct id_secret *s, const struct owner *user,
                          const struct owner *owner, const char *flow, const char *key)
{
    uint8_t h[DIGEST_SIZE];
    digest_hmac(
        s->b, sizeof s->b,
        (struct digest_part[]){text("key"), {user->b, sizeof user->b}, text(flow), text(key)}, 4,
        h);
    struct parts p = {.version = 8, .bucket = first10(owner_is_nobody(owner) ? h + 11 : owner->b)};
    memcpy(p.time, h, 6);
    memcpy(p.random, h + 6, 5);
    struct job_id id = assemble(&p);
    tag(s, &id, owner, id.b + 13);
    return id;
}

/* v8 with the given time and bucket, the rest from the hash. */
static struct job_id derived(const uint8_t time[6], unsigned bucket, const uint8_t h[DIGEST_SIZE])
{
    struct parts p = {.version = 8, .bucket = bucket};
    memcpy(p.time, time, 6);
    memcpy(p.random, h, 5);
    struct job_id id = assemble(&p);
    memcpy(id.b + 13, h + 5, 3);
    return id;
}

struct job_id id_child(const struct job_id *parent, const char *kind, uint32_t entry, uint32_t item)
{
    uint8_t h[DIGEST_SIZE], numbers[8];
    for (int i = 0; i < 4; i++) {
        numbers[i] = (uint8_t)(entry >> (24 - 8 * i));
        numbers[4 + i] = (uint8_t)(item >> (24 - 8 * i));
    }
    digest_sha256((struct digest_part[]){{parent->b, 16}, text(kind), {numbers, 8}}, 3, h);
    return derived(parent->b, id_bucket(parent), h);
}

struct job_id id_from_topic_id(const char *flow, const char *topic_id)
{
    uint8_t h[DIGEST_SIZE];
    digest_sha256((struct digest_part[]){text(flow), text(topic_id)}, 2, h);
    return derived(h + 8, first10(h + 14), h);
}

struct job_id id_from_place(const struct id_place *at, const void *value, size_t len)
{
    uint8_t h[DIGEST_SIZE], time[6];
    char place[80];
    int n = snprintf(place, sizeof place, "%d %lld %lld", at->partition, (long long)at->offset,
                     (long long)at->timestamp_ms);
    digest_sha256((struct digest_part[]){text(at->topic), {place, (size_t)n + 1}, {value, len}}, 3,
                  h);
    put_ms(time, at->timestamp_ms);
    return derived(time, first10(h + 14), h);
}

bool id_is_of(const struct id_secret *s, const struct job_id *id, const struct owner *o)
{
    uint8_t want[3];
    tag(s, id, o, want);
    return digest_equal(want, id->b + 13, 3);
}

int64_t id_created_ms(const struct job_id *id)
{
    int64_t ms = 0;
    if (id->b[6] >> 4 != 7)
        return -1;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id->b[i];
    return ms;
}

unsigned id_bucket(const struct job_id *id)
{
    return (unsigned)(id->b[6] & 15) << 6 | id->b[7] >> 2;
}

void id_mac(const struct id_secret *s, const void *body, size_t len, uint8_t out[ID_MAC])
{
    uint8_t h[DIGEST_SIZE];
    digest_hmac(s->b, sizeof s->b, (struct digest_part[]){text("body"), {body, len}}, 2, h);
    memcpy(out, h, ID_MAC);
}

bool id_equal(const struct job_id *a, const struct job_id *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

bool id_is_nil(const struct job_id *id)
{
    static const struct job_id nil;
    return id_equal(id, &nil);
}

void id_format(const struct job_id *id, char out[ID_TEXT])
{
    char *p = hex_print(id->b, 4, out);
    for (int i = 4; i < 10; i += 2) {
        *p++ = '-';
        p = hex_print(id->b + i, 2, p);
    }
    *p++ = '-';
    hex_print(id->b + 10, 6, p);
}

int id_parse(const char *s, struct job_id *out)
{
    struct job_id id;
    for (int i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *s++ != '-')
            return ERR_INVALID;
        int high = hex_digit(s[0]), low = high < 0 ? -1 : hex_digit(s[1]);
        if (low < 0)
            return ERR_INVALID;
        id.b[i] = (uint8_t)(high << 4 | low);
        s += 2;
    }
    if (*s)
        return ERR_INVALID;
    *out = id;
    return 0;
}

int id_secret_load(const char *path, struct id_secret *out)
{
    char raw[4096];
    FILE *f = fopen(path, "rbe");
    if (!f)
        return ERR_NOT_FOUND;
    size_t n = fread(raw, 1, sizeof raw, f);
    fclose(f);
    while (n > 0 && (raw[n - 1] == '\n' || raw[n - 1] == '\r'))
        n--;
    if (n < 16)
        return ERR_INVALID;
    digest_sha256(&(struct digest_part){raw, n}, 1, out->b);
    return 0;
}
