-- A partitioned table is one audited table, whichever way its rows are changed.
SET client_min_messages = warning;
CREATE SCHEMA audit_partitions;
SET search_path = audit_partitions;
CREATE TABLE p (id int, k int, a text, PRIMARY KEY (k, id)) PARTITION BY RANGE (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
-- Other column order, a dropped column, more columns before
CREATE TABLE p2 (gone int, a text, k int NOT NULL, id int NOT NULL, PRIMARY KEY (k, id));
ALTER TABLE p2 DROP gone;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20);
-- Partitions of a partition
CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (40) PARTITION BY HASH (id);
CREATE TABLE p3a PARTITION OF p3 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE p_rest PARTITION OF p DEFAULT;
SELECT * FROM architect.enable_audit('p');
SELECT * FROM architect.enable_audit('p1');
SELECT * FROM architect.disable_audit('p1');
CREATE VIEW log AS
    SELECT audit_id, txid, dense_rank() OVER (PARTITION BY txid ORDER BY statement) AS statement, table_name AS name, partition_name AS part,
           operation, row_key AS key, old_values AS old, new_values AS new
      FROM architect.audit_log WHERE schema_name = 'audit_partitions';
CREATE TABLE looked (audit_id bigint);
CREATE FUNCTION news() RETURNS TABLE (tx bigint, st bigint, name text, part text, operation text, key jsonb, old jsonb, new jsonb) LANGUAGE sql AS $$
    WITH news AS (INSERT INTO looked SELECT audit_id FROM log WHERE audit_id NOT IN (SELECT audit_id FROM looked) RETURNING audit_id)
    SELECT dense_rank() OVER (ORDER BY l.txid), l.statement, l.name, l.part, l.operation, l.key, l.old, l.new
      FROM log AS l JOIN news USING (audit_id) ORDER BY l.audit_id
$$;

-- Through the top, through a partition in the middle, into a leaf
INSERT INTO p VALUES (1, 1, 'a'), (1, 11, 'b'), (1, 21, 'c'), (1, 99, 'd');
INSERT INTO p2 (id, k, a) VALUES (2, 12, 'leaf');
INSERT INTO p3 VALUES (2, 22, 'middle');
COPY p1 FROM stdin;
2	2	copied
\.
UPDATE p SET a = a || '!' WHERE id = 1;
UPDATE p3a SET a = 'leaf' WHERE id = 2;
DELETE FROM p2 WHERE id = 2;
SELECT * FROM news();

-- A row that moves: two entries of one statement, found under both keys
UPDATE p SET k = 12 WHERE k = 1;
UPDATE p SET k = 23, a = 'moved' WHERE k = 12 AND id = 1;
SELECT * FROM news();
INSERT INTO p VALUES (7, 7, 'x') ON CONFLICT (k, id) DO UPDATE SET a = 'never';
INSERT INTO p VALUES (7, 7, 'y') ON CONFLICT (k, id) DO UPDATE SET a = excluded.a;
SELECT * FROM news();

-- New partitions, attached and detached ones
CREATE TABLE p4 PARTITION OF p FOR VALUES FROM (40) TO (50);
INSERT INTO p VALUES (1, 41, 'new partition');
TRUNCATE p4;
CREATE TABLE p5 (LIKE p INCLUDING ALL);
INSERT INTO p5 VALUES (5, 51, 'before');
ALTER TABLE p ATTACH PARTITION p5 FOR VALUES FROM (50) TO (60);
UPDATE p SET a = 'after' WHERE k = 51;
TRUNCATE p5;
ALTER TABLE p DETACH PARTITION p1;
UPDATE p1 SET a = 'not part of it any more' WHERE k = 7;
INSERT INTO p VALUES (8, 8, 'in the default now');
SELECT * FROM news();
-- A table that is audited for itself becomes part of the one it is attached to
SELECT action, detail FROM architect.enable_audit('p1');
UPDATE p1 SET a = 'by itself' WHERE k = 7;
DELETE FROM p WHERE k = 8;
ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (10);
SELECT action FROM architect.disable_audit('p1');
UPDATE p1 SET a = 'together' WHERE k = 7;
TRUNCATE p1;
SELECT * FROM architect.enable_audit('p');
-- Partitions that were audited for themselves first are taken over
CREATE TABLE q (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE q1 PARTITION OF q FOR VALUES IN (1);
SELECT * FROM architect.enable_audit('q1');
INSERT INTO q VALUES (1, 1);
SELECT * FROM architect.enable_audit('q');
INSERT INTO q VALUES (2, 1);
TRUNCATE q1;
DROP TABLE q;
SELECT * FROM news();

-- TRUNCATE: one entry a table, or for the partition that was named
INSERT INTO p VALUES (3, 3, 'x');
TRUNCATE p;
TRUNCATE p1, p2;
BEGIN;
TRUNCATE p3;
TRUNCATE p3a;
TRUNCATE p;
TRUNCATE p;
COMMIT;
SELECT * FROM news() WHERE operation = 'TRUNCATE';

-- Foreign keys between partitioned tables
CREATE TABLE refs (id int PRIMARY KEY, k int, i int, FOREIGN KEY (k, i) REFERENCES p (k, id) ON UPDATE CASCADE ON DELETE CASCADE) PARTITION BY RANGE (id);
CREATE TABLE refs1 PARTITION OF refs FOR VALUES FROM (0) TO (10);
SELECT action FROM architect.enable_audit('refs');
INSERT INTO p VALUES (1, 1, 'a');
INSERT INTO refs VALUES (1, 1, 1);
UPDATE p SET id = 2 WHERE k = 1;
DELETE FROM p WHERE k = 1;
SELECT * FROM news();
DROP TABLE refs;

-- ALTER of the partitioned table reaches its partitions
ALTER TABLE p ADD b int DEFAULT 3;
INSERT INTO p VALUES (9, 9, 'x'), (9, 19, 'x');
ALTER TABLE p RENAME a TO aa;
UPDATE p SET b = 4;
SELECT key, part, old, new FROM news();
-- Columns left out stay out in partitions with other column numbers, also when they are renamed
SELECT action FROM architect.enable_audit('p', exclude => '{aa}');
ALTER TABLE p RENAME aa TO aaa;
UPDATE p SET aaa = 'hidden', b = 5;
UPDATE p SET aaa = 'hidden too';
SELECT key, part, old, new FROM news();

SELECT * FROM architect.disable_audit('p');
UPDATE p SET b = 6;
SELECT count(*) FROM news();
SELECT count(*) AS triggers_left FROM pg_trigger WHERE tgfoid = 'architect.capture()'::regprocedure AND tgrelid::regclass::text LIKE 'p%';
DROP SCHEMA audit_partitions CASCADE;
