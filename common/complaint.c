#include "common/complaint.h"

#include <stdarg.h>
#include <string.h>

#include "common/exit_code.h"
#include "common/json.h"

enum { TEXT_MAX = 2048 };

void complain_json(FILE *err, int status, const char *text)
{
    static const struct {
        int status;
        const char *title;
    } titles[] = {{EXIT_USAGE, "not understood"},
                  {EXIT_DEPENDENCY, "no answer"},
                  {EXIT_CONFLICT, "not confirmed"}};
    const char *title = "not done";
    struct buf b = {0};
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++)
        if (titles[i].status == status)
            title = titles[i].title;
    buf_printf(&b, "{\"type\":\"about:blank\",\"title\":\"%s\",\"detail\":", title);
    json_print_text(text, strlen(text), &b);
    fprintf(err, "%s}\n", buf_str(&b));
    buf_fini(&b);
}

int complain(const struct complaint *c, int status, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (c->json)
        complain_json(c->err, status, text);
    else
        fprintf(c->err, "%s: %s\n", c->program, text);
    return status;
}
