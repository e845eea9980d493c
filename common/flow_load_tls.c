#include "common/flow_loader.h"

#include <string.h>
#include <unistd.h>

static char *read_path(struct flow_loader *l, const struct yaml_node *map, const char *key)
{
    const struct yaml_node *n = yaml_get(map, key);
    const char *path = value_text(l, n);
    if (!path)
        return NULL;
    if (!path[0] || access(path, R_OK) != 0) {
        findings_add(
            l->findings, yaml_place(n), FINDING_VALUE,
            "`%s`: the file `%.200s` cannot be read\nput the PEM file there, or mend the path", key,
            path);
        return NULL;
    }
    return value_copy(l, path);
}

void flow_load_tls(struct flow_loader *l, const struct yaml_node *map, struct upstream *u)
{
    if (!flow_keys_check(l, map, MAP_TLS))
        return;
    if (u->url && strncmp(u->url, "https://", 8) != 0)
        findings_add(l->findings, yaml_place_key(map), FINDING_VALUE,
                     "`tls` is for an upstream with https\nwrite `url: https://...`, or remove it");
    if (!yaml_get(map, "cert") != !yaml_get(map, "key"))
        findings_add(l->findings, yaml_place_key(map), FINDING_REQUIRED,
                     "`cert` and `key` belong together\nwrite both, or none");
    u->tls = (struct upstream_tls){.ca = read_path(l, map, "ca"),
                                   .cert = read_path(l, map, "cert"),
                                   .key = read_path(l, map, "key")};
}
