/* route.h - which handler a method and path belong to. Exact: nothing is decoded, folded or
 * guessed, so /v1/jobs/x/ or /V1/jobs/x is no address. Pure; any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "common/err.h"

enum route {
    ROUTE_ACCEPT,
    ROUTE_JOB,
    ROUTE_CANCEL,
    ROUTE_MY_JOBS,
    ROUTE_FLOWS,
    ROUTE_OPENAPI,
    ROUTE_EVENTS,
    ROUTE_MY_EVENTS,
    ROUTE_ERROR_PAGE,
    ROUTE_PAGE,  /* of the console: all have the same shell */
    ROUTE_ASSET, /* a file of the console */
    ROUTE_LOGIN,
    ROUTE_LOGOUT,
    ROUTE_NONE,
    ROUTE_COUNT
};

enum { ROUTE_ARG = 64 };
struct route_match {
    enum route route;
    char arg[ROUTE_ARG]; /* the {flow}, {id}, {code} or {file} in the path, or "" */
    const char *allow;   /* methods this address knows, for Allow; lent for ever */
    bool head;           /* answer as GET, without the body */
};

/* 0; ERR_NO_ROUTE (m->route is ROUTE_NONE); ERR_METHOD (route and allow are set). */
int route_find(const char *method, const char *path, struct route_match *m) must_use;

const char *route_name(enum route r); /* "accept", for metrics; lent for ever */
