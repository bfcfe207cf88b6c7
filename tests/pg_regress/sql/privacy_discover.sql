-- Finding personal data: what is found, what is not, that no value is shown, that nothing of a table's owner runs.
\set SHOW_CONTEXT never
CREATE SCHEMA shop;
SET search_path = shop;
CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, email text UNIQUE, home_phone text, dob date,
    "Straße" text, plz text, city text, notes text, newsletter boolean, created_at timestamptz DEFAULT now(),
    profile jsonb, last_ip inet, password_hash text);
INSERT INTO customers (name, email, home_phone, dob, "Straße", plz, city, notes, profile, last_ip, password_hash)
SELECT 'Maria Garcia', 'maria' || i || '@example.org', '+49 30 1234' || (1000 + i), date '1980-01-01' + i, 'Hauptstraße ' || i,
       '10' || (115 + i), 'Berlin', CASE WHEN i % 2 = 0 THEN 'Please call Maria Garcia back, she has been waiting for her order since Monday.' END,
       jsonb_build_object('contacts', jsonb_build_array(jsonb_build_object('mail', 'x' || i || '@example.net')), 'theme', 'dark', 'visits', i,
                          'payment', jsonb_build_object('iban', 'DE89370400440532013000')),
       '10.0.0.1', '$2b$12$abcdefghijklmnopqrstuvwxyz0123456789'
  FROM generate_series(1, 60) AS i;
CREATE TABLE products (id int PRIMARY KEY, name text, sku text, price numeric, description text, color text, supplier_city text, warehouse_phone_count int);
INSERT INTO products SELECT i, 'Blue Widget ' || i, 'SKU-' || i, i, 'A widget that is very blue and does what widgets do, and nothing else at all.', 'blue', 'Berlin', 3
  FROM generate_series(1, 60) AS i;
-- Names that tell nothing.
CREATE TABLE misc (a text, b text, c text, d varchar(30), e text, f bigint);
INSERT INTO misc SELECT '4111 1111 1111 1111', '123-45-' || (1000 + i), 'status ' || i, 'u' || i || '@example.com', 'John Smith', i
  FROM generate_series(1, 60) AS i;
CREATE TABLE "Mitarbeiter" (nachname text, vorname text, geburtsdatum date, gehalt numeric, "kontonummer" text);
CREATE TABLE events (id int, payload json, at timestamptz, kind text) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO events SELECT i, '{"user": {"email": "a@example.org"}, "amount": 3}', '2026-05-01', 'click' FROM generate_series(1, 30) AS i;

SELECT table_name, column_name, json_path, category, round(confidence::numeric, 1) AS confidence, proposed_action
  FROM architect.discover_pii('{shop}');
-- No value is in any finding.
SELECT count(*) FROM architect.discover_pii('{shop}') AS f WHERE f::text ~ 'Garcia|example|Berlin|4111|10\.0';
SELECT count(*) FROM architect.privacy_finding AS f WHERE f::text ~ 'Garcia|example|Berlin|4111|10\.0';
SELECT table_name, column_name, evidence FROM architect.discover_pii('{shop}') WHERE column_name IN ('email', 'a');

-- A read-only transaction finds the same, and keeps nothing.
BEGIN READ ONLY;
SELECT count(*), count(finding_id) FROM architect.discover_pii('{shop}');
ROLLBACK;

-- Bad arguments; unknown schemas find nothing.
SELECT * FROM architect.discover_pii('{shop}', sample_rows => 0);
SELECT * FROM architect.discover_pii('{shop}', time_budget => '0');
SELECT * FROM architect.discover_pii('{shop}', min_confidence => 2);
SELECT count(*) FROM architect.discover_pii('{nowhere}');

-- Out of time: judged by names, and said.
SELECT count(*) > 5 AS some, bool_and('not read: out of time' = ANY (evidence)) AS said
  FROM architect.discover_pii('{shop}', time_budget => '1 microsecond');
SELECT count(*) > 0 AS again FROM architect.discover_pii('{shop}');

-- Attack: what the owner of a table attached to it must not run as the superuser who looks.
CREATE ROLE pii_owner;
CREATE SCHEMA trap AUTHORIZATION pii_owner;
SET ROLE pii_owner;
CREATE TABLE trap.log (who text);
CREATE FUNCTION trap.spy(text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trap.log VALUES (current_user);
    RETURN true;
EXCEPTION WHEN OTHERS THEN RETURN true;
END $$;
CREATE TABLE trap."a""b'; DROP TABLE trap.log; --" (email text, "x""y" text);
INSERT INTO trap."a""b'; DROP TABLE trap.log; --" SELECT 'a' || i || '@example.org', 'John Smith' FROM generate_series(1, 20) AS i;
ALTER TABLE trap."a""b'; DROP TABLE trap.log; --" ENABLE ROW LEVEL SECURITY;
ALTER TABLE trap."a""b'; DROP TABLE trap.log; --" FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON trap."a""b'; DROP TABLE trap.log; --" USING (trap.spy(email));
CREATE FUNCTION trap."left"(text, int) RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
RESET ROLE;
SET search_path = trap, public;
SELECT table_name, column_name, category FROM architect.discover_pii('{trap}');
SELECT who FROM trap.log WHERE who <> 'pii_owner';
SET search_path = shop;

-- Declaring what was found.
SELECT f.column_name, f.json_path, a.action, a.detail
  FROM architect.privacy_finding AS f CROSS JOIN LATERAL architect.accept_discovery(ARRAY[f.finding_id]) AS a
 WHERE f.table_name = 'customers' AND f.schema_name = 'shop' ORDER BY 1, 2;
SELECT column_name, json_path, category, action, source FROM architect.privacy_column WHERE schema_name = 'shop' AND table_name = 'customers' ORDER BY 1, 2;
SELECT * FROM architect.accept_discovery('{-1}');
-- Not by one who does not own the table.
GRANT USAGE ON SCHEMA architect TO pii_owner;
GRANT EXECUTE ON FUNCTION architect.accept_discovery, architect.discover_pii TO pii_owner;
SET ROLE pii_owner;
SELECT DISTINCT action FROM architect.accept_discovery(min_confidence => 0.9);
-- Nor are tables read that the caller may not read.
SELECT count(*) > 3 AS some, bool_and('not read: no privilege' = ANY (evidence)) AS by_name_only FROM architect.discover_pii('{shop}');
-- Nor those whose policies are another's: they would run as the caller.
RESET ROLE;
GRANT USAGE ON SCHEMA shop TO pii_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA shop TO pii_owner;
ALTER TABLE shop.customers ENABLE ROW LEVEL SECURITY;
SET ROLE pii_owner;
SELECT bool_and('not read: row-level security' = ANY (evidence)) AS by_name_only FROM architect.discover_pii('{shop}') WHERE table_name = 'customers';
RESET ROLE;
REVOKE ALL ON ALL TABLES IN SCHEMA shop FROM pii_owner;
REVOKE ALL ON SCHEMA shop FROM pii_owner;
DELETE FROM architect.privacy_finding;
DELETE FROM architect.privacy_column WHERE schema_name IN ('shop', 'trap');
DELETE FROM architect.privacy_decision;
DROP OWNED BY pii_owner;
DROP SCHEMA IF EXISTS trap CASCADE;
DROP ROLE pii_owner;
SET client_min_messages = warning;
DROP SCHEMA shop CASCADE;
