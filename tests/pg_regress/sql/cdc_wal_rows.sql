-- The output plugin: what each kind of change becomes, for every replica identity; values the WAL does not
-- have are never made up; tables that change their shape between changes; partitions; TRUNCATE.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA wal_rows;
SET search_path = wal_rows;
SELECT 'created' FROM pg_create_logical_replication_slot('regress_wal_rows', 'db_architect');
CREATE FUNCTION wal(VARIADIC options text[] DEFAULT '{}') RETURNS SETOF text LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace(data, '"txid":\d+,?', ''), 'xx{20,}', 'x...', 'g'),
                          '"ts_ms":\d+,"transaction".*', '...')
      FROM pg_catalog.pg_logical_slot_get_changes('regress_wal_rows', NULL, NULL,
           VARIADIC options || '{include-lsn,0,include-timestamp,0}'::text[]) $$;

CREATE TABLE by_key (id int, name text, PRIMARY KEY (id));
INSERT INTO by_key VALUES (1, 'a'), (2, 'b');
UPDATE by_key SET name = 'c' WHERE id = 1;
UPDATE by_key SET id = 10 WHERE id = 1;
DELETE FROM by_key WHERE id = 2;
SELECT * FROM wal();

-- Identity by an index: the key is that of the index, for every operation.
CREATE TABLE by_index (id int PRIMARY KEY, "the ""b""" int NOT NULL, a text NOT NULL, c int);
CREATE UNIQUE INDEX by_index_idx ON by_index ("the ""b""", a);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_idx;
INSERT INTO by_index VALUES (1, 2, 'x', 3);
UPDATE by_index SET c = 4;
UPDATE by_index SET a = 'y';
DELETE FROM by_index;
-- Whole rows.
CREATE TABLE by_row (a int, b text);
ALTER TABLE by_row REPLICA IDENTITY FULL;
INSERT INTO by_row VALUES (1, NULL);
UPDATE by_row SET b = 'x';
UPDATE by_row SET b = 'x';
DELETE FROM by_row;
-- Nothing, and no key at all.
CREATE TABLE by_nothing (id int PRIMARY KEY, b text);
ALTER TABLE by_nothing REPLICA IDENTITY NOTHING;
INSERT INTO by_nothing VALUES (1, 'x');
UPDATE by_nothing SET b = 'y';
UPDATE by_nothing SET id = 2;
DELETE FROM by_nothing;
CREATE TABLE keyless (a int);
INSERT INTO keyless VALUES (1);
UPDATE keyless SET a = 2;
DELETE FROM keyless;
-- A key that is checked late identifies nothing in the WAL.
CREATE TABLE late (id int PRIMARY KEY DEFERRABLE, b int);
INSERT INTO late VALUES (1, 1);
UPDATE late SET b = 2;
DELETE FROM late;
SELECT * FROM wal('include-transaction', '0');

-- Values stored out of line that an UPDATE leaves alone.
CREATE TABLE toasted (id int PRIMARY KEY, big text, small text, other text);
ALTER TABLE toasted ALTER big SET STORAGE EXTERNAL, ALTER other SET STORAGE EXTERNAL;
INSERT INTO toasted VALUES (1, repeat('x', 3000), 'a', repeat('x', 3000));
UPDATE toasted SET small = 'b';
UPDATE toasted SET other = repeat('x', 4000);
ALTER TABLE toasted REPLICA IDENTITY FULL;
UPDATE toasted SET small = 'c';
UPDATE toasted SET big = NULL;
DELETE FROM toasted;
SELECT * FROM wal('include-transaction', '0');
-- What is said of one row is not said of the next, of another table.
CREATE TABLE narrow (id int PRIMARY KEY);
INSERT INTO narrow VALUES (1);
INSERT INTO toasted VALUES (2, repeat('x', 3000), 'a', repeat('x', 3000));
ALTER TABLE toasted REPLICA IDENTITY DEFAULT;
SELECT count(*) FROM wal();
BEGIN;
UPDATE toasted SET small = 'd';
DELETE FROM narrow;
UPDATE toasted SET small = 'e';
DELETE FROM toasted;
COMMIT;
SELECT * FROM wal('include-transaction', '0');
-- Part of the key, out of line. In the envelope a value that is not there is what Debezium writes.
CREATE TABLE big_key (id text, b int, big text, PRIMARY KEY (id));
ALTER TABLE big_key ALTER id SET STORAGE EXTERNAL, ALTER big SET STORAGE EXTERNAL;
INSERT INTO big_key VALUES (repeat('x', 2500), 1, repeat('x', 4000));
UPDATE big_key SET b = 2;
DELETE FROM big_key;
SELECT regexp_replace(data, '"source".*"op"', '"op"') FROM wal('format', 'envelope') AS data;

-- Shapes that change: the rows are read as they were.
CREATE TABLE shape (id int PRIMARY KEY, gone text, a int);
INSERT INTO shape VALUES (1, 'seen', 1);
ALTER TABLE shape DROP gone, ADD b text DEFAULT 'missing value';
UPDATE shape SET a = 2;
ALTER TABLE shape RENAME a TO "A b";
BEGIN;
UPDATE shape SET "A b" = 3;
ALTER TABLE shape ADD c int, ALTER "A b" TYPE text USING 'now text';
UPDATE shape SET c = 1;
ROLLBACK;
BEGIN;
UPDATE shape SET "A b" = 4;
ALTER TABLE shape ADD c int;
UPDATE shape SET c = 5;
SAVEPOINT s;
UPDATE shape SET c = 6;
ROLLBACK TO s;
ALTER TABLE shape RENAME TO shape2;
UPDATE shape2 SET c = 7;
COMMIT;
CREATE TYPE mood AS ENUM ('sad');
ALTER TABLE shape2 ADD m mood DEFAULT 'sad';
UPDATE shape2 SET c = 8;
ALTER TYPE mood RENAME VALUE 'sad' TO 'merry';
DROP TYPE mood CASCADE;
ALTER SCHEMA wal_rows RENAME TO "wal Rows";
SET search_path = "wal Rows";
UPDATE shape2 SET c = 9;
DROP TABLE shape2;
ALTER SCHEMA "wal Rows" RENAME TO wal_rows;
SET search_path = wal_rows;
SELECT * FROM wal('include-transaction', '0');

-- Generated columns; nothing of tables that are not logged, temporary or a query's.
CREATE TABLE generated (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED);
INSERT INTO generated (a) VALUES (1);
CREATE UNLOGGED TABLE unlogged (a int);
INSERT INTO unlogged VALUES (1);
CREATE TEMP TABLE temporary_one (a int);
INSERT INTO temporary_one VALUES (1);
CREATE MATERIALIZED VIEW matview AS SELECT a FROM generated;
CREATE UNIQUE INDEX ON matview (a);
UPDATE generated SET a = 5;
REFRESH MATERIALIZED VIEW CONCURRENTLY matview;
-- Paths: COPY, ON CONFLICT, a cascade, a CTE.
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE);
COPY parent FROM STDIN;
1
2
\.
INSERT INTO parent VALUES (1) ON CONFLICT DO NOTHING;
INSERT INTO parent VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 3;
INSERT INTO child VALUES (1, 2);
DELETE FROM parent WHERE id = 2;
WITH gone AS (DELETE FROM parent RETURNING id) INSERT INTO child SELECT id, NULL FROM gone;
SELECT * FROM wal('include-transaction', '0');

-- Partitions under their own name or the root's.
CREATE TABLE parts (id int, k int, b int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE parts1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts2 (b int, dropped int, k int NOT NULL, id int NOT NULL, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
ALTER TABLE parts2 DROP dropped;
CREATE TABLE parts2a PARTITION OF parts2 FOR VALUES IN (2);
ALTER TABLE parts ATTACH PARTITION parts2 FOR VALUES IN (2);
INSERT INTO parts VALUES (1, 1, 1), (2, 2, 2);
UPDATE parts SET k = 2 WHERE id = 1;
TRUNCATE parts1;
TRUNCATE parts, parent CASCADE;
SELECT regexp_replace(data, '"txid":\d+,?', '') FROM pg_logical_slot_peek_changes('regress_wal_rows', NULL, NULL, 'include-lsn', '0', 'include-timestamp', '0', 'include-transaction', '0');
SELECT regexp_replace(data, '"txid":\d+,?', '') FROM pg_logical_slot_peek_changes('regress_wal_rows', NULL, NULL, 'include-lsn', '0', 'include-timestamp', '0', 'include-transaction', '0', 'partitions', 'root', 'tables', 'wal_rows.parts');
ALTER TABLE parts DETACH PARTITION parts1;
INSERT INTO parts1 VALUES (5, 5, 5);
ALTER TABLE parts RENAME TO parts_renamed;
INSERT INTO parts2a VALUES (5, 2, 5);
TRUNCATE parts_renamed RESTART IDENTITY;
SELECT * FROM wal('include-transaction', '0', 'partitions', 'root') OFFSET 5;

SELECT pg_drop_replication_slot('regress_wal_rows');
DROP SCHEMA wal_rows CASCADE;
