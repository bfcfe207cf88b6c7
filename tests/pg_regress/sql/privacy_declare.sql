-- Protects: declaring whose data there are; every declaration is checked, kept with its history, and can be
-- taken back; no rule holds SQL; only owners declare.
\set VERBOSITY default
CREATE SCHEMA "p d";
SET search_path = "p d";
CREATE TABLE customer (id int PRIMARY KEY, email text UNIQUE, "full ""name" text, born date, prefs jsonb);
CREATE TABLE note (id int PRIMARY KEY, subject_kind text, subject_id int, body text, at timestamptz);
CREATE TABLE heap_only (customer_id int, x text);

SELECT * FROM architect.declare_subject('customer', 'customer', identity_columns => ARRAY['email', 'full "name']);
SELECT * FROM architect.declare_subject('customer', 'customer', identity_columns => ARRAY['email', 'full "name']);
SELECT * FROM architect.declare_subject('customer', 'customer', identity_columns => '{email}');
SELECT * FROM architect.privacy_subjects();
-- Refused.
SELECT * FROM architect.declare_subject('x', 'customer', '{born}');
SELECT * FROM architect.declare_subject('x', 'heap_only');
SELECT * FROM architect.declare_subject('x', 'customer', '{nothing}');
SELECT * FROM architect.declare_subject('x', 'customer', on_erase => 'burn');
SELECT * FROM architect.declare_subject('x', 'pg_class');

SELECT * FROM architect.declare_column('customer', 'email', 'email', 'constant', '{"value": "x@example.invalid"}',
    purpose => 'orders', legal_basis => 'contract', recipients => '{mailer}');
SELECT * FROM architect.declare_column('customer', 'prefs', 'phone', json_path => '{contact,phone}');
SELECT * FROM architect.declare_column('note', 'body', 'free text', 'random', retention => '10 years', retention_from => 'at');
-- Refused: an action, a parameter, a type that does not fit, SQL.
SELECT * FROM architect.declare_column('customer', 'email', 'email', 'sql');
SELECT * FROM architect.declare_column('customer', 'email', 'email', 'null', '{"expression": "pg_sleep(1)"}');
SELECT * FROM architect.declare_column('customer', 'born', 'date of birth', 'generalise', '{"unit": "year''); DROP TABLE customer; --"}');
SELECT * FROM architect.declare_column('customer', 'email', 'email', json_path => '{a}');
SELECT * FROM architect.declare_column('note', 'body', 'free text', retention => '1 year', retention_from => 'subject_id');
SELECT * FROM architect.declare_column('customer', 'email', 'email', legal_basis => 'because');
SELECT column_name, json_path, category, action, params, result, legal_basis, retention, retention_from, recipients
  FROM architect.privacy_columns();

SELECT * FROM architect.declare_edge('customer', 'note', '{subject_id}', 'customer', discriminator_column => 'subject_kind',
    discriminator_value => 'customer', ownership => 'co_owned');
SELECT * FROM architect.declare_edge('customer', 'note', '{subject_id}', 'customer', discriminator_column => 'subject_kind',
    discriminator_value => 'customer', ownership => 'owned', on_erase => 'mask');
SELECT * FROM architect.declare_edge('customer', 'note', '{subject_id}', 'customer', discriminator_column => 'subject_kind');
SELECT * FROM architect.declare_edge('customer', 'note', '{subject_id}', 'customer', ownership => 'ignore', on_erase => 'delete');
SELECT * FROM architect.declare_edge('nobody', 'note', '{subject_id}', 'customer');
SELECT subject_type, table_name, columns, references_table, references_columns, direction, discriminator, ownership, on_erase
  FROM architect.privacy_edges();

-- Others' tables.
CREATE ROLE regress_privacy_owner;
SELECT count(*) > 0 AS granted FROM architect.grant_access('regress_privacy_owner', 'operator');
GRANT USAGE ON SCHEMA "p d" TO regress_privacy_owner;
SET ROLE regress_privacy_owner;
SELECT * FROM architect.declare_column('customer', 'email', 'email');
SELECT * FROM architect.undeclare_subject('customer');
SELECT count(*) FROM architect.privacy_column;
RESET ROLE;

SELECT * FROM architect.undeclare_column('customer', 'prefs', '{contact,phone}');
SELECT * FROM architect.undeclare_column('customer', 'prefs', '{contact,phone}');
SELECT action FROM (SELECT edge_id FROM architect.privacy_edges()) AS e, architect.undeclare_edge(e.edge_id);
SELECT * FROM architect.undeclare_column('customer', 'email');
SELECT * FROM architect.undeclare_column('note', 'body');
SELECT * FROM architect.undeclare_subject('customer');
SELECT verb, kind, object_name, before ->> 'action' AS before, after ->> 'action' AS after FROM architect.privacy_decisions();

SELECT count(*) > 0 AS revoked FROM architect.revoke_access('regress_privacy_owner');
DROP SCHEMA "p d" CASCADE;
DROP ROLE regress_privacy_owner;
