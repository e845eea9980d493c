#include "worker/server_line.h"

#include <string.h>

#include "common/json.h"

void server_away(const char *at, const char *setting, char out[SERVER_AWAY])
{
    snprintf(out, SERVER_AWAY, "does not answer at %.200s: start it, or mend --%s", at, setting);
}

static void print_json(FILE *out, const char *kind, const char *name, const char *why)
{
    struct buf b = {0};
    buf_printf(&b, "{\"%s\":", kind);
    json_print_text(name, strlen(name), &b);
    buf_printf(&b, ",\"ok\":%s", why ? "false" : "true");
    if (why) {
        buf_text(&b, ",\"why\":");
        json_print_text(why, strlen(why), &b);
    }
    fprintf(out, "%s}\n", buf_str(&b));
    buf_fini(&b);
}

void server_line(FILE *out, bool json, const char *kind, const char *name, const char *why)
{
    if (json)
        print_json(out, kind, name, why);
    else if (strcmp(kind, "server") == 0)
        fprintf(out, "%-6s %s\n", name, why ? why : "ok");
    else if (why)
        fprintf(out, "%s\n", why);
    else
        fprintf(out, "%s %s ok\n", kind, name);
}
