/* `databases` of upstreams.yaml: the MySQL servers of the services. */
#include "common/flow_loader.h"
#include "common/store.h"

#include <stdio.h>
#include <string.h>

enum { CONNECTIONS_MAX = 1000 };

/* Text that fits where the client takes it. NULL after a finding, or if it may be absent. */
static char *read_text(struct flow_loader *l, const struct yaml_node *map, const char *key,
                       size_t max)
{
    const struct yaml_node *n = yaml_get(map, key);
    const char *text = value_text(l, n);
    if (!text)
        return NULL;
    if (text[0] && strlen(text) <= max)
        return value_copy(l, text);
    findings_add(l->findings, yaml_place(n), FINDING_VALUE, "`%s` %s\nmend it", key,
                 text[0] ? "is too long" : "is empty");
    return NULL;
}

static char *read_required(struct flow_loader *l, const struct yaml_node *map, const char *key,
                           const char *todo)
{
    const struct store_url *sizes = NULL;
    size_t max = strcmp(key, "host") == 0   ? sizeof sizes->host
                 : strcmp(key, "name") == 0 ? sizeof sizes->db
                                            : sizeof sizes->user;
    if (!yaml_get(map, key))
        flow_key_missing(l, map, key, todo);
    return read_text(l, map, key, max - 1);
}

bool flow_password_is_good(const char *text)
{
    const struct store_url *sizes = NULL;
    return strlen(text) < sizeof sizes->pass;
}

/* May be empty, may be left out. */
static char *read_password(struct flow_loader *l, const struct yaml_node *map)
{
    const struct yaml_node *n = yaml_get(map, "password");
    const char *text = value_text(l, n);
    if (text && text[0] && !n->filled && !strstr(text, "${"))
        findings_add(l->findings, yaml_place(n), FINDING_W_SECRET,
                     "this looks like a secret in plain text\nput it into a file and write "
                     "`${file:name}`");
    if (text && !flow_password_is_good(text))
        findings_add(l->findings, yaml_place(n), FINDING_VALUE, "`password` is too long\nmend it");
    return value_copy(l, text);
}

static void read_tls(struct flow_loader *l, const struct yaml_node *n, struct database *d)
{
    const struct store_url *sizes = NULL;
    if (n && n->type != YAML_MAP) {
        d->tls = value_bool(l, n, false);
        return;
    }
    struct upstream_tls files = {0};
    d->tls = flow_load_tls(l, n, sizeof sizes->ca - 1, &files);
    d->ca = files.ca;
    d->cert = files.cert;
    d->key = files.key;
}

static void read_database(struct flow_loader *l, const struct yaml_node *m)
{
    struct database *d = &l->set->databases[l->set->databases_n];
    *d = (struct database){.name = value_copy(l, m->key), .index = (unsigned)l->set->databases_n};
    l->set->databases_n++;
    if (!value_name(l, m, false) || !flow_keys_check(l, m, MAP_DATABASE))
        return;
    d->host = read_required(l, m, "host", "write `host: NAME` of the MySQL server");
    d->schema = read_required(l, m, "name", "write `name: SCHEMA`, the database on that server");
    d->user = read_required(l, m, "user", "write `user: ACCOUNT`");
    d->password = read_password(l, m);
    d->password_source = flow_source(l, yaml_get(m, "password"));
    d->port = (unsigned)value_number(l, yaml_get(m, "port"), (struct value_range){1, 65535, 3306});
    d->connections = (unsigned)value_number(l, yaml_get(m, "connections"),
                                            (struct value_range){1, CONNECTIONS_MAX, 4});
    read_tls(l, yaml_get(m, "tls"), d);
}

void flow_load_databases(struct flow_loader *l, const struct yaml_node *map)
{
    l->databases_unread = map && (map->type != YAML_MAP || map->n > DATABASES_MAX);
    if (!map || !value_is(l, map, YAML_MAP))
        return;
    if (l->databases_unread) {
        findings_add(l->findings, yaml_place(map), FINDING_LIMIT,
                     "more than %d databases\nremove some", DATABASES_MAX);
        return;
    }
    l->set->databases = value_array(l, map->n, sizeof *l->set->databases);
    for (const struct yaml_node *m = map->first; m && l->set->databases; m = m->next)
        read_database(l, m);
}
