#include "common/job_value.h"

struct json *job_value_user(const struct event *e)
{
    struct json *v = json_new_object();
    if (v && json_put(v, "id", e->sub[0] ? json_new_text(e->sub) : json_new_null())) {
        json_free(v);
        return NULL;
    }
    return v;
}

static struct json *time_value(int64_t us)
{
    char text[CLOCK_TEXT];
    if (!us)
        return json_new_null();
    clock_format(us, text);
    return json_new_text(text);
}

struct json *job_value(const struct event *e, const char *flow)
{
    char id[ID_TEXT];
    id_format(&e->job, id);
    struct json *v = json_new_object();
    if (v && (json_put(v, "id", json_new_text(id)) || json_put(v, "flow", json_new_text(flow)) ||
              json_put(v, "created_at", time_value(e->created_us)) ||
              json_put(v, "deadline", time_value(e->deadline_us)) ||
              json_put(v, "refill", json_new_bool(e->refill)))) {
        json_free(v);
        return NULL;
    }
    return v;
}
