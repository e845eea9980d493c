/* deploy/sql/001-record.sql, statement by statement, and what of it the other files use;
 * tests/unit/test_record_pure.c holds them against each other. */
#include "common/record_mysql.h"

static const char *const v1[] = {
    "-- The record of what happened: version 1. Run by `offpath-worker migrate apply`.\n"
    "-- All times are UTC. An id is the 16 bytes of a UUID.\n"
    "\n"
    "CREATE TABLE op_schema (\n"
    "  version INT PRIMARY KEY,\n"
    "  at DATETIME(6) NOT NULL\n"
    ") ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;",
    "CREATE TABLE op_worker ( -- one row per shard start; its id is the fence\n"
    "  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,\n"
    "  name VARCHAR(99) NOT NULL,\n"
    "  lease_until DATETIME(6) NOT NULL,\n"
    "  state TINYINT UNSIGNED NOT NULL DEFAULT 0 -- 0 alive 1 gone 9 declared dead\n"
    ") ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;",
    "CREATE TABLE op_job (\n"
    "  id BINARY(16) PRIMARY KEY,\n"
    "  owner BINARY(16) NOT NULL DEFAULT '',\n"
    "  flow VARCHAR(64) NOT NULL DEFAULT '',\n"
    "  state TINYINT UNSIGNED NOT NULL DEFAULT 0, -- 0 queued 1 running 10 succeeded 11 partial 12 "
    "failed 13 cancelled 14 expired\n"
    "  round SMALLINT UNSIGNED NOT NULL DEFAULT 0,\n"
    "  worker BIGINT UNSIGNED NOT NULL DEFAULT 0,\n"
    "  crashes TINYINT UNSIGNED NOT NULL DEFAULT 0,\n"
    "  cancel TINYINT UNSIGNED NOT NULL DEFAULT 0,\n"
    "  seq INT UNSIGNED NOT NULL DEFAULT 0,\n"
    "  reason VARCHAR(64) NOT NULL DEFAULT '',\n"
    "  mac BINARY(16) NOT NULL DEFAULT '',\n"
    "  rev BINARY(8) NOT NULL DEFAULT '',\n"
    "  part INT, -- its record (round > 0: in `.retry`); the request is there\n"
    "  off BIGINT,\n"
    "  created DATETIME(6) NOT NULL,\n"
    "  deadline DATETIME(6),\n"
    "  started DATETIME(6),\n"
    "  retry_at DATETIME(6),\n"
    "  finished DATETIME(6),\n"
    "  sweep_at DATETIME(6) NOT NULL, -- open: look after it then; final: delete it then\n"
    "  detail VARCHAR(500) CHARACTER SET utf8mb4, -- `message`: the text of `check`, else of "
    "`notify`\n"
    "  calls MEDIUMBLOB, -- at the end: `calls[]`, without the results that op_call holds\n"
    "  result MEDIUMBLOB,\n"
    "  KEY mine (owner, created, id),\n"
    "  KEY sweep (sweep_at)\n"
    ") ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;",
    "CREATE TABLE op_call ( -- the ledger: what each call came to\n"
    "  job BINARY(16) NOT NULL,\n"
    "  ckey BINARY(8) NOT NULL,\n"
    "  seq INT UNSIGNED NOT NULL, -- 0: `$save`, `$pool`, no user's business\n"
    "  name VARCHAR(64) NOT NULL,\n"
    "  item INT UNSIGNED, -- NULL without for_each\n"
    "  round SMALLINT UNSIGNED NOT NULL,\n"
    "  outcome TINYINT UNSIGNED NOT NULL, -- 0 started 1 ok 2 failed 3 retryable 4 unknown\n"
    "  attempts SMALLINT UNSIGNED NOT NULL,\n"
    "  status SMALLINT UNSIGNED NOT NULL,\n"
    "  ms INT UNSIGNED NOT NULL,\n"
    "  reason VARCHAR(64) NOT NULL,\n"
    "  finished DATETIME(6) NOT NULL,\n"
    "  tries BLOB, -- the last 8 attempts: start, what it waited for and how long, ms, code (the "
    "waterfall)\n"
    "  result MEDIUMBLOB,\n"
    "  PRIMARY KEY (job, ckey)\n"
    ") ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;",
    "CREATE TABLE op_outbox ( -- what is still to be published, and when\n"
    "  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,\n"
    "  due DATETIME(6) NOT NULL,\n"
    "  holder BIGINT UNSIGNED NOT NULL,\n"
    "  job BINARY(16) NOT NULL,\n"
    "  tag VARCHAR(64) NOT NULL DEFAULT '',\n"
    "  topic VARCHAR(249) NOT NULL,\n"
    "  mkey VARBINARY(1024),\n"
    "  value MEDIUMBLOB,\n"
    "  headers BLOB NOT NULL,\n"
    "  KEY due (due),\n"
    "  KEY tag (tag)\n"
    ") ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;",
    "CREATE TABLE op_dead ( -- the records of jobs that failed\n"
    "  job BINARY(16) PRIMARY KEY,\n"
    "  flow VARCHAR(64) NOT NULL,\n"
    "  reason VARCHAR(64) NOT NULL,\n"
    "  upstream VARCHAR(63) NOT NULL DEFAULT '',\n"
    "  at DATETIME(6) NOT NULL,\n"
    "  status TINYINT UNSIGNED NOT NULL DEFAULT 0, -- 0 open 1 seen 2 redriven 3 fixed 4 "
    "discarded\n"
    "  redrives SMALLINT UNSIGNED NOT NULL DEFAULT 0,\n"
    "  topic VARCHAR(249) NOT NULL,\n"
    "  part INT NOT NULL,\n"
    "  off BIGINT NOT NULL,\n"
    "  mkey VARBINARY(1024),\n"
    "  value MEDIUMBLOB,\n"
    "  headers BLOB,\n"
    "  KEY list (status, flow, at)\n"
    ") ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;",
    "CREATE TABLE op_cancel (\n"
    "  job BINARY(16) PRIMARY KEY,\n"
    "  at DATETIME(6) NOT NULL,\n"
    "  KEY at (at)\n"
    ") ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;",
    "CREATE TABLE op_pool_used (\n"
    "  item BINARY(16) PRIMARY KEY,\n"
    "  job BINARY(16) NOT NULL,\n"
    "  at DATETIME(6) NOT NULL,\n"
    "  KEY at (at)\n"
    ") ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;",
    "CREATE TABLE offpath_applied ( -- also wanted in each user database on another server than "
    "the record\n"
    "  job BINARY(16) NOT NULL,\n"
    "  step SMALLINT NOT NULL,\n"
    "  at DATETIME(6) NOT NULL,\n"
    "  PRIMARY KEY (job, step),\n"
    "  KEY at (at)\n"
    ") ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;",
    "INSERT INTO op_schema (version, at) VALUES (1, NOW(6));",
    NULL};

const char *const *const record_schema_versions[RECORD_SCHEMA] = {v1};

const struct record_table record_tables[] = {
    {"op_schema", "version at"},
    {"op_worker", "id name lease_until state"},
    {"op_job", "id owner flow state round worker crashes cancel seq reason mac rev part off created"
               " deadline started retry_at finished sweep_at detail calls result"},
    {"op_call", "job ckey seq name item round outcome attempts status ms reason finished tries"
                " result"},
    {"op_outbox", "id due holder job tag topic mkey value headers"},
    {"op_dead", "job flow reason upstream at status redrives topic part off mkey value headers"},
    {"op_cancel", "job at"},
    {"op_pool_used", "item job at"},
    {"offpath_applied", "job step at"},
    {NULL, NULL},
};
