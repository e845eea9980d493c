-- The record of what happened: version 1. Run by `offpath-worker migrate apply`.
-- All times are UTC. An id is the 16 bytes of a UUID.

CREATE TABLE op_schema (
  version INT PRIMARY KEY,
  at DATETIME(6) NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;

CREATE TABLE op_worker ( -- one row per shard start; its id is the fence
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(99) NOT NULL,
  lease_until DATETIME(6) NOT NULL,
  state TINYINT UNSIGNED NOT NULL DEFAULT 0 -- 0 alive 1 gone 9 declared dead
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;

CREATE TABLE op_job (
  id BINARY(16) PRIMARY KEY,
  owner BINARY(16) NOT NULL DEFAULT '',
  flow VARCHAR(64) NOT NULL DEFAULT '',
  state TINYINT UNSIGNED NOT NULL DEFAULT 0, -- 0 queued 1 running 10 succeeded 11 partial 12 failed 13 cancelled 14 expired
  round SMALLINT UNSIGNED NOT NULL DEFAULT 0,
  worker BIGINT UNSIGNED NOT NULL DEFAULT 0,
  crashes TINYINT UNSIGNED NOT NULL DEFAULT 0,
  cancel TINYINT UNSIGNED NOT NULL DEFAULT 0,
  seq INT UNSIGNED NOT NULL DEFAULT 0,
  reason VARCHAR(64) NOT NULL DEFAULT '',
  mac BINARY(16) NOT NULL DEFAULT '',
  rev BINARY(8) NOT NULL DEFAULT '',
  part INT, -- its record (round > 0: in `.retry`); the request is there
  off BIGINT,
  created DATETIME(6) NOT NULL,
  deadline DATETIME(6),
  started DATETIME(6),
  retry_at DATETIME(6),
  finished DATETIME(6),
  sweep_at DATETIME(6) NOT NULL, -- open: look after it then; final: delete it then
  detail VARCHAR(500) CHARACTER SET utf8mb4, -- `message`: the text of `check`, else of `notify`
  calls MEDIUMBLOB, -- at the end: `calls[]`, without the results that op_call holds
  result MEDIUMBLOB,
  KEY mine (owner, created, id),
  KEY sweep (sweep_at)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;

CREATE TABLE op_call ( -- the ledger: what each call came to
  job BINARY(16) NOT NULL,
  ckey BINARY(8) NOT NULL,
  seq INT UNSIGNED NOT NULL, -- 0: `$save`, `$pool`, no user's business
  name VARCHAR(64) NOT NULL,
  item INT UNSIGNED, -- NULL without for_each
  round SMALLINT UNSIGNED NOT NULL,
  outcome TINYINT UNSIGNED NOT NULL, -- 0 started 1 ok 2 failed 3 retryable 4 unknown
  attempts SMALLINT UNSIGNED NOT NULL,
  status SMALLINT UNSIGNED NOT NULL,
  ms INT UNSIGNED NOT NULL,
  reason VARCHAR(64) NOT NULL,
  finished DATETIME(6) NOT NULL,
  tries BLOB, -- the last 8 attempts: start, what it waited for and how long, ms, code (the waterfall)
  result MEDIUMBLOB,
  PRIMARY KEY (job, ckey)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;

CREATE TABLE op_outbox ( -- what is still to be published, and when
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  due DATETIME(6) NOT NULL,
  holder BIGINT UNSIGNED NOT NULL,
  job BINARY(16) NOT NULL,
  tag VARCHAR(64) NOT NULL DEFAULT '',
  topic VARCHAR(249) NOT NULL,
  mkey VARBINARY(1024),
  value MEDIUMBLOB,
  headers BLOB NOT NULL,
  KEY due (due),
  KEY tag (tag)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;

CREATE TABLE op_dead ( -- the records of jobs that failed
  job BINARY(16) PRIMARY KEY,
  flow VARCHAR(64) NOT NULL,
  reason VARCHAR(64) NOT NULL,
  upstream VARCHAR(63) NOT NULL DEFAULT '',
  at DATETIME(6) NOT NULL,
  status TINYINT UNSIGNED NOT NULL DEFAULT 0, -- 0 open 1 seen 2 redriven 3 fixed 4 discarded
  redrives SMALLINT UNSIGNED NOT NULL DEFAULT 0,
  topic VARCHAR(249) NOT NULL,
  part INT NOT NULL,
  off BIGINT NOT NULL,
  mkey VARBINARY(1024),
  value MEDIUMBLOB,
  headers BLOB,
  KEY list (status, flow, at)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;

CREATE TABLE op_cancel (
  job BINARY(16) PRIMARY KEY,
  at DATETIME(6) NOT NULL,
  KEY at (at)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;

CREATE TABLE op_pool_used (
  item BINARY(16) PRIMARY KEY,
  job BINARY(16) NOT NULL,
  at DATETIME(6) NOT NULL,
  KEY at (at)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;

CREATE TABLE offpath_applied ( -- also wanted in each user database on another server than the record
  job BINARY(16) NOT NULL,
  step SMALLINT NOT NULL,
  at DATETIME(6) NOT NULL,
  PRIMARY KEY (job, step),
  KEY at (at)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii COLLATE=ascii_bin;

INSERT INTO op_schema (version, at) VALUES (1, NOW(6));
