-- The tables of the systems in deploy/flows, one database per service; Offpath's own job tables are
-- elsewhere (001-record.sql). Run it as often as you like: what is there stays. offpath_applied has one
-- row per job and step, written in the transaction of the job's rows: a redelivered job is applied once.

CREATE DATABASE IF NOT EXISTS resume  CHARACTER SET utf8mb4;
CREATE DATABASE IF NOT EXISTS builder CHARACTER SET utf8mb4;
CREATE DATABASE IF NOT EXISTS auth    CHARACTER SET utf8mb4;
CREATE DATABASE IF NOT EXISTS member  CHARACTER SET utf8mb4;
CREATE DATABASE IF NOT EXISTS batch   CHARACTER SET utf8mb4;

-- 1 and 4: resume advice, resume questions, interview questions
CREATE TABLE IF NOT EXISTS resume.prediction (
  job_id       CHAR(36)     NOT NULL PRIMARY KEY,
  member_id    BIGINT       NOT NULL,
  job          VARCHAR(100) NOT NULL,
  career       VARCHAR(100) NOT NULL,
  advice       TEXT         NOT NULL,
  improvements JSON         NOT NULL,
  created_at   DATETIME(3)  NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  KEY member (member_id, created_at)
);
CREATE TABLE IF NOT EXISTS resume.predicted_question (
  job_id     CHAR(36)    NOT NULL,
  number     INT         NOT NULL,
  member_id  BIGINT      NOT NULL,
  question   TEXT        NOT NULL,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (job_id, number),
  KEY member (member_id, created_at)
);
CREATE TABLE IF NOT EXISTS resume.interview_question (
  job_id     CHAR(36)    NOT NULL,
  number     INT         NOT NULL,
  member_id  BIGINT      NOT NULL,
  kind       VARCHAR(50) NOT NULL,
  question   TEXT        NOT NULL,
  answer     TEXT,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (job_id, number),
  KEY member (member_id, created_at)
);
CREATE TABLE IF NOT EXISTS resume.user_log (
  job_id     CHAR(36)    NOT NULL,
  member_id  BIGINT      NOT NULL,
  action     VARCHAR(50) NOT NULL,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (job_id, action)
);

-- 2: templates and designs
CREATE TABLE IF NOT EXISTS builder.company (
  sn          BIGINT NOT NULL PRIMARY KEY,
  max_designs INT    NOT NULL DEFAULT 100
);
CREATE TABLE IF NOT EXISTS builder.template (
  sn   BIGINT       NOT NULL PRIMARY KEY,
  name VARCHAR(100) NOT NULL
);
CREATE TABLE IF NOT EXISTS builder.template_image (
  sn          BIGINT        NOT NULL PRIMARY KEY,
  template_sn BIGINT        NOT NULL,
  image_key   VARCHAR(1024) NOT NULL,
  KEY template (template_sn, sn)
);
CREATE TABLE IF NOT EXISTS builder.design (
  id          CHAR(36)     NOT NULL PRIMARY KEY,
  company_sn  BIGINT       NOT NULL,
  template_sn BIGINT       NOT NULL,
  name        VARCHAR(100) NOT NULL,
  created_at  DATETIME(3)  NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  KEY company (company_sn)
);
CREATE TABLE IF NOT EXISTS builder.design_image (
  design_id         CHAR(36)     NOT NULL,
  template_image_sn BIGINT       NOT NULL,
  image_key         VARCHAR(255) NOT NULL,
  PRIMARY KEY (design_id, template_image_sn),
  UNIQUE KEY used_once (image_key)               -- two designs never share an object
);

-- 5: the sign-up chain
CREATE TABLE IF NOT EXISTS auth.member (
  uuid     CHAR(36)     NOT NULL PRIMARY KEY,
  email    VARCHAR(255) NOT NULL,
  password VARCHAR(255) NOT NULL,                -- a hash
  name     VARCHAR(50)  NOT NULL,
  phone    VARCHAR(20)  NOT NULL,
  birth    DATE         NOT NULL,
  gender   CHAR(1)      NOT NULL,
  role     ENUM('USER', 'PARTNER') NOT NULL,
  UNIQUE KEY email (email)
);
CREATE TABLE IF NOT EXISTS member.user_profile    (uuid CHAR(36) NOT NULL PRIMARY KEY, nickname VARCHAR(30) NOT NULL);
CREATE TABLE IF NOT EXISTS member.partner_profile (uuid CHAR(36) NOT NULL PRIMARY KEY, nickname VARCHAR(30) NOT NULL);
CREATE TABLE IF NOT EXISTS member.favorite_style (
  uuid     CHAR(36) NOT NULL,
  style_id BIGINT   NOT NULL,
  PRIMARY KEY (uuid, style_id)
);
CREATE TABLE IF NOT EXISTS batch.partner_summary (
  partner_id CHAR(36) NOT NULL PRIMARY KEY,
  orders     INT      NOT NULL DEFAULT 0,
  reviews    INT      NOT NULL DEFAULT 0,
  rating     DECIMAL(3, 2)
);

-- Needed where a database is on another server, or under another account, than Offpath's own tables (so here); harmless elsewhere.
CREATE TABLE IF NOT EXISTS resume.offpath_applied (
  job  BINARY(16)  NOT NULL,
  step SMALLINT    NOT NULL,
  at   DATETIME(6) NOT NULL,
  PRIMARY KEY (job, step),
  KEY at (at)
);
CREATE TABLE IF NOT EXISTS builder.offpath_applied LIKE resume.offpath_applied;
CREATE TABLE IF NOT EXISTS auth.offpath_applied    LIKE resume.offpath_applied;
CREATE TABLE IF NOT EXISTS member.offpath_applied  LIKE resume.offpath_applied;
CREATE TABLE IF NOT EXISTS batch.offpath_applied   LIKE resume.offpath_applied;
