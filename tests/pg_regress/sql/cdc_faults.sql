-- A writer never fails because of the feed: tables of it dropped by hand, all of it gone, a full image too
-- large, settings that cannot be recorded. What is not captured is said once, and cdc_coverage() knows.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA cdc_faults;
SET search_path = cdc_faults;
CREATE TABLE t (id int PRIMARY KEY, a text);
SELECT action FROM architect.enable_cdc('t');
INSERT INTO t VALUES (1, 'before');

-- The table written to is dropped: another takes its place.
BEGIN;
DROP TABLE architect.change_entry_0;
INSERT INTO t VALUES (2, 'beside');
SELECT e.tableoid::regclass, e.row_key FROM architect.change_entry AS e JOIN architect.change_log AS l USING (position) WHERE l.schema_name = 'cdc_faults' AND e.row_key = '2';
SELECT table_name, status, code FROM architect.cdc_coverage() WHERE code LIKE 'segment%';
-- None is left: the write goes on, the gap is said once.
DROP TABLE architect.change_entry_1, architect.change_entry_2;
INSERT INTO t VALUES (3, 'lost');
SELECT FROM architect.change_entry WHERE false;
INSERT INTO t VALUES (4, 'lost');
UPDATE t SET a = 'lost too';
SELECT table_name, status, code FROM architect.cdc_coverage() WHERE code LIKE 'segment%';
-- An event asked for is another matter.
SAVEPOINT a;
SELECT architect.emit_event('topic');
ROLLBACK TO a;
ROLLBACK;
SELECT count(*) FROM t;
INSERT INTO t VALUES (5, 'after');
SELECT row_key FROM architect.change_log WHERE table_name = 't' AND schema_name = 'cdc_faults' ORDER BY position;

-- The list of tables, the sequence, the descriptions of relations.
BEGIN; DROP TABLE architect.change_segment; INSERT INTO t VALUES (6, 'lost'); SELECT count(*) FROM t; ROLLBACK;
BEGIN; DROP SEQUENCE architect.change_position_seq; INSERT INTO t VALUES (6, 'lost'); SELECT count(*) FROM t; ROLLBACK;
BEGIN; DROP TABLE architect.capture_context CASCADE; INSERT INTO t VALUES (6, 'lost'); SELECT count(*) FROM t; ROLLBACK;
-- A table of the feed that is not as it was.
BEGIN; ALTER TABLE architect.change_entry ADD extra int; INSERT INTO t VALUES (6, 'lost'); SELECT FROM architect.change_entry WHERE false; SELECT count(*) FROM t; ROLLBACK;
-- With an index of another kind it goes on.
BEGIN;
CREATE UNIQUE INDEX ON architect.change_entry_0 ((position + 0)) WHERE operation = 'I';
INSERT INTO t VALUES (6, 'indexed');
SELECT count(*) FROM architect.change_log WHERE row_key = '{"id": 6}' AND schema_name = 'cdc_faults';
ROLLBACK;
INSERT INTO t VALUES (7, 'at last');
SELECT row_key FROM architect.change_log WHERE table_name = 't' AND schema_name = 'cdc_faults' ORDER BY position DESC LIMIT 1;

-- Settings that cannot be recorded: captured without a context, refused where it is audited.
SET architect.correlation_id = 'no uuid';
INSERT INTO t VALUES (8, 'without');
SELECT row_key, session_role IS NULL AS no_context FROM architect.change_log WHERE table_name = 't' AND schema_name = 'cdc_faults' ORDER BY position DESC LIMIT 1;
SELECT action FROM architect.enable_audit('t');
INSERT INTO t VALUES (9, 'refused');
RESET architect.correlation_id;
INSERT INTO t VALUES (9, 'with');
SELECT row_key, session_role IS NULL AS no_context FROM architect.change_log WHERE table_name = 't' AND schema_name = 'cdc_faults' ORDER BY position DESC LIMIT 1;
SELECT action FROM architect.disable_audit('t');

-- Savepoints: rolled back changes leave no event, and the mark that orders the feed is taken again.
-- Looking at the feed has what was recorded written.
CREATE VIEW marks AS SELECT count(*) AS marks FROM pg_locks LEFT JOIN architect.change_entry ON false WHERE locktype = 'advisory' AND objsubid = 16707 AND pid = pg_backend_pid();
BEGIN;
SAVEPOINT a;
INSERT INTO t VALUES (20, 'gone');
TABLE marks;
ROLLBACK TO a;
TABLE marks;
INSERT INTO t VALUES (21, 'stays');
TABLE marks;
SAVEPOINT b;
INSERT INTO t VALUES (22, 'gone');
ROLLBACK TO b;
TABLE marks;
INSERT INTO t VALUES (23, 'stays');
COMMIT;
TABLE marks;
SELECT row_key FROM architect.change_log WHERE table_name = 't' AND schema_name = 'cdc_faults' AND (row_key ->> 'id')::int >= 20 ORDER BY position;

-- Sessions that come when policies or descriptions of relations are gone, as after a restore of the table
-- alone; the trigger says that only the feed is meant.
ALTER TABLE architect.cdc_table RENAME TO hidden;
\c -
SET client_min_messages = warning;
SET search_path = cdc_faults;
INSERT INTO t VALUES (30, 'lost');
INSERT INTO t VALUES (31, 'lost');
ALTER TABLE architect.hidden RENAME TO cdc_table;
ALTER TABLE architect.capture_relation RENAME TO hidden;
\c -
SET client_min_messages = warning;
SET search_path = cdc_faults;
INSERT INTO t VALUES (32, 'lost');
ALTER TABLE architect.hidden RENAME TO capture_relation;
ALTER SEQUENCE architect.capture_relation_id_seq RENAME TO hidden;
ALTER EVENT TRIGGER architect_ddl DISABLE;
ALTER TABLE t ADD b int;
ALTER EVENT TRIGGER architect_ddl ENABLE;
INSERT INTO t VALUES (33, 'lost');
ALTER SEQUENCE architect.hidden RENAME TO capture_relation_id_seq;
INSERT INTO t VALUES (34, 'captured');
SELECT row_key FROM architect.change_log WHERE table_name = 't' AND schema_name = 'cdc_faults' AND (row_key ->> 'id')::int >= 30 ORDER BY position;

-- Reading leaves no mark, and no transaction id.
BEGIN; SELECT count(*) > 0 AS some FROM architect.cdc_coverage(); TABLE marks; SELECT pg_current_xact_id_if_assigned() IS NULL AS no_id; COMMIT;

SET client_min_messages = warning;
DROP SCHEMA cdc_faults CASCADE;
