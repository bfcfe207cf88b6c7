-- Events of the application's own: with the transaction or not at all, exact, in order, and who may.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA cdc_emit;
SET search_path = cdc_emit;
CREATE TABLE t (id int PRIMARY KEY);
SELECT action FROM architect.enable_cdc('t');
CREATE VIEW events AS SELECT topic, row_key, new_values AS payload, headers, actor, schema_name IS NULL AS no_table FROM architect.change_log WHERE operation = 'event' AND topic LIKE 'test.%' ORDER BY position;
RESET client_min_messages;
BEGIN;
SET LOCAL architect.actor = 'somebody';
INSERT INTO t VALUES (1);
SELECT architect.emit_event('test.paid', '42', '{"n": 1.000000000000000000000000000001, "big": 123456789012345678901234567890, "a": [1, null, "\u00e4\""]}', '{"h": 1}') > 0 AS position;
INSERT INTO t VALUES (2);
COMMIT;
TABLE events;
-- In order with the changes around it.
SELECT operation, COALESCE(row_key ->> 'id', row_key ->> 0) AS key FROM architect.change_log WHERE schema_name = 'cdc_emit' OR topic = 'test.paid' ORDER BY position;
SELECT architect.emit_event('test.bare') > 0 AS position;
SELECT architect.emit_event('test.named', payload => '"text"', channel => NULL) > 0 AS position;
SELECT architect.emit_event(E'test.\t"odd"', E'k\n"ey', 'null') > 0 AS position;
BEGIN; SELECT architect.emit_event('test.rolled back') > 0 AS position; ROLLBACK;
BEGIN; SAVEPOINT a; SELECT architect.emit_event('test.rolled back') > 0 AS position; ROLLBACK TO a; COMMIT;
TABLE events;
-- Every event of a statement has a block of its own; those of one key stay together by its hash.
SELECT count(DISTINCT architect.emit_event('test.many', (n % 2)::text, to_jsonb(n)) / 4096) AS blocks FROM generate_series(1, 5) AS n;
SELECT row_key, count(DISTINCT key_hash) AS hashes FROM architect.change_entry WHERE operation = 'E' AND image ->> 'topic' = 'test.many' GROUP BY row_key COLLATE "C", row_key ORDER BY 1;
-- Refused.
SELECT architect.emit_event('');
SELECT architect.emit_event(NULL);
SELECT architect.emit_event('test.x', headers => '[1]');
SELECT architect.emit_event('test.x', channel => '');
-- Nobody's but those it was given to; they need no right on the feed.
CREATE ROLE cdc_emitter;
GRANT USAGE ON SCHEMA architect TO cdc_emitter;
SET ROLE cdc_emitter;
SELECT architect.emit_event('test.refused');
RESET ROLE;
GRANT EXECUTE ON FUNCTION architect.emit_event TO cdc_emitter;
SET ROLE cdc_emitter;
SELECT architect.emit_event('test.granted') > 0 AS position;
SELECT count(*) FROM architect.change_log;
SELECT count(*) FROM architect.change_entry_0;
RESET ROLE;
SELECT topic, session_role IS NOT NULL AND set_role = 'cdc_emitter' AS known FROM architect.change_log WHERE topic = 'test.granted';

-- Nobody is woken by what is rolled back, nor where nobody is to be.
CREATE TABLE silent (id int PRIMARY KEY);
CREATE TABLE other (id int PRIMARY KEY);
SELECT action FROM architect.enable_cdc('silent', notify => false);
SELECT action FROM architect.enable_cdc('other', channel => 'Other "channel"');
LISTEN data_changes;
LISTEN "Other ""channel""";
INSERT INTO silent VALUES (1);
BEGIN; INSERT INTO t VALUES (10); INSERT INTO other VALUES (1); ROLLBACK;
BEGIN; SAVEPOINT a; INSERT INTO t VALUES (10); INSERT INTO other VALUES (1); ROLLBACK TO a; COMMIT;
UNLISTEN *;

SET client_min_messages = warning;
REVOKE ALL ON SCHEMA architect FROM cdc_emitter;
REVOKE ALL ON FUNCTION architect.emit_event FROM cdc_emitter;
DROP ROLE cdc_emitter;
DROP SCHEMA cdc_emit CASCADE;
