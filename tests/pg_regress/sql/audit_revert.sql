-- revert_changes: what was done to rows is undone, in an order that keys allow, with triggers and foreign keys
-- checked at the end; what others have changed since stays, with the reason.
CREATE SCHEMA revert_test;
SET search_path = revert_test;
SET TimeZone = 'UTC';
CREATE TABLE customers (id int PRIMARY KEY, name text, email text UNIQUE, boss int REFERENCES customers);
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers ON DELETE CASCADE ON UPDATE CASCADE, total numeric(10,2), note json);
CREATE TABLE notes (id int PRIMARY KEY, customer int REFERENCES customers ON DELETE SET NULL, txt text);
INSERT INTO customers VALUES (1, 'Ann', 'a@x', NULL), (2, 'Bob', 'b@x', 1), (3, 'Cid', 'c@x', 2);
INSERT INTO orders VALUES (10, 1, 1.50, '{"b":1, "a":[1]}'), (11, 2, 2, NULL), (12, 3, 3, NULL);
INSERT INTO notes VALUES (100, 1, 'n1'), (101, 3, 'n3');
SELECT action FROM architect.enable_audit('customers');
SELECT action FROM architect.enable_audit('orders');
SELECT action FROM architect.enable_audit('notes');
-- What the tables hold; differs() says what is not as it was.
CREATE TABLE was_customers AS TABLE customers;
CREATE TABLE was_orders AS SELECT id, customer, total, note::text FROM orders;
CREATE TABLE was_notes AS TABLE notes;
CREATE FUNCTION differs() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT t::text FROM ((TABLE customers EXCEPT TABLE was_customers) UNION ALL (TABLE was_customers EXCEPT TABLE customers)) t
    UNION ALL
    SELECT t::text FROM ((SELECT id, customer, total, note::text FROM orders EXCEPT TABLE was_orders) UNION ALL (TABLE was_orders EXCEPT SELECT id, customer, total, note::text FROM orders)) t
    UNION ALL
    SELECT t::text FROM ((TABLE notes EXCEPT TABLE was_notes) UNION ALL (TABLE was_notes EXCEPT TABLE notes)) t
$$;

-- One transaction of every kind of change, cascades among them.
BEGIN;
SELECT pg_current_xact_id() AS bad \gset
UPDATE orders SET total = total * 100, note = NULL WHERE id = 10;
INSERT INTO customers VALUES (4, 'Dan', 'd@x', 3);
INSERT INTO orders VALUES (13, 4, 4);
UPDATE orders SET total = 44 WHERE id = 13;
UPDATE customers SET boss = 1 WHERE id IN (3, 4);
UPDATE customers SET id = 20 WHERE id = 2;
DELETE FROM customers WHERE id = 3;
INSERT INTO notes VALUES (102, 1, 'came and went');
DELETE FROM notes WHERE id = 102;
COMMIT;
SELECT relation, row_key, action, status, replace(reason, audit_id::text, '...') ~ '^undone together' AS together, statement
  FROM architect.revert_changes(txid => :'bad');
-- Nothing was done, and no transaction was begun for it.
SELECT count(*) FROM differs();
BEGIN READ ONLY;
SELECT status, count(*) FROM architect.revert_changes(txid => :'bad') GROUP BY 1;
SELECT pg_current_xact_id_if_assigned() IS NULL AS no_xid;
COMMIT;
SELECT status, action, count(*) FROM architect.revert_changes(txid => :'bad', dry_run => false) GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM differs();
-- Undone is undone, and is itself in the log.
SELECT status, count(*), min(reason) ~ '^changed since by audit_id \d+ at .* by ' AS why FROM architect.revert_changes(txid => :'bad') GROUP BY 1 ORDER BY 1;
SELECT operation, new_values FROM architect.audit_history('orders', '10') ORDER BY audit_id DESC LIMIT 1;

-- Unique values exchanged by way of a third, and rows of one statement that refer to each other.
BEGIN;
SELECT pg_current_xact_id() AS bad \gset
UPDATE customers SET email = 'tmp' WHERE id = 1;
UPDATE customers SET email = 'a@x' WHERE id = 2;
UPDATE customers SET email = 'b@x', name = 'Ann II' WHERE id = 1;
INSERT INTO customers VALUES (31, 'a', 'e31', 32), (32, 'b', 'e32', 33), (33, 'c', 'e33', NULL);
DELETE FROM customers WHERE id IN (32, 31);
COMMIT;
SELECT row_key, action, status, statement FROM architect.revert_changes(txid => :'bad', dry_run => false);
SELECT * FROM differs();
-- All of a table's rows renumbered.
BEGIN;
SELECT pg_current_xact_id() AS bad \gset
UPDATE notes SET id = id - 1;
COMMIT;
SELECT row_key, action, statement FROM architect.revert_changes(txid => :'bad', dry_run => false);
SELECT * FROM differs();

-- What others have changed since stays, also another column; the rest is undone.
SELECT gen_random_uuid() AS request \gset
BEGIN;
SET LOCAL architect.correlation_id = :'request';
UPDATE customers SET name = upper(name);
INSERT INTO customers VALUES (5, 'Eve', 'e@x', NULL);
INSERT INTO customers VALUES (6, 'Fay', 'f@x', NULL);
DELETE FROM orders WHERE id = 12;
DELETE FROM notes WHERE id = 100;
COMMIT;
BEGIN;
SET LOCAL architect.actor = 'someone else';
UPDATE customers SET email = 'new@x' WHERE id = 1;
INSERT INTO orders VALUES (14, 5, 5);
INSERT INTO notes VALUES (100, NULL, 'again');
COMMIT;
-- Without a trace.
ALTER TABLE customers DISABLE TRIGGER USER;
UPDATE customers SET name = 'secretly' WHERE id = 2;
ALTER TABLE customers ENABLE TRIGGER USER;
SELECT relation, row_key, action, status, regexp_replace(regexp_replace(reason, 'audit_id \d+ at .* by', 'audit_id ... by'), 'by \w+ \(', 'by ... (') AS reason
  FROM architect.revert_changes(correlation_id => :'request', dry_run => false);
SELECT id, name, email FROM customers ORDER BY id;
SELECT id FROM orders ORDER BY id;
SELECT * FROM notes ORDER BY id;

-- A table since a time, over key changes; TRUNCATE ends it.
CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "the ""value""" text, dbl text GENERATED ALWAYS AS ("the ""value""" || "the ""value""") STORED, dropped int);
INSERT INTO t VALUES (DEFAULT, 'one'), (DEFAULT, 'two'), (DEFAULT, 'it''s \ three');
SELECT action FROM architect.enable_audit('t');
SELECT clock_timestamp() AS since \gset
DELETE FROM t WHERE id = 1;
UPDATE t SET "the ""value""" = NULL WHERE id = 2;
DELETE FROM t WHERE id = 3;
ALTER TABLE t DROP COLUMN dropped;
ALTER TABLE t RENAME COLUMN "the ""value""" TO v;
ALTER TABLE t ADD COLUMN added int DEFAULT 7;
SELECT row_key, action, status, reason, statement FROM architect.revert_changes(table_name => 't', since => :'since', dry_run => false);
SELECT * FROM t ORDER BY id;
SELECT clock_timestamp() AS since \gset
UPDATE t SET v = 'x' WHERE id = 2;
TRUNCATE t;
SELECT row_key, action, status, regexp_replace(reason, 'audit_id \d+ at .*', '...') AS reason FROM architect.revert_changes(table_name => 't', since => :'since');

-- Partitions: a row that moved goes back.
CREATE TABLE parted (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
CREATE TABLE parted_us (v text, gone int, region text NOT NULL, id int NOT NULL);
ALTER TABLE parted_us DROP COLUMN gone;
ALTER TABLE parted ATTACH PARTITION parted_us FOR VALUES IN ('us');
INSERT INTO parted VALUES (1, 'eu', 'a'), (2, 'us', 'b');
SELECT action FROM architect.enable_audit('parted');
BEGIN;
SELECT pg_current_xact_id() AS bad \gset
UPDATE parted SET v = v || v;
UPDATE parted SET region = 'us' WHERE id = 1;
DELETE FROM parted_us WHERE id = 2;
COMMIT;
SELECT row_key, action, status, statement FROM architect.revert_changes(txid => :'bad', dry_run => false);
SELECT tableoid::regclass, * FROM parted ORDER BY id;

-- Columns that were not recorded; a check that no longer holds; a trigger that keeps a row from being changed.
CREATE TABLE secrets (id int PRIMARY KEY, v text, secret text DEFAULT 'default', must text NOT NULL DEFAULT 'm');
INSERT INTO secrets VALUES (1, 'a', 's1'), (2, 'b', 's2');
SELECT action FROM architect.enable_audit('secrets', exclude => '{secret,must}');
BEGIN;
SELECT pg_current_xact_id() AS bad \gset
DELETE FROM secrets WHERE id = 1;
COMMIT;
SELECT action, status, reason, statement FROM architect.revert_changes(txid => :'bad');
ALTER TABLE secrets ALTER must DROP DEFAULT;
SELECT action, status, reason, statement FROM architect.revert_changes(txid => :'bad');
ALTER TABLE secrets ALTER must SET DEFAULT 'm';
ALTER TABLE secrets ADD CHECK (secret <> 'default');
SELECT action FROM architect.revert_changes(txid => :'bad', dry_run => false);
BEGIN;
SELECT pg_current_xact_id() AS bad \gset
UPDATE secrets SET v = 'changed' WHERE id = 2;
COMMIT;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER refuse BEFORE UPDATE ON secrets FOR EACH ROW EXECUTE FUNCTION refuse();
DO $$
BEGIN
    PERFORM architect.revert_changes(txid => (SELECT max(txid) FROM architect.audit_log WHERE table_name = 'secrets'), dry_run => false);
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    RAISE NOTICE '%', regexp_replace(sqlerrm, '\d+', '...');
END $$;
DROP TRIGGER refuse ON secrets;

-- Tables that are gone, or no longer audited, or were not for a while.
BEGIN;
SELECT pg_current_xact_id() AS bad \gset
UPDATE secrets SET v = 'more' WHERE id = 2;
UPDATE t SET v = 'more';
INSERT INTO parted VALUES (9, 'eu', 'z');
COMMIT;
SELECT action FROM architect.disable_audit('secrets');
SELECT action FROM architect.disable_audit('parted');
SELECT action FROM architect.enable_audit('parted');
SELECT row_key, status, reason FROM architect.revert_changes(txid => :'bad');

-- As the caller, who must be able to read the log and to change the rows.
CREATE ROLE revert_clerk;
GRANT USAGE ON SCHEMA architect, revert_test TO revert_clerk;
GRANT EXECUTE ON FUNCTION architect.revert_changes TO revert_clerk;
BEGIN;
SELECT pg_current_xact_id() AS bad \gset
UPDATE orders SET total = 0 WHERE id = 10;
COMMIT;
SET ROLE revert_clerk;
SELECT status FROM architect.revert_changes(txid => :'bad');
RESET ROLE;
GRANT SELECT ON architect.audit_log TO revert_clerk;
GRANT SELECT ON orders TO revert_clerk;
SET ROLE revert_clerk;
SELECT status FROM architect.revert_changes(txid => :'bad');
SELECT status FROM architect.revert_changes(txid => :'bad', dry_run => false);
RESET ROLE;
GRANT UPDATE ON orders TO revert_clerk;
SET ROLE revert_clerk;
SELECT status FROM architect.revert_changes(txid => :'bad', dry_run => false);
RESET ROLE;
SELECT operation, current_role_name, new_values FROM architect.audit_log WHERE table_name = 'orders' AND schema_name = 'revert_test' ORDER BY audit_id DESC LIMIT 1;

-- Which changes?
SELECT * FROM architect.revert_changes();
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM architect.revert_changes(txid => '5', since => now());
SELECT * FROM architect.revert_changes(table_name => 'orders');
SELECT count(*) FROM architect.revert_changes(txid => '1');
SELECT count(*) FROM architect.revert_changes(correlation_id => gen_random_uuid());

REVOKE ALL ON SCHEMA architect, revert_test FROM revert_clerk;
REVOKE ALL ON FUNCTION architect.revert_changes FROM revert_clerk;
REVOKE ALL ON architect.audit_log FROM revert_clerk;
SET client_min_messages = warning;
DROP SCHEMA revert_test CASCADE;
DROP ROLE revert_clerk;
