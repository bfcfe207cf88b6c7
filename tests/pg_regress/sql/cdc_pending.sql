-- Events of a transaction wait for its end, share a row of the feed and get their positions then. What must not suffer:
-- their order with what savepoints, emit_event() and large values put in between, and that who asks sees them.
CREATE SCHEMA waiting;
SET search_path = waiting, architect;
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE u (id int PRIMARY KEY, v text);
SELECT count(*) FROM enable_cdc('t', notify => false);
SELECT count(*) FROM enable_cdc('u', image => 'changed', notify => false);
CREATE VIEW seen AS
    SELECT operation, table_name, row_key, left(new_values ->> 'v', 10) AS v, topic
      FROM change_log WHERE schema_name = 'waiting' OR topic = 'waiting' ORDER BY position;

-- Several statements, several tables, one row of the feed.
BEGIN;
INSERT INTO t VALUES (1, 'a');
INSERT INTO u VALUES (1, 'a');
UPDATE t SET v = 'b' WHERE id = 1;
DELETE FROM u WHERE id = 1;
COMMIT;
SELECT e.operation, e.key_hash AS events FROM change_entry AS e JOIN change_log AS l USING (position) WHERE l.schema_name = 'waiting';
SELECT * FROM seen;
-- Each has the time of its own statement.
SELECT count(DISTINCT recorded_at), bool_and(recorded_at >= earlier) AS grows
  FROM (SELECT recorded_at, lag(recorded_at) OVER (ORDER BY position) AS earlier FROM change_log WHERE schema_name = 'waiting') AS l;
SELECT count(DISTINCT recorded_at) = count(*) AS agree
  FROM (SELECT recorded_at FROM change_log WHERE schema_name = 'waiting') AS l;

-- Within the transaction they are there for who looks: by the view, a table of the feed, a function, a later cursor.
BEGIN;
INSERT INTO t VALUES (2, 'a');
SELECT count(*) FROM change_log WHERE schema_name = 'waiting' AND row_key ->> 'id' = '2';
UPDATE t SET v = 'b' WHERE id = 2;
DO $$ BEGIN RAISE NOTICE '% events', (SELECT count(*) FROM architect.change_log WHERE schema_name = 'waiting' AND row_key ->> 'id' = '2'); END $$;
DECLARE c CURSOR FOR SELECT v FROM seen WHERE row_key ->> 'id' = '2';
UPDATE t SET v = 'c' WHERE id = 2;
FETCH ALL FROM c;
ROLLBACK;
SELECT count(*) FROM change_log WHERE schema_name = 'waiting' AND row_key ->> 'id' = '2';

-- A savepoint that is released: before, within, after. One that is rolled back takes its own along and no more.
BEGIN;
INSERT INTO t VALUES (3, 'outside');
SAVEPOINT s;
UPDATE t SET v = 'within' WHERE id = 3;
RELEASE s;
UPDATE t SET v = 'after' WHERE id = 3;
SAVEPOINT s;
UPDATE t SET v = 'no' WHERE id = 3;
SAVEPOINT r;
UPDATE t SET v = 'no' WHERE id = 3;
RELEASE r;
ROLLBACK TO s;
UPDATE t SET v = 'again' WHERE id = 3;
RELEASE s;
UPDATE t SET v = 'last' WHERE id = 3;
COMMIT;
SELECT * FROM seen WHERE row_key ->> 'id' = '3';

-- The first positions are taken within a savepoint that is rolled back; what waited before it gets others.
BEGIN;
INSERT INTO t VALUES (4, 'one');
SAVEPOINT s;
SELECT count(*) FROM emit_event('waiting', '4', '"rolled back"');
UPDATE t SET v = 'no' WHERE id = 4;
ROLLBACK TO s;
SELECT count(*) FROM pg_locks WHERE objsubid = 16707 AND pid = pg_backend_pid();
UPDATE t SET v = 'two' WHERE id = 4;
SELECT count(*) FROM emit_event('waiting', '4', '"sent"');
UPDATE t SET v = repeat('large', 1000) WHERE id = 4;
UPDATE t SET v = 'four' WHERE id = 4;
COMMIT;
SELECT * FROM seen WHERE row_key ->> 'id' = '4' OR topic IS NOT NULL;

-- Exception blocks within a trigger, whose statements change rows the statement is about to report.
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    BEGIN
        UPDATE waiting.t SET v = v || '+' WHERE id = NEW.id + 1 AND v NOT LIKE '%+';
        IF NEW.id = 11 THEN RAISE 'no'; END IF;
    EXCEPTION WHEN raise_exception THEN NULL; END;
    RETURN NULL; END $$;
CREATE TRIGGER zz AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION meddle();
BEGIN;
INSERT INTO u VALUES (10, 'first');
INSERT INTO t SELECT g, 'x' FROM generate_series(10, 13) AS g;
INSERT INTO u VALUES (11, 'last');
COMMIT;
SELECT * FROM seen WHERE (row_key ->> 'id')::int BETWEEN 10 AND 13;
DROP TRIGGER zz ON t;

-- A consumer made in the midst starts with all of the transaction; who polls in it gets nothing undecided.
BEGIN;
INSERT INTO t VALUES (20, 'before');
SELECT count(*) FROM create_consumer('waiting', start => 'now');
INSERT INTO t VALUES (21, 'after');
SELECT count(*) FROM poll_changes('waiting');
COMMIT;
SELECT operation, row_key FROM poll_changes('waiting');
SELECT count(*) FROM drop_consumer('waiting');

-- Rows put back to where a consumer started need all that is recorded: it is said where a savepoint keeps that away.
SELECT count(*) FROM create_consumer('waiting', tables => '{waiting.t}', start => 'snapshot');
BEGIN;
UPDATE t SET v = 'changed' WHERE id = 20;
SAVEPOINT s;
SELECT count(*) FROM poll_changes('waiting');
ROLLBACK TO s;
RELEASE s;
SELECT operation, row_key, new_values ->> 'v' AS v FROM poll_changes('waiting') WHERE row_key ->> 'id' = '20';
ROLLBACK;
SELECT count(*) FROM drop_consumer('waiting');

SELECT count(*) FROM disable_cdc('t');
SELECT count(*) FROM disable_cdc('u');
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA waiting CASCADE;
