/* server_line.h - what `check` found about a server or a database, a line for each, and how all say
 * that one is away. Pure. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

enum { SERVER_AWAY = 320 };
/* "does not answer at k:9092: start it, or mend --kafka": at and setting. */
void server_away(const char *at, const char *setting, char out[SERVER_AWAY]);

/* kind: "server" or "database". why: what to do about it; NULL: it is well. json: an object {kind:
 * name, ok, why}. For people a server's line begins with its name; a database's why says all. */
void server_line(FILE *out, bool json, const char *kind, const char *name, const char *why);
