-- Protects: verify_erasure names every place where a sentinel of an erased person still is (escaped json, tsvector, comment,
-- partition bound, temporary table, statistics of columns, expressions and several columns, materialized view, large
-- object, bytea, definitions), says how to clear it, and stops naming it once that is done; other values of the person
-- that nobody can look for any more are accounted for by their tables.
\set VERBOSITY default
\pset format unaligned
\pset footer off
SET client_min_messages = warning;
CREATE SCHEMA lab;
SET search_path = lab;
CREATE TABLE person (id int PRIMARY KEY, mail text, name text, notes text);
CREATE TABLE phone (id int PRIMARY KEY, person_id int NOT NULL REFERENCES person ON DELETE CASCADE, number text);
CREATE INDEX ON phone (person_id);
CREATE INDEX ON person (lower(mail));
CREATE STATISTICS person_pairs (mcv) ON name, mail FROM person;
INSERT INTO person SELECT i, 'p' || i || '@x.org', 'Person Number' || i, 'note ' || i FROM generate_series(1, 200) AS i;
INSERT INTO person SELECT i, 'zoë/sentinel@x.org', 'Zoë Sentinel', 'SECRETNOTE ' || i FROM generate_series(1001, 1003) AS i;
DELETE FROM person WHERE id > 1001;
INSERT INTO phone VALUES (1, 1001, '0170 7654321'), (2, 1, '0170 1111111');
CREATE MATERIALIZED VIEW people AS SELECT id, name, notes FROM person;
CREATE VIEW middle AS SELECT notes FROM people;
CREATE MATERIALIZED VIEW notes AS SELECT * FROM middle;
INSERT INTO person SELECT i, 'zoë/sentinel@x.org', 'Zoë Sentinel', 'SECRETNOTE ' || i FROM generate_series(2001, 2030) AS i;
ANALYZE person, people, notes, phone;
DELETE FROM person WHERE id > 2000;
-- Copies that no declaration covers.
CREATE TABLE copy (id int, doc json, words tsvector, stripped tsvector, raw bytea, list text[], pair phone, number text, key uuid);
INSERT INTO copy (id, doc) VALUES (1, '{"mail": "zo\u00eb\/sentinel@x.org"}');
INSERT INTO copy (id, doc) VALUES (2, '{"text": "{\"name\": \"Zo\\u00eb Sentinel\"}"}');
INSERT INTO copy (id, words) VALUES (3, to_tsvector('english', 'a letter to Zoë Sentinel, running'));
INSERT INTO copy (id, stripped) VALUES (8, strip(to_tsvector('english', 'running letters of Zoë, and later Sentinel'))), (9, strip(to_tsvector('simple', 'a Sentinel')));
INSERT INTO copy (id, raw) VALUES (4, convert_to('to Zoë Sentinel', 'UTF8'));
INSERT INTO copy (id, list) VALUES (5, '{a,"Zoë Sentinel"}');
INSERT INTO copy (id, pair) VALUES (6, ROW(1, 2, 'Zoë Sentinel'));
INSERT INTO copy (id, number) VALUES (7, 'call 0170 7654321');
CREATE TEMP TABLE scratch AS SELECT 'Zoë Sentinel' AS t;
CREATE TABLE parts (mail text, n int) PARTITION BY LIST (mail);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN ('zoë/sentinel@x.org');
COMMENT ON COLUMN person.notes IS 'as of Zoë Sentinel';
CREATE TABLE defs (n text DEFAULT 'Zoë Sentinel', CHECK (n <> 'zoë/sentinel@x.org'));
CREATE VIEW hers AS SELECT 1 AS one WHERE 'Zoë Sentinel' <> '';
CREATE FUNCTION hers() RETURNS text LANGUAGE sql AS $$ SELECT 'Zoë Sentinel' $$;
CREATE TABLE "Zoë Sentinel" (id int);
SELECT lo_from_bytea(77770001, convert_to(repeat('x', 2040) || ' Zoë Sentinel', 'UTF8')) > 0 AS lo;
SELECT count(*) > 0 AS declared FROM architect.declare_subject('person', 'person', identity_columns => '{mail,name}');
SELECT count(*) > 0 AS declared FROM architect.declare_column('phone', 'number', 'phone', identifier_class => 'direct');
SELECT request_id AS request FROM architect.erase_subject('person', '1001', dry_run => false) LIMIT 1 \gset
SELECT regexp_replace(place, 'pg_temp_\d+', 'pg_temp') AS place, status, detail, how_to_clear FROM architect.verify_erasure(:request)
 WHERE status IN ('present', 'not searched') AND place !~ 'stat_activity|temporary' OR place ~ 'lab\.' ORDER BY 1, 3;
-- As advised.
REFRESH MATERIALIZED VIEW people;
REFRESH MATERIALIZED VIEW notes;
COMMENT ON COLUMN person.notes IS NULL;
DROP TABLE parts_1, scratch, defs, "Zoë Sentinel";
DROP VIEW hers;
DROP FUNCTION hers;
SELECT lo_unlink(77770001) AS unlinked;
DELETE FROM copy;
VACUUM FULL person, phone;
ANALYZE person, people, notes, phone;
SELECT place, status, detail FROM architect.verify_erasure(:request)
 WHERE status IN ('present', 'not searched') AND place !~ 'stat_activity|temporary' OR place ~ 'lab\.' ORDER BY 1, 3;
SELECT count(*) FROM pg_stats WHERE schemaname = 'lab' AND concat(most_common_vals, histogram_bounds) ~ 'SECRETNOTE|Sentinel|7654321';
-- An empty table keeps its statistics whatever ANALYZE does.
DELETE FROM person WHERE id > 3;
ANALYZE person;
CREATE TEMP TABLE asked AS SELECT i, (SELECT request_id FROM architect.erase_subject('person', to_jsonb(i), dry_run => false) LIMIT 1) AS request
  FROM generate_series(1, 3) AS i;
VACUUM FULL person;
ANALYZE person;
CREATE TEMP TABLE left_over AS SELECT v.* FROM asked, architect.verify_erasure(request) AS v WHERE i = 1 AND place ~ 'lab.person' AND place ~ 'stat';
SELECT place, status, detail, how_to_clear FROM left_over ORDER BY 1, 3;
SELECT DISTINCT how_to_clear FROM left_over ORDER BY 1 \gexec
SELECT place, status, how_to_clear FROM asked, architect.verify_erasure(request) WHERE i = 1 AND place ~ 'lab.person' AND place ~ 'stat';
SELECT action FROM architect.undeclare_subject('person');
SELECT action FROM architect.undeclare_column('phone', 'number');
DROP SCHEMA lab CASCADE;
