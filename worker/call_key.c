#include "worker/call_key.h"
#include "common/digest.h"
#include "common/hex.h"

#include <string.h>

void call_key(const struct call_key_of *of, uint8_t out[CALL_KEY])
{
    const uint8_t number[4] = {(uint8_t)(of->number >> 24), (uint8_t)(of->number >> 16),
                               (uint8_t)(of->number >> 8), (uint8_t)of->number};
    const struct digest_part parts[] = {
        {of->name, strlen(of->name) + 1},
        {of->method, strlen(of->method) + 1},
        {of->url, strlen(of->url) + 1},
        {of->body ? of->body : "", of->body ? of->body_len : 0},
        {"", 1},
        {number, sizeof number},
    };
    uint8_t sum[DIGEST_SIZE];
    digest_sha256(parts, sizeof parts / sizeof parts[0], sum);
    memcpy(out, sum, CALL_KEY);
}

void call_key_format(const struct job_id *job, const uint8_t key[CALL_KEY], char out[CALL_KEY_TEXT])
{
    id_format(job, out);
    char *p = out + ID_TEXT - 1;
    *p++ = '.';
    hex_print(key, CALL_KEY, p);
}
