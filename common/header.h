/* header.h - a header of HTTP: name and value, as they are sent. Who holds one says whose they are.
 */
#pragma once
#include <stddef.h>
#include <strings.h>

struct header {
    char *name, *value;
};

/* The first of that name, in whatever case; NULL: none. Lent with the list. */
static inline const struct header *header_find(const struct header *list, size_t n,
                                               const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}
