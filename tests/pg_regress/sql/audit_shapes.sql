-- Tables of every shape are recorded: large values, many columns, dropped and added columns, odd names,
-- generated columns, and keys of every kind.
SET client_min_messages = warning;
CREATE SCHEMA audit_shapes;
SET search_path = audit_shapes;
-- Values stored out of line, compressed or not: whole when they change, absent when they do not.
CREATE TABLE toasted (id int PRIMARY KEY, n int, compressed text, external text, small text, lz4 bytea);
ALTER TABLE toasted ALTER external SET STORAGE EXTERNAL;
SELECT action FROM architect.enable_audit('toasted');
CREATE VIEW log AS
    SELECT audit_id, table_name AS name, operation, row_key, changed_columns AS changed, old_values AS old, new_values AS new
      FROM architect.audit_log WHERE schema_name = 'audit_shapes';
INSERT INTO toasted SELECT 1, 1, repeat('abc', 100000), string_agg(md5(i::text), ''), repeat('x', 200), decode(repeat('00ff', 50000), 'hex') FROM generate_series(1, 3000) AS i;
SELECT pg_column_size(compressed) < 10000 AS is_compressed, pg_column_size(external) = 96000 AS is_external FROM toasted;
SELECT new = to_jsonb(t) AS whole FROM log, toasted AS t WHERE name = 'toasted' AND operation = 'INSERT';
UPDATE toasted SET n = 2;
UPDATE toasted SET compressed = compressed || '', external = external || '', lz4 = lz4 || '';
UPDATE toasted SET compressed = compressed || 'd', external = overlay(external placing '!' from 50000);
UPDATE toasted SET small = repeat('x', 199) || 'y';
SELECT changed, octet_length(old::text) AS old, octet_length(new::text) AS new FROM log WHERE name = 'toasted' AND operation = 'UPDATE' ORDER BY audit_id;
SELECT new ->> 'compressed' = compressed AND new ->> 'external' = external AS exact FROM log, toasted WHERE 'external' = ANY (changed);
CREATE TABLE before AS TABLE toasted;
DELETE FROM toasted;
SELECT old = to_jsonb(before) AS whole FROM log, before WHERE name = 'toasted' AND operation = 'DELETE';

-- As many columns as a table can have.
SELECT format('CREATE TABLE wide (id int PRIMARY KEY, %s)', string_agg(format('c%s int', i), ',')) FROM generate_series(1, 1599) AS i \gexec
SELECT action FROM architect.enable_audit('wide');
INSERT INTO wide (id, c1, c1599) VALUES (1, 1, 2);
UPDATE wide SET c1599 = 3, c800 = 4;
SELECT operation, changed, (SELECT count(*) FROM jsonb_object_keys(new)) AS keys, new -> 'c1599' AS last FROM log WHERE name = 'wide' ORDER BY audit_id;

-- Columns dropped and added; rows written before a column was added have its default.
CREATE TABLE moving (gone int, id int PRIMARY KEY, a text, also_gone text, b int);
INSERT INTO moving VALUES (1, 1, 'a', 'x', 1), (1, 2, 'b', 'x', 2);
SELECT action FROM architect.enable_audit('moving');
ALTER TABLE moving DROP gone, DROP also_gone;
UPDATE moving SET b = 10 WHERE id = 1;
ALTER TABLE moving ADD added int DEFAULT 7, ADD long text DEFAULT repeat('z', 50), ADD nothing text;
UPDATE moving SET b = 11 WHERE id = 1;
UPDATE moving SET added = 7, long = long WHERE id = 2;
DELETE FROM moving WHERE id = 2;
INSERT INTO moving VALUES (3, 'c');
SELECT operation, row_key, changed, old, new FROM log WHERE name = 'moving' ORDER BY audit_id;

-- Names with everything in them.
CREATE SCHEMA "audit ""shapes""'; drop \ $$";
CREATE TABLE "audit ""shapes""'; drop \ $$"."t""a'b\
c" ("i""d\" int PRIMARY KEY, "new
line" text, " " text, "ключключключключключключключключ" text, "%s" text, "architect_omitted" jsonb, "$1" json);
SELECT * FROM architect.enable_audit('"audit ""shapes""''; drop \ $$"."t""a''b\
c"'::text::regclass);
INSERT INTO "audit ""shapes""'; drop \ $$"."t""a'b\
c" VALUES (1, 'n', 's', 'k', '%d', '{"bytes": 1}', '"x"');
UPDATE "audit ""shapes""'; drop \ $$"."t""a'b\
c" SET "ключключключключключключключключ" = 'q', " " = E'\\';
SELECT schema_name, table_name, operation, row_key, changed_columns, old_values, new_values
  FROM architect.audit_log WHERE schema_name LIKE 'audit "%' ORDER BY audit_id;
CREATE TABLE "имяимяимяимяимяимяимяимяимяимяи" ("первичныйключпервичныйключ12345" int PRIMARY KEY);
SELECT object_name, action FROM architect.enable_audit('"имяимяимяимяимяимяимяимяимяимяи"');
INSERT INTO "имяимяимяимяимяимяимяимяимяимяи" VALUES (1);
SELECT name, octet_length(name) AS bytes, row_key FROM log WHERE name LIKE 'имя%';

-- Stored generated and identity columns are recorded as they are stored.
CREATE TABLE made (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED,
                   d int DEFAULT 5, s serial);
SELECT action FROM architect.enable_audit('made');
INSERT INTO made (a) VALUES (1), (2);
UPDATE made SET a = a + 1 WHERE id = 1;
SELECT operation, row_key, changed, old, new FROM log WHERE name = 'made' ORDER BY audit_id;

-- Without a key the entry has none, and one notice says so.
CREATE TABLE keyless (a int, b text);
SET client_min_messages = notice;
SELECT action, detail FROM architect.enable_audit('keyless');
SELECT action, detail FROM architect.enable_audit('keyless');
RESET client_min_messages;
SET client_min_messages = warning;
INSERT INTO keyless VALUES (1, 'x'), (1, 'x');
UPDATE keyless SET b = 'y';
DELETE FROM keyless;
SELECT operation, row_key, old, new FROM log WHERE name = 'keyless' ORDER BY audit_id;

-- The key: primary key, else replica identity; deferrable, composite, with INCLUDE, of any type.
CREATE TABLE by_identity (a int NOT NULL, b text NOT NULL, c int);
CREATE UNIQUE INDEX by_identity_idx ON by_identity (b, a) INCLUDE (c);
ALTER TABLE by_identity REPLICA IDENTITY USING INDEX by_identity_idx;
CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, a int);
CREATE TABLE composite (a int, c int, b text, PRIMARY KEY (b, a) INCLUDE (c));
CREATE TYPE code AS (letter text, number numeric);
CREATE TABLE odd_key (n numeric, f float8, t timestamptz, x bytea, r int4range, c code, u uuid, a text[], bp char(4), j jsonb,
                      PRIMARY KEY (n, f, t, x, r, c, u, a, bp, j));
CREATE TABLE full_identity (a int, b int);
ALTER TABLE full_identity REPLICA IDENTITY FULL;
SELECT object_name, action, detail FROM unnest('{by_identity,deferred,composite,odd_key,full_identity}'::regclass[]) AS t, architect.enable_audit(t);
INSERT INTO by_identity VALUES (1, 'x', 2);
INSERT INTO deferred VALUES (1, 1), (2, 2);
UPDATE deferred SET id = 3 - id;
INSERT INTO composite VALUES (1, 2, 'b');
UPDATE composite SET b = 'B', c = 3;
INSERT INTO odd_key VALUES (1.50, -0.0, '2000-01-01 00:00+00', '\x00ff', '[1,3)', ('a', 1.0), 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{a,NULL}', 'b', '{"z": 1.0}');
INSERT INTO full_identity VALUES (1, 2);
SELECT name, operation, row_key, old, new FROM log WHERE name IN ('by_identity', 'deferred', 'composite', 'odd_key', 'full_identity') ORDER BY audit_id;

-- A changed key keeps both keys findable: the entry is stored once more under the former key.
SELECT e.operation, e.row_key, e.image FROM architect.audit_entry AS e JOIN architect.capture_relation AS r USING (relation_id)
 WHERE r.schema_name = 'audit_shapes' AND r.table_name IN ('deferred', 'composite') AND e.operation IN ('U', 'K') ORDER BY e.audit_id, e.operation;
-- Keys that are equal have one key text, though their values look different.
CREATE TABLE scaled (n numeric PRIMARY KEY, a int);
SELECT action FROM architect.enable_audit('scaled');
INSERT INTO scaled VALUES (1.0, 1), (100, 1), (0.00, 1);
UPDATE scaled SET n = n * 1.00, a = 2;
SELECT e.operation, e.row_key, e.image, count(*) OVER (PARTITION BY e.key_hash) AS of_this_hash
  FROM architect.audit_entry AS e JOIN architect.capture_relation AS r USING (relation_id)
 WHERE r.schema_name = 'audit_shapes' AND r.table_name = 'scaled' ORDER BY e.audit_id;

-- Columns left out, by name: they stay out when they are renamed, the key is known all the same.
CREATE TABLE partly (id int PRIMARY KEY, secret text, a int, b int);
SELECT action FROM architect.enable_audit('partly', exclude => '{secret,id}');
INSERT INTO partly VALUES (1, 's', 1, 1);
UPDATE partly SET secret = 't';
ALTER TABLE partly RENAME secret TO hidden;
ALTER TABLE partly ADD secret_too text;
UPDATE partly SET hidden = 'u', a = 2, secret_too = 'open';
UPDATE partly SET id = 2;
SELECT operation, row_key, changed, old, new FROM log WHERE name = 'partly' ORDER BY audit_id;
CREATE TABLE chosen (id int PRIMARY KEY, a int, b int);
SELECT action FROM architect.enable_audit('chosen', columns => '{a}');
INSERT INTO chosen VALUES (1, 1, 1);
UPDATE chosen SET b = 2;
ALTER TABLE chosen RENAME a TO aa;
UPDATE chosen SET aa = 2;
ALTER TABLE chosen DROP b, ADD b int, ADD a int;
UPDATE chosen SET aa = 3, b = 3, a = 3;
SELECT operation, row_key, changed, old, new FROM log WHERE name = 'chosen' ORDER BY audit_id;

-- Unlogged tables are recorded too: in the log, which is not unlogged.
CREATE UNLOGGED TABLE quick (id int PRIMARY KEY, a int);
SELECT action FROM architect.enable_audit('quick');
INSERT INTO quick VALUES (1, 1);
SELECT operation, row_key, new FROM log WHERE name = 'quick';

-- The full image has the whole row, before and after.
CREATE TABLE whole (id int PRIMARY KEY, a int, b text, c int[]);
SELECT action FROM architect.enable_audit('whole', image => 'full');
INSERT INTO whole VALUES (1, 1, 'x', '{}');
UPDATE whole SET a = 2, c = NULL;
UPDATE whole SET id = 2, b = NULL;
UPDATE whole SET b = NULL;
SELECT operation, row_key, changed, old, new FROM log WHERE name = 'whole' ORDER BY audit_id;

-- What cannot be audited is refused, and nothing is left behind.
CREATE VIEW a_view AS SELECT 1 AS id;
CREATE TEMP TABLE a_temp (id int PRIMARY KEY);
CREATE MATERIALIZED VIEW a_matview AS SELECT 1 AS id;
CREATE SEQUENCE a_sequence;
CREATE TYPE a_type AS (id int);
CREATE TABLE ordinary (id int PRIMARY KEY);
SELECT architect.enable_audit('a_view');
\set VERBOSITY sqlstate
SELECT architect.enable_audit('a_temp');
\set VERBOSITY default
SELECT architect.enable_audit('a_matview');
SELECT architect.enable_audit('a_sequence');
SELECT architect.enable_audit('a_type');
SELECT architect.enable_audit('ordinary_pkey');
SELECT architect.enable_audit('pg_catalog.pg_class');
SELECT architect.enable_audit('architect.audit_entry');
SELECT architect.enable_audit('ordinary', exclude => '{nowhere}');
SELECT architect.enable_audit('ordinary', exclude => '{ctid}');
SELECT architect.enable_audit('ordinary', image => 'everything');
SELECT architect.enable_audit('ordinary', operations => '{select}');
SELECT architect.enable_audit('ordinary', columns => '{id}', exclude => '{id}');
SELECT count(*) AS triggers FROM pg_trigger WHERE tgrelid = 'ordinary'::regclass;

DROP SCHEMA audit_shapes, "audit ""shapes""'; drop \ $$" CASCADE;
