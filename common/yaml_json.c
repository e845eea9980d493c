#include "common/json.h"
#include "common/yaml.h"

static struct json *container(const struct yaml_node *n)
{
    bool map = n->type == YAML_MAP;
    struct json *out = map ? json_new_object() : json_new_array();
    for (const struct yaml_node *c = n->first; out && c; c = c->next) {
        int err = map ? json_put(out, c->key, yaml_json(c)) : json_push(out, yaml_json(c));
        if (err) {
            json_free(out);
            return NULL;
        }
    }
    return out;
}

struct json *yaml_json(const struct yaml_node *n)
{
    switch (n->type) {
    case YAML_NULL:
        return json_new_null();
    case YAML_BOOL:
        return json_new_bool(n->truth);
    case YAML_NUMBER:
        return json_new_number(n->number);
    case YAML_TEXT:
        return json_new_text(n->whole);
    default:
        return container(n);
    }
}
