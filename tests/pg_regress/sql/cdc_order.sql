-- The order of events of one row is the order of its changes, also where triggers of the table's own change
-- its rows again while a statement is being recorded.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA cdc_order;
SET search_path = cdc_order;
CREATE TABLE addr (id int PRIMARY KEY, is_default boolean NOT NULL DEFAULT false);
INSERT INTO addr SELECT generate_series(1, 3);
SELECT * FROM architect.enable_cdc('addr');
-- What a consumer that applies events in order has, beside what the table has.
CREATE FUNCTION replayed(OUT id int, OUT feed boolean, OUT now boolean) RETURNS SETOF record LANGUAGE sql
BEGIN ATOMIC
    SELECT DISTINCT ON ((l.row_key ->> 'id')::int) (l.row_key ->> 'id')::int, (l.new_values ->> 'is_default')::boolean, a.is_default
      FROM architect.change_log AS l LEFT JOIN addr AS a ON a.id = (l.row_key ->> 'id')::int
     WHERE l.schema_name = 'cdc_order' AND l.table_name = 'addr' ORDER BY 1, l.position DESC;
END;

-- One default at a time: the trigger takes it from the others.
CREATE FUNCTION one_default() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE cdc_order.addr SET is_default = false WHERE id <> new.id AND is_default;
    RETURN NULL;
END $$;
CREATE TRIGGER one_default AFTER UPDATE ON addr FOR EACH ROW WHEN (new.is_default) EXECUTE FUNCTION one_default();
UPDATE addr SET is_default = true WHERE id IN (1, 2);
SELECT * FROM replayed();
SELECT dense_rank() OVER (ORDER BY (position - 1) / 4096) AS block, row_key ->> 'id' AS id, old_values ->> 'is_default' AS was, new_values ->> 'is_default' AS is
  FROM architect.change_log WHERE schema_name = 'cdc_order' ORDER BY position;

-- A savepoint rolled back in between leaves the outer statement its block.
CREATE OR REPLACE FUNCTION one_default() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE cdc_order.addr SET is_default = false WHERE id <> new.id AND is_default;
    BEGIN
        UPDATE cdc_order.addr SET is_default = false;
        RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN NULL;
    END;
    RETURN NULL;
END $$;
UPDATE addr SET is_default = true;
SELECT * FROM replayed();
-- Nor does the feed's going on in another table in between take it away.
CREATE OR REPLACE FUNCTION one_default() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE cdc_order.addr SET is_default = false WHERE id <> new.id AND is_default;
    ALTER TABLE architect.change_segment SET (fillfactor = 100);
    ALTER TABLE architect.change_segment RESET (fillfactor);
    RETURN NULL;
END $$;
UPDATE addr SET is_default = false;
UPDATE addr SET is_default = true;
SELECT * FROM replayed();
-- An event emitted in between neither.
CREATE OR REPLACE FUNCTION one_default() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE cdc_order.addr SET is_default = false WHERE id <> new.id AND is_default;
    PERFORM architect.emit_event('cdc_order', '1', '{}');
    RETURN NULL;
END $$;
UPDATE addr SET is_default = false;
UPDATE addr SET is_default = true;
SELECT * FROM replayed();

SELECT * FROM architect.disable_cdc('addr');

-- A trigger that comes before the capture puts its own changes first: said of tables and of partitions.
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TABLE early (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE early_1 PARTITION OF early FOR VALUES FROM (0) TO (9);
SELECT * FROM architect.enable_cdc('early');
CREATE TRIGGER "00 a""b" AFTER INSERT ON early_1 FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER "00 before" BEFORE INSERT ON early_1 FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER "00 statement" AFTER INSERT ON early_1 EXECUTE FUNCTION nothing();
CREATE TRIGGER later AFTER INSERT ON early_1 FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT * FROM architect.cdc_coverage() WHERE table_name = 'cdc_order.early';
SELECT * FROM architect.disable_cdc('early');
DROP TABLE early;

-- Two rows may have a deferrable key for a while: it is none, unless named, and then it is said.
CREATE TABLE movable (id int PRIMARY KEY DEFERRABLE, note text);
SELECT * FROM architect.enable_cdc('movable');
INSERT INTO movable VALUES (1), (2);
SELECT count(*) AS events, count(row_key) AS keys FROM architect.change_log WHERE schema_name = 'cdc_order' AND table_name = 'movable';
SELECT status, code, detail, fix FROM architect.cdc_coverage() WHERE table_name = 'cdc_order.movable';
SELECT * FROM architect.enable_cdc('movable', key => '{id}');
SELECT status, code, detail, fix FROM architect.cdc_coverage() WHERE table_name = 'cdc_order.movable';
ALTER TABLE movable ADD UNIQUE (id);
ALTER TABLE movable REPLICA IDENTITY USING INDEX movable_id_key;
SELECT * FROM architect.enable_cdc('movable');
INSERT INTO movable VALUES (3);
SELECT row_key FROM architect.change_log WHERE schema_name = 'cdc_order' AND table_name = 'movable' ORDER BY position DESC LIMIT 1;
SELECT status, code FROM architect.cdc_coverage() WHERE table_name = 'cdc_order.movable';
SELECT * FROM architect.disable_cdc('movable');
DROP SCHEMA cdc_order CASCADE;
