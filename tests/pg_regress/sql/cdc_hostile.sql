-- A schema nobody would design: names with quotes, semicolons and what is no ASCII, types of every kind, dropped columns,
-- a table without a key, partitions with their columns in another order. Every change is there, rows and documents
-- say the same as the view, and a consumer that starts from the rows gets each once.
SET client_min_messages = warning;
CREATE SCHEMA "s""p a'ce; drop";
SET search_path = "s""p a'ce; drop", public;
CREATE TYPE mood AS ENUM ('sad', 'o"k', 'it''s');
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE DOMAIN mail AS text CHECK (VALUE ~ '@');
CREATE TYPE addr AS (street text, "No ""x" int);
CREATE TABLE "ta""ble'; --" ("i""d" posint, "schlüssel🔑" text, PRIMARY KEY ("schlüssel🔑", "i""d"),
  m mood, ms mood[], e mail, a addr, aa addr[], n numeric, n2 numeric(10,2), f float8, r float4, ts timestamptz, t2 timestamp, d date, iv interval, tm time, ttz timetz,
  b bytea, j json, jb jsonb, u uuid, ip inet, nr numrange, mr int4multirange, arr int[], arr2 text[][], bits bit varying(9), ch char(5), vc varchar(10), c "char", o oid, rc regclass,
  pt point, ts_v tsvector, mo money, big text, gen int GENERATED ALWAYS AS (length(big)) STORED, idt int GENERATED ALWAYS AS IDENTITY, dropme int, "when" text, "null" int);
ALTER TABLE "ta""ble'; --" DROP COLUMN dropme;
ALTER TABLE "ta""ble'; --" ADD COLUMN later text DEFAULT 'dé"fault';
CREATE TABLE "naked ""one" (v text);
CREATE TABLE rng ("K" int, at date, v text, PRIMARY KEY (at, "K")) PARTITION BY RANGE (at);
CREATE TABLE rng_1 PARTITION OF rng FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE rng_2 (v text, "K" int NOT NULL, at date NOT NULL);
ALTER TABLE rng ATTACH PARTITION rng_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
SELECT object_name, action FROM architect.enable_cdc_schema('s"p a''ce; drop', new_tables => true);
SELECT consumer_name, action FROM architect.create_consumer('C "x''', start => 'snapshot', tables => ARRAY['"ta""ble''; --"','rng']::regclass[]);
SELECT consumer_name, action FROM architect.create_consumer('all');
INSERT INTO "ta""ble'; --" ("i""d","schlüssel🔑",m,ms,e,a,aa,n,n2,f,r,ts,t2,d,iv,tm,ttz,b,j,jb,u,ip,nr,mr,arr,arr2,bits,ch,vc,c,o,rc,pt,ts_v,mo,big,"when","null")
SELECT i, 'k"' || chr(10) || i, 'o"k', '{sad,"it''s"}', 'a@b', '("st ""q",3)', ARRAY['(x,1)'::addr], CASE i WHEN 1 THEN 'NaN' WHEN 2 THEN 'Infinity'::numeric ELSE 1.500 END, 1.5, '-0', 'NaN', 'infinity', '-infinity', 'infinity', '1 mon -1 day', '24:00', '12:00+02',
 '\x00ff', '{"a":1, "a":2, "b":  [1.0]}', '{"z":1,"a":1.50}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '::1/64', '[1,2.50)', '{[1,3),[5,6)}', '[2:3]={1,NULL}', '{{a,b},{"c,","d\""}}', B'101', 'ab', 'v', 'x', 5, 'pg_class', '(1,2)', 'a:1 b', '12.34', repeat('x', 100), 'w', 7 FROM generate_series(1,4) i;
INSERT INTO "ta""ble'; --" ("i""d","schlüssel🔑",big) VALUES (9, 'long', repeat('Ω', 100000));
UPDATE "ta""ble'; --" SET "i""d" = "i""d" + 10 WHERE "i""d" < 5;
UPDATE "ta""ble'; --" SET n = 2 WHERE "i""d" = 9;
INSERT INTO "naked ""one" VALUES ('1'), ('2'), (NULL);
UPDATE "naked ""one" SET v = v || 'x'; DELETE FROM "naked ""one" WHERE v IS NULL;
INSERT INTO rng SELECT i, date '2026-01-30' + i, 'v' || i FROM generate_series(0, 3) i;
UPDATE rng SET at = at + 2 WHERE "K" = 1;
UPDATE rng SET v = 'n';
WITH gone AS (DELETE FROM rng WHERE "K" = 0 RETURNING *) INSERT INTO rng SELECT 99, at, 'moved' FROM gone;
INSERT INTO rng VALUES (2, '2026-02-01', 'c') ON CONFLICT (at, "K") DO UPDATE SET v = 'upserted';
DELETE FROM rng WHERE "K" = 3;
TRUNCATE rng;
CREATE TABLE "made later" (id serial PRIMARY KEY, v text);
INSERT INTO "made later" (v) VALUES ('x'), ('y');

-- Rows of a poll are the view's.
SELECT operation, table_name, row_key, changed_columns FROM architect.poll_changes('all', 10000);
SELECT count(*) AS events, count(DISTINCT position) AS positions,
       count(*) FILTER (WHERE l.row_key IS DISTINCT FROM p.row_key::jsonb OR l.new_values IS DISTINCT FROM p.new_values::jsonb
                           OR l.old_values IS DISTINCT FROM p.old_values::jsonb) AS different
  FROM architect.poll_changes('all', 10000) AS p JOIN architect.change_log AS l USING (position);
-- Documents are JSON and say the same.
SELECT count(*) AS events,
       count(*) FILTER (WHERE p.event::jsonb -> 'new' IS DISTINCT FROM l.new_values OR p.event::jsonb -> 'old' IS DISTINCT FROM l.old_values
                           OR p.event::jsonb ->> 'table' IS DISTINCT FROM l.table_name) AS different
  FROM architect.poll_changes_json('all', 10000) AS p JOIN architect.change_log AS l USING (position);
SELECT count(*) AS events,
       count(*) FILTER (WHERE NULLIF(p.event::jsonb -> 'after', 'null') IS DISTINCT FROM l.new_values
                           OR NULLIF(p.event::jsonb -> 'before', 'null') IS DISTINCT FROM l.old_values
                           OR p.event::jsonb #>> '{source,table}' IS DISTINCT FROM l.table_name) AS different
  FROM architect.poll_changes_envelope('all', 10000) AS p JOIN architect.change_log AS l USING (position)
 WHERE l.operation <> 'truncate';
-- What was inserted is what the table held.
SELECT new_values ->> 'big' = repeat('Ω', 100000) AS whole FROM architect.poll_changes('all', 10000) WHERE row_key ->> 'i"d' = '9' AND operation = 'insert';
SELECT action FROM architect.drop_consumer('all');
-- One that starts from the rows gets those that were there, of which there were none, and each change once.
SELECT operation, count(*), count(DISTINCT position) = count(*) AS once FROM architect.poll_changes('C "x''', 10000) GROUP BY operation ORDER BY operation;
SELECT action FROM architect.drop_consumer('C "x''');
SELECT table_name, code FROM architect.cdc_coverage() WHERE status <> 'covered' AND table_name LIKE '%drop%' ORDER BY 1, 2;
SELECT action, count(*) FROM architect.disable_cdc_schema('s"p a''ce; drop') GROUP BY action;
\set VERBOSITY terse
DROP SCHEMA "s""p a'ce; drop" CASCADE;
