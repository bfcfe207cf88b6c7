-- manage_partitions, maintain_partitions, retain_partitions, their plan and log: what is made ahead, what is retired and what
-- never is, one table's failure and the others, default partitions, holds, archives, whose policy it is.
-- Dates depend on the day of the test: digits are shown as n.
SET client_min_messages = warning;
CREATE SCHEMA partition_manage;
SET search_path = partition_manage;
SET TimeZone = 'Asia/Tokyo';
CREATE FUNCTION n(text) RETURNS text LANGUAGE sql RETURN regexp_replace($1, '\d+', 'n', 'g');

CREATE TABLE m (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
SELECT * FROM architect.manage_partitions('m', '1 month', ahead => 3, timezone => 'Europe/Vienna');
SELECT * FROM architect.manage_partitions('m', '1 month', ahead => 3, timezone => 'Europe/Vienna');
SELECT action FROM architect.manage_partitions('m', '1 month', ahead => 4, timezone => 'Europe/Vienna');
SELECT parent, every, timezone, ahead, keep, keep_action, status FROM architect.partition_policies() WHERE parent LIKE 'partition_manage.%';
SELECT step, transaction_group AS tx, action, n(object_name) AS object, lock_mode, locks, bytes_read FROM architect.partition_plan('m');
SELECT severity, code, detail, fix_sql FROM architect.partition_health('m') WHERE code !~ 'SCHEDULE';
CALL architect.maintain_partitions();
SELECT parent_name, n(object_name) AS object, action, detail FROM architect.partition_log();
SELECT to_char(from_value::date, 'DD') AS first, to_char(to_value::date, 'DD') AS after, bytes > 0 AS bytes, rows_estimate, is_default, detach_pending FROM architect.partition_list('m');
SELECT count(*) FROM architect.partition_plan('m');
CALL architect.maintain_partitions();
SELECT count(*) FROM architect.partition_log();
SELECT severity, code, detail, fix_sql FROM architect.partition_health('m') WHERE code !~ 'SCHEDULE';

-- Retention: by the bound in the catalogue, whatever the name says; never what is on hold, the present, the future
CREATE TABLE r (at date NOT NULL) PARTITION BY RANGE (at);
SELECT count(*) FROM architect.create_partitions('r', '1 month', back => 10, ahead => 0);
SELECT partition_name AS oldest FROM architect.partition_list('r') LIMIT 1 \gset
ALTER TABLE :oldest RENAME TO before;
SELECT n(object_name) AS object, action, detail FROM architect.hold_partition('before', 'case 12');
ALTER TABLE before RENAME TO named_like_the_future_p2999_01;
SELECT n(partition_name), reason FROM architect.partition_holds();
SET client_min_messages = notice;
\set VERBOSITY terse
CALL architect.retain_partitions('r', NULL);
CALL architect.retain_partitions('r', '0 days');
SET client_min_messages = warning;
CALL architect.retain_partitions('r', '8 months', 'drop');
SELECT count(*) AS all_still_there FROM architect.partition_list('r');
CALL architect.retain_partitions('r', '8 months', 'drop', dry_run => false);
SELECT count(*), count(on_hold) AS held FROM architect.partition_list('r');
SELECT n(object_name) AS object, action, n(detail) AS detail FROM architect.partition_log('r');
SELECT action FROM architect.release_partition('named_like_the_future_p2999_01');
SELECT action FROM architect.release_partition('named_like_the_future_p2999_01');
-- As many as allowed at once, the oldest first; archived
CREATE SCHEMA partition_archive;
SELECT action FROM architect.manage_partitions('r', '1 month', ahead => 0, keep => '1 day', keep_action => 'archive', archive_schema => 'partition_archive', max_retired => 2);
CALL architect.maintain_partitions('r');
SELECT n(object_name) AS object, action, n(detail) AS detail FROM architect.partition_log('r') WHERE action <> 'analyzed' ORDER BY action, object_name LIMIT 3;
SELECT count(*) FROM pg_class WHERE relnamespace = 'partition_archive'::regnamespace;
CREATE TABLE seen (partition regclass, by name);
CREATE FUNCTION keep_elsewhere(partition regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO partition_manage.seen VALUES (partition, current_user);
    EXECUTE format('DROP TABLE %s', partition);
END $$;
SELECT action FROM architect.manage_partitions('r', '1 month', ahead => 0, keep => '1 day', keep_action => 'archive', archive_function => 'keep_elsewhere');
CALL architect.maintain_partitions('r');
SELECT count(*) > 3 AS archived, max(by) = current_user AS as_owner FROM seen;
SELECT count(*) AS left FROM architect.partition_list('r');
SELECT bool_and(NOT at) AS the_present_stays FROM (SELECT to_value::date <= current_date AS at FROM architect.partition_list('r')) AS p;

-- One table that fails stops no other: its name is taken, its owner has changed, it is gone
CREATE TABLE a_first (at date) PARTITION BY RANGE (at);
CREATE TABLE b_taken (at date) PARTITION BY RANGE (at);
CREATE TABLE c_gone (at date) PARTITION BY RANGE (at);
CREATE TABLE d_given (at date) PARTITION BY RANGE (at);
CREATE TABLE e_last (at date) PARTITION BY RANGE (at);
SELECT action FROM architect.manage_partitions('a_first', '1 month', ahead => 1), architect.manage_partitions('b_taken', '1 month', ahead => 1) AS b (a2, a3, a4),
    architect.manage_partitions('c_gone', '1 month', ahead => 1) AS c (a5, a6, a7), architect.manage_partitions('d_given', '1 month', ahead => 1) AS d (a8, a9, a10),
    architect.manage_partitions('e_last', '1 month', ahead => 1) AS e (a11, a12, a13);
DO $$ BEGIN EXECUTE format('CREATE TABLE b_taken_p%s (x int)', to_char(now(), 'YYYY_MM')); END $$;
DROP TABLE c_gone;
CREATE ROLE partition_manage_other;
ALTER TABLE d_given OWNER TO partition_manage_other;
CALL architect.maintain_partitions();
SELECT parent_name, n(object_name) AS object, action, n(detail) AS detail FROM architect.partition_log() ORDER BY 1, 2, 3;
SELECT severity, code, parent_name, n(detail) AS detail FROM architect.partition_health() WHERE code !~ 'SCHEDULE|STALE' ORDER BY parent_name, code;
DELETE FROM architect.partition_policy WHERE table_name = 'c_gone';
SELECT action FROM architect.unmanage_partitions('b_taken'), architect.unmanage_partitions('d_given') AS d (a, b, c);
SELECT action FROM architect.unmanage_partitions('b_taken');

-- A renamed table is still the same
ALTER TABLE e_last RENAME TO f_last;
SELECT parent, status FROM architect.partition_policies() WHERE parent ~ 'last';
CALL architect.maintain_partitions();
SELECT parent, status FROM architect.partition_policies() WHERE parent ~ 'last';

-- Default partitions: small ones are read at once, large ones shown to be empty of what comes first; what holds rows is told
CREATE TABLE g (at date, fill text) PARTITION BY RANGE (at);
CREATE TABLE g_rest PARTITION OF g DEFAULT;
ALTER TABLE g_rest ALTER fill SET STORAGE PLAIN;
INSERT INTO g SELECT '2001-01-01', repeat('x', 7000) FROM generate_series(1, 1500);
SELECT action, n(detail) AS detail FROM architect.manage_partitions('g', '1 month', ahead => 2);
SELECT action, count(*) FROM architect.create_monthly_partitions('g', ahead => 2) GROUP BY 1;
SELECT step, transaction_group AS tx, action, n(object_name) AS object, n(sql) AS sql, lock_mode, n(locks) AS locks, bytes_read FROM architect.partition_plan('g') WHERE action <> 'analyze';
CALL architect.maintain_partitions('g');
SELECT n(object_name) AS object, action, n(left(detail, 60)) AS detail FROM architect.partition_log('g');
SELECT count(*) AS constraints_left FROM pg_constraint WHERE conrelid = 'g_rest'::regclass;
INSERT INTO g VALUES (current_date + interval '4 months');
SELECT action FROM architect.manage_partitions('g', '1 month', ahead => 5);
CALL architect.maintain_partitions('g');
SELECT action, count(*), n(max(left(detail, 60))) AS detail FROM architect.partition_log('g') GROUP BY action ORDER BY action;
SELECT count(*) AS constraints_left FROM pg_constraint WHERE conrelid = 'g_rest'::regclass;
SELECT severity, code, n(detail) AS detail, n(fix_sql) AS fix_sql FROM architect.partition_health('g') WHERE code !~ 'SCHEDULE|STALE';
-- Detached the plain way beside a default partition
SELECT action FROM architect.manage_partitions('g', '1 month', ahead => 0, keep => '1 month');
ALTER TABLE g DETACH PARTITION g_rest;
CREATE TABLE g_old PARTITION OF g FOR VALUES FROM ('2020-01-01') TO ('2020-02-01');
CREATE TABLE g_rest2 PARTITION OF g DEFAULT;
CALL architect.maintain_partitions('g');
SELECT object_name, action, detail FROM architect.partition_log('g') WHERE action ~ 'detach';

-- Numbers: ahead of the highest row
CREATE TABLE s (id bigint) PARTITION BY RANGE (id);
SELECT action FROM architect.manage_partitions('s', step => 100, ahead => 1, keep_value => 150, keep_action => 'drop');
CALL architect.maintain_partitions('s');
INSERT INTO s VALUES (50), (150);
CALL architect.maintain_partitions('s');
SELECT partition_name, from_value, to_value FROM architect.partition_list('s');
CREATE TABLE s900 PARTITION OF s FOR VALUES FROM (300) TO (1000);
INSERT INTO s VALUES (310);
CALL architect.maintain_partitions('s');
SELECT object_name, action FROM architect.partition_log('s') WHERE action <> 'analyzed';
SELECT partition_name, from_value, to_value FROM architect.partition_list('s');

-- Whatever else is wrong
CREATE TABLE h (at timestamptz, id int) PARTITION BY RANGE (at);
CREATE TABLE h1 PARTITION OF h FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00');
CREATE TABLE h2 PARTITION OF h FOR VALUES FROM ('2026-02-01 00:00+00') TO ('2026-03-01 00:00+00');
CREATE TABLE h3 PARTITION OF h FOR VALUES FROM ('2026-04-01 00:00+00') TO (MAXVALUE);
CREATE INDEX h_at ON ONLY h (at);
ALTER TABLE h2 OWNER TO partition_manage_other;
GRANT SELECT ON h TO partition_manage_other;
SELECT severity, code, detail, fix_sql FROM architect.partition_health('h') WHERE code !~ 'SCHEDULE';
SELECT action, detail FROM architect.manage_partitions('h', '1 month', timezone => 'Asia/Tokyo', privileges => true);
SELECT severity, code, detail, fix_sql FROM architect.partition_health('h') WHERE code !~ 'SCHEDULE';

-- Errors
\set VERBOSITY default
SELECT architect.manage_partitions('s', '1 month');
SELECT architect.manage_partitions('m', '1 month', keep => '1 year', keep_action => 'burn');
SELECT architect.manage_partitions('m', '1 month', keep => '1 year', keep_action => 'archive');
SELECT architect.manage_partitions('m', '1 month', keep => '1 year', keep_action => 'archive', archive_schema => 'nowhere');
SELECT architect.manage_partitions('m', '1 month', keep => '1 year', keep_action => 'archive', archive_function => 'nothing');
SELECT architect.manage_partitions('m', '1 month', keep_value => 5);
SELECT architect.manage_partitions('m', '1 month', ahead => -1);
CALL architect.maintain_partitions('a_first'::regclass, '-1 second');
CALL architect.maintain_partitions('seen');
BEGIN; CALL architect.maintain_partitions(); ROLLBACK;
GRANT USAGE ON SCHEMA architect, partition_manage TO partition_manage_other;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA architect TO partition_manage_other;
SET ROLE partition_manage_other;
SELECT architect.manage_partitions('m', '1 month');
SELECT architect.unmanage_partitions('m');
SELECT architect.hold_partition('h1', 'mine');
SELECT architect.partition_plan('m');
CALL architect.retain_partitions('m', '1 day');
CALL architect.maintain_partitions('m');
SELECT action, detail FROM architect.partition_log('m');
SELECT count(*) > 0 AS readable FROM architect.partition_list('m');
RESET ROLE;
REVOKE ALL ON ALL ROUTINES IN SCHEMA architect FROM partition_manage_other;
REVOKE ALL ON SCHEMA architect FROM partition_manage_other;
DELETE FROM architect.partition_policy WHERE schema_name = 'partition_manage';
DROP SCHEMA partition_manage, partition_archive CASCADE;
DROP ROLE partition_manage_other;
