-- Every way a row can change is recorded once, in order, and only if it lasts.
SET client_min_messages = warning;
CREATE SCHEMA audit_paths;
SET search_path = audit_paths;
CREATE TABLE t (id int PRIMARY KEY, a int, b text);
SELECT action FROM architect.enable_audit('t');
CREATE VIEW log AS
    SELECT audit_id, txid, dense_rank() OVER (PARTITION BY txid ORDER BY statement) AS statement, table_name AS name, partition_name AS part,
           operation, row_key AS key, old_values AS old, new_values AS new
      FROM architect.audit_log WHERE schema_name = 'audit_paths';
-- What was recorded since the last look.
CREATE TABLE looked (audit_id bigint);
CREATE FUNCTION news() RETURNS TABLE (tx bigint, st bigint, name text, part text, operation text, key jsonb, old jsonb, new jsonb) LANGUAGE sql AS $$
    WITH news AS (INSERT INTO looked SELECT audit_id FROM log WHERE audit_id NOT IN (SELECT audit_id FROM looked) RETURNING audit_id)
    SELECT dense_rank() OVER (ORDER BY l.txid), l.statement, l.name, l.part, l.operation, l.key, l.old, l.new
      FROM log AS l JOIN news USING (audit_id) ORDER BY l.audit_id
$$;

-- INSERT, several rows, INSERT ... SELECT, COPY
INSERT INTO t VALUES (1, 1, 'x');
INSERT INTO t VALUES (2, 1, 'x'), (3, 1, 'x');
INSERT INTO t SELECT i, 2, NULL FROM generate_series(4, 5) AS i;
COPY t FROM stdin;
6	3	c
7	3	\N
\.
SELECT * FROM news();

-- ON CONFLICT
INSERT INTO t VALUES (1, 9, 'y'), (8, 9, 'y') ON CONFLICT (id) DO UPDATE SET a = excluded.a;
INSERT INTO t VALUES (1, 9, 'z'), (9, 9, 'z') ON CONFLICT DO NOTHING;
SELECT * FROM news();

-- UPDATE that changes nothing, UPDATE of the key, DELETE
UPDATE t SET a = a, b = b;
UPDATE t SET id = id;
UPDATE t SET a = 9 WHERE id = 1;
UPDATE t SET id = 10 WHERE id = 1;
DELETE FROM t WHERE id > 8;
SELECT * FROM news();

-- Common table expressions, all of one statement
WITH gone AS (DELETE FROM t WHERE id = 2 RETURNING *), changed AS (UPDATE t SET b = 'cte' WHERE id = 3 RETURNING *)
INSERT INTO t SELECT id + 100, a, b FROM gone UNION ALL SELECT id + 100, a, b FROM changed;
SELECT * FROM news() ORDER BY operation, key;

-- PL/pgSQL, prepared statements
DO $$ BEGIN
    FOR i IN 3 .. 4 LOOP
        UPDATE t SET a = 100 + i WHERE id = i;
    END LOOP;
END $$;
PREPARE change AS UPDATE t SET a = $1 WHERE id = $2;
EXECUTE change(1, 5);
EXECUTE change(2, 5);
EXECUTE change(2, 5);
SELECT * FROM news();

-- Savepoints: what was rolled back is not recorded, what came before and after is, also in the first
-- transaction with a context of its own.
BEGIN;
SAVEPOINT one;
SET LOCAL architect.actor = 'inside';
UPDATE t SET a = 201 WHERE id = 5;
ROLLBACK TO one;
UPDATE t SET a = 202 WHERE id = 5;
SAVEPOINT two;
SET LOCAL architect.actor = 'inside';
UPDATE t SET a = 203 WHERE id = 5;
RELEASE two;
COMMIT;
BEGIN;
SET LOCAL architect.actor = 'inside';
UPDATE t SET a = 204 WHERE id = 5;
SAVEPOINT three;
SET LOCAL architect.actor = 'deeper';
UPDATE t SET a = 205 WHERE id = 5;
SAVEPOINT four;
UPDATE t SET a = 206 WHERE id = 5;
ROLLBACK TO four;
ROLLBACK TO three;
SET LOCAL architect.actor = 'deeper';
UPDATE t SET a = 207 WHERE id = 5;
COMMIT;
BEGIN;
SAVEPOINT five;
SAVEPOINT six;
SET LOCAL architect.actor = 'released';
UPDATE t SET a = 208 WHERE id = 5;
RELEASE six;
ROLLBACK TO five;
SAVEPOINT seven;
SET LOCAL architect.actor = 'released';
UPDATE t SET a = 208 WHERE id = 5;
RELEASE seven;
COMMIT;
BEGIN;
SET LOCAL architect.actor = 'never';
UPDATE t SET a = 208 WHERE id = 5;
ROLLBACK;
BEGIN;
SET LOCAL architect.actor = 'never';
UPDATE t SET a = 209 WHERE id = 5;
COMMIT;
SELECT l.new, l.actor FROM (SELECT new_values AS new, actor, audit_id FROM architect.audit_log WHERE schema_name = 'audit_paths') AS l
 WHERE audit_id NOT IN (SELECT audit_id FROM looked) ORDER BY audit_id;
-- Exception blocks
DO $$ BEGIN
    SET LOCAL architect.actor = 'block';
    FOR i IN 1 .. 3 LOOP
        BEGIN
            UPDATE t SET a = 300 + i WHERE id = 5;
            IF i < 3 THEN RAISE division_by_zero; END IF;
        EXCEPTION WHEN division_by_zero THEN NULL;
        END;
    END LOOP;
    BEGIN
        INSERT INTO t VALUES (500, 1, 'x'), (5, 1, 'duplicate');
    EXCEPTION WHEN unique_violation THEN UPDATE t SET b = 'caught' WHERE id = 5;
    END;
END $$;
SELECT l.key, l.new, c.actor FROM log AS l JOIN architect.audit_log AS c USING (audit_id)
 WHERE audit_id NOT IN (SELECT audit_id FROM looked) AND l.new -> 'a' IS DISTINCT FROM '209' ORDER BY audit_id DESC LIMIT 2;
SELECT count(*) AS entries_without_context FROM architect.audit_entry AS e WHERE NOT EXISTS (SELECT FROM architect.capture_context AS c WHERE c.context_id = e.context_id);
SELECT count(*) >= 0 AS looked FROM news();

-- Foreign keys' actions
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE grandchild (id int PRIMARY KEY, c int DEFAULT 0 REFERENCES child ON DELETE SET NULL ON UPDATE RESTRICT);
CREATE TABLE defaulted (id int PRIMARY KEY, p int DEFAULT 1 REFERENCES parent ON DELETE SET DEFAULT);
SELECT object_name, action FROM unnest('{parent,child,grandchild,defaulted}'::regclass[]) AS r, architect.enable_audit(r);
INSERT INTO parent VALUES (1), (2);
INSERT INTO child VALUES (1, 2), (2, 2);
INSERT INTO grandchild VALUES (1, 1), (2, 2);
INSERT INTO defaulted VALUES (1, 2);
SELECT count(*) FROM news();
UPDATE defaulted SET p = 1;
UPDATE parent SET id = 3 WHERE id = 2;
UPDATE defaulted SET p = 3;
DELETE FROM parent WHERE id = 3;
SELECT * FROM news();

-- Deferred constraints: checked at commit, changes of a failed one are gone
CREATE TABLE deferred (id int PRIMARY KEY, p int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
SELECT action FROM architect.enable_audit('deferred');
BEGIN;
INSERT INTO deferred VALUES (1, 77);
INSERT INTO parent VALUES (77);
COMMIT;
BEGIN;
INSERT INTO deferred VALUES (2, 78);
COMMIT;
SELECT * FROM news();

-- TRUNCATE: one entry a table
TRUNCATE parent CASCADE;
TRUNCATE t, defaulted;
BEGIN;
TRUNCATE t;
ROLLBACK;
SELECT * FROM news() ORDER BY tx, name;

-- A user's own AFTER trigger that writes to another audited table: by audit_id what caused it comes
-- first, rows of one statement have one statement number, the trigger's have higher ones.
CREATE TABLE totals (id int PRIMARY KEY, n int);
INSERT INTO totals VALUES (1, 0);
SELECT action FROM architect.enable_audit('totals');
CREATE FUNCTION add_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE totals SET n = n + NEW.a;
    RETURN NULL;
END $$;
CREATE TRIGGER a_first AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION add_up();
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE totals SET n = n + 1000;
    NEW.b := 'stamped';
    RETURN NEW;
END $$;
CREATE TRIGGER z_last BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION stamp();
BEGIN;
INSERT INTO t VALUES (1, 1), (2, 2);
UPDATE t SET a = 5 WHERE id = 1;
COMMIT;
SELECT * FROM news();
DROP TRIGGER a_first ON t;
DROP TRIGGER z_last ON t;
-- Triggers that veto or redirect: only what happened is recorded
CREATE FUNCTION veto() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER veto BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION veto();
DELETE FROM t;
DROP TRIGGER veto ON t;
CREATE RULE redirect AS ON DELETE TO t DO INSTEAD UPDATE t SET b = 'deleted' WHERE id = OLD.id;
DELETE FROM t WHERE id = 2;
DROP RULE redirect ON t;
CREATE VIEW v AS SELECT id, a FROM t WHERE a > 0;
UPDATE v SET a = 6 WHERE id = 1;
DROP VIEW v;
SELECT * FROM news();
-- Cursors
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM t WHERE id = 1 FOR UPDATE;
MOVE c;
UPDATE t SET a = 7 WHERE CURRENT OF c;
DELETE FROM t WHERE CURRENT OF c;
COMMIT;
SELECT * FROM news();
-- The same row several times in one transaction, locked before
BEGIN;
SELECT id FROM t FOR UPDATE;
SAVEPOINT s;
SELECT id FROM t FOR NO KEY UPDATE;
UPDATE t SET a = 1;
UPDATE t SET a = 2;
DELETE FROM t;
INSERT INTO t VALUES (2, 3);
COMMIT;
SELECT * FROM news();

-- Inheritance: the parent's trigger is not the child's
CREATE TABLE heir (extra int) INHERITS (t);
ALTER TABLE heir ADD PRIMARY KEY (id);
INSERT INTO heir VALUES (50, 1, 'x', 1);
SELECT * FROM news();
SELECT action FROM architect.enable_audit('heir');
UPDATE t SET a = 51 WHERE id = 50;
TRUNCATE heir;
SELECT * FROM news();
DROP TABLE heir;

-- A table altered after auditing began, in the same session
INSERT INTO t VALUES (60, 1, 'x');
ALTER TABLE t ADD c numeric DEFAULT 1.0;
UPDATE t SET c = 1.00 WHERE id = 60;
ALTER TABLE t RENAME b TO bb;
UPDATE t SET bb = 'y' WHERE id = 60;
ALTER TABLE t ALTER a TYPE text USING 'n' || a;
UPDATE t SET a = 'z' WHERE id = 60;
ALTER TABLE t DROP bb;
UPDATE t SET c = NULL WHERE id = 60;
ALTER TABLE t ALTER c TYPE int;
UPDATE t SET c = 5 WHERE id = 60;
ALTER TABLE t RENAME id TO key;
UPDATE t SET c = 6 WHERE key = 60;
ALTER TABLE t DROP CONSTRAINT t_pkey;
UPDATE t SET c = 7 WHERE key = 60;
ALTER TABLE t ADD PRIMARY KEY (c);
UPDATE t SET a = 'w' WHERE key = 60;
SELECT * FROM news();
BEGIN;
ALTER TABLE t ADD temporary int;
UPDATE t SET temporary = 1;
ROLLBACK;
UPDATE t SET a = 'v' WHERE key = 60;
SELECT * FROM news();
ALTER TABLE t RENAME TO renamed;
UPDATE renamed SET a = 'u' WHERE key = 60;
CREATE SCHEMA audit_paths_two;
ALTER TABLE renamed SET SCHEMA audit_paths_two;
UPDATE audit_paths_two.renamed SET a = 's' WHERE key = 60;
SELECT schema_name, table_name, row_key, new_values FROM architect.audit_log WHERE schema_name LIKE 'audit_paths%' ORDER BY audit_id DESC LIMIT 2;
-- Another table takes the name: neither is taken for the other
CREATE TABLE t (id int PRIMARY KEY, z int);
INSERT INTO t VALUES (1, 1);
SELECT action FROM architect.enable_audit('t');
INSERT INTO t VALUES (2, 2);
UPDATE audit_paths_two.renamed SET a = 'r' WHERE key = 60;
SELECT schema_name, table_name, row_key, new_values FROM architect.audit_log WHERE schema_name LIKE 'audit_paths%' ORDER BY audit_id DESC LIMIT 2;
SELECT count(DISTINCT table_id) AS histories FROM architect.capture_relation WHERE schema_name LIKE 'audit_paths%' AND table_name IN ('t', 'renamed');
DROP SCHEMA audit_paths_two CASCADE;
-- Dropped and made again: auditing starts again when it is asked for, under the same history
DROP TABLE t;
CREATE TABLE t (id int PRIMARY KEY, z int);
INSERT INTO t VALUES (3, 3);
SELECT action FROM architect.enable_audit('t');
INSERT INTO t VALUES (4, 4);
ALTER TABLE t RENAME TO t2;
INSERT INTO t2 VALUES (5, 5);
SELECT table_name, row_key FROM architect.audit_log WHERE schema_name = 'audit_paths' AND new_values ? 'z' ORDER BY audit_id;
SELECT count(DISTINCT table_id) AS histories FROM architect.capture_relation WHERE schema_name = 'audit_paths' AND table_name IN ('t', 't2') AND columns = '{id,z}';
-- Taken off: nothing more is recorded
SELECT action FROM architect.disable_audit('t2');
SELECT action FROM architect.disable_audit('t2');
INSERT INTO t2 VALUES (6, 6);
SELECT action FROM architect.enable_audit('t2', operations => '{delete}');
UPDATE t2 SET z = 0;
TRUNCATE t2;
INSERT INTO t2 VALUES (7, 7);
DELETE FROM t2;
SELECT name, operation, key, old FROM log WHERE audit_id NOT IN (SELECT audit_id FROM looked) AND name = 't2' ORDER BY audit_id;

DROP SCHEMA audit_paths CASCADE;
