/* server_line.h - what `check` found about a server or a database, a line for each. Pure. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

/* kind: "server" or "database". why: what to do about it; NULL: it is well. json: an object {kind:
 * name, ok, why}. For people a server's line begins with its name; a database's why says all. */
void server_line(FILE *out, bool json, const char *kind, const char *name, const char *why);
