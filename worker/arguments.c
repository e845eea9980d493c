#include "worker/arguments.h"

#include <stdlib.h>
#include <string.h>

#include "common/exit_code.h"

enum { FILE_MAX = 16 << 20, PATH_LEN = 4096 };

static int file_read(const char *path, struct buf *out)
{
    char part[8192];
    size_t n;
    FILE *in = fopen(path, "re");
    if (!in)
        return ERR_NOT_FOUND;
    while ((n = fread(part, 1, sizeof part, in)) > 0)
        buf_add(out, part, n);
    int err = ferror(in) ? ERR_IO : buf_ok(out);
    fclose(in);
    return err;
}

int argument_json(const char *flag, const char *text, struct json **out, const struct complaint *to)
{
    const struct json_limits limits = {.size_max = FILE_MAX, .depth_max = 128};
    struct json_error error = {0};
    struct buf file;
    int code = 0;
    if (!text)
        return 0;
    buf_init(&file, FILE_MAX);
    if (text[0] == '@' && file_read(text + 1, &file)) {
        code = complain(to, EXIT_USAGE, "%s: %.200s cannot be read", flag, text + 1);
    } else {
        const char *value = text[0] == '@' ? buf_str(&file) : text;
        if (json_parse(value, strlen(value), &limits, out, &error))
            code = complain(to, EXIT_USAGE, "%s is no JSON: %s; write JSON or @FILE", flag,
                            error.what ? error.what : "too large");
    }
    buf_fini(&file);
    return code;
}

int argument_folder(const struct flow_load_settings *load, struct flow_set **set, FILE *err)
{
    struct findings findings;
    struct buf text;
    findings_init(&findings);
    buf_init(&text, 0);
    int failed = flow_load(load, &findings, set);
    if (failed)
        findings_print(&findings, false, &text);
    fputs(buf_str(&text), err);
    buf_fini(&text);
    findings_fini(&findings);
    return !failed ? 0 : failed == ERR_NOMEM ? EXIT_BUG : EXIT_FINDINGS;
}

int argument_flow(const char *flow, const struct flow_load_settings *load, char *name, size_t size,
                  struct flow_set **set, const struct complaint *to)
{
    struct flow_load_settings s = *load;
    char dir[PATH_LEN];
    const char *slash = strrchr(flow, '/'), *stem = slash ? slash + 1 : flow;
    const char *dot = strrchr(stem, '.');
    snprintf(name, size, "%.*s", dot ? (int)(dot - stem) : (int)strlen(stem), stem);
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - flow) : 1, slash ? flow : ".");
    if (slash || dot)
        s.flows_dir = dir;
    if (!s.flows_dir)
        return complain(to, EXIT_USAGE,
                        "where is the flow \"%.80s\"? write its file, or --flows DIR", flow);
    return argument_folder(&s, set, to->err);
}
