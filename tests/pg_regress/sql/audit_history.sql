-- audit_history: the life of one row, by any spelling of its key, across key changes, renames, partitions,
-- another primary key, TRUNCATE and DROP TABLE; only for those who may read the log.
CREATE SCHEMA history_test;
SET search_path = history_test;
SET TimeZone = 'UTC';
CREATE TABLE orders (id int PRIMARY KEY, status text, total numeric(10,2));
SELECT action FROM architect.enable_audit('orders');
INSERT INTO orders VALUES (5, 'new', 1.50), (6, 'other', 2);
BEGIN;
SET LOCAL architect.actor = 'ann';
UPDATE orders SET status = 'paid' WHERE id = 5;
COMMIT;
UPDATE orders SET total = 3 WHERE id IN (5, 6);
DELETE FROM orders WHERE id = 5;
-- Any spelling of the key; the only column of a key need not be named; other members do not matter.
SELECT operation, row_key, changed_columns, old_values, new_values, actor FROM architect.audit_history('orders', '{"id": 5}');
SELECT count(*) FROM architect.audit_history('orders', '{"id": "5"}');
SELECT count(*) FROM architect.audit_history('orders', '5');
SELECT count(*) FROM architect.audit_history('orders', '{"id": 5, "status": "whatever"}');
SELECT count(*) FROM architect.audit_history('orders', '{"id": 7}');
-- The same as the view says, column by column.
SELECT count(*) AS rows, count(l.audit_id) AS same
  FROM architect.audit_history('orders', '5') h
  LEFT JOIN architect.audit_log l
    ON ROW(l.changed_at, l.operation, l.row_key, l.changed_columns, l.old_values, l.new_values, l.actor, l.session_role, l.set_role,
           l.correlation_id, l.context, l.application_name, l.client_addr, l.audit_id, l.txid, l.statement, l.schema_name, l.table_name)
       IS NOT DISTINCT FROM
       ROW(h.changed_at, h.operation, h.row_key, h.changed_columns, h.old_values, h.new_values, h.actor, h.session_role, h.set_role,
           h.correlation_id, h.context, h.application_name, h.client_addr, h.audit_id, h.txid, h.statement, h.schema_name, h.table_name_then);
-- Wrong questions.
SELECT * FROM architect.audit_history('orders', '{"status": "new"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM architect.audit_history('orders', '{"id": "five"}');
CREATE TABLE never (id int PRIMARY KEY);
SELECT * FROM architect.audit_history('never', '1');
\echo :LAST_ERROR_SQLSTATE
CREATE TABLE keyless (a int);
SET client_min_messages = warning;
SELECT action FROM architect.enable_audit('keyless');
RESET client_min_messages;
INSERT INTO keyless VALUES (1);
SELECT * FROM architect.audit_history('keyless', '{"a": 1}');
\echo :LAST_ERROR_SQLSTATE
-- No transaction id, also in a read-only transaction.
BEGIN READ ONLY;
SELECT count(*) FROM architect.audit_history('orders', '5');
SELECT pg_current_xact_id_if_assigned() IS NULL AS no_xid;
COMMIT;

-- Keys of more than one column and of types with many spellings.
CREATE TABLE readings ("At" timestamptz, amount numeric, code varchar(5), note text, PRIMARY KEY ("At", amount, code));
SELECT action FROM architect.enable_audit('readings');
INSERT INTO readings VALUES ('2024-02-03 04:05:06.7+02', 1.50, 'a"b', 'x');
UPDATE readings SET note = 'y';
SELECT operation, row_key FROM architect.audit_history('readings', '{"At": "2024-02-03T02:05:06.700Z", "amount": 1.5, "code": "a\"b"}');
SET TimeZone = 'Asia/Tokyo';
SELECT count(*) FROM architect.audit_history('readings', '{"At": "2024-02-03 11:05:06.7", "amount": "1.500", "code": "a\"b"}');
SET TimeZone = 'UTC';

-- A key change: found by either key, each entry once, in order; not the other lives under a key.
CREATE TABLE moves (id int PRIMARY KEY, v text);
SELECT action FROM architect.enable_audit('moves');
INSERT INTO moves VALUES (1, 'first life of 1');
DELETE FROM moves;
INSERT INTO moves VALUES (1, 'a');
UPDATE moves SET v = 'b' WHERE id = 1;
UPDATE moves SET id = 2 WHERE id = 1;
INSERT INTO moves VALUES (1, 'third life of 1');
UPDATE moves SET v = 'c' WHERE id = 2;
UPDATE moves SET id = 3, v = 'd' WHERE id = 2;
INSERT INTO moves VALUES (2, 'second life of 2');
DELETE FROM moves WHERE id = 3;
SELECT operation, row_key->'id' AS id, old_values, new_values FROM architect.audit_history('moves', '1');
SELECT operation, row_key->'id' AS id, old_values, new_values FROM architect.audit_history('moves', '2');
SELECT operation, row_key->'id' AS id, old_values, new_values FROM architect.audit_history('moves', '3');
-- There and back again.
INSERT INTO moves VALUES (10, 'x');
UPDATE moves SET id = 11 WHERE id = 10;
UPDATE moves SET v = 'y' WHERE id = 11;
UPDATE moves SET id = 10 WHERE id = 11;
SELECT operation, row_key->'id' AS id, new_values FROM architect.audit_history('moves', '10');
SELECT operation, row_key->'id' AS id, new_values FROM architect.audit_history('moves', '11');

-- Images of whole rows.
CREATE TABLE full_image (a int, b numeric, v text, PRIMARY KEY (a, b));
SELECT action FROM architect.enable_audit('full_image', image => 'full');
INSERT INTO full_image VALUES (1, 1.50, 'x');
UPDATE full_image SET b = 2.50;
UPDATE full_image SET v = 'y';
SELECT operation, row_key, changed_columns, old_values, new_values FROM architect.audit_history('full_image', '{"a": 1, "b": 1.5}');

-- Renamed: the table, its schema, its columns. The key moved to another column.
ALTER TABLE moves RENAME COLUMN id TO number;
ALTER TABLE moves RENAME TO "Moved; ""away""";
INSERT INTO "Moved; ""away""" VALUES (100, 'x');
SELECT operation, row_key, table_name_then FROM architect.audit_history('"Moved; ""away"""', '{"number": 2}');
SELECT count(*) FROM architect.audit_history('"Moved; ""away"""', '{"id": 2}');
ALTER TABLE "Moved; ""away""" ADD COLUMN uid text DEFAULT 'u';
ALTER TABLE "Moved; ""away""" DROP CONSTRAINT moves_pkey;
DELETE FROM "Moved; ""away""" WHERE number <> 2;
ALTER TABLE "Moved; ""away""" ADD PRIMARY KEY (uid);
UPDATE "Moved; ""away""" SET v = 'now by uid';
SELECT operation, row_key, new_values FROM architect.audit_history('"Moved; ""away"""', '{"uid": "u"}');
SELECT operation, row_key FROM architect.audit_history('"Moved; ""away"""', '{"number": 2, "uid": "u"}');

-- Partitions with other column orders; a row that moves between them; asked of the root or of a partition.
CREATE TABLE parted (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
CREATE TABLE parted_us (v text, gone int, region text NOT NULL, id int NOT NULL);
ALTER TABLE parted_us DROP COLUMN gone;
ALTER TABLE parted ATTACH PARTITION parted_us FOR VALUES IN ('us');
SELECT action FROM architect.enable_audit('parted');
INSERT INTO parted VALUES (1, 'eu', 'a'), (2, 'us', 'b'), (3, 'eu', 'c');
UPDATE parted SET v = 'aa' WHERE id = 1;
UPDATE parted_us SET v = 'bb' WHERE id = 2;
TRUNCATE parted_us;
SELECT operation, row_key, old_values, new_values, partition_name FROM architect.audit_history('parted', '{"id": 2, "region": "us"}');
SELECT operation, row_key, partition_name FROM architect.audit_history('parted_eu', '{"id": 1, "region": "eu"}');
TRUNCATE parted;
SELECT operation, partition_name FROM architect.audit_history('parted', '{"id": 1, "region": "eu"}');
-- The row in the other partition was gone before the second TRUNCATE.
SELECT operation, partition_name FROM architect.audit_history('parted', '{"id": 2, "region": "us"}');

-- A table that is gone.
DROP TABLE orders;
SELECT operation, row_key FROM architect.audit_history_by_name('history_test', 'orders', '{"id": 5}');
SELECT count(*) FROM architect.audit_history_by_name('history_test', 'orders', '{"id": "5"}');
SELECT count(*) FROM architect.audit_history_by_name('history_test', 'parted_us', '{"id": 2, "region": "us"}');
SELECT count(*) FROM architect.audit_history_by_name('history_test', 'moves', '{"number": 2}');
SELECT * FROM architect.audit_history_by_name('history_test', 'nothing', '{"id": 5}');

-- Who may ask: those who may select from the view, no more is needed.
CREATE ROLE history_reader;
GRANT USAGE ON SCHEMA architect, history_test TO history_reader;
GRANT EXECUTE ON FUNCTION architect.audit_history TO history_reader;
SET ROLE history_reader;
SELECT count(*) FROM architect.audit_history('parted', '{"id": 1, "region": "eu"}');
RESET ROLE;
GRANT SELECT ON architect.audit_log TO history_reader;
SET ROLE history_reader;
SELECT count(*) FROM architect.audit_history('parted', '{"id": 1, "region": "eu"}');
SELECT count(*) FROM architect.audit_entry;
RESET ROLE;
REVOKE ALL ON SCHEMA architect, history_test FROM history_reader;
REVOKE ALL ON FUNCTION architect.audit_history FROM history_reader;
REVOKE ALL ON architect.audit_log FROM history_reader;
DROP ROLE history_reader;
SET client_min_messages = warning;
DROP SCHEMA history_test CASCADE;
