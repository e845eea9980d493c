#include "gateway/openapi.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/yaml.h"
#include "gateway/flows.h"
#include "gateway/problem.h"

static const char START[] = "/v1/flows/{flow}/jobs";

/* The base as JSON, owned; NULL without memory. That it has no findings is a unit test. */
static struct json *read_base(void)
{
    struct findings f;
    struct yaml *y = NULL;
    struct json *base = NULL;
    findings_init(&f);
    if (yaml_parse("openapi.yaml", openapi_base, openapi_base_len, &f, &y) == 0)
        base = yaml_json(yaml_root(y));
    yaml_close(y);
    findings_fini(&f);
    return base;
}

/* ---- a flow's schema, at another place */

static bool is_in(const char *const *names, size_t n, const char *key)
{
    for (size_t i = 0; key && i < n; i++)
        if (strcmp(names[i], key) == 0)
            return true;
    return false;
}

/* Keywords of a schema whose values hold none. */
static bool is_data(const char *key)
{
    static const char *const names[] = {"const", "enum", "default", "examples", "example"};
    return is_in(names, sizeof names / sizeof names[0], key);
}

/* Keywords whose members are schemas under names of their own, which may be those of keywords. */
static bool has_names(const char *key)
{
    static const char *const names[] = {"properties", "patternProperties", "$defs",
                                        "dependentSchemas"};
    return is_in(names, sizeof names / sizeof names[0], key);
}

static struct json *moved(const struct json *v, const char *name, bool named);

/* `#/$defs/x` of a flow's schema stands behind `#/components/schemas/NAME` here. */
static struct json *moved_reference(const char *text, const char *name)
{
    struct buf b = {0};
    struct json *out = NULL;
    if (text[0] == '#')
        buf_printf(&b, "#/components/schemas/%s%s", name, text + 1);
    else
        buf_text(&b, text);
    if (buf_ok(&b) == 0)
        out = json_new_text(buf_str(&b));
    buf_fini(&b);
    return out;
}

static struct json *moved_member(const struct json *v, const char *name, bool named)
{
    const char *key = named ? NULL : json_key(v);
    if (key && strcmp(key, "$ref") == 0 && json_text(v))
        return moved_reference(json_text(v), name);
    return is_data(key) ? json_copy(v) : moved(v, name, has_names(key));
}

/* named: its members are schemas, not keywords. */
static struct json *moved(const struct json *v, const char *name, bool named)
{
    enum json_type type = json_type(v);
    if (type != JSON_ARRAY && type != JSON_OBJECT)
        return json_copy(v);
    struct json *out = type == JSON_ARRAY ? json_new_array() : json_new_object();
    for (const struct json *c = json_first(v); out && c; c = json_next(c)) {
        struct json *copy = moved_member(c, name, named);
        if (type == JSON_ARRAY ? json_push(out, copy) : json_add(out, json_key(c), copy)) {
            json_free(out);
            out = NULL;
        }
    }
    return out;
}

static struct json *schema_of(const struct flow *f, const char *name)
{
    struct json *any = NULL;
    if (f->schema_source)
        return moved(f->schema_source, name, false);
    any = json_new_object();
    if (json_put(any, "type", json_new_text("object")) != 0) {
        json_free(any);
        return NULL;
    }
    return any;
}

/* ---- the address of a flow. Values that could not be made are NULL, which json_put refuses. */

static struct json *one(const char *key, struct json *value)
{
    struct json *o = json_new_object();
    if (json_put(o, key, value) == 0)
        return o;
    json_free(o);
    return NULL;
}

/* Without the one that names the flow: it stands in the address. */
static struct json *parameters_of(const struct json *post)
{
    struct json *out = json_new_array();
    const struct json *given = json_get(post, "parameters");
    for (const struct json *p = json_first(given); out && p; p = json_next(p)) {
        const char *name = json_text(json_get(p, "name"));
        if (name && strcmp(name, "flow") == 0)
            continue;
        if (json_push(out, json_copy(p)) != 0) {
            json_free(out);
            out = NULL;
        }
    }
    return out;
}

static struct json *examples_of(const struct flow *f)
{
    const struct json *list = json_get(f->schema_source, "examples");
    struct json *out = json_new_object();
    unsigned n = 0;
    for (const struct json *e = json_first(list); out && e; e = json_next(e)) {
        char name[32];
        snprintf(name, sizeof name, "example-%u", ++n);
        if (json_put(out, name, one("value", json_copy(e))) != 0) {
            json_free(out);
            out = NULL;
        }
    }
    return out;
}

static struct json *body_of(const struct flow *f, const struct json *post, const char *name)
{
    char text[160];
    const struct json *base = json_get(post, "requestBody");
    struct json *type = NULL, *body = json_copy(base);
    snprintf(text, sizeof text, "#/components/schemas/%s", name);
    type = one("schema", one("$ref", json_new_text(text)));
    if (json_size(json_get(f->schema_source, "examples")) > 0 &&
        json_put(type, "examples", examples_of(f)) != 0) {
        json_free(type);
        type = NULL;
    }
    snprintf(text, sizeof text, "At most %zu bytes, 64 levels deep.", f->request_max);
    if (json_put(body, "description", json_new_text(text)) != 0 ||
        json_put(body, "content", one("application/json", type)) != 0) {
        json_free(body);
        return NULL;
    }
    return body;
}

/* {} is "no token needed". */
static struct json *security_of(const struct flow *f)
{
    struct json *out = json_new_array();
    int err = f->access == ACCESS_GUESTS ? json_push(out, json_new_object()) : 0;
    if (!err)
        err = json_push(out, one("bearer", json_new_array()));
    if (!err)
        err = json_push(out, one("cookie", json_new_array()));
    if (!err)
        return out;
    json_free(out);
    return NULL;
}

static struct json *path_of(const struct flow *f, const struct json *item, const char *name)
{
    char id[FLOW_NAME_MAX + 16];
    const struct json *base = json_get(item, "post");
    struct json *post = json_copy(base);
    snprintf(id, sizeof id, "start-%s", f->name);
    int err = json_put(post, "operationId", json_new_text(id));
    if (!err)
        err = json_put(post, "summary", json_new_text(f->title));
    if (!err)
        err = json_put(post, "security", security_of(f));
    if (!err)
        err = json_put(post, "parameters", parameters_of(base));
    if (!err)
        err = json_put(post, "requestBody", body_of(f, base, name));
    if (!err)
        return one("post", post);
    json_free(post);
    return NULL;
}

/* ---- the document */

struct making {
    const struct json *base;
    struct json *paths, *components, *schemas; /* owned until they are in the document */
};

static int add_flow(struct making *m, const struct flow *f)
{
    char name[FLOW_NAME_MAX + 16], path[FLOW_NAME_MAX + 32];
    snprintf(name, sizeof name, "request.%s", f->name);
    snprintf(path, sizeof path, "/v1/flows/%s/jobs", f->name);
    int err = json_put(m->schemas, name, schema_of(f, name));
    if (!err)
        err =
            json_put(m->paths, path, path_of(f, json_get(json_get(m->base, "paths"), START), name));
    return err;
}

static int add_flows(struct making *m, const struct flow_set *flows, openapi_may_fn *may,
                     const void *arg)
{
    int err = 0;
    for (size_t i = 0; i < flows->flows_n && !err; i++)
        if (flows->flows[i].access != ACCESS_INTERNAL && may(arg, &flows->flows[i]))
            err = add_flow(m, &flows->flows[i]);
    const struct json *paths = json_get(m->base, "paths");
    for (const struct json *p = json_first(paths); p && !err; p = json_next(p))
        if (strcmp(json_key(p), START) != 0)
            err = json_put(m->paths, json_key(p), json_copy(p));
    return err;
}

static int put_parts(struct making *m, struct json *document, const char *url)
{
    struct json *servers = json_new_array();
    int err = json_push(servers, one("url", json_new_text(url[0] ? url : "/")));
    if (err)
        json_free(servers);
    else
        err = json_put(document, "servers", servers);
    if (!err) {
        err = json_put(m->components, "schemas", m->schemas);
        m->schemas = NULL;
    }
    if (!err) {
        err = json_put(document, "components", m->components);
        m->components = NULL;
    }
    if (!err) {
        err = json_put(document, "paths", m->paths);
        m->paths = NULL;
    }
    return err;
}

int openapi_print(const struct flow_set *flows, openapi_may_fn *may, const void *arg,
                  const char *url, struct buf *out)
{
    struct json *document = read_base();
    struct making m = {.base = document, .paths = json_new_object()};
    const struct json *components = json_get(document, "components");
    int err = document && m.paths ? 0 : ERR_NOMEM;
    if (!err) {
        m.components = json_copy(components);
        m.schemas = json_copy(json_get(components, "schemas"));
        err = m.components && m.schemas ? add_flows(&m, flows, may, arg) : ERR_NOMEM;
    }
    if (!err)
        err = put_parts(&m, document, url);
    if (!err) {
        json_print(document, out);
        err = buf_ok(out);
    }
    json_free(m.paths);
    json_free(m.components);
    json_free(m.schemas);
    json_free(document);
    return err ? ERR_NOMEM : 0;
}

static bool may_start(const void *arg, const struct flow *f)
{
    return flows_may_start(arg, f);
}

void openapi_get(const struct flow_set *flows, const struct http_request *q, struct http_reply *r)
{
    if (openapi_print(flows, may_start, q, q->public_url, &r->body) != 0) {
        problem_simple(q, r, ERR_NOMEM, NULL);
        return;
    }
    http_reply_header(r, "Cache-Control", "private, no-cache");
    r->status = 200;
    r->type = "application/json";
}
