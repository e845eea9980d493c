#include "worker/operator.h"

#include <string.h>

bool operator_confirms(const struct operator_io *io, const char *verb)
{
    char answer[8] = "";
    if (io->yes)
        return true;
    if (io->terminal) {
        fprintf(io->err, "Apply this? Type yes: ");
        fflush(io->err);
        if (fgets(answer, sizeof answer, io->in) && strcmp(answer, "yes\n") == 0)
            return true;
    }
    fprintf(io->err, "%s: not applied; --yes applies the plan above\n", verb);
    return false;
}
