/* `tls`, of an upstream and of a database. */
#include "common/flow_loader.h"

#include <string.h>
#include <unistd.h>

static char *read_path(struct flow_loader *l, const struct yaml_node *map, const char *key,
                       size_t max)
{
    const struct yaml_node *n = yaml_get(map, key);
    const char *path = value_text(l, n);
    if (!path)
        return NULL;
    size_t len = strlen(path);
    bool there = l->settings->secrets_away || access(path, R_OK) == 0;
    if (len > 0 && len <= max && there)
        return value_copy(l, path);
    if (len > max)
        findings_add(l->findings, yaml_place(n), FINDING_VALUE,
                     "`%s`: a path of more than %zu bytes\nshorten it", key, max);
    else
        findings_add(
            l->findings, yaml_place(n), FINDING_VALUE,
            "`%s`: the file `%.200s` cannot be read\nput the PEM file there, or mend the path", key,
            path);
    return NULL;
}

bool flow_load_tls(struct flow_loader *l, const struct yaml_node *map, size_t max,
                   struct upstream_tls *out)
{
    if (!flow_keys_check(l, map, MAP_TLS))
        return false;
    if (!yaml_get(map, "cert") != !yaml_get(map, "key"))
        findings_add(l->findings, yaml_place_key(map), FINDING_REQUIRED,
                     "`cert` and `key` belong together\nwrite both, or none");
    *out = (struct upstream_tls){.ca = read_path(l, map, "ca", max),
                                 .cert = read_path(l, map, "cert", max),
                                 .key = read_path(l, map, "key", max)};
    return true;
}
