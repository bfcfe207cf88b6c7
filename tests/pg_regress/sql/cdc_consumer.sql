-- Protects what consumers of the change feed see: batches, acknowledgement in parts, refusal and dead
-- letters, filters, the three shapes of an event, starting from existing rows, being lost, retention that
-- never passes an unread consumer. In a database of its own: positions and upkeep are of the whole feed.
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_architect_consumer;
\c regress_architect_consumer
SET client_min_messages = warning;
CREATE EXTENSION db_architect;
CREATE TABLE t (id int PRIMARY KEY, v text, n numeric);
CREATE TABLE pair (b text, a int, note text, PRIMARY KEY (a, b));
CREATE TABLE keyless (n int);

-- Before there is anything.
SELECT * FROM architect.consumer_lag();
SELECT * FROM architect.cdc_health();
SELECT * FROM architect.poll_changes('c');
SELECT action FROM architect.enable_cdc('t', notify => false);
SELECT action FROM architect.enable_cdc('pair', notify => false);
SELECT consumer_name, action FROM architect.create_consumer('c', max_attempts => 2);
SELECT consumer_name, action FROM architect.create_consumer('c', max_attempts => 2);
SELECT consumer_name, action FROM architect.create_consumer('c', max_attempts => 3, visibility_timeout => '1 minute');
SELECT architect.create_consumer('c', operations => '{insert}');
SELECT architect.create_consumer('d', tables => '{keyless}');
SELECT architect.create_consumer('d', operations => '{upsert}');
SELECT architect.create_consumer('d', start => 'yesterday');
SELECT architect.create_consumer('d', max_lag => '-1 second');
SELECT architect.create_consumer('');
SELECT action FROM architect.create_consumer('only pair', tables => '{pair}', operations => '{insert,delete}');
SELECT action FROM architect.create_consumer('outbox', tables => '{}', topics => '{orders}');

-- Every kind of event, with who made it.
BEGIN;
SET LOCAL architect.actor = 'alice';
SET LOCAL architect.correlation_id = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11';
SET LOCAL architect.context = '{"page": 3}';
INSERT INTO t VALUES (1, 'a"b', 1.50);
UPDATE t SET v = 'c' WHERE id = 1;
UPDATE t SET id = 2 WHERE id = 1;
COMMIT;
INSERT INTO pair VALUES ('x,"]', 1, NULL);
DELETE FROM t;
SELECT architect.emit_event('orders', 'o-1', '{"amount": 12.50}', '{"trace": 1}') > 0 AS emitted;
SELECT architect.emit_event('other', NULL, '[1]') > 0 AS emitted;
TRUNCATE t;
\x on
SELECT operation, schema_name, table_name, row_key, old_values, new_values, changed_columns, actor, correlation_id, context,
       topic, headers, attempt, recorded_at <= clock_timestamp() AS recorded FROM architect.poll_changes('c');
\x off
-- Not acknowledged: the same again, as documents.
SELECT regexp_replace(event::text, '"(position|txid)":\d+|"recorded_at":"[^"]+"', '"\1":0', 'g') AS event FROM architect.poll_changes_json('c');
SELECT event -> 'key' AS key, event -> 'before' AS before, event -> 'after' AS after, event ->> 'op' AS op, event -> 'message' AS message,
       event #> '{source,table}' AS "table", event #> '{source,actor}' AS actor, event #> '{transaction,total_order}' AS total, event #> '{transaction,data_collection_order}' AS of_table
  FROM architect.poll_changes_envelope('c');
SELECT operation, table_name, row_key FROM architect.poll_changes('only pair');
SELECT operation, topic, row_key, new_values FROM architect.poll_changes('outbox');

-- In parts; what is done stays done; what was never given out cannot be.
SELECT position AS first FROM architect.poll_changes('c', 1) \gset
SELECT architect.ack_changes('c', :first);
SELECT architect.ack_changes('c', :first);
SELECT architect.ack_changes('c', 1000000);
SELECT position AS second, operation FROM architect.poll_changes('c', 1) \gset
-- Refused: what follows of its row leaves the batch with it, the rest stays.
SELECT outcome FROM architect.nack_changes('c', :second, 'no luck', '1 hour');
SELECT operation, table_name, row_key FROM architect.poll_changes('c');
SELECT events > 0 AS has_events, batches, in_flight, aside, dead_letters FROM architect.consumer_lag() WHERE consumer_name = 'c';
SELECT architect.ack_changes('c', (SELECT max(position) FROM architect.poll_changes('c')));
SELECT count(*) AS nothing_until_it_is_due FROM architect.poll_changes('c');
UPDATE architect.cdc_aside SET not_before = 0 WHERE position = :second;
SELECT operation, row_key, attempt FROM architect.poll_changes('c');
SELECT outcome FROM architect.nack_changes('c', :second, 'no luck', '0');
SELECT operation, row_key, attempt FROM architect.poll_changes('c', 1);
-- The third attempt was the last: a dead letter, and the others go on.
SELECT outcome FROM architect.nack_changes('c', :second, 'given up');
SELECT operation, row_key, attempt FROM architect.poll_changes('c');
SELECT architect.ack_changes('c', (SELECT max(position) FROM architect.poll_changes('c')));
SELECT consumer_name, attempts, reason, is_retried, operation, table_name, row_key FROM architect.dead_letters();
SELECT status, detail, dead_letters FROM architect.cdc_health();
SELECT architect.retry_dead_letter('c');
SELECT operation, row_key, new_values, attempt FROM architect.poll_changes('c');
SELECT architect.ack_changes('c', :second);
SELECT count(*) AS dead_letters FROM architect.dead_letters();

-- A rollback gives back what was polled.
INSERT INTO t VALUES (5, 'x', 1);
BEGIN;
SELECT operation, row_key, attempt FROM architect.poll_changes('c');
ROLLBACK;
SELECT operation, row_key, attempt FROM architect.poll_changes('c');
SELECT architect.ack_changes('c', (SELECT max(position) FROM architect.poll_changes('c')));
-- One's own changes are not decided before they are committed.
BEGIN;
INSERT INTO t VALUES (6, 'x', 1);
SELECT count(*) FROM architect.poll_changes('c');
COMMIT;
SELECT operation, row_key FROM architect.poll_changes('c', wait => '100 ms');
SELECT architect.ack_changes('c', (SELECT max(position) FROM architect.poll_changes('c')));
SELECT architect.poll_changes('c', 0);
SELECT architect.poll_changes('c', wait => '-1 s');
SELECT architect.ack_changes('nobody', 1);

-- From the rows that are there, with changes while they are read.
INSERT INTO pair SELECT 'k' || i, i, 'old' FROM generate_series(2, 6) i;
SELECT action, detail ~ '2 tables' AS of_two_tables FROM architect.create_consumer('rows', start => 'snapshot');
SELECT operation, table_name, row_key, new_values FROM architect.poll_changes('rows', 3);
UPDATE pair SET note = 'new' WHERE a IN (1, 4);
DELETE FROM pair WHERE a = 5;
UPDATE pair SET a = 0 WHERE a = 6;
INSERT INTO pair VALUES ('k3', 30, 'later');
SELECT architect.ack_changes('rows', (SELECT min(position) FROM architect.poll_changes('rows', 3)));
SELECT operation, table_name, row_key, new_values FROM architect.poll_changes('rows', 100);
SELECT architect.ack_changes('rows', (SELECT max(position) FROM architect.poll_changes('rows', 100)));
SELECT operation, table_name, row_key, new_values FROM architect.poll_changes('rows', 100);
SELECT architect.ack_changes('rows', (SELECT max(position) FROM architect.poll_changes('rows', 100)));
SELECT operation, table_name, row_key, new_values ->> 'note' AS note FROM architect.poll_changes('rows', 100);
SELECT action FROM architect.enable_cdc('keyless', notify => false);
SELECT architect.create_consumer('no key', tables => '{keyless}', start => 'snapshot');

-- Emptied only where everybody has read it.
SELECT action, detail FROM architect.set_cdc_retention(segment_bytes => 65536);
SELECT action FROM architect.set_cdc_retention(segment_bytes => 65536);
SELECT action FROM architect.set_cdc_retention(segment_bytes => 1);
SELECT architect.drop_consumer('rows'), architect.drop_consumer('only pair'), architect.drop_consumer('outbox');
INSERT INTO t SELECT i, repeat('x', 100), i FROM generate_series(1000, 2000) i;
CALL architect.run_maintenance();
SELECT step, action FROM architect.maintenance_log() WHERE step LIKE 'change feed%';
SELECT holds_back_retention, bytes > 65536 AS is_behind FROM architect.consumer_lag();
SELECT count(*) FROM architect.poll_changes('c', 100000);
CALL architect.run_maintenance();
SELECT count(*) AS polled_but_not_acknowledged FROM architect.change_log;
-- In a transaction block, or the feed might be tidied at once.
BEGIN;
SELECT architect.ack_changes('c', (SELECT max(position) FROM architect.poll_changes('c', 100000)));
COMMIT;
CALL architect.run_maintenance();
SELECT action FROM architect.maintenance_log() WHERE step LIKE 'change feed%' ORDER BY 1;
SELECT count(*) AS left FROM architect.change_log;
SELECT feed_bytes < 200000 AS small FROM architect.cdc_health();

-- Further behind than it may be.
SELECT action FROM architect.create_consumer('short', max_lag_events => 10);
INSERT INTO t SELECT i, 'x', i FROM generate_series(3000, 3020) i;
SET client_min_messages = warning;
CALL architect.run_maintenance();
SELECT object_name, action, detail FROM architect.maintenance_log() WHERE step = 'change feed consumers';
SELECT state FROM architect.consumer_lag() WHERE consumer_name = 'short';
SELECT status FROM architect.cdc_health();
SELECT * FROM architect.poll_changes('short');
SELECT action FROM architect.reset_consumer('short', 'now');
SELECT count(*) FROM architect.poll_changes('short');

-- A position of another cluster.
UPDATE architect.cdc_consumer SET system_identifier = '1' WHERE name = 'short';
SELECT * FROM architect.poll_changes('short');
SELECT architect.ack_changes('short', 1);
SELECT action FROM architect.reset_consumer('short', 'beginning');
SELECT count(*) > 0 AS from_the_beginning FROM architect.poll_changes('short');
SELECT consumer_name, action FROM architect.drop_consumer('short');
SELECT architect.drop_consumer('short');

\c :old_database
DROP DATABASE regress_architect_consumer;
