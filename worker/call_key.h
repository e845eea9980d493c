/* call_key.h - what the ledger knows a call by (protocols: ckey).
 * A call is the same call after a crash when name, rendered method, URL and body are, not by its
 * place; `number` tells equal ones of a job apart. Pure; any thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "common/id.h"

enum { CALL_KEY = 8, CALL_KEY_TEXT = 54 };

struct call_key_of {
    const char *name, *method, *url; /* borrowed */
    const void *body;                /* as rendered; NULL: none */
    size_t body_len;
    uint32_t number; /* 0 for the first of equals */
};

/* SHA-256 of the parts, each text ended by a 0, the number as 4 bytes big-endian; the first 8. */
void call_key(const struct call_key_of *of, uint8_t out[CALL_KEY]);

/* The outbound Idempotency-Key: `<job>.<key in hex>`. */
void call_key_format(const struct job_id *job, const uint8_t key[CALL_KEY],
                     char out[CALL_KEY_TEXT]);
