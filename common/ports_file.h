/* ports_file.h - the file that tells which ports a program took; whoever waits for it never sees
 * half of it. A path that is NULL or "": none is wanted. Main thread. */
#pragma once
#include "common/err.h"

enum { PORTS_FILE_WHY = 512 };

/* Can it be written? Tried before anybody hears of this program. 0, ERR_INVALID with why. */
int ports_file_check(const char *path, char why[PORTS_FILE_WHY]) must_use;
/* pid, listen (NULL: it has none) and admin as JSON. 0, ERR_INVALID with why. */
int ports_file_write(const char *path, const char *listen, const char *admin,
                     char why[PORTS_FILE_WHY]) must_use;
