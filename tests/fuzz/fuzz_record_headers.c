/* Packed headers from the tables: anything may stand there; what is read is packed again the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct event_header list[64];
    struct buf again;
    size_t n;
    if (record_headers_unpack(data, size, list, 64, &n))
        return 0;
    buf_init(&again, 0);
    if (record_headers_pack(list, n, &again) || again.len != size ||
        memcmp(again.data, data, size) != 0)
        abort();
    buf_fini(&again);
    return 0;
}
