-- What administrators do to the log's tables, and what owners do to audited ones, ends neither the server nor the record.
SET client_min_messages = warning;
CREATE SCHEMA audit_hostile;
SET search_path = audit_hostile;
CREATE TABLE t (id int PRIMARY KEY, a text);
SELECT action FROM architect.enable_audit('t');
INSERT INTO t VALUES (1, 'a');
SELECT e.tableoid::regclass AS month FROM architect.audit_entry AS e ORDER BY e.audit_id DESC LIMIT 1 \gset
CREATE VIEW ids AS SELECT (new_values ->> 'id')::int AS id, audit_id FROM architect.audit_log WHERE schema_name = 'audit_hostile' AND table_name = 't' AND operation = 'INSERT';

-- An index made, then dropped, by the writing transaction itself
BEGIN;
INSERT INTO t VALUES (2, 'b');
CREATE INDEX hostile_id_idx ON :month (audit_id);
INSERT INTO t VALUES (3, 'c');
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SELECT count(*) FROM :month AS e WHERE e.audit_id IN (SELECT audit_id FROM ids WHERE id IN (2, 3));
DROP INDEX architect.hostile_id_idx;
INSERT INTO t VALUES (4, 'd');
COMMIT;
SELECT id FROM ids ORDER BY id;

-- Indexes that need expressions, predicates and uniqueness looked at
CREATE INDEX hostile_expression_idx ON architect.audit_entry ((image ->> 'a')) WHERE operation = 'I';
INSERT INTO t VALUES (5, 'hostile'), (6, NULL);
UPDATE t SET a = 'hostile' WHERE id = 6;
BEGIN;
SET LOCAL enable_seqscan = off;
SELECT image FROM architect.audit_entry WHERE image ->> 'a' = 'hostile' AND operation = 'I';
ROLLBACK;
DROP INDEX architect.hostile_expression_idx;
CREATE UNIQUE INDEX hostile_once_idx ON :month ((image ->> 'a')) WHERE image ->> 'a' = 'only once';
INSERT INTO t VALUES (7, 'only once');
\set VERBOSITY sqlstate
INSERT INTO t VALUES (8, 'only once');
\set VERBOSITY default
INSERT INTO t VALUES (9, 'i');
DROP INDEX architect.hostile_once_idx;
SELECT id FROM ids WHERE id > 6 ORDER BY id;

-- The same on the table of contexts
CREATE INDEX hostile_context_idx ON architect.capture_context ((context ->> 'why')) WHERE actor LIKE 'hostile%';
BEGIN;
SET LOCAL architect.actor = 'hostile';
SET LOCAL architect.context = '{"why": "index"}';
INSERT INTO t VALUES (10, 'j');
SET LOCAL architect.actor = 'friendly';
INSERT INTO t VALUES (11, 'k');
SET LOCAL enable_seqscan = off;
SELECT actor FROM architect.capture_context WHERE context ->> 'why' = 'index' AND actor LIKE 'hostile%';
COMMIT;
DROP INDEX architect.hostile_context_idx;

-- A BRIN over a column that differs from row to row
CREATE INDEX hostile_brin_idx ON :month USING brin (audit_id);
INSERT INTO t SELECT g, 'x' FROM generate_series(100, 300) AS g;
CREATE TEMP TABLE wanted AS SELECT min(audit_id) AS low, max(audit_id) AS high FROM ids WHERE id BETWEEN 100 AND 300;
SELECT low, high FROM wanted \gset
BEGIN;
SET LOCAL enable_seqscan = off;
SELECT count(*) FROM :month WHERE audit_id BETWEEN :low AND :high;
ROLLBACK;
DROP INDEX architect.hostile_brin_idx;

-- A partition with the columns in another order, and one that is no ordinary table: refused, nothing written
BEGIN;
ALTER TABLE architect.audit_entry DETACH PARTITION architect.audit_entry_default;
DO $$
DECLARE part regclass;
BEGIN
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'architect.audit_entry'::regclass LOOP
        EXECUTE format('ALTER TABLE architect.audit_entry DETACH PARTITION %s', part);
    END LOOP;
END $$;
CREATE TABLE architect.hostile_part (image json, row_key text COLLATE "C", operation "char" NOT NULL, key_hash int NOT NULL,
    statement int NOT NULL, relation_id int NOT NULL, context_id bigint NOT NULL, txid xid8 NOT NULL, audit_id bigint NOT NULL, changed_at timestamptz NOT NULL);
ALTER TABLE architect.audit_entry ATTACH PARTITION architect.hostile_part DEFAULT;
SAVEPOINT before;
INSERT INTO t VALUES (20, 'refused');
ROLLBACK TO before;
ALTER TABLE architect.audit_entry DETACH PARTITION architect.hostile_part;
CREATE FOREIGN DATA WRAPPER hostile_wrapper;
CREATE SERVER hostile_server FOREIGN DATA WRAPPER hostile_wrapper;
DROP INDEX architect.audit_entry_key_idx, architect.audit_entry_time_idx;
CREATE FOREIGN TABLE architect.hostile_foreign PARTITION OF architect.audit_entry DEFAULT SERVER hostile_server;
INSERT INTO t VALUES (21, 'refused');
ROLLBACK;
INSERT INTO t VALUES (22, 'there again');
SELECT id FROM ids WHERE id BETWEEN 20 AND 30;

-- A second trigger that may not fire does not silence the first
CREATE TRIGGER "00_a" AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW WHEN (false) EXECUTE FUNCTION architect.capture();
CREATE TRIGGER "00_b" AFTER UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION architect.capture();
INSERT INTO t VALUES (31, 'seen');
UPDATE t SET id = 32 WHERE id = 31;
UPDATE t SET a = 'seen once' WHERE id = 32;
SELECT operation, new_values FROM architect.audit_log WHERE schema_name = 'audit_hostile' AND table_name = 't'
   AND (new_values ->> 'id' IN ('31', '32') OR new_values ->> 'a' = 'seen once') ORDER BY audit_id;
DROP TRIGGER "00_a" ON t;
DROP TRIGGER "00_b" ON t;

-- Composites and arrays of them inside composites
CREATE TYPE n0 AS (x int);
DO $$
BEGIN
    FOR i IN 1..3 LOOP
        EXECUTE format('CREATE TYPE n%s AS (x n%s, y n%s[])', i, i - 1, i - 1);
    END LOOP;
END $$;
CREATE TABLE nested (id int PRIMARY KEY, v n3);
SELECT action FROM architect.enable_audit('nested');
INSERT INTO nested VALUES (1, ROW(ROW(ROW(ROW(1), ARRAY[ROW(2)]::n0[]), NULL), NULL)::n3);
SELECT new_values -> 'v' AS v FROM architect.audit_log WHERE schema_name = 'audit_hostile' AND table_name = 'nested';

SELECT action FROM architect.disable_audit('t');
SELECT action FROM architect.disable_audit('nested');
DROP SCHEMA audit_hostile CASCADE;
