#include "common/files.h"
#include <sys/resource.h>

enum { RESERVE = 256, CALLS_MIN = 16, LIMIT_MAX = 1 << 20 };

unsigned files_raise(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0)
        return 1024;
    struct rlimit all = {.rlim_cur = l.rlim_max, .rlim_max = l.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &all) == 0)
        l = all;
    return l.rlim_cur > LIMIT_MAX ? LIMIT_MAX : (unsigned)l.rlim_cur;
}

unsigned files_for_calls(unsigned limit, unsigned shards)
{
    unsigned of_shard = limit > RESERVE ? (limit - RESERVE) / (shards ? shards : 1) : 0;
    unsigned idle = FILES_IDLE_CONNECTIONS;
    /* few descriptors: half for calls, half for connections that idle between them */
    unsigned calls = of_shard > 2 * idle ? of_shard - idle : of_shard / 2;
    return calls > CALLS_MIN ? calls : CALLS_MIN;
}

unsigned files_for_connections(unsigned connections, unsigned groups)
{
    return connections + groups * FILES_GROUP + RESERVE;
}

unsigned files_for_streams(unsigned limit, unsigned threads, unsigned groups, unsigned streams)
{
    unsigned others = files_for_connections(threads, groups),
             left = limit > others ? limit - others : 0;
    return left < streams ? left : streams;
}
