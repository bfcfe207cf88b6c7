-- Virtual generated columns are null inside triggers: they are left out rather than recorded as a false null.
SET client_min_messages = warning;
CREATE SCHEMA audit_shapes_pg18;
SET search_path = audit_shapes_pg18;
CREATE TABLE t (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) VIRTUAL, thrice int GENERATED ALWAYS AS (a * 3) STORED);
SELECT action FROM architect.enable_audit('t', image => 'full');
INSERT INTO t VALUES (1, 1);
UPDATE t SET a = 2;
DELETE FROM t;
SELECT operation, row_key, changed_columns, old_values, new_values FROM architect.audit_log WHERE schema_name = 'audit_shapes_pg18' ORDER BY audit_id;
-- A whole row as a value has them, with their values.
CREATE TABLE holder (id int PRIMARY KEY, r t);
SELECT action FROM architect.enable_audit('holder');
INSERT INTO t VALUES (1, 1);
INSERT INTO holder SELECT 1, t FROM t;
SELECT new_values FROM architect.audit_log WHERE schema_name = 'audit_shapes_pg18' AND table_name = 'holder';
DROP SCHEMA audit_shapes_pg18 CASCADE;
