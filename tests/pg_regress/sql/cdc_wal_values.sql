-- The output plugin never stops at a value: one whose type's output function fails is marked, the rest of
-- its row is there. (An error would stop the slot for good: the same change comes again and again.)
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA wal_values;
SET search_path = wal_values;
SELECT 'created' FROM pg_create_logical_replication_slot('regress_wal_values', 'db_architect');
CREATE FUNCTION wal(VARIADIC options text[] DEFAULT '{}') RETURNS SETOF text LANGUAGE sql AS $$
    SELECT regexp_replace(data, '"txid":\d+,?', '')
      FROM pg_catalog.pg_logical_slot_get_changes('regress_wal_values', NULL, NULL,
           VARIADIC options || '{include-lsn,0,include-timestamp,0,include-transaction,0}'::text[]) $$;
CREATE TYPE broken;
CREATE FUNCTION broken_in(cstring) RETURNS broken LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION broken_out(broken) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'anyelement_out';
CREATE TYPE broken (INPUT = broken_in, OUTPUT = broken_out, LIKE = int4);
CREATE TYPE holds_broken AS (a int, b broken);
CREATE TABLE t (id int PRIMARY KEY, b broken, c text, h holds_broken, bs broken[]);
INSERT INTO t VALUES (1, NULL, 'fine', NULL, NULL), (2, '7', 'kept', NULL, NULL), (3, NULL, 'also', ROW(1, '2'), NULL), (4, NULL, 'too', NULL, '{1,2}'), (5, NULL, 'fine', ROW(1, NULL), '{}');
CREATE TABLE other (id int PRIMARY KEY);
INSERT INTO other VALUES (1);
SELECT * FROM wal();
-- Its key, even.
CREATE TABLE keyed (b broken, c int);
ALTER TABLE keyed REPLICA IDENTITY FULL;
BEGIN;
INSERT INTO keyed VALUES ('1', 2);
UPDATE keyed SET c = 3;
DELETE FROM keyed;
INSERT INTO other VALUES (2);
COMMIT;
SELECT * FROM wal();
-- A value in one line, one in several.
CREATE TABLE spelled (j json, t text);
INSERT INTO spelled VALUES (E'{"a":\n\r\t[1]}', E'two\nlines');
SELECT * FROM wal();
-- Deep, wide and large.
CREATE TABLE large (id int PRIMARY KEY, v text, a int[], j jsonb);
INSERT INTO large VALUES (1, repeat('"', 3000000), array_fill(7, ARRAY[200000]), (repeat('[', 900) || repeat(']', 900))::jsonb);
SELECT length(data), length(data::jsonb -> 'new' ->> 'v'), jsonb_array_length(data::jsonb -> 'new' -> 'a') FROM wal() AS data;
INSERT INTO large VALUES (2, repeat('x', 260000000), NULL, NULL);
SELECT * FROM wal();
SELECT pg_drop_replication_slot('regress_wal_values');
DROP SCHEMA wal_values CASCADE;
