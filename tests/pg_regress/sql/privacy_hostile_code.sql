-- Protects: whatever a table's owner hangs on a table (function in an index, a CHECK, a domain, a generated column, a default, a policy,
-- statistics, a rule, a cast, an operator) runs as the owner, never as the superuser who erases, exports, verifies, masks or
-- looks for personal data; a masked view shows its masks only, to leaky functions and operators too; four eyes are two
-- persons; values are in no message, keys in no setting.
\set VERBOSITY default
\pset format unaligned
\pset footer off
SET client_min_messages = warning;
CREATE ROLE regress_hostile;
CREATE SCHEMA hostile AUTHORIZATION regress_hostile;
SET ROLE regress_hostile;
SET search_path = hostile;
-- Whoever runs this is noted, by sequences: they may be counted up where nothing may be written, and keep it after a rollback.
SELECT format('CREATE SEQUENCE %s_%s', who, what) FROM unnest('{owner,other}'::text[]) AS who,
    unnest('{domain,cast,operator,check,generated,default,index,predicate,statistics,set_default,policy,rule}'::text[]) AS what \gexec
CREATE FUNCTION spy(what text, value anyelement) RETURNS anyelement IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN PERFORM nextval(('hostile.' || CASE current_user WHEN 'regress_hostile' THEN 'owner_' ELSE 'other_' END || what)::regclass); RETURN value; END $$;
CREATE DOMAIN watched AS text CHECK (hostile.spy('domain', true));
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE FUNCTION mood_text(mood) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN hostile.spy('cast', 'good'::text); END $$;
CREATE CAST (mood AS text) WITH FUNCTION mood_text(mood) AS ASSIGNMENT;
CREATE FUNCTION leak(text, text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RETURN hostile.spy('operator', true); END $$;
CREATE OPERATOR = (LEFTARG = watched, RIGHTARG = text, FUNCTION = leak);
CREATE TABLE person (id int PRIMARY KEY, email text NOT NULL UNIQUE CHECK (hostile.spy('check', true) AND length(email) > 3), name watched, mood mood DEFAULT 'good',
    upper text GENERATED ALWAYS AS (hostile.spy('generated', upper(name))) STORED, note text DEFAULT hostile.spy('default', 'n'::text), born date);
CREATE INDEX ON person (hostile.spy('index', name::text));
CREATE INDEX ON person (id) WHERE hostile.spy('predicate', true);
CREATE STATISTICS person_stat ON (hostile.spy('statistics', note)), email FROM person;
CREATE TABLE child (id int PRIMARY KEY, person_id int DEFAULT hostile.spy('set_default', 0) REFERENCES person ON DELETE SET DEFAULT, mood mood, words text);
CREATE INDEX ON child (person_id);
CREATE RULE tell AS ON DELETE TO child DO ALSO SELECT hostile.spy('rule', 1);
ALTER TABLE person ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON person USING (hostile.spy('policy', true));
INSERT INTO person (id, email, name) SELECT i, 'person' || i || '@x.org', 'Person ' || i FROM generate_series(0, 30) AS i;
INSERT INTO child SELECT i, i, 'bad', 'of Person ' || i FROM generate_series(1, 30) AS i;
ANALYZE person;
RESET ROLE;
CREATE FUNCTION pg_temp.ran() RETURNS TABLE (who text, what text) LANGUAGE sql AS $$
    SELECT split_part(sequencename, '_', 1), string_agg(substr(sequencename, 7), ', ' ORDER BY sequencename) FROM pg_sequences WHERE schemaname = 'hostile' AND last_value IS NOT NULL GROUP BY 1 $$;
CREATE FUNCTION pg_temp.forget() RETURNS bigint LANGUAGE sql AS $$ SELECT count(setval(format('hostile.%I', sequencename), 1, false)) FROM pg_sequences WHERE schemaname = 'hostile' $$;
SELECT action FROM architect.declare_subject('hostile', 'person', identity_columns => '{email,name}');
SELECT action FROM architect.declare_edge('hostile', 'child', '{person_id}', 'person');
SELECT pg_temp.forget();

\echo attack: functions in index, CHECK, domain, generated column, default, predicate, statistics, policy, cast, operator and rule, while erasing
SELECT object_name, action, rows FROM architect.plan_erasure('hostile', '1') ORDER BY step LIMIT 1;
SELECT * FROM pg_temp.ran();
SELECT count(*) FROM architect.erase_subject('hostile', '1', dry_run => false);
SELECT * FROM pg_temp.ran();
ALTER TABLE person ADD COLUMN stays int;
SELECT action FROM architect.declare_subject('hostile', 'person', identity_columns => '{email,name}', on_erase => 'mask');
SELECT max(request_id) AS request FROM architect.erase_subject('hostile', '2', dry_run => false) \gset
SELECT * FROM pg_temp.ran();

SELECT count(*) FROM (SELECT pg_temp.forget()) AS f;
\echo attack: the same, while exporting, verifying, counting and looking for personal data
SELECT count(*) FROM architect.export_subject('hostile', '3');
SELECT count(*) > 0 AS verified FROM architect.verify_erasure(:request);
SELECT count(*) > 0 AS found FROM architect.discover_pii('{hostile}');
SELECT count(*) FROM architect.k_anonymity('person', '{note,mood}', 2);
SELECT count(*) FROM architect.l_diversity('person', 'mood', '{note}', 2);
SELECT count(*) > 0 AS gaps FROM architect.coverage('hostile');
SELECT * FROM pg_temp.ran();

SELECT count(*) FROM (SELECT pg_temp.forget()) AS f;
\echo attack: the same, while masking by updates, in batches and anew, and while retention runs
SELECT count(*) > 0 AS masked FROM architect.anonymize_table('person', rules => '{"note": "null", "email": {"action": "pseudonym", "category": "email"}}');
SELECT action FROM architect.declare_column('child', 'words', 'free_text', 'constant', '{"value": "-"}');
CALL architect.mask_database('{hostile.child}');
SELECT count(*) > 0 AS masked FROM architect.anonymize_table('child', rewrite => true);
SELECT action FROM architect.declare_column('person', 'note', 'free_text', 'null', retention => '1 day', retention_from => 'born');
CALL architect.retention_run(dry_run => false);
SELECT * FROM pg_temp.ran();
SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_hostile';

\echo attack: messages that hold values, while masking and counting
SET ROLE regress_hostile;
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'look: %', OLD USING DETAIL = OLD.email, ERRCODE = TG_ARGV[0]; END $$;
CREATE FUNCTION shout(person) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'look: %', $1; END $$;
CREATE FUNCTION mood_json(mood) RETURNS json LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'look: %', $1; END $$;
CREATE CAST (mood AS json) WITH FUNCTION mood_json(mood);
CREATE TRIGGER shout BEFORE UPDATE ON person FOR EACH ROW EXECUTE FUNCTION shout('P0001');
RESET ROLE;
SELECT * FROM architect.anonymize_table('person', rules => '{"note": "null"}');
DROP TRIGGER shout ON person;
CREATE TRIGGER shout BEFORE UPDATE ON person FOR EACH ROW EXECUTE FUNCTION shout('23505');
SELECT * FROM architect.anonymize_table('person', rules => '{"note": "null"}');
DROP TRIGGER shout ON person;
SELECT * FROM architect.k_anonymity('person', '{mood}', 2);
SELECT * FROM architect.l_diversity('person', 'note', '{mood}', 20);

\echo attack: leaky functions and operators on a masked view
CREATE ROLE regress_analyst;
CREATE SCHEMA clear; SET search_path = clear;
CREATE TABLE patient (id int PRIMARY KEY, name text, zip text);
INSERT INTO patient VALUES (1, 'Sentinel Secret', '10115'), (2, 'Other Secret', '10117');
SELECT count(*) FROM architect.declare_column('patient', 'name', 'name', 'null') AS a, architect.declare_column('patient', 'zip', 'postal_code', 'partial', '{"prefix": 2}') AS b;
SELECT action FROM architect.masked_view('patient', 'regress_analyst');
GRANT USAGE ON SCHEMA clear TO regress_analyst;
CREATE SCHEMA analyst AUTHORIZATION regress_analyst;
SET ROLE regress_analyst;
CREATE TABLE analyst.heard (what text);
CREATE FUNCTION analyst.listen(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN INSERT INTO analyst.heard VALUES ($1); RETURN true; END $$;
CREATE FUNCTION analyst.listen(text, text) RETURNS boolean LANGUAGE sql COST 0.0000001 AS $$ SELECT analyst.listen($1) $$;
CREATE OPERATOR analyst.<~> (LEFTARG = text, RIGHTARG = text, FUNCTION = analyst.listen);
SELECT count(*) FROM clear.patient_masked WHERE analyst.listen(name) AND analyst.listen(zip) AND zip OPERATOR(analyst.<~>) 'x' AND analyst.listen(patient_masked::text);
SELECT count(*) FROM clear.patient_masked WHERE 1 / (CASE WHEN name ~ 'Secret' THEN 0 ELSE 1 END) = 1;
SELECT DISTINCT what FROM analyst.heard ORDER BY 1;
SELECT count(*) FROM pg_stats WHERE schemaname = 'clear';
SELECT * FROM clear.patient;
INSERT INTO clear.patient_masked VALUES (3);
RESET ROLE;

\echo attack: one person with four eyes
SELECT action FROM architect.declare_subject('patient', 'patient', identity_columns => '{name}');
SELECT architect.set_privacy_rules(four_eyes => true);
SELECT architect.open_request('erase', 'patient', '1') AS request \gset
SELECT plan_hash AS plan FROM architect.plan_erasure('patient', '1') LIMIT 1 \gset
SELECT * FROM architect.erase_subject('patient', '1', expected_plan => :'plan', dry_run => false);
SELECT architect.approve_request(:request, :'plan');
SELECT * FROM architect.erase_subject('patient', '1', request_id => :request, expected_plan => :'plan', dry_run => false);
CREATE ROLE regress_second SUPERUSER;
SET ROLE regress_second;
SELECT architect.approve_request(:request, :'plan');
RESET ROLE;
SELECT * FROM architect.erase_subject('patient', '1', request_id => :request, dry_run => false);
SET SESSION AUTHORIZATION regress_second;
SELECT architect.approve_request(:request, :'plan');
RESET SESSION AUTHORIZATION;
\set VERBOSITY sqlstate
SELECT * FROM architect.erase_subject('patient', '2', request_id => :request, dry_run => false);
\set VERBOSITY default
ALTER TABLE patient ADD COLUMN later text;
INSERT INTO patient VALUES (1001, 'x', 'y', 'z');
CREATE TABLE visit (patient_id int REFERENCES patient ON DELETE CASCADE, note text);
INSERT INTO visit VALUES (1, 'new since');
SELECT * FROM architect.erase_subject('patient', '1', request_id => :request, allow_scans => true, dry_run => false);
DROP TABLE visit;
SELECT object_name, action, rows_affected FROM architect.erase_subject('patient', '1', request_id => :request, dry_run => false);
SELECT architect.set_privacy_rules(four_eyes => false);

\echo attack: a key in a setting, an argument, a message or a table that others read
SELECT name, setting FROM pg_settings WHERE name LIKE '%architect%' AND setting ~ '[0-9a-f]{32}';
SELECT proname FROM pg_proc WHERE pronamespace = 'architect'::regnamespace AND proargnames && '{key_bytes,master_key,secret,secret_key,password}'::text[];
SELECT table_name, grantee, privilege_type FROM information_schema.table_privileges
 WHERE table_schema = 'architect' AND table_name IN ('privacy_setting', 'privacy_key') AND grantee NOT IN (SELECT tableowner FROM pg_tables WHERE schemaname = 'architect');
SELECT count(*) FROM architect.privacy_decision AS d WHERE d::text ~ 'Sentinel Secret|person1@x.org';

SELECT action FROM architect.undeclare_subject('patient');
SELECT action FROM architect.undeclare_subject('hostile');
SELECT count(*) FROM architect.privacy_columns() AS c, architect.undeclare_column(format('%I.%I', c.schema_name, c.table_name)::regclass, c.column_name) WHERE c.schema_name IN ('clear', 'hostile');
DROP SCHEMA hostile, analyst, clear CASCADE;
DELETE FROM architect.privacy_mask_run;
DELETE FROM architect.privacy_tombstone WHERE subject_type IN ('hostile', 'patient');
DROP ROLE regress_hostile, regress_analyst, regress_second;
