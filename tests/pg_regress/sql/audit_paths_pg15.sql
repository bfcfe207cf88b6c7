-- MERGE: each action is recorded as what it does.
SET client_min_messages = warning;
CREATE SCHEMA audit_merge;
SET search_path = audit_merge;
CREATE TABLE t (id int PRIMARY KEY, a int);
CREATE TABLE p (id int, k int, a int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
INSERT INTO t VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO p VALUES (1, 1, 1), (2, 1, 2), (3, 2, 3);
SELECT action FROM architect.enable_audit('t');
SELECT action FROM architect.enable_audit('p');
MERGE INTO t USING (VALUES (1, 10), (2, 0), (3, 3), (4, 4)) AS s (id, a) ON t.id = s.id
    WHEN MATCHED AND s.a = 0 THEN DELETE
    WHEN MATCHED THEN UPDATE SET a = s.a
    WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.a);
MERGE INTO p USING (VALUES (1, 2), (2, 0), (3, 2), (4, 1)) AS s (id, k) ON p.id = s.id
    WHEN MATCHED AND s.k = 0 THEN DELETE
    WHEN MATCHED THEN UPDATE SET k = s.k, a = a + 1
    WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.k, 0);
SELECT table_name, partition_name, operation, row_key, old_values, new_values,
       count(*) OVER (PARTITION BY txid, statement) AS of_the_statement
  FROM architect.audit_log WHERE schema_name = 'audit_merge' ORDER BY txid, operation, row_key;
DROP SCHEMA audit_merge CASCADE;
