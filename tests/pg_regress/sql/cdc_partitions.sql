-- Partitions, inheritance, whole schemas, renames: followed for the feed as for the audit log, also where
-- one table is recorded by one and a table above it by the other.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA cdc_parts;
SET search_path = cdc_parts;
CREATE TABLE m (id int, day date, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE m1 PARTITION OF m FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE m2 (extra int, v text, day date NOT NULL, id int NOT NULL);
ALTER TABLE m2 DROP extra;
ALTER TABLE m ATTACH PARTITION m2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
SELECT * FROM architect.enable_cdc('m');
CREATE VIEW feed AS SELECT * FROM architect.change_log WHERE schema_name = 'cdc_parts';
CREATE VIEW triggers AS SELECT tgrelid::regclass AS relation, tgname, tgnargs, tgenabled FROM pg_trigger WHERE tgname LIKE '00%' AND tgrelid::regclass::text LIKE 'm%' ORDER BY tgrelid::regclass::text, tgname;
RESET client_min_messages;
TABLE triggers;
INSERT INTO m VALUES (1, '2026-01-10', 'a'), (2, '2026-02-10', 'b');
INSERT INTO m2 (id, day, v) VALUES (3, '2026-02-11', 'direct');
UPDATE m SET day = '2026-02-12' WHERE id = 1;      -- moves: a delete and an insert
TRUNCATE m2;
TRUNCATE m;
SELECT operation, table_name, partition_name, row_key, new_values ->> 'v' AS v FROM feed ORDER BY position;
-- A partition made later, one that is captured for itself, one that leaves.
CREATE TABLE m3 PARTITION OF m FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
CREATE TABLE m4 (id int NOT NULL, day date NOT NULL, v text);
SELECT * FROM architect.enable_cdc('m4', key => '{id}');
ALTER TABLE m ATTACH PARTITION m4 FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');
INSERT INTO m VALUES (5, '2026-03-05', 'new'), (6, '2026-04-06', 'attached');
SELECT partition_name, row_key FROM feed ORDER BY position DESC LIMIT 2;
SELECT count(*) AS policies FROM architect.cdc_table WHERE schema_name = 'cdc_parts' AND enabled;
ALTER TABLE m DETACH PARTITION m4;
INSERT INTO m4 VALUES (7, '2026-04-07', 'detached');
SELECT relation FROM triggers WHERE relation = 'm4'::regclass;
SELECT count(*) FROM feed WHERE row_key ->> 'id' = '7';
-- The table is captured, a partition is audited for itself; then the other way round.
SELECT * FROM architect.enable_audit('m1');
INSERT INTO m VALUES (8, '2026-01-08', 'both');
SELECT count(*) AS in_the_feed FROM feed WHERE row_key ->> 'id' = '8';
SELECT count(*) AS in_the_log FROM architect.audit_log WHERE schema_name = 'cdc_parts' AND row_key ->> 'id' = '8';
SELECT * FROM architect.enable_audit('m');
INSERT INTO m VALUES (9, '2026-01-09', 'both'), (10, '2026-03-10', 'both');
SELECT count(*) AS in_the_feed FROM feed WHERE row_key ->> 'id' IN ('9', '10');
SELECT count(*) AS in_the_log FROM architect.audit_log WHERE schema_name = 'cdc_parts' AND row_key ->> 'id' IN ('9', '10');
SELECT * FROM architect.disable_cdc('m');
SELECT * FROM architect.enable_cdc('m3');
INSERT INTO m VALUES (11, '2026-01-11', 'log'), (12, '2026-03-12', 'both');
TRUNCATE m3;
SELECT operation, row_key ->> 'id' AS id FROM feed ORDER BY position DESC LIMIT 2;
SELECT operation, row_key ->> 'id' AS id FROM architect.audit_log WHERE schema_name = 'cdc_parts' ORDER BY audit_id DESC LIMIT 3;
SELECT * FROM architect.enable_cdc('m', operations => '{insert}', "when" => 'new.v = ''yes''');
INSERT INTO m VALUES (13, '2026-01-13', 'no'), (14, '2026-03-14', 'yes');
SELECT row_key ->> 'id' AS id FROM feed ORDER BY position DESC LIMIT 1;
TABLE triggers;
SELECT * FROM architect.disable_audit('m');
SELECT * FROM architect.disable_cdc('m');
TABLE triggers;

-- Whole schemas.
CREATE SCHEMA cdc_schema;
CREATE TABLE cdc_schema.a (id int PRIMARY KEY, secret text);
CREATE TABLE cdc_schema.b (id int PRIMARY KEY);
SELECT * FROM architect.enable_cdc_schema('cdc_schema', except_tables => '{b}', new_tables => true, mask => '{"secret": "constant"}', notify => false);
CREATE TABLE cdc_schema.c (id int PRIMARY KEY, secret text);
CREATE TEMP TABLE passing (id int);
INSERT INTO cdc_schema.c VALUES (1, 'hush');
INSERT INTO cdc_schema.b VALUES (1);
SELECT table_name, new_values FROM architect.change_log WHERE schema_name = 'cdc_schema' ORDER BY position;
SELECT table_name, status, code FROM architect.cdc_coverage() WHERE table_name LIKE 'cdc_schema.%' ORDER BY 1, 3;
ALTER TABLE cdc_schema.c RENAME TO d;
ALTER TABLE cdc_schema.d RENAME secret TO hidden;
ALTER SCHEMA cdc_schema RENAME TO cdc_renamed;
INSERT INTO cdc_renamed.d VALUES (2, 'hush');
SELECT schema_name, table_name, new_values, masked_columns FROM architect.change_log WHERE schema_name = 'cdc_renamed' ORDER BY position;
CREATE TABLE cdc_renamed.e (id int PRIMARY KEY);
SELECT table_name, notify FROM architect.cdc_table WHERE schema_name = 'cdc_renamed' AND enabled ORDER BY 1;
SELECT * FROM architect.disable_cdc_schema('cdc_renamed');
SELECT * FROM architect.enable_cdc_schema('nowhere');

-- What is no longer covered shows, with the call that repairs it.
CREATE TABLE cover (id int PRIMARY KEY, a text, b text);
SELECT action FROM architect.enable_cdc('cover', operations => '{insert,update}', key => '{a}', mask => '{"b": "hash"}', "when" => 'new.a <> ''it''''s''', image => 'changed', notify => false);
SELECT status, code FROM architect.cdc_coverage() WHERE table_name = 'cdc_parts.cover';
ALTER TABLE cover DISABLE TRIGGER "00_architect_feed_insert";
DROP TRIGGER "00_architect_feed_update" ON cover;
SELECT status, code, detail, fix FROM architect.cdc_coverage() WHERE table_name = 'cdc_parts.cover';
SELECT fix AS repair FROM architect.cdc_coverage() WHERE table_name = 'cdc_parts.cover' LIMIT 1 \gset
:repair;
SELECT status, code FROM architect.cdc_coverage() WHERE table_name = 'cdc_parts.cover';
CREATE TABLE child () INHERITS (cover);
SELECT status, code FROM architect.cdc_coverage() WHERE table_name = 'cdc_parts.cover';
DROP TABLE cover CASCADE;
SELECT status, code FROM architect.cdc_coverage() WHERE table_name = 'cdc_parts.cover';
UPDATE architect.cdc_table SET enabled = false WHERE table_name = 'cover';

SET client_min_messages = warning;
DROP SCHEMA cdc_parts CASCADE;
DROP SCHEMA cdc_renamed CASCADE;
