-- audit_as_of: a table's rows as they were, whatever was done to rows, columns, keys and partitions since;
-- warnings where the log cannot know; errors where it cannot answer.
CREATE SCHEMA as_of_test;
SET search_path = as_of_test;
SET TimeZone = 'UTC';
-- Now, from the next statement on: the log's times are those of statements.
CREATE FUNCTION pause() RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE moment timestamptz;
BEGIN
    PERFORM pg_sleep(0.002);
    moment := clock_timestamp();
    PERFORM pg_sleep(0.002);
    RETURN moment;
END $$;

CREATE TABLE orders (id int PRIMARY KEY, status text, total numeric(10,2));
INSERT INTO orders VALUES (1, 'old', 1), (2, 'old', 2), (3, 'old', 3.50), (4, 'old', 4);
SELECT action FROM architect.enable_audit('orders');
SELECT pause() AS t0 \gset
UPDATE orders SET status = 'b' WHERE id = 1;
DELETE FROM orders WHERE id = 2;
INSERT INTO orders VALUES (5, 'new', 5);
SELECT pause() AS t1 \gset
UPDATE orders SET status = 'c', total = 10 WHERE id = 1;
UPDATE orders SET id = 30 WHERE id = 3;
INSERT INTO orders VALUES (2, 'again', 22);
DELETE FROM orders WHERE id = 5;
SELECT pause() AS t2 \gset
INSERT INTO orders VALUES (3, 'third', 33);
UPDATE orders SET id = 300, status = 'z' WHERE id = 30;
SELECT * FROM architect.audit_as_of(NULL::orders, :'t0') ORDER BY id;
SELECT * FROM architect.audit_as_of(NULL::orders, :'t1') ORDER BY id;
SELECT * FROM architect.audit_as_of(NULL::orders, :'t2') ORDER BY id;
SELECT * FROM architect.audit_as_of(NULL::orders, clock_timestamp()) EXCEPT SELECT * FROM orders;
-- A row of a table like any other: joined, filtered, in the select list.
SELECT o.status, (architect.audit_as_of(NULL::orders, :'t0')).status AS then FROM orders o WHERE id = 1 ORDER BY 2 LIMIT 1;
BEGIN READ ONLY;
SELECT count(*) FROM architect.audit_as_of(NULL::orders, :'t0');
SELECT pg_current_xact_id_if_assigned() IS NULL AS no_xid;
COMMIT;
-- What this transaction has done and not committed.
BEGIN;
UPDATE orders SET status = 'uncommitted';
SELECT DISTINCT status FROM architect.audit_as_of(NULL::orders, clock_timestamp());
SELECT DISTINCT status FROM architect.audit_as_of(NULL::orders, now()) ORDER BY 1;
ROLLBACK;

-- Columns added, dropped, renamed and retyped since; the table renamed.
CREATE TABLE shapes (id int PRIMARY KEY, gone text, name text, n int, kept text);
SELECT action FROM architect.enable_audit('shapes');
INSERT INTO shapes VALUES (1, 'g1', 'one', 1, 'k'), (2, 'g2', 'two', 2, 'k'), (3, 'g3', 'three', 3, 'k');
SELECT pause() AS t0 \gset
UPDATE shapes SET name = 'ONE', n = 11 WHERE id = 1;
DELETE FROM shapes WHERE id = 2;
ALTER TABLE shapes DROP COLUMN gone;
ALTER TABLE shapes RENAME COLUMN name TO "the ""name""";
ALTER TABLE shapes ADD COLUMN added text DEFAULT 'default';
ALTER TABLE shapes ALTER COLUMN n TYPE text;
ALTER TABLE shapes RENAME TO "Shapes'";
UPDATE "Shapes'" SET kept = 'changed', "the ""name""" = 'iii', added = 'set' WHERE id = 3;
SELECT * FROM architect.audit_as_of(NULL::"Shapes'", :'t0') ORDER BY id;
SELECT pause() AS t1 \gset
ALTER TABLE "Shapes'" RENAME COLUMN added TO extra;
UPDATE "Shapes'" SET extra = 'later', n = 'not a number' WHERE id = 1;
SELECT * FROM architect.audit_as_of(NULL::"Shapes'", :'t1') ORDER BY id;
SELECT pause() AS t2 \gset
DELETE FROM "Shapes'" WHERE id = 1;
ALTER TABLE "Shapes'" ALTER COLUMN n TYPE int USING n::int;
-- Recorded as text, no number: shown as null, and said.
INSERT INTO "Shapes'" VALUES (7);
SELECT id, n FROM architect.audit_as_of(NULL::"Shapes'", clock_timestamp()) ORDER BY id;
SELECT id, n, extra FROM architect.audit_as_of(NULL::"Shapes'", :'t2') ORDER BY id;
SELECT id, n FROM architect.audit_as_of(NULL::"Shapes'", :'t1') ORDER BY id;

-- The key moved to another column, and changed on the way.
CREATE TABLE rekeyed (a int PRIMARY KEY, b text, v text);
SELECT action FROM architect.enable_audit('rekeyed');
INSERT INTO rekeyed VALUES (1, 'x', 'v1'), (2, 'y', 'v2'), (3, 'z', 'v3');
SELECT pause() AS t0 \gset
UPDATE rekeyed SET v = 'by a' WHERE a = 1;
UPDATE rekeyed SET a = 20 WHERE a = 2;
DELETE FROM rekeyed WHERE a = 3;
SELECT pause() AS t1 \gset
ALTER TABLE rekeyed DROP CONSTRAINT rekeyed_pkey;
ALTER TABLE rekeyed ADD PRIMARY KEY (b);
SELECT pause() AS t2 \gset
UPDATE rekeyed SET v = 'by b', a = a + 100, b = b || b;
DELETE FROM rekeyed WHERE b = 'xx';
INSERT INTO rekeyed VALUES (1, 'new', 'n');
SELECT * FROM architect.audit_as_of(NULL::rekeyed, :'t0') ORDER BY a;
SELECT * FROM architect.audit_as_of(NULL::rekeyed, :'t1') ORDER BY a;
SELECT * FROM architect.audit_as_of(NULL::rekeyed, :'t2') ORDER BY a;
ALTER TABLE rekeyed DROP COLUMN a;
SELECT * FROM architect.audit_as_of(NULL::rekeyed, :'t2') ORDER BY b;
\set SHOW_CONTEXT never
DO $$ BEGIN PERFORM architect.audit_as_of(NULL::rekeyed, (SELECT min(changed_at) FROM architect.audit_log WHERE table_name = 'rekeyed'));
EXCEPTION WHEN object_not_in_prerequisite_state THEN RAISE NOTICE '%', sqlerrm; END $$;

-- TRUNCATE: what the log knows comes back, and it says what it may lack.
CREATE TABLE cleared (id int PRIMARY KEY, v text, w text);
INSERT INTO cleared VALUES (1, 'before audit', 'w1'), (2, 'before audit', 'w2');
SELECT action FROM architect.enable_audit('cleared');
INSERT INTO cleared VALUES (3, 'known', 'w3'), (4, 'known', 'w4'), (5, 'known', 'w5');
UPDATE cleared SET v = 'part' WHERE id = 2;
UPDATE cleared SET v = 'changed' WHERE id = 3;
DELETE FROM cleared WHERE id = 5;
SELECT pause() AS t0 \gset
UPDATE cleared SET v = 'later' WHERE id = 3;
UPDATE cleared SET id = 40 WHERE id = 4;
TRUNCATE cleared;
INSERT INTO cleared VALUES (1, 'after', 'x'), (6, 'after', 'x');
SELECT * FROM architect.audit_as_of(NULL::cleared, :'t0') ORDER BY id;
-- Between two, all of it is known.
SELECT pause() AS t1 \gset
UPDATE cleared SET w = 'y' WHERE id = 6;
TRUNCATE cleared;
SELECT * FROM architect.audit_as_of(NULL::cleared, :'t1') ORDER BY id;

-- Partitions with other column orders; rows that moved; asked of the root and of one; one truncated; columns renamed.
CREATE TABLE parted (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
CREATE TABLE parted_us (v text, gone int, region text NOT NULL, id int NOT NULL);
ALTER TABLE parted_us DROP COLUMN gone;
ALTER TABLE parted ATTACH PARTITION parted_us FOR VALUES IN ('us');
SELECT action FROM architect.enable_audit('parted');
INSERT INTO parted VALUES (1, 'eu', 'a'), (2, 'us', 'b'), (3, 'us', 'c'), (4, 'eu', 'd');
SELECT pause() AS t0 \gset
UPDATE parted SET region = 'eu' WHERE id = 2;
UPDATE parted_us SET v = 'cc' WHERE id = 3;
DELETE FROM parted_eu WHERE id = 4;
ALTER TABLE parted RENAME COLUMN v TO val;
SELECT pause() AS t1 \gset
UPDATE parted SET val = 'later';
TRUNCATE parted_us;
INSERT INTO parted VALUES (9, 'us', 'i');
SELECT tableoid::regclass, * FROM parted ORDER BY id;
SELECT * FROM architect.audit_as_of(NULL::parted, :'t0') ORDER BY id;
SELECT * FROM architect.audit_as_of(NULL::parted, :'t1') ORDER BY id;
SELECT * FROM architect.audit_as_of(NULL::parted_us, :'t0') ORDER BY id;
SELECT * FROM architect.audit_as_of(NULL::parted_eu, :'t0') ORDER BY id;
TRUNCATE parted;
SELECT * FROM architect.audit_as_of(NULL::parted_eu, :'t1') ORDER BY id;

-- Exact values, through the raw text of the log; excluded columns; whole-row images; a foreign key's action.
CREATE TABLE exact (id int PRIMARY KEY, f float8, j json, a int[], ts timestamptz, b bytea, secret text, gen int GENERATED ALWAYS AS (id * 2) STORED);
SELECT action FROM architect.enable_audit('exact', exclude => '{secret}', image => 'full');
INSERT INTO exact VALUES (1, '-0', '{"b": 1, "a": 1.00, "b":2}', '[5:6]={1,2}', 'infinity', '\x00ff', 's1'),
                         (2, 'NaN', 'null', '{{1,2},{3,NULL}}', '2024-05-06 07:08:09.123456+03', '', 's2');
CREATE TABLE exact_then AS SELECT * FROM exact;
SELECT pause() AS t0 \gset
UPDATE exact SET f = 1, j = '1', a = NULL, ts = now(), b = 'x', secret = 'now' WHERE id = 1;
DELETE FROM exact WHERE id = 2;
SELECT id, f::text, j::text, a, ts, b, secret, gen FROM architect.audit_as_of(NULL::exact, :'t0') ORDER BY id;
SELECT id, f::text, j::text, a, ts, b, secret, gen FROM exact_then ORDER BY id;

-- Row-level security and privileges are those of the caller.
CREATE ROLE as_of_reader;
GRANT USAGE ON SCHEMA architect, as_of_test TO as_of_reader;
GRANT EXECUTE ON FUNCTION architect.audit_as_of TO as_of_reader;
GRANT SELECT ON architect.audit_log TO as_of_reader;
SET ROLE as_of_reader;
SELECT * FROM architect.audit_as_of(NULL::orders, clock_timestamp());
RESET ROLE;
GRANT SELECT ON orders TO as_of_reader;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY first_only ON orders FOR SELECT TO as_of_reader USING (id = 1);
SELECT min(changed_at) AS t0 FROM architect.audit_log WHERE schema_name = 'as_of_test' AND table_name = 'orders' \gset
SET ROLE as_of_reader;
SELECT * FROM architect.audit_as_of(NULL::orders, :'t0') ORDER BY id;
RESET ROLE;
REVOKE SELECT ON architect.audit_log FROM as_of_reader;
SET ROLE as_of_reader;
SELECT * FROM architect.audit_as_of(NULL::orders, :'t0') ORDER BY id;
RESET ROLE;

-- What cannot be answered.
CREATE TABLE never (id int PRIMARY KEY);
SELECT * FROM architect.audit_as_of(NULL::never, now());
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM architect.audit_as_of(NULL::int, now());
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM architect.audit_as_of(NULL::orders, NULL);
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY terse
SELECT * FROM architect.audit_as_of(NULL::orders, '2001-01-01');
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY default
DO $$
DECLARE said text;
BEGIN
    PERFORM architect.audit_as_of(NULL::orders, '2001-01-01');
EXCEPTION WHEN invalid_parameter_value THEN
    GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL;
    RAISE NOTICE '%', split_part(said, ' is ', 1);
    RAISE NOTICE '%', (SELECT strpos(said, enabled_at::text) > 0 FROM architect.audit_table WHERE schema_name = 'as_of_test' AND table_name = 'orders');
END $$;
SET client_min_messages = error;
CREATE TABLE keyless (a int);
SELECT action FROM architect.enable_audit('keyless');
SELECT action FROM architect.enable_audit('never', operations => '{insert,update}');
RESET client_min_messages;
SELECT * FROM architect.audit_as_of(NULL::keyless, now());
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM architect.audit_as_of(NULL::never, now());
\echo :LAST_ERROR_SQLSTATE
SELECT action FROM architect.disable_audit('orders');
SELECT * FROM architect.audit_as_of(NULL::orders, now());
\echo :LAST_ERROR_SQLSTATE

REVOKE ALL ON SCHEMA architect, as_of_test FROM as_of_reader;
REVOKE ALL ON FUNCTION architect.audit_as_of FROM as_of_reader;
SET client_min_messages = warning;
DROP SCHEMA as_of_test CASCADE;
DROP ROLE as_of_reader;
