#include "common/ports_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_MAX_ = 4096 };

static int failed(const char *path, char why[PORTS_FILE_WHY])
{
    snprintf(why, PORTS_FILE_WHY, "--ports-file (OFFPATH_PORTS_FILE) %.200s cannot be written: %s",
             path, strerror(errno));
    return ERR_INVALID;
}

/* Written aside, in the same folder: what is renamed is whole. */
static FILE *open_part(const char *path, char part[PATH_MAX_])
{
    if (snprintf(part, PATH_MAX_, "%s.part", path) < PATH_MAX_)
        return fopen(part, "we");
    errno = ENAMETOOLONG;
    return NULL;
}

int ports_file_check(const char *path, char why[PORTS_FILE_WHY])
{
    char part[PATH_MAX_];
    struct stat s;
    if (!path || !*path)
        return 0;
    FILE *f = open_part(path, part);
    if (!f)
        return failed(path, why);
    fclose(f);
    unlink(part);
    errno = EISDIR;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode) ? failed(path, why) : 0;
}

int ports_file_write(const char *path, const char *listen, const char *admin,
                     char why[PORTS_FILE_WHY])
{
    char part[PATH_MAX_];
    if (!path || !*path)
        return 0;
    FILE *f = open_part(path, part);
    bool good = f && fprintf(f, "{\"pid\":%ld,", (long)getpid()) > 0;
    if (good && listen)
        good = fprintf(f, "\"listen\":\"%s\",", listen) > 0;
    good = good && fprintf(f, "\"admin\":\"%s\"}\n", admin) > 0;
    if (f && fclose(f) != 0)
        good = false;
    return good && rename(part, path) == 0 ? 0 : failed(path, why);
}
