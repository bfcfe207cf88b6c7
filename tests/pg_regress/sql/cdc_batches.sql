-- Protects that no event is lost, handed out twice or stuck where batches of several workers overlap, their
-- rows are gone, or the feed is held back. In a database of its own: positions and upkeep are of the whole feed.
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_architect_batches;
\c regress_architect_batches
SET client_min_messages = warning;
CREATE EXTENSION db_architect;
CREATE TABLE t (id int PRIMARY KEY, v int);
SELECT action FROM architect.enable_cdc('t', notify => false);
-- Nobody ever made a consumer: what was kept for long enough goes.
INSERT INTO t VALUES (0, 0);
UPDATE architect.change_segment SET since = since - interval '2 hours';
CALL architect.run_maintenance();
SELECT count(*) AS kept_for_a_day FROM architect.change_log;
UPDATE architect.change_entry_0 SET recorded_at = recorded_at - interval '2 days';
UPDATE architect.change_segment SET newest_at = newest_at - interval '2 days';
CALL architect.run_maintenance();
SELECT count(*) AS gone FROM architect.change_log;
SELECT action FROM architect.create_consumer('c', max_attempts => 2);

-- What one worker put aside and another did is no event of the first one's batch any more.
INSERT INTO t VALUES (1, 0);
SELECT position AS p FROM architect.poll_changes('c', 1, worker => 'B') \gset
UPDATE t SET v = 1 WHERE id = 1;
INSERT INTO t VALUES (2, 0);
INSERT INTO t VALUES (3, 0);
SELECT operation, row_key FROM architect.poll_changes('c', 9, worker => 'A');
SELECT architect.ack_changes('c', :p);
SELECT position AS p, operation, row_key FROM architect.poll_changes('c', 9, worker => 'B') \gset
SELECT architect.ack_changes('c', :p);
-- Acknowledged once more: says nothing about the other batch.
SELECT architect.ack_changes('c', :p);
SELECT position AS second FROM architect.change_log WHERE row_key ->> 'id' = '2' \gset
SELECT architect.ack_changes('c', :second);
SELECT operation, row_key FROM architect.poll_changes('c', 9, worker => 'A');
UPDATE architect.cdc_worker SET leased_until = 0;
SELECT operation, row_key, attempt FROM architect.poll_changes('c', 9, worker => 'C');
SELECT architect.ack_changes('c', (SELECT max(position) FROM architect.poll_changes('c', 9, worker => 'C')));
SELECT count(*) AS nothing FROM architect.poll_changes('c', 9, worker => 'B');
SELECT count(*) AS aside FROM architect.cdc_aside;

-- The same where it became a dead letter, and where that was retried.
INSERT INTO t VALUES (11, 0);
SELECT position AS p FROM architect.poll_changes('c', 1, worker => 'B') \gset
UPDATE t SET v = 1 WHERE id = 11;
INSERT INTO t VALUES (12, 0);
INSERT INTO t VALUES (13, 0);
SELECT operation, row_key FROM architect.poll_changes('c', 9, worker => 'A');
SELECT architect.ack_changes('c', :p);
SELECT position AS p FROM architect.poll_changes('c', 9, worker => 'B') \gset
SELECT outcome FROM architect.nack_changes('c', :p, 'no', '0');
SELECT attempt FROM architect.poll_changes('c', 9, worker => 'B');
SELECT outcome FROM architect.nack_changes('c', :p, 'no', '0');
SELECT operation, row_key FROM architect.poll_changes('c', 9, worker => 'A');
SELECT architect.retry_dead_letter('c');
SELECT operation, row_key FROM architect.poll_changes('c', 9, worker => 'B');
SELECT architect.ack_changes('c', :p);
SELECT operation, row_key FROM architect.poll_changes('c', 9, worker => 'A');
SELECT position AS second FROM architect.change_log WHERE row_key ->> 'id' = '12' \gset
SELECT architect.ack_changes('c', :second);
SELECT operation, row_key FROM architect.poll_changes('c', 9, worker => 'A');
SELECT architect.ack_changes('c', (SELECT max(position) FROM architect.poll_changes('c', 9, worker => 'A')));
SELECT count(*) AS dead_letters FROM architect.dead_letters();
SELECT count(*) AS aside FROM architect.cdc_aside;

-- A batch of rows that are gone: the consumer goes on. A column may be called as the row is in our query.
CREATE TABLE odd (id int PRIMARY KEY, "the row" text, "row" int);
SELECT action FROM architect.enable_cdc('odd', notify => false);
INSERT INTO odd VALUES (1, 'a', 1), (2, 'b', 2);
SELECT action FROM architect.create_consumer('rows', tables => '{odd}', start => 'snapshot');
SELECT operation, row_key, new_values, abs(position) < 2 ^ 53 AS exact_as_a_double FROM architect.poll_changes('rows');
TRUNCATE odd;
SELECT operation, row_key FROM architect.poll_changes('rows');
SELECT architect.drop_consumer('rows');

-- Events that nobody can read yet are not held against a consumer that has read all others.
SELECT action FROM architect.create_consumer('near', max_lag_events => 2, max_lag_bytes => 1, max_lag => '0');
BEGIN;
INSERT INTO t VALUES (20, 0);
PREPARE TRANSACTION 'cdc_batches';
INSERT INTO t SELECT i, 0 FROM generate_series(21, 40) i;
CALL architect.run_maintenance();
SELECT state, held_back_by FROM architect.consumer_lag() WHERE consumer_name = 'near';
ROLLBACK PREPARED 'cdc_batches';
CALL architect.run_maintenance();
SELECT state FROM architect.consumer_lag() WHERE consumer_name = 'near';

-- A consumer is its maker's: others neither read its events nor decide what becomes of them.
CREATE ROLE batches_maker;
CREATE ROLE batches_other;
GRANT USAGE ON SCHEMA architect TO batches_maker, batches_other;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA architect TO batches_maker, batches_other;
GRANT SELECT ON t TO batches_maker;
SET ROLE batches_maker;
SELECT action FROM architect.create_consumer('mine', tables => '{t}');
SELECT architect.create_consumer('odd rows', tables => '{t,odd}');
SELECT architect.create_consumer('all');
RESET ROLE;
-- Who sees some rows of a table does not get the changes of all.
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
SET ROLE batches_maker;
SELECT architect.create_consumer('some rows', tables => '{t}');
RESET ROLE;
ALTER TABLE t DISABLE ROW LEVEL SECURITY;
INSERT INTO t VALUES (50, 0);
SET ROLE batches_other;
SELECT architect.poll_changes('mine');
SELECT architect.poll_changes_json('mine');
SELECT architect.poll_changes_envelope('mine');
SELECT architect.ack_changes('mine', 1);
SELECT architect.nack_changes('mine', 1);
SELECT architect.retry_dead_letter('mine');
SELECT architect.discard_dead_letter('mine');
SELECT architect.reset_consumer('mine', 'now');
SELECT architect.drop_consumer('mine');
SELECT architect.create_consumer('mine', tables => '{t}', max_attempts => 1);
RESET ROLE;
GRANT batches_maker TO batches_other;
SET ROLE batches_other;
SELECT position AS p, operation, row_key FROM architect.poll_changes('mine') \gset
SELECT outcome FROM architect.nack_changes('mine', :p, 'no', '0');
SELECT architect.ack_changes('mine', (SELECT max(position) FROM architect.poll_changes('mine')));
RESET ROLE;
SELECT action FROM architect.drop_consumer('mine');
DROP OWNED BY batches_maker, batches_other;
DROP ROLE batches_maker, batches_other;

-- Within DO the transaction goes on after the acknowledgement: no table of the feed stays locked.
SELECT action FROM architect.drop_consumer('near');
SELECT architect.set_cdc_retention(segment_age => '0') IS NOT NULL AS changed;
SELECT max(position) AS p FROM architect.poll_changes('c', 1000) \gset
CALL architect.run_maintenance();
-- A session looks after the feed at most once a second: new ones.
\c -
SET client_min_messages = warning;
SELECT set_config('batches.p', :'p', false) IS NOT NULL AS set;
DO $$
BEGIN
    PERFORM architect.ack_changes('c', current_setting('batches.p')::bigint);
    RAISE WARNING '% tables of the feed locked', (SELECT count(*) FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
        WHERE l.pid = pg_backend_pid() AND l.mode = 'AccessExclusiveLock' AND c.relname LIKE 'change_entry%');
END $$;
-- The statement itself may tidy.
INSERT INTO t VALUES (60, 0);
SELECT position AS last FROM architect.poll_changes('c') \gset
\c -
SELECT architect.ack_changes('c', :last);
SELECT count(*) AS read_and_gone FROM architect.change_log WHERE position <= :p;

\c :old_database
DROP DATABASE regress_architect_batches;
