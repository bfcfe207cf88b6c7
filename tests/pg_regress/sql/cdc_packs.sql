-- Protects events of one statement that share a row of the feed: the next query sees them, rollbacks take them
-- along, positions go on one by one, and readers, acknowledgements and refusals may begin and end within.
SET client_min_messages = warning;
CREATE SCHEMA cdc_packs;
SET search_path = cdc_packs;
CREATE TABLE t (a int, b text, v text, n numeric, PRIMARY KEY (a, b));
CREATE TABLE keyless (v text);
SELECT action FROM architect.enable_cdc('t', notify => false);
SELECT action FROM architect.enable_cdc('keyless', notify => false);
SELECT action FROM architect.create_consumer('packs', tables => '{t,keyless}');
-- What is stored: P has as many events as the statement had rows, but for the first.
CREATE VIEW stored AS SELECT operation, CASE operation WHEN 'P' THEN key_hash ELSE 1 END AS events FROM architect.change_entry
 WHERE position > (SELECT min(claimed) FROM architect.cdc_consumer WHERE name = 'packs') ORDER BY position;
CREATE VIEW said AS SELECT position, operation, row_key, new_values - 'a' - 'b' AS new, position - lag(position) OVER (ORDER BY position) AS step
  FROM architect.change_log WHERE schema_name = 'cdc_packs' AND position > (SELECT claimed FROM architect.cdc_consumer WHERE name = 'packs') ORDER BY position;
CREATE PROCEDURE done() LANGUAGE plpgsql AS $$ BEGIN
  PERFORM architect.ack_changes('packs', max(position)) FROM architect.poll_changes('packs') HAVING count(*) > 0;
END $$;

-- Within the transaction that made them, by the next query.
BEGIN;
INSERT INTO t SELECT i, 'k"' || i, NULL, 1.50 FROM generate_series(1, 5) i;
SELECT * FROM stored;
SELECT operation, row_key, new, step FROM said;
UPDATE t SET v = 'x' WHERE a <= 3;
UPDATE t SET b = b || '!' WHERE a <= 3;
DELETE FROM t WHERE a >= 4;
SELECT * FROM stored;
SELECT operation, row_key FROM said OFFSET 5;
ROLLBACK;
SELECT count(*) FROM stored;

-- Savepoints, and functions that catch errors, around and between.
CREATE FUNCTION careful() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  BEGIN
    INSERT INTO keyless SELECT new.a || ' ' || i FROM generate_series(1, 3) i;
    IF new.a = 2 THEN RAISE 'no'; END IF;
  EXCEPTION WHEN raise_exception THEN
    INSERT INTO keyless VALUES ('caught 1'), ('caught 2');
  END;
  RETURN NULL;
END $$;
CREATE TRIGGER z_careful AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION careful();
BEGIN;
INSERT INTO t SELECT i, 'x' FROM generate_series(1, 3) i;
SAVEPOINT one;
INSERT INTO keyless SELECT 'gone' FROM generate_series(1, 3);
ROLLBACK TO one;
INSERT INTO keyless SELECT 'stays' FROM generate_series(1, 3);
SAVEPOINT two;
INSERT INTO t VALUES (10, 'y'), (11, 'y'), (1, 'x');
ROLLBACK TO two;
SELECT operation, row_key, new FROM said;
COMMIT;
SELECT operation, row_key, new_values ->> 'v' AS v FROM architect.poll_changes('packs');
CALL done();
DROP TRIGGER z_careful ON t;
-- An error in the middle, and then COPY, whose triggers no query calls.
CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF new.a = 103 THEN RAISE 'no 103'; END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER z_fails AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION fails();
BEGIN;
SAVEPOINT one;
INSERT INTO t SELECT i, 'x' FROM generate_series(100, 110) i;
ROLLBACK TO one;
COPY keyless FROM stdin;
one
two
three
\.
SELECT operation, new FROM said;
COMMIT;
SELECT * FROM stored;
CALL done();

-- Values: large ones by themselves, null keys, what is no ASCII, more than fits a row.
INSERT INTO keyless VALUES (repeat('ä', 600)), ('b'), (repeat('c', 3000)), ('d"\'), (NULL), (U&'\+01F600');
SELECT * FROM stored;
SELECT length(new ->> 'v'), md5(new ->> 'v') = md5(k.v) AS same, step FROM said LEFT JOIN keyless AS k ON k.v = new ->> 'v' ORDER BY step NULLS FIRST, 1, 2;
CALL done();
INSERT INTO t SELECT i, 'many', repeat('v', i % 300) FROM generate_series(1001, 6000) i;
SELECT count(*) < 1500 AS few, sum(events) FROM stored;
SELECT count(*), count(DISTINCT row_key), count(DISTINCT position), max(step) FROM said;
-- In batches that end anywhere.
DO $$ DECLARE last bigint; seen int := 0; BEGIN
  FOR i IN 1..1000 LOOP
    SELECT max(position), seen + count(*) INTO last, seen FROM architect.poll_changes('packs', 7 + i % 5);
    EXIT WHEN last IS NULL;
    PERFORM architect.ack_changes('packs', last - CASE WHEN i % 3 = 0 THEN 1 ELSE 0 END);
    IF i % 3 = 0 THEN seen := seen - 1; PERFORM architect.ack_changes('packs', last); seen := seen + 1; END IF;
  END LOOP;
  RAISE WARNING '% events', seen;
END $$;
SELECT events, aside FROM architect.consumer_lag() WHERE consumer_name = 'packs';

-- Refused in the middle; other workers; a dead letter is one event.
SELECT architect.drop_consumer('packs') IS NOT NULL AS dropped;
SELECT action FROM architect.create_consumer('packs', tables => '{t}', max_attempts => 2);
UPDATE t SET v = 'again' WHERE a BETWEEN 1001 AND 1006;
SELECT position AS p FROM architect.poll_changes('packs', 4) WHERE (row_key ->> 'a')::int = 1003 \gset
SELECT outcome FROM architect.nack_changes('packs', :p, 'no', '0');
SELECT row_key FROM architect.poll_changes('packs', 4);
SELECT row_key, attempt FROM architect.poll_changes('packs', 4, worker => 'other');
SELECT outcome FROM architect.nack_changes('packs', :p, 'no again');
SELECT position = :p AS this, operation, row_key, image #>> '{changes,v,1}' AS v FROM architect.dead_letters('packs');
SELECT architect.retry_dead_letter('packs');
SELECT row_key, new_values ->> 'v' AS v, changed_columns FROM architect.poll_changes('packs', 4, worker => 'third');
SELECT architect.drop_consumer('packs') IS NOT NULL AS dropped;

-- Cascades, partitions and what a statement does to two tables.
CREATE TABLE parent (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE parent_1 PARTITION OF parent FOR VALUES FROM (0) TO (3);
CREATE TABLE parent_2 PARTITION OF parent FOR VALUES FROM (3) TO (10);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE);
SELECT action FROM architect.enable_cdc('parent', notify => false);
SELECT action FROM architect.enable_cdc('child', notify => false);
SELECT action FROM architect.create_consumer('packs', tables => '{parent,child}');
WITH p AS (INSERT INTO parent SELECT generate_series(1, 5) RETURNING id) INSERT INTO child SELECT id * 10, id FROM p;
SELECT operation, table_name, partition_name, row_key FROM architect.change_log WHERE table_name IN ('parent', 'child') ORDER BY position;
CALL done();
DELETE FROM parent WHERE id <> 4;
SELECT operation, table_name, row_key FROM architect.poll_changes('packs');
SELECT architect.drop_consumer('packs') IS NOT NULL AS dropped;
SELECT count(*) FROM architect.disable_cdc_schema('cdc_packs');
DROP SCHEMA cdc_packs CASCADE;
