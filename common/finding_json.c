#include "common/finding.h"

#include <string.h>

#include "common/json.h"

static void print_member(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, ",\"%s\":", key);
    json_print_text(value, strlen(value), out);
}

void findings_print_json(const struct findings *f, struct buf *out)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct finding *x = &f->list[i];
        bool error = finding_code_severity(x->code) == FINDING_ERROR;
        buf_text(out, "{\"file\":");
        json_print_text(x->file, strlen(x->file), out);
        buf_printf(out, ",\"line\":%u,\"column\":%u,\"code\":\"%s\",\"severity\":\"%s\"", x->line,
                   x->column, finding_code_text(x->code), error ? "error" : "warning");
        print_member(out, "message", x->what);
        if (x->help[0])
            print_member(out, "help", x->help);
        buf_text(out, "}\n");
    }
}
