-- The output plugin's options: which tables, operations, columns and messages; masks; shapes of a line; and what is
-- refused. Names are literal: patterns cannot be talked into more.
SET client_min_messages = warning;
CREATE SCHEMA wal_options;
CREATE SCHEMA "wal, Opt";
SET search_path = wal_options;
SELECT 'created' FROM pg_create_logical_replication_slot('regress_wal_options', 'db_architect');
CREATE FUNCTION wal(VARIADIC options text[] DEFAULT '{}') RETURNS SETOF text LANGUAGE sql AS $$
    SELECT regexp_replace(data, '"txid": ?\d+,?', '')
      FROM pg_catalog.pg_logical_slot_peek_changes('regress_wal_options', NULL, NULL,
           VARIADIC options || '{include-lsn,0,include-timestamp,0,include-transaction,0}'::text[]) $$;
-- What is refused, and how.
SELECT wal('no-such-option', 'x');
SELECT wal('format', 'xml');
SELECT wal('operations', 'insert,upsert');
SELECT wal('tables', 'unqualified');
SELECT wal('tables', 'a."b');
SELECT wal('tables', 'a.b,');
SELECT wal('tables', 'a.b; DROP TABLE x');
SELECT wal('masks', 'a.b.c=rot13');
SELECT wal('pretty', 'perhaps');
SELECT wal('batch', '1e3');
SELECT wal('origin', 'elsewhere');
SELECT wal('pretty', '1', 'pretty', '1');

CREATE TABLE a (id int PRIMARY KEY, v text, secret text);
CREATE TABLE "B.b" (id int PRIMARY KEY, v text);
CREATE TABLE "wal, Opt"."T ""x""" (id int PRIMARY KEY, v text);
INSERT INTO a VALUES (1, 'v', 's'), (2, 'v', NULL);
UPDATE a SET id = 3 WHERE id = 1;
DELETE FROM a WHERE id = 2;
INSERT INTO "B.b" VALUES (1, 'b');
INSERT INTO "wal, Opt"."T ""x""" VALUES (1, 't');
TRUNCATE a;
-- Tables.
SELECT wal('tables', 'wal_options."B.b"');
SELECT wal('tables', '*.a', 'operations', 'truncate');
SELECT wal('tables', '"wal, Opt".*, WAL_options."B.b"', 'exclude-tables', 'wal_options.*');
SELECT wal('tables', '');
SELECT wal('exclude-tables', 'wal_options.a,*."T ""x"""');
-- Operations.
SELECT wal('tables', 'wal_options.a', 'operations', 'delete, update');
-- Columns, and masks: marked as such, in the key too; a hash of null would tell nothing.
SELECT wal('tables', 'wal_options.a', 'columns', 'wal_options.a.id, wal_options.a.v', 'operations', 'insert');
SELECT wal('operations', 'insert', 'exclude-columns', '*.*.v,*.*.secret', 'exclude-tables', '*.a');
SELECT wal('tables', 'wal_options.a', 'masks', '*.*.secret=hash,wal_options.a.v=constant,*.a.id=null');
SELECT wal('tables', 'wal_options.a', 'masks', '*.*.secret=hash', 'operations', 'insert', 'format', 'envelope') ~ '"secret":\{"sha256":"[0-9a-f]{64}"\}.*"masked":\["secret"\]';
-- What is written of a transaction, with the end that a client confirms.
SELECT regexp_replace(regexp_replace(regexp_replace(data, '\d+/[0-9A-F]+', 'X/X', 'g'), '"txid":\d+', '"txid":0'), '20\d\d-[^"]*', '20...')
  FROM pg_logical_slot_peek_changes('regress_wal_options', NULL, NULL, 'tables', 'wal_options."B.b"');
-- The lines of a transaction are those of its commit.
SELECT count(DISTINCT data::jsonb ->> 'txid') = 1 AND bool_and((data::jsonb ->> 'txid')::xid = xid) AS same_transaction,
       max((data::jsonb ->> 'end_lsn')::pg_lsn) > max((data::jsonb ->> 'lsn')::pg_lsn) AS ends_behind
  FROM pg_logical_slot_peek_changes('regress_wal_options', NULL, NULL, 'tables', 'wal_options."B.b"');
SELECT wal('tables', 'wal_options."B.b"', 'pretty', 'on');
-- Every line is JSON, in every shape.
SELECT count(*), count(data::jsonb) FROM pg_logical_slot_peek_changes('regress_wal_options', NULL, NULL) AS t (lsn, xid, data);
SELECT jsonb_object_keys(data::jsonb), count(*) FROM pg_logical_slot_peek_changes('regress_wal_options', NULL, NULL, 'format', 'envelope') GROUP BY 1 ORDER BY 1;
SELECT DISTINCT jsonb_object_keys(data::jsonb -> 'source') FROM pg_logical_slot_peek_changes('regress_wal_options', NULL, NULL, 'format', 'envelope', 'name', 'shop') ORDER BY 1;
SELECT data::jsonb ->> 'op', data::jsonb -> 'source' ->> 'name', data::jsonb -> 'transaction' ->> 'total_order', data::jsonb -> 'transaction' ->> 'data_collection_order'
  FROM pg_logical_slot_peek_changes('regress_wal_options', NULL, NULL, 'format', 'envelope', 'name', 'shop');

SELECT count(*) > 0 FROM pg_logical_slot_get_changes('regress_wal_options', NULL, NULL);
-- Messages: who acted, for the rest of the transaction; events; heartbeats; others by their prefix.
BEGIN;
INSERT INTO a VALUES (10, 'before', NULL);
SELECT 'said' FROM pg_logical_emit_message(true, 'architect.context', '{"actor": "al\"ice", "correlation_id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "context": {"ip": "::1"}}');
INSERT INTO a VALUES (11, 'after', NULL);
SAVEPOINT s;
SELECT 'said' FROM pg_logical_emit_message(true, 'architect.context', '{"actor": "rolled back"}');
ROLLBACK TO s;
INSERT INTO a VALUES (12, 'after rollback', NULL);
SELECT 'said' FROM pg_logical_emit_message(true, 'architect.event', '{"topic": "orders", "key": "k", "payload": {"a": [1]}, "headers": {"h": "x"}}');
SELECT 'said' FROM pg_logical_emit_message(true, 'architect.event', 'no json');
SELECT 'said' FROM pg_logical_emit_message(true, 'architect.context', 'no json either');
SELECT 'said' FROM pg_logical_emit_message(true, 'other', E'a "text"\n');
SELECT 'said' FROM pg_logical_emit_message(true, 'bytes', '\x00ff'::bytea);
COMMIT;
BEGIN;
SELECT 'said' FROM pg_logical_emit_message(false, 'architect.heartbeat', '');
SELECT 'said' FROM pg_logical_emit_message(false, 'not transactional', 'x');
SELECT 'said' FROM pg_logical_emit_message(true, 'gone', 'x');
ROLLBACK;
INSERT INTO a VALUES (13, 'nobody said', NULL);
SELECT wal();
SELECT wal('messages', 'other, bytes', 'operations', 'message,event');
SELECT regexp_replace(wal('format', 'envelope', 'operations', 'event'), '"(txId|ts_ms|id)":"?\d+"?', '"\1":0', 'g');

-- The extension's own tables only when they are named.
SELECT count(*) FROM architect.enable_audit('a');
INSERT INTO a VALUES (20, 'audited', NULL);
SELECT data::jsonb ->> 'schema', data::jsonb ->> 'table' FROM wal('tables', '*.*', 'operations', 'insert') AS data WHERE data LIKE '%audited%';
SELECT DISTINCT data::jsonb ->> 'schema' FROM wal('tables', '*.*,architect.*', 'operations', 'insert') AS data WHERE data LIKE '%audited%' ORDER BY 1;
SELECT count(*) FROM architect.disable_audit('a');

SELECT pg_drop_replication_slot('regress_wal_options');
DROP SCHEMA wal_options, "wal, Opt" CASCADE;
