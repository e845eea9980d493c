#include "common/err.h"

#include <stddef.h>

static const struct err_info rows[] = {
#define X(name, value, code, http, retry, title) {value, #name, code, http, retry, title},
    ERR_TABLE(X)
#undef X
};

static const size_t rows_n = sizeof rows / sizeof rows[0];

const struct err_info *err_info(int err)
{
    const struct err_info *bug = NULL;
    for (size_t i = 0; i < rows_n; i++) {
        if (rows[i].err == err)
            return &rows[i];
        if (rows[i].err == ERR_BUG)
            bug = &rows[i];
    }
    return bug;
}

const struct err_info *err_at(unsigned i)
{
    return i < rows_n ? &rows[i] : NULL;
}

const char *err_text(int err)
{
    return err == ERR_OK ? "ok" : err_info(err)->title;
}
