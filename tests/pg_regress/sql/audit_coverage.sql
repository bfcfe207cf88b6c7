-- Whole schemas, tables that come later, and audit_coverage: what somebody switched off shows, with the way back.
CREATE SCHEMA covering;
CREATE TABLE covering.a (id int PRIMARY KEY, v text, secret text);
CREATE TABLE covering.b (x int);
CREATE TABLE covering.c (id int PRIMARY KEY);
CREATE VIEW covering.v AS SELECT 1 AS one;
SET client_min_messages = warning;
SELECT * FROM architect.enable_audit_schema('covering', except_tables => '{c}', new_tables => true, exclude => '{secret}');
RESET client_min_messages;
SELECT * FROM architect.enable_audit_schema('covering', except_tables => '{nope}');
SELECT * FROM architect.enable_audit_schema('no_such_schema');
SELECT * FROM architect.enable_audit_schema('architect');

-- New tables, also by CREATE TABLE AS and moved in partitions; not temporary ones.
CREATE TABLE covering.d (id int PRIMARY KEY, secret text);
CREATE TABLE covering.e AS SELECT 1 AS id;
CREATE TABLE covering.p (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE covering.p1 PARTITION OF covering.p FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE covering.p2 (day date NOT NULL, id int NOT NULL);
ALTER TABLE covering.p ATTACH PARTITION covering.p2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
SELECT table_name, partition_name, status, code FROM architect.audit_coverage() WHERE table_name ~ '^covering' ORDER BY 1, 2, 4;
INSERT INTO covering.d VALUES (1, 'x');
INSERT INTO covering.p VALUES (1, '2026-01-05'), (2, '2026-02-05');
TRUNCATE covering.p2;
TRUNCATE covering.p;
SELECT table_name, partition_name, operation, row_key, new_values FROM architect.audit_log WHERE schema_name = 'covering' ORDER BY audit_id;

-- Renames are followed: the excluded column stays excluded.
ALTER TABLE covering.a RENAME COLUMN secret TO hidden;
ALTER TABLE covering.a RENAME TO aa;
INSERT INTO covering.aa VALUES (1, 'v', 'h');
SELECT table_name, exclude_columns FROM architect.audit_table WHERE schema_name = 'covering' AND table_name = 'aa';
SELECT new_values FROM architect.audit_log WHERE table_name = 'aa';
ALTER SCHEMA covering RENAME TO covered;
CREATE TABLE covered.f (id int PRIMARY KEY);
SELECT schema_name, table_name FROM architect.audit_table WHERE enabled AND schema_name IN ('covering', 'covered') ORDER BY 2;

-- What an owner can do to a trigger.
ALTER TABLE covered.aa DISABLE TRIGGER "00_architect_capture";
ALTER TABLE covered.d ENABLE REPLICA TRIGGER "00_architect_capture";
DROP TRIGGER "00_architect_capture_truncate" ON covered.f;
ALTER TABLE covered.p1 DISABLE TRIGGER ALL;
ALTER TABLE covered.d DROP CONSTRAINT d_pkey;
DROP TABLE covered.e;
CREATE TABLE covered.child () INHERITS (covered.aa);
SELECT * FROM architect.disable_audit('covered.child');
SELECT table_name, partition_name, status, code, detail FROM architect.audit_coverage() WHERE table_name ~ '^covered' ORDER BY 1, 2, 4;
SELECT fix FROM architect.audit_coverage() WHERE table_name = 'covered.aa' AND code = 'trigger_disabled' \gexec
SELECT count(*) FROM architect.audit_coverage() WHERE table_name = 'covered.aa' AND code = 'trigger_disabled';
GRANT DELETE ON architect.audit_entry TO PUBLIC;
SELECT table_name, code, detail FROM architect.audit_coverage() WHERE code = 'log_writable';
REVOKE ALL ON architect.audit_entry FROM PUBLIC;

-- A report assigns no transaction id.
BEGIN READ ONLY;
SELECT count(*) > 0 AS reported, pg_current_xact_id_if_assigned() FROM architect.audit_coverage() GROUP BY 2;
COMMIT;

SELECT object_name, action FROM architect.disable_audit_schema('covered') ORDER BY 1, 2;
CREATE TABLE covered.g (id int);
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'covered.g'::regclass;
SET client_min_messages = warning;
DROP SCHEMA covered CASCADE;
UPDATE architect.audit_table SET enabled = false WHERE schema_name = 'covered';
