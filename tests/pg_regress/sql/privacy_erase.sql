-- Protects: erasing one person over owned, co-owned, accessed, polymorphic, json, referred and self references,
-- retention, and the audit log under its seal; what stays is reported; a second run changes nothing; export and
-- erasure agree; others keep what they have.
\set VERBOSITY default
\pset format unaligned
\pset footer off
SET client_min_messages = warning;
CREATE SCHEMA shop;
SET search_path = shop;
CREATE TABLE address (id int PRIMARY KEY, street text);
CREATE TABLE customer (id int PRIMARY KEY, email text UNIQUE, name text NOT NULL, address_id int REFERENCES address,
    boss int REFERENCES customer, prefs jsonb, upper_name text GENERATED ALWAYS AS (upper(name)) STORED);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customer, note text);
CREATE TABLE item (order_id int REFERENCES orders, n int, product text, PRIMARY KEY (order_id, n));
CREATE TABLE message (id int PRIMARY KEY, sender int REFERENCES customer, recipient int REFERENCES customer, body text,
    sender_name text, recipient_name text);
CREATE TABLE invoice (id int PRIMARY KEY, order_id int NOT NULL REFERENCES orders, amount numeric, billing_name text,
    billing_mail text, issued date NOT NULL);
CREATE TABLE visit (customer_id int REFERENCES customer ON DELETE CASCADE, page text);
CREATE TABLE event (id int PRIMARY KEY, kind text, ref int, payload jsonb);
INSERT INTO address VALUES (1, 'Elm Street 1'), (2, 'Oak Street 2'), (3, 'Ash Street 3');
INSERT INTO customer (id, email, name, address_id, boss, prefs) VALUES
    (1, 'ann@example.org', 'Ann Archer', 1, NULL, '{"phone": "0151 22", "theme": "dark"}'),
    (2, 'bob@example.org', 'Bob Baker', 2, 1, '{}'), (3, 'cy@example.org', 'Cy Cook', 2, NULL, '{}');
INSERT INTO orders SELECT i, 1 + i % 3, 'note ' || i FROM generate_series(1, 9) AS i;
INSERT INTO item SELECT o, n, 'thing' FROM generate_series(1, 9) AS o, generate_series(1, 3) AS n;
INSERT INTO message VALUES (1, 1, 2, 'a', 'Ann', 'Bob'), (2, 2, 1, 'b', 'Bob', 'Ann'), (3, 1, 1, 'c', 'Ann', 'Ann'),
    (4, 2, 3, 'd', 'Bob', 'Cy'), (5, 1, NULL, 'e', 'Ann', NULL);
INSERT INTO invoice VALUES (1, 3, 10, 'Ann Archer', 'ann@example.org', '2020-01-01'),
    (2, 6, 11, 'Ann Archer', 'ann@example.org', '2001-01-01'), (3, 1, 5, 'Bob', 'bob@example.org', '2020-01-01');
INSERT INTO visit SELECT 1 + i % 3, 'p' FROM generate_series(1, 30) AS i;
INSERT INTO event VALUES (1, 'customer', 1, '{}'), (2, 'order', 1, '{"customer": {"id": "1"}}'), (3, 'customer', 2, '{}');
SELECT count(*) FROM architect.enable_audit('customer');
SELECT count(*) FROM architect.enable_audit('invoice');
SET architect.actor = 'ann@example.org';
UPDATE customer SET email = 'ann2@example.org' WHERE id = 1;
RESET architect.actor;
UPDATE customer SET prefs = '{"note": "friend of ann2@example.org"}' WHERE id = 2;
UPDATE customer SET prefs = '{}' WHERE id = 2;

SELECT count(*) FROM architect.declare_subject('customer', 'customer', identity_columns => '{email,name}');
-- Nobody has decided about a foreign key: nothing is done.
SELECT object_name, action, rows, blocker FROM architect.plan_erasure('customer', '{"id": 1}') WHERE action = 'blocked' ORDER BY 4;
SELECT * FROM architect.erase_subject('customer', '{"id": 1}', expected_plan => 'x', dry_run => false);
SELECT count(*) FROM architect.declare_edge('customer', 'orders', '{customer_id}', 'customer');
SELECT count(*) FROM architect.declare_edge('customer', 'item', '{order_id}', 'orders');
SELECT count(*) FROM architect.declare_edge('customer', 'invoice', '{order_id}', 'orders');
SELECT count(*) FROM architect.declare_edge('customer', 'message', '{sender}', 'customer', ownership => 'co_owned', person_columns => '{sender_name}');
SELECT count(*) FROM architect.declare_edge('customer', 'message', '{recipient}', 'customer', ownership => 'co_owned', person_columns => '{recipient_name}');
SELECT count(*) FROM architect.declare_edge('customer', 'customer', '{address_id}', 'address', direction => 'referred');
SELECT count(*) FROM architect.declare_edge('customer', 'customer', '{boss}', 'customer', ownership => 'accessed');
SELECT count(*) FROM architect.declare_edge('customer', 'event', '{ref}', 'customer', discriminator_column => 'kind', discriminator_value => 'customer');
SELECT count(*) FROM architect.declare_edge('customer', 'event', '{payload}', 'customer', json_path => '{customer,id}');
SELECT count(*) FROM architect.declare_column('invoice', 'billing_name', 'name', retention => '50 years', retention_from => 'issued',
    purpose => 'taxes', legal_basis => 'legal_obligation');
SELECT count(*) FROM architect.declare_column('invoice', 'billing_mail', 'email', purpose => 'orders', legal_basis => 'contract');
SELECT depth, reference, ownership, on_erase, source, delete_rule, index_serves, circle IS NOT NULL AS circle
  FROM architect.subject_graph('customer') ORDER BY 1, 2;

-- The invoice of 2001 is past 20 years, that of 2020 is not past 50: shorten for the test.
SELECT action FROM architect.declare_column('invoice', 'billing_name', 'name', retention => '20 years', retention_from => 'issued',
    purpose => 'taxes', legal_basis => 'legal_obligation');
SELECT step, object_name, action, columns, rows, blocker, reason, retained_until FROM architect.plan_erasure('customer', '{"id": 1}');
-- The same for every way to say it.
SELECT count(DISTINCT plan_hash) FROM (SELECT plan_hash FROM architect.plan_erasure('customer', '{"id": 1}')
    UNION SELECT plan_hash FROM architect.plan_erasure('customer', '1') UNION SELECT plan_hash FROM architect.plan_erasure('customer', '"01"')) AS h;
-- A key that is none, one that would be more than a key.
SELECT * FROM architect.plan_erasure('customer', '{"id": 1, "x": 2}');
SELECT * FROM architect.plan_erasure('customer', '"1 OR true"');
SELECT * FROM architect.plan_erasure('nobody', '1');

-- Refused: no plan, another's plan, a plan that has changed since.
-- Without the hash of an approved plan the plan is what is found now.
BEGIN;
SELECT count(*) > 0 AS done FROM architect.erase_subject('customer', '1', dry_run => false) WHERE rows_affected > 0;
ROLLBACK;
SELECT * FROM architect.erase_subject('customer', '1', dry_run => false,
    expected_plan => (SELECT plan_hash FROM architect.plan_erasure('customer', '2') LIMIT 1));
SELECT plan_hash AS plan FROM architect.plan_erasure('customer', '1') LIMIT 1 \gset
INSERT INTO orders VALUES (12, 1, 'one more');
SELECT * FROM architect.erase_subject('customer', '1', dry_run => false, expected_plan => :'plan');
DELETE FROM orders WHERE id = 12;

-- What an export shows, erasing accounts for, row for row.
CREATE TEMP TABLE exported AS
    SELECT t ->> 'table' AS object_name, (t ->> 'count')::int AS rows
      FROM jsonb_array_elements(architect.export_subject('customer', '1') -> 'tables') AS t;
CREATE TEMP TABLE planned AS
    SELECT object_name, sum(rows)::int AS rows FROM architect.plan_erasure('customer', '1') GROUP BY 1;
SELECT * FROM exported EXCEPT SELECT * FROM planned;
SELECT * FROM planned EXCEPT SELECT * FROM exported;
SELECT jsonb_path_query(architect.export_subject('customer', '1'), '$.tables[*] ? (@.table == "shop.message").rows[*] ? (@.id < 3)');
SELECT jsonb_path_query(architect.export_subject('customer', '1'), '$.tables[*] ? (@.table == "shop.customer").rows[*]');
SELECT jsonb_path_query(architect.export_subject('customer', '1', 'portability'), '$.tables[*] ? (@.table == "shop.invoice").rows[*]');
SELECT architect.export_subject('customer', '3') AS before \gset

-- Four eyes: another role's approval is needed. There is none here.
SELECT architect.set_privacy_rules(four_eyes => true);
SELECT architect.open_request('erase', 'customer', '1') AS request \gset
SELECT architect.approve_request(:request, (SELECT plan_hash FROM architect.plan_erasure('customer', '1') LIMIT 1));
SELECT * FROM architect.erase_subject('customer', '1', dry_run => false,
    expected_plan => (SELECT plan_hash FROM architect.plan_erasure('customer', '1') LIMIT 1), request_id => :request);
SELECT architect.set_privacy_rules(four_eyes => false);
-- A hold blocks; lifted, it does not.
SELECT architect.place_hold('claim 7', 'customer', '1') AS hold \gset
SELECT action, regexp_replace(blocker, '\d+:', 'N:') FROM architect.plan_erasure('customer', '1');
SELECT architect.lift_hold(:hold);
-- A request for somebody else.
SELECT architect.open_request('erase', 'customer', '2') AS other \gset
SELECT * FROM architect.erase_subject('customer', '1', dry_run => false,
    expected_plan => (SELECT plan_hash FROM architect.plan_erasure('customer', '1') LIMIT 1), request_id => :other);

SELECT count(*) > 0 AS sealed FROM architect.seal_audit_log();
SELECT plan_hash AS plan FROM architect.plan_erasure('customer', '1') LIMIT 1 \gset
SELECT step, object_name, action, columns, rows, rows_affected, reason FROM architect.erase_subject('customer', '1', dry_run => false,
    expected_plan => :'plan', request_id => :request) WHERE object_name LIKE 'shop.%';
SELECT id, email, name, address_id, boss, prefs, upper_name FROM customer ORDER BY id;
SELECT * FROM address ORDER BY id;
SELECT id, customer_id, note FROM orders ORDER BY id;
SELECT * FROM message ORDER BY id;
SELECT * FROM invoice ORDER BY id;
SELECT * FROM event ORDER BY id;
SELECT count(*) FROM visit;
SELECT count(*) FROM item;
-- Another person's data are what they were, byte for byte.
SELECT architect.export_subject('customer', '3') = :'before' AS same;

-- The audit log has forgotten, the events are there, and the seal says that it was lawful.
SELECT table_name, operation, row_key, changed_columns, actor, old_values IS NOT NULL AS old, new_values
  FROM architect.audit_log WHERE schema_name = 'shop' ORDER BY audit_id;
SELECT count(*) FROM architect.audit_entry AS e JOIN architect.capture_relation AS r USING (relation_id)
 WHERE r.schema_name = 'shop' AND (e.image::text ~* 'ann|archer|0151' OR e.row_key ~* 'ann');
SELECT count(*) FROM architect.capture_context AS c
 WHERE EXISTS (SELECT FROM architect.audit_log AS l WHERE l.schema_name = 'shop' AND l.actor = c.actor) AND (c.actor ~ 'ann' OR c.context::text ~ 'ann');
SELECT severity, code, regexp_replace(detail, '\d+', 'N', 'g') AS detail FROM architect.verify_audit_log() WHERE code = 'redacted';
SELECT severity, code FROM architect.verify_audit_log() WHERE severity <> 'notice';
-- What was not lawful is found as before.
BEGIN;
UPDATE architect.audit_entry SET image = '{"x": [1, 2]}' WHERE audit_id = (SELECT min(audit_id) FROM architect.audit_log WHERE schema_name = 'shop');
SELECT severity, code FROM architect.verify_audit_log() WHERE severity = 'error';
ROLLBACK;

-- The deletion log: no personal data, a chain.
SELECT step, object_name, action, columns, rows_affected, rows_retained, reason FROM architect.data_deletion_log
 WHERE request_id = :request AND object_name LIKE 'shop.%' ORDER BY seq;
SELECT count(*) FROM architect.data_deletion_log AS l WHERE l::text ~* 'ann|archer|example';
SELECT severity, code FROM architect.verify_deletion_log();
BEGIN;
UPDATE architect.data_deletion_log SET rows_affected = 0 WHERE request_id = :request AND step = 1;
SELECT severity, code FROM architect.verify_deletion_log();
ROLLBACK;
BEGIN;
DELETE FROM architect.data_deletion_log WHERE seq = (SELECT max(seq) FROM architect.data_deletion_log);
SELECT severity, code FROM architect.verify_deletion_log();
ROLLBACK;

-- Again: nothing changes, and that is written down.
SELECT sum(rows_affected) FROM architect.erase_subject('customer', '1', dry_run => false,
    expected_plan => (SELECT plan_hash FROM architect.plan_erasure('customer', '1') LIMIT 1));
SELECT action, rows_affected FROM architect.data_deletion_log ORDER BY seq DESC LIMIT 1;

-- Where the values are: nowhere but where they must be retained.
ANALYZE customer, invoice, orders;
SELECT place, status, detail FROM architect.verify_erasure(:request) WHERE place LIKE 'shop.%' OR place LIKE 'pg_stats of shop.%' ORDER BY 1;
SELECT c ->> 'status' AS status, jsonb_array_length(c -> 'steps') > 10 AS steps, jsonb_array_length(c -> 'retained') AS retained,
       c -> 'verification' IS NOT NULL AS verified, c::text ~* 'archer|ann@' AS personal
  FROM architect.erasure_certificate(:request) AS c;

-- Rows that come back, with an old backup, are erased again.
INSERT INTO event VALUES (10, 'customer', 1, '{"back": true}');
UPDATE customer SET name = 'Ann Archer', email = 'ann2@example.org' WHERE id = 1;
SELECT subject_type, action FROM architect.reapply_tombstones();
SELECT subject_type, action FROM architect.reapply_tombstones(dry_run => false);
SELECT id, email, name FROM customer WHERE id = 1;
SELECT count(*) FROM event WHERE id = 10;
SELECT architect.import_tombstones(architect.export_tombstones());
SELECT architect.import_tombstones('{"secret": "00", "tombstones": []}');

-- Coverage: what nobody has decided.
SELECT kind, object_name, detail FROM architect.coverage('customer') ORDER BY 1, 2;
CREATE TABLE review (id int PRIMARY KEY, customer_id int REFERENCES customer, body text);
SELECT kind, object_name FROM architect.coverage('customer') WHERE kind = 'foreign key';
\set VERBOSITY terse
SELECT architect.coverage_assert('customer');
\set VERBOSITY default
SELECT a ->> 'purpose' AS purpose, a -> 'legal_bases' AS legal_bases, a -> 'categories' AS categories
  FROM jsonb_array_elements(architect.ropa() -> 'activities') AS a;

-- Retention.
SELECT object_name, action, rows FROM architect.retention_due();
INSERT INTO invoice VALUES (9, 1, 1, 'Bob Baker', 'bob@example.org', '1999-01-01');
SELECT object_name, action, rows FROM architect.retention_due();
SET client_min_messages = notice;
CALL architect.retention_run();
CALL architect.retention_run(dry_run => false);
SET client_min_messages = warning;
SELECT billing_name FROM invoice WHERE id = 9;

-- Requests.
SELECT kind, subject_type, due_at = received_at + interval '1 month' AS due, overdue, status FROM architect.privacy_requests() WHERE request_id = :other;
SELECT architect.open_request('access', 'customer', '2', now() - interval '2 months') AS late \gset
SELECT kind, overdue FROM architect.privacy_requests(overdue_only => true);
SELECT architect.extend_request(:late, 'complex');
SELECT count(*) FROM architect.privacy_requests(overdue_only => true);
SELECT architect.close_request(:late, 'refused');
SELECT architect.close_request(:late, 'refused', 'not this person');
SELECT architect.close_request(:late);
SELECT architect.open_request('sell', 'customer', '2');

SELECT count(*) FROM architect.disable_audit('customer');
SELECT count(*) FROM architect.disable_audit('invoice');
SELECT action FROM architect.undeclare_subject('customer');
SELECT action FROM architect.undeclare_column('invoice', 'billing_name');
SELECT action FROM architect.undeclare_column('invoice', 'billing_mail');
DROP SCHEMA shop CASCADE;
