#include "worker/eval_print.h"

#include <string.h>

#include "common/json.h"

void eval_print(FILE *out, bool json, const struct eval_line *l)
{
    bool value = strcmp(l->member, "value") == 0;
    struct buf line;
    buf_init(&line, 0);
    if (json) {
        buf_text(&line, "{\"name\":");
        json_print_text(l->name, strlen(l->name), &line);
        buf_printf(&line, ",\"%s\":", l->member);
        if (value)
            buf_text(&line, l->text);
        else
            json_print_text(l->text, strlen(l->text), &line);
        buf_char(&line, '}');
    } else {
        buf_printf(&line, "%-34s ", l->name);
        if (!value)
            buf_printf(&line, "%s: ", l->member);
        buf_text(&line, l->text);
    }
    fprintf(out, "%s\n", buf_str(&line));
    buf_fini(&line);
}
