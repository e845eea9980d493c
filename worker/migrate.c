#include "worker/migrate.h"

#include <string.h>

#include "common/exit_code.h"

static int failed(const struct operator_io *io, int err, const char *why)
{
    fprintf(io->err, "migrate: %s\n", why[0] ? why : err_text(err));
    return err == ERR_TIMEOUT ? EXIT_CONFLICT : EXIT_DEPENDENCY;
}

static int status(const struct operator_io *io, bool up_to_date)
{
    if (up_to_date)
        fprintf(io->out, "up to date: version %d\n", RECORD_SCHEMA);
    else
        fprintf(io->out, "to apply: run `offpath-worker migrate apply` (version %d)\n",
                RECORD_SCHEMA);
    return up_to_date ? EXIT_GOOD : EXIT_FINDINGS;
}

static int apply(const struct record_settings *s, const struct user_databases *users,
                 const struct operator_io *io)
{
    char why[USER_DATABASES_WHY] = "";
    if (!operator_confirms(io, "migrate"))
        return EXIT_CONFLICT;
    int err = record_migrate_apply(s, why);
    if (!err && users)
        err = user_databases_apply(users, why);
    if (err)
        return failed(io, err, why);
    fprintf(io->out, "applied: version %d\n", RECORD_SCHEMA);
    return EXIT_GOOD;
}

struct migrating {
    const struct record_settings *record;
    const struct user_databases *users;
    const struct operator_io *io;
};

static int run(const struct migrating *m, const char *verb, struct buf *plan)
{
    const struct operator_io *io = m->io;
    char why[USER_DATABASES_WHY] = "";
    int err = record_migrate_plan(m->record, plan, why);
    if (!err && m->users)
        err = user_databases_plan(m->users, plan, why);
    if (err)
        return failed(io, err, why);
    if (strcmp(verb, "status") == 0)
        return status(io, plan->len == 0);
    if (plan->len == 0) {
        fprintf(io->out, "nothing to do: version %d\n", RECORD_SCHEMA);
        return EXIT_GOOD;
    }
    fputs(buf_str(plan), io->out);
    fflush(io->out);
    return strcmp(verb, "apply") == 0 ? apply(m->record, m->users, io) : EXIT_GOOD;
}

int migrate_run(const struct record_settings *s, const struct user_databases *users,
                const char *verb, const struct operator_io *io)
{
    struct buf plan;
    if (strcmp(verb, "status") != 0 && strcmp(verb, "plan") != 0 && strcmp(verb, "apply") != 0) {
        fprintf(io->err, "migrate: give status, plan or apply, not \"%s\"\n", verb);
        return EXIT_USAGE;
    }
    buf_init(&plan, 0);
    const struct migrating m = {s, users, io};
    int code = run(&m, verb, &plan);
    buf_fini(&plan);
    return code;
}
