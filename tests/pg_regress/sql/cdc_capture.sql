-- What the feed records of each operation, and in what order: whole rows before and after, the key a row
-- had, masks, keys of one's own, conditions. A statement's events share a block of positions.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA cdc_capture;
SET search_path = cdc_capture;
CREATE TABLE t (id int PRIMARY KEY, name text, price numeric, email text);
RESET client_min_messages;
SELECT * FROM architect.enable_cdc('t', mask => '{"email": "hash"}');
SELECT * FROM architect.enable_cdc('t', mask => '{"email": "hash"}');

INSERT INTO t VALUES (1, 'one', 1.50, 'a@example.org'), (2, 'two', NULL, NULL);
UPDATE t SET name = 'uno', email = 'b@example.org' WHERE id = 1;
UPDATE t SET name = name;                       -- nothing changed: no event
UPDATE t SET id = 3 WHERE id = 1;
DELETE FROM t WHERE id = 2;
TRUNCATE t;
CREATE VIEW feed AS
SELECT l.*, dense_rank() OVER (ORDER BY l.txid) AS transaction, (l.position - 1) / 4096 AS block
  FROM architect.change_log AS l WHERE l.schema_name = 'cdc_capture';
CREATE VIEW entries AS SELECT e.* FROM architect.change_entry AS e JOIN architect.change_log AS l USING (position) WHERE l.schema_name = 'cdc_capture';
SELECT transaction, operation, schema_name, table_name, row_key, old_values - 'email' AS old_values, new_values - 'email' AS new_values, changed_columns, masked_columns
  FROM feed ORDER BY position;
-- Statements have blocks of their own, the rows of one are numbered in it.
SELECT count(*) AS events, count(DISTINCT block) AS statements, count(DISTINCT position) AS positions FROM feed;
-- A hash is SHA-256 of the value as JSON; null stays null.
SELECT new_values -> 'email' -> 'sha256' = to_jsonb(encode(sha256('"a@example.org"'), 'hex')) AS hashed FROM feed WHERE operation = 'insert' AND row_key = '{"id": 1}';
SELECT new_values -> 'email' AS email FROM feed WHERE operation = 'insert' AND row_key = '{"id": 2}';
-- The clear text is nowhere.
SELECT count(*) FROM entries WHERE image::text LIKE '%example.org%';
-- A change of the key is filed under both.
SELECT e.key_hash <> e.former_key_hash AS two_keys, e.former_key_hash = i.key_hash AS former_is_the_earlier_ones
  FROM entries AS e JOIN entries AS i ON i.row_key = '1' AND i.operation = 'F' AND i.relation_id = e.relation_id
 WHERE e.former_key_hash IS NOT NULL;

-- Changed columns only, constants and nulls, columns picked.
CREATE TABLE changed (id int PRIMARY KEY, a int, b text, c text, d text);
SELECT * FROM architect.enable_cdc('changed', image => 'changed', mask => '{"b": "constant", "c": "null"}', exclude => '{d}');
INSERT INTO changed VALUES (1, 1, 'secret', 'secret', 'secret');
UPDATE changed SET a = 2 WHERE id = 1;
UPDATE changed SET b = 'other', c = 'other' WHERE id = 1;
UPDATE changed SET d = 'other' WHERE id = 1;    -- not captured: no event
DELETE FROM changed WHERE id = 1;
SELECT operation, row_key, old_values, new_values, changed_columns, masked_columns FROM feed WHERE table_name = 'changed' ORDER BY position;
SELECT * FROM architect.enable_cdc('changed', image => 'changed', columns => '{id,a}');
INSERT INTO changed VALUES (2, 2);
SELECT operation, row_key, new_values, masked_columns FROM feed WHERE table_name = 'changed' ORDER BY position DESC LIMIT 1;

-- A key of one's own: for a table without one, in place of the primary key, several columns, hashed.
CREATE TABLE keyless (region text, number int, note text);
SELECT * FROM architect.enable_cdc('keyless');
SELECT * FROM architect.enable_cdc('keyless', key => '{region,number}');
INSERT INTO keyless VALUES ('north', 1, 'x');
UPDATE keyless SET number = 2;
ALTER TABLE keyless RENAME number TO no;
UPDATE keyless SET no = 3;
SELECT * FROM architect.enable_cdc('keyless', key => '{region,no}', mask => '{"region": "hash"}');
DELETE FROM keyless;
SELECT operation, row_key #- '{region,sha256}' AS row_key FROM feed WHERE table_name = 'keyless' ORDER BY position;

-- A condition is the WHEN clause of triggers of the feed's own; TRUNCATE is always captured.
CREATE TABLE orders (id int PRIMARY KEY, status text, amount int);
SELECT * FROM architect.enable_cdc('orders', operations => '{insert,update,truncate}', "when" => 'new.status = ''paid''');
SELECT tgname, tgqual IS NOT NULL AS conditional FROM pg_trigger WHERE tgrelid = 'orders'::regclass ORDER BY 1;
INSERT INTO orders VALUES (1, 'new', 10), (2, 'paid', 20);
UPDATE orders SET status = 'paid' WHERE id = 1;
UPDATE orders SET status = 'sent';
TRUNCATE orders;
SELECT operation, row_key, new_values ->> 'status' AS status FROM feed WHERE table_name = 'orders' ORDER BY position;
-- Another condition replaces it, none takes it away; audit beside it records everything.
SELECT * FROM architect.enable_audit('orders');
SELECT * FROM architect.enable_cdc('orders', operations => '{update}', "when" => 'old.status is distinct from new.status -- a comment');
INSERT INTO orders VALUES (3, 'paid', 1);
UPDATE orders SET amount = 2;
UPDATE orders SET status = 'sent';
SELECT tgname FROM pg_trigger WHERE tgrelid = 'orders'::regclass ORDER BY 1;
SELECT operation, changed_columns FROM feed WHERE table_name = 'orders' ORDER BY position DESC LIMIT 1;
SELECT operation, changed_columns FROM architect.audit_log WHERE schema_name = 'cdc_capture' AND table_name = 'orders' ORDER BY audit_id;
SELECT * FROM architect.enable_cdc('orders');
SELECT tgname, tgnargs FROM pg_trigger WHERE tgrelid = 'orders'::regclass ORDER BY 1;
SELECT * FROM architect.disable_audit('orders');
SELECT tgname, tgnargs FROM pg_trigger WHERE tgrelid = 'orders'::regclass ORDER BY 1;
SELECT * FROM architect.disable_cdc('orders');
SELECT * FROM architect.disable_cdc('orders');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'orders'::regclass;

-- Refused.
SELECT * FROM architect.enable_cdc('orders', operations => '{merge}');
SELECT * FROM architect.enable_cdc('orders', mask => '{"status": "rot13"}');
SELECT * FROM architect.enable_cdc('orders', mask => '{"nothing": "hash"}');
SELECT * FROM architect.enable_cdc('orders', mask => '{"id": "null"}');
SELECT * FROM architect.enable_cdc('orders', key => '{nothing}');
SELECT * FROM architect.enable_cdc('orders', channel => '');
SELECT * FROM architect.enable_cdc('orders', columns => '{id}', exclude => '{status}');
SELECT * FROM architect.enable_cdc('orders', "when" => 'new.amount > 1');
SELECT * FROM architect.enable_cdc('orders', operations => '{insert}', "when" => 'true) EXECUTE FUNCTION pg_sleep(1');
SELECT * FROM architect.enable_cdc('orders', operations => '{insert}', "when" => 'true) FROM pg_class WHERE (true');
SELECT * FROM architect.enable_cdc('orders', operations => '{insert}', "when" => 'true); DROP TABLE orders; SELECT (1');
SELECT * FROM architect.enable_cdc('orders', operations => '{insert}', "when" => '1) UNION SELECT (2');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'orders'::regclass;
SELECT * FROM architect.enable_cdc('architect.change_entry');
SELECT * FROM architect.enable_cdc('feed');

-- Many rows of one statement take further blocks; the order stays that of the rows.
CREATE TABLE many (id int PRIMARY KEY);
SELECT * FROM architect.enable_cdc('many');
INSERT INTO many SELECT generate_series(1, 10000);
SELECT count(*) AS events, count(DISTINCT block) AS blocks, bool_and(id = rank) AS in_order
  FROM (SELECT block, (row_key ->> 'id')::int AS id, row_number() OVER (ORDER BY position) AS rank FROM feed WHERE table_name = 'many') AS f;

SET client_min_messages = warning;
DROP SCHEMA cdc_capture CASCADE;
