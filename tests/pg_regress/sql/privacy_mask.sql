-- Static masking: every action, keys, partitions, refusals, batches, views; and what a hostile owner can do about it.
\set SHOW_CONTEXT never
CREATE SCHEMA m;
SET search_path = m;
CREATE TABLE person (
    id bigint PRIMARY KEY, email text UNIQUE NOT NULL, name varchar(40), phone text, born date, zip text, salary numeric(10,2),
    ip inet, login varchar(30), secret bytea, score int, seen timestamptz, tag uuid, note text, "we""ird" text,
    profile jsonb, upper_name text GENERATED ALWAYS AS (pg_catalog.upper(name)) STORED);
CREATE FUNCTION fill(n int) RETURNS void LANGUAGE sql AS $$
    TRUNCATE m.person CASCADE;
    INSERT INTO m.person (id, email, name, phone, born, zip, salary, ip, login, secret, score, seen, tag, note, "we""ird", profile)
    SELECT i, 'user' || i || '@example.org', 'Maria Garcia ' || i, '+49 30 ' || (1000000 + i), date '1950-01-15' + i, (10000 + i)::text, 1000 + i,
           inet '192.168.1.0' + i, 'login' || i, decode(lpad(i::text, 6, '0'), 'hex'), i, '2026-01-15 12:34:56+00', pg_catalog.gen_random_uuid(),
           'note ' || i, 'w' || i, jsonb_build_object('mail', 'x' || i || '@example.org', 'theme', 'dark', 'deep', jsonb_build_object('name', 'Maria', 'n', 3))
      FROM generate_series(1, n) AS i;
$$;
SELECT fill(300);

-- Nothing is declared, nothing is done.
SELECT * FROM architect.anonymize_table('person');
-- Every action, given for this once; first only planned.
SELECT column_name, action, status, detail FROM architect.anonymize_table('person', rules => '{
    "email": {"action": "pseudonym", "category": "email"}, "name": {"action": "pseudonym", "category": "person_name"},
    "phone": {"action": "pseudonym", "category": "phone"}, "born": {"action": "generalise", "params": {"unit": "year"}},
    "zip": {"action": "partial", "params": {"prefix": 2, "mask": "*"}}, "salary": {"action": "generalise", "params": {"step": 100}},
    "ip": {"action": "generalise", "params": {"bits": 24}}, "login": "hash", "secret": "random", "score": "shuffle",
    "seen": {"action": "noise", "params": {"interval": "10 days"}}, "tag": "pseudonym", "note": "null",
    "we\"ird": {"action": "constant", "params": {"value": "it''s"}}}', dry_run => true);
SELECT count(*) FROM person WHERE email LIKE 'user%';
CREATE TABLE before AS TABLE person;
SELECT column_name, status, detail FROM architect.anonymize_table('person', rules => '{
    "email": {"action": "pseudonym", "category": "email"}, "name": {"action": "pseudonym", "category": "person_name"},
    "phone": {"action": "pseudonym", "category": "phone"}, "born": {"action": "generalise", "params": {"unit": "year"}},
    "zip": {"action": "partial", "params": {"prefix": 2, "mask": "*"}}, "salary": {"action": "generalise", "params": {"step": 100}},
    "ip": {"action": "generalise", "params": {"bits": 24}}, "login": "hash", "secret": "random", "score": "shuffle",
    "seen": {"action": "noise", "params": {"interval": "10 days"}}, "tag": "pseudonym", "note": "null",
    "we\"ird": {"action": "constant", "params": {"value": "it''s"}}}') WHERE column_name IS NULL;
SELECT count(*) AS rows, count(DISTINCT p.email) AS emails, bool_and(p.email LIKE '%@masked.invalid') AS masked,
       count(*) FILTER (WHERE p.name = b.name OR p.phone = b.phone OR p.login = b.login OR p.tag = b.tag OR p.secret = b.secret) AS kept,
       bool_and(p.phone ~ '^\+\d\d \d\d \d{7}$') AS phones, count(DISTINCT p.phone) AS different, bool_and(p.born = date_trunc('year', b.born)) AS years,
       bool_and(p.zip = left(b.zip, 2) || '***') AS zips, bool_and(p.salary = floor(b.salary / 100) * 100) AS salaries,
       bool_and(p.ip = '192.168.1.0/24' OR p.ip = '192.168.2.0/24') AS nets, bool_and(length(p.login) = 30) AS hashes,
       bool_and(p.note IS NULL AND p."we""ird" = 'it''s') AS constants, bool_and(abs(extract(epoch FROM p.seen - b.seen)) <= 864000) AS noise,
       bool_and(p.upper_name = upper(p.name)) AS generated
  FROM person AS p JOIN before AS b USING (id);
-- Shuffled: the same values, in other rows.
SELECT (SELECT sum(score) FROM person) = (SELECT sum(score) FROM before) AS same_values,
       count(*) FILTER (WHERE p.score <> b.score) > 200 AS moved FROM person AS p JOIN before AS b USING (id);

-- The same value becomes the same pseudonym, also in another table and another run.
SELECT fill(3);
CREATE TEMP TABLE first_run AS SELECT id, email FROM person;
SELECT FROM architect.anonymize_table('person', rules => '{"email": {"action": "pseudonym", "category": "email"}}');
CREATE TEMP TABLE one AS SELECT id, email FROM person;
SELECT fill(3);
SELECT FROM architect.anonymize_table('person', rules => '{"email": {"action": "pseudonym", "category": "email"}}');
SELECT count(*) FROM one JOIN person USING (id, email);

-- Refusals: nothing is masked, and why is said.
CREATE TABLE ref (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, person_id bigint REFERENCES person, email text, small varchar(4) UNIQUE, CHECK (email <> 'x'));
INSERT INTO ref (person_id, email, small) SELECT id, email, id::text FROM person;
SELECT column_name, action, status, detail FROM architect.anonymize_table('person', rules =>
    '{"id": "pseudonym", "email": "null", "upper_name": "null", "nowhere": "null", "score": "partial", "born": "pseudonym", "name": "delete_row", "tag": {"action": "constant", "params": {"value": "x"}}}');
SELECT column_name, action, status, detail FROM architect.anonymize_table('ref', rules =>
    '{"id": "pseudonym", "person_id": "random", "small": "hash"}');
SELECT * FROM architect.anonymize_table('person', rules => '{"email": {"action": "sql"}}');
SELECT * FROM architect.anonymize_table('person', rules => '["email"]');
SELECT * FROM architect.anonymize_table('person', '{nowhere}', '{"email": "pseudonym"}');
-- Errors show no values.
CREATE TABLE conflict (a text UNIQUE, b text);
INSERT INTO conflict VALUES ('ada@example.org', 'x'), ('bob@example.org', 'y');
SELECT * FROM architect.anonymize_table('conflict', rules => '{"a": {"action": "partial", "params": {"prefix": 0}}}');
CREATE UNIQUE INDEX ON conflict (upper(b));
SELECT * FROM architect.anonymize_table('conflict', rules => '{"b": {"action": "constant", "params": {"value": "same"}}}');
SELECT * FROM architect.anonymize_table('ref', rules => '{"email": {"action": "constant", "params": {"value": "x"}}}');
SELECT * FROM conflict;

-- Declared rules, json paths, two tables with a foreign key between pseudonyms, partitions; in batches.
SELECT fill(2000);
INSERT INTO ref (person_id, email, small) SELECT id, email, right(id::text, 4) FROM person;
CREATE TABLE visit (person_id bigint NOT NULL, at date NOT NULL, email text) PARTITION BY RANGE (at);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE visit_2 (email text, gone int, at date NOT NULL, person_id bigint NOT NULL);
ALTER TABLE visit_2 DROP COLUMN gone;
ALTER TABLE visit ATTACH PARTITION visit_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
ALTER TABLE visit ADD FOREIGN KEY (person_id) REFERENCES person ON DELETE CASCADE;
INSERT INTO visit SELECT id, date '2026-01-01' + (id % 50)::int, email FROM person;
SELECT action FROM architect.declare_column('person', 'id', 'customer_number', 'pseudonym');
SELECT action FROM architect.declare_column('ref', 'person_id', 'customer_number', 'pseudonym');
SELECT action FROM architect.declare_column('person', 'email', 'email', 'pseudonym', '{"domain": "mail"}');
SELECT action FROM architect.declare_column('ref', 'email', 'email', 'pseudonym', '{"domain": "mail"}');
SELECT action FROM architect.declare_column('visit', 'email', 'email', 'pseudonym', '{"domain": "mail"}');
SELECT action FROM architect.declare_column('person', 'profile', 'email', 'pseudonym', json_path => '{mail}');
SELECT action FROM architect.declare_column('person', 'profile', 'person_name', 'constant', '{"value": "-"}', json_path => '{deep,name}');
SELECT action FROM architect.declare_column('person', 'profile', 'person_name', 'null', json_path => '{not,there}');
-- One side is missing.
CALL architect.mask_database();
SELECT action FROM architect.declare_column('visit', 'person_id', 'customer_number', 'pseudonym');
DROP TABLE before;
CREATE TABLE before AS SELECT p.id, p.email, p.profile, r.id AS ref_id, v.at FROM person AS p JOIN ref AS r ON r.person_id = p.id JOIN visit AS v ON v.person_id = p.id;
CALL architect.mask_database(dry_run => true);
CALL architect.mask_database(batch_pages => 7);
SELECT table_name, status, pages_done = pages AS complete, rows_masked FROM architect.mask_progress();
SELECT count(*) AS rows, count(DISTINCT p.id) AS ids, bool_and(p.email = r.email AND p.email = v.email) AS consistent,
       count(*) FILTER (WHERE EXISTS (SELECT FROM before AS b WHERE b.email = p.email)) AS unmasked,
       bool_and(p.profile ->> 'mail' LIKE '%@masked.invalid' AND p.profile #>> '{deep,name}' = '-' AND p.profile ->> 'theme' = 'dark' AND NOT p.profile ? 'not') AS json
  FROM person AS p JOIN ref AS r ON r.person_id = p.id JOIN visit AS v ON v.person_id = p.id;
-- Each row was masked once, not twice: the pseudonym of a known row.
SELECT count(DISTINCT p.id) FROM person AS p JOIN ref AS r ON r.person_id = p.id JOIN before AS b ON b.ref_id = r.id
 WHERE p.profile ->> 'mail' IS DISTINCT FROM b.profile ->> 'mail';
SELECT conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'm'::regnamespace AND conparentid = 0 ORDER BY 1, 2;
BEGIN;
CALL architect.mask_database();
ROLLBACK;

-- An audited table: its log keeps the values. Refused, unless told; so is one that was audited once.
CREATE TABLE audited (id int PRIMARY KEY, a text);
INSERT INTO audited VALUES (1, 'x');
SELECT action FROM architect.enable_audit('audited');
SELECT status FROM architect.anonymize_table('audited', rules => '{"a": "null"}');
UPDATE audited SET a = 'y';
SELECT count(*) > 0 AS done FROM architect.disable_audit('audited');
SELECT status FROM architect.anonymize_table('audited', rules => '{"a": "null"}');
SELECT status FROM architect.anonymize_table('audited', rules => '{"a": "null"}', keep_logs => true);

-- k-anonymity and l-diversity.
CREATE TABLE cohort (zip text, age int, illness text);
INSERT INTO cohort VALUES ('10', 30, 'flu'), ('10', 30, 'flu'), ('10', 30, 'flu'), ('20', 40, 'flu'), ('20', 40, 'cold'), ('30', 50, 'cold'), (NULL, 50, 'flu');
SELECT * FROM architect.k_anonymity('cohort', '{zip,age}', 3);
SELECT * FROM architect.l_diversity('cohort', 'illness', '{zip,age}', 2);
SELECT * FROM architect.k_anonymity('cohort');
SELECT * FROM architect.k_anonymity('cohort', '{nowhere}');
SELECT * FROM architect.k_anonymity('cohort', '{zip}', 0);
ALTER TABLE cohort RENAME age TO "a""ge', null) FROM (SELECT 1) x; --";
SELECT * FROM architect.k_anonymity('cohort', ARRAY['a"ge'', null) FROM (SELECT 1) x; --'], 3);

-- A masked view.
CREATE ROLE mask_analyst;
CREATE ROLE mask_owner;
SELECT fill(3);
SELECT action FROM architect.declare_column('person', 'zip', 'postal_code', 'partial', '{"prefix": 2}');
SELECT action FROM architect.declare_column('person', 'born', 'birth_date', 'generalise', '{"unit": "year"}');
SELECT action FROM architect.declare_column('person', 'note', 'free_text', 'constant', '{"value": "$1::pg_catalog.text '' || current_user || ''"}');
SELECT * FROM architect.masked_view('person', 'mask_analyst');
SELECT * FROM architect.masked_view('person', 'mask_analyst');
SELECT * FROM architect.masked_view('person', 'nobody_here');
SELECT * FROM architect.masked_view('cohort');
GRANT USAGE ON SCHEMA m TO mask_analyst;
SET ROLE mask_analyst;
SELECT id, email, zip, born, note, profile, salary FROM m.person_masked ORDER BY salary;
SELECT * FROM m.person;
RESET ROLE;
SELECT reloptions FROM pg_class WHERE relname = 'person_masked';

-- Attack: the owner of a table must not get the caller's rights, nor pseudonyms of values of their choice.
CREATE SCHEMA o AUTHORIZATION mask_owner;
SET ROLE mask_owner;
CREATE TABLE o.log (who text, what text);
CREATE TABLE o.t (a text, b int);
INSERT INTO o.t VALUES ('x', 1), ('y', 2);
CREATE FUNCTION o.spy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO o.log VALUES (current_user, NULL);
    BEGIN
        PERFORM architect.mask_text(0, 0, 'x');
    EXCEPTION WHEN OTHERS THEN INSERT INTO o.log VALUES (current_user, SQLERRM);
    END;
    BEGIN
        EXECUTE 'RESET ROLE';
    EXCEPTION WHEN OTHERS THEN INSERT INTO o.log VALUES (current_user, SQLERRM);
    END;
    RETURN new;
END $$;
CREATE TRIGGER spy BEFORE UPDATE ON o.t FOR EACH ROW EXECUTE FUNCTION o.spy();
RESET ROLE;
SELECT status, detail FROM architect.anonymize_table('o.t', rules => '{"a": "pseudonym"}');
SELECT DISTINCT who, what FROM o.log ORDER BY 2;
-- Nor does a row hidden by row-level security stay behind unseen.
SET ROLE mask_owner;
ALTER TABLE o.t ENABLE ROW LEVEL SECURITY;
ALTER TABLE o.t FORCE ROW LEVEL SECURITY;
RESET ROLE;
SELECT status, detail FROM architect.anonymize_table('o.t', rules => '{"a": "null"}');
-- Only the owner's table.
GRANT USAGE ON SCHEMA architect TO mask_owner;
GRANT EXECUTE ON FUNCTION architect.anonymize_table TO mask_owner;
GRANT ALL ON ALL TABLES IN SCHEMA m TO mask_owner;
GRANT USAGE ON SCHEMA m TO mask_owner;
SET ROLE mask_owner;
SELECT * FROM architect.anonymize_table('m.person', rules => '{"note": "null"}');
SELECT architect.mask_text(1, 0, 'x');
SELECT architect.mask_integer(1, 0, 7);
RESET ROLE;

-- The same value becomes the same pseudonym in columns of one category, in json too.
CREATE TABLE m.contact (mail varchar(60) UNIQUE);
CREATE TABLE m.letter (sender text, doc jsonb);
INSERT INTO m.contact SELECT 'k' || i || '@x.org' FROM generate_series(1, 9) AS i;
INSERT INTO m.letter SELECT mail, jsonb_build_object('to', mail) FROM m.contact;
SELECT count(*) FROM architect.declare_column('m.contact', 'mail', 'email', 'pseudonym') AS a, architect.declare_column('m.letter', 'sender', 'email', 'pseudonym') AS b,
    architect.declare_column('m.letter', 'doc', 'email', 'pseudonym', json_path => '{to}') AS c;
CALL architect.mask_database('{m.contact,m.letter}');
SELECT count(*), count(DISTINCT mail), count(*) FILTER (WHERE mail ~ 'x.org') AS left_over FROM m.contact JOIN m.letter ON sender = mail AND doc ->> 'to' = mail;

SET client_min_messages = warning;
DROP OWNED BY mask_owner, mask_analyst;
DROP SCHEMA IF EXISTS o CASCADE;
DROP SCHEMA m CASCADE;
DROP ROLE mask_owner, mask_analyst;
DELETE FROM architect.privacy_mask_run;
DELETE FROM architect.privacy_column WHERE schema_name = 'm';
DELETE FROM architect.privacy_decision;
