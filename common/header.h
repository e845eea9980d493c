/* header.h - a header of HTTP: name and value, as they are sent. Who holds one says whose they are.
 */
#pragma once

struct header {
    char *name, *value;
};
