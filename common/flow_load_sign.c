#include "common/flow_loader.h"

#include <string.h>
#include <strings.h>

enum { PART_MAX = 100, KEY_MAX = 200, TOKEN_MAX = 8000 };

struct part {
    const char *name, *todo;
    size_t max;
    bool required, secret;
};

static const struct part parts[] = {
    [FLOW_SIGN_SERVICE] = {"service", "write `service: s3`", PART_MAX, true, false},
    [FLOW_SIGN_REGION] = {"region", "write it like `region: eu-west-1`", PART_MAX, true, false},
    [FLOW_SIGN_ACCESS_KEY] = {"access_key", "write `access_key: ${file:name}`", KEY_MAX, true,
                              false},
    [FLOW_SIGN_SECRET_KEY] = {"secret_key", "write `secret_key: ${file:name}`", KEY_MAX, true,
                              true},
    [FLOW_SIGN_SESSION_TOKEN] = {"session_token", "write `session_token: ${file:name}`", TOKEN_MAX,
                                 false, true},
};

/* Printable, without what would break the header apart. */
bool flow_sign_is_good(enum flow_sign_part part, const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p <= 0x20 || *p >= 0x7f)
            return false;
    return text[0] ? strlen(text) <= parts[part].max : !parts[part].required;
}

static char *read_part(struct flow_loader *l, const struct yaml_node *map, enum flow_sign_part part)
{
    const struct part *p = &parts[part];
    const struct yaml_node *n = yaml_get(map, p->name);
    const char *text = value_text(l, n);
    if (!n && p->required)
        flow_key_missing(l, map, p->name, p->todo);
    if (!text || (!p->required && !text[0]))
        return NULL;
    if (!flow_sign_is_good(part, text)) {
        findings_add(l->findings, yaml_place(n), FINDING_VALUE,
                     "`%s` is empty, too long, or holds a space or a control character\n%s",
                     p->name, p->todo);
        return NULL;
    }
    if (p->secret)
        flow_lint_secret(l, n);
    return value_copy(l, text);
}

static void check_headers(struct flow_loader *l, const struct yaml_node *map,
                          const struct upstream *u)
{
    const struct credentials *c = upstream_credentials(u);
    for (size_t i = 0; i < c->headers_n; i++)
        if (c->headers[i].name && sigv4_owns(c->headers[i].name))
            findings_add(l->findings, yaml_place_key(map), FINDING_VALUE,
                         "`sign` writes the header `%s`, which `headers` sets too\nremove it there",
                         c->headers[i].name);
}

void flow_load_sign(struct flow_loader *l, const struct yaml_node *map, struct upstream *u)
{
    static const char *const types[] = {"aws-sigv4"};
    if (!flow_keys_check(l, map, MAP_SIGN))
        return;
    if (!yaml_get(map, "type"))
        flow_key_missing(l, map, "type", "write `type: aws-sigv4`");
    value_choice(l, yaml_get(map, "type"), types, 1, 0);
    check_headers(l, map, u);
    struct credentials *c = u->credentials;
    c->sign = (struct sigv4_keys){.service = read_part(l, map, FLOW_SIGN_SERVICE),
                                  .region = read_part(l, map, FLOW_SIGN_REGION),
                                  .access_key = read_part(l, map, FLOW_SIGN_ACCESS_KEY),
                                  .secret_key = read_part(l, map, FLOW_SIGN_SECRET_KEY),
                                  .session_token = read_part(l, map, FLOW_SIGN_SESSION_TOKEN)};
    u->sources->sign =
        (struct sigv4_keys){.service = flow_source(l, yaml_get(map, "service")),
                            .region = flow_source(l, yaml_get(map, "region")),
                            .access_key = flow_source(l, yaml_get(map, "access_key")),
                            .secret_key = flow_source(l, yaml_get(map, "secret_key")),
                            .session_token = flow_source(l, yaml_get(map, "session_token"))};
}
