-- Protects: a superuser erases rows of a table whose owner is hostile. Nothing of the owner's runs with the
-- superuser's rights, then or at the end of the transaction; nothing it says reaches the caller.
\set VERBOSITY default
\pset format unaligned
\pset footer off
SET client_min_messages = warning;
CREATE ROLE regress_mallory LOGIN;
CREATE SCHEMA mallory AUTHORIZATION regress_mallory;
SET SESSION AUTHORIZATION regress_mallory;
SET search_path = mallory;
CREATE TABLE person (id int PRIMARY KEY, email text UNIQUE, name text NOT NULL);
CREATE TABLE child (id int PRIMARY KEY, person_id int REFERENCES person ON DELETE CASCADE, secret text);
CREATE TABLE seen (who text, session_who text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO mallory.seen VALUES (current_user, session_user); RETURN COALESCE(OLD, NEW); END $$;
RESET SESSION AUTHORIZATION;
SET search_path = mallory;
CREATE FUNCTION pg_temp.fresh() RETURNS void LANGUAGE sql AS $$
    DELETE FROM mallory.seen; DELETE FROM mallory.child; DELETE FROM mallory.person;
    INSERT INTO mallory.person VALUES (1, 'sentinel@example.org', 'Sen Tinel'), (2, 'b@example.org', 'B');
    INSERT INTO mallory.child VALUES (1, 1, 'sentinel@example.org'), (2, 2, 'x'); $$;
CREATE FUNCTION pg_temp.erase() RETURNS TABLE (object_name text, action text, rows_affected bigint) LANGUAGE sql AS $$
    SELECT object_name, action, rows_affected FROM architect.erase_subject('mallory', '1', dry_run => false,
        expected_plan => (SELECT plan_hash FROM architect.plan_erasure('mallory', '1') LIMIT 1)) $$;
SELECT pg_temp.fresh();
SELECT action FROM architect.declare_subject('mallory', 'person', identity_columns => '{email,name}');

\echo attack: a trigger that runs as the caller
CREATE TRIGGER note BEFORE DELETE ON child FOR EACH ROW EXECUTE FUNCTION note();
SELECT * FROM pg_temp.erase();
SELECT * FROM seen;
DROP TRIGGER note ON child;

\echo attack: a trigger that makes its owner a superuser
SELECT pg_temp.fresh();
CREATE FUNCTION climb() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN EXECUTE 'ALTER ROLE regress_mallory SUPERUSER'; RETURN OLD; END $$;
CREATE TRIGGER climb BEFORE DELETE ON child FOR EACH ROW EXECUTE FUNCTION climb();
SELECT * FROM pg_temp.erase();
SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_mallory';
SELECT count(*) FROM child;
DROP TRIGGER climb ON child;

\echo attack: a trigger that takes back the role of the caller
CREATE FUNCTION back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RESET ROLE; RESET SESSION AUTHORIZATION; RETURN OLD; END $$;
CREATE TRIGGER back BEFORE DELETE ON child FOR EACH ROW EXECUTE FUNCTION back();
SELECT * FROM pg_temp.erase();
DROP TRIGGER back ON child;

\echo attack: a trigger that leaves a temporary table for later
CREATE FUNCTION litter() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE pg_class_trap (x int); RETURN OLD; END $$;
CREATE TRIGGER litter BEFORE DELETE ON child FOR EACH ROW EXECUTE FUNCTION litter();
SELECT * FROM pg_temp.erase();
DROP TRIGGER litter ON child;

\echo attack: a deferred trigger, which would run as whoever commits
CREATE CONSTRAINT TRIGGER later AFTER DELETE ON child DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
BEGIN;
SELECT * FROM pg_temp.erase();
COMMIT;
SELECT * FROM seen;

\echo attack: a trigger that defers others again
ALTER TABLE child DISABLE TRIGGER later;
SELECT pg_temp.fresh();
ALTER TABLE child ENABLE TRIGGER later;
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN SET CONSTRAINTS ALL DEFERRED; DELETE FROM mallory.child WHERE id = 2; RETURN NULL; END $$;
DELETE FROM seen;
CREATE TRIGGER again AFTER DELETE ON child FOR EACH ROW WHEN (pg_trigger_depth() < 1) EXECUTE FUNCTION again();
BEGIN;
SELECT * FROM pg_temp.erase();
COMMIT;
SELECT who FROM seen;
DROP TRIGGER again ON child;
DROP TRIGGER later ON child;

\echo attack: an error that tells what the row holds
SELECT pg_temp.fresh();
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'look: %', OLD.secret USING DETAIL = OLD.secret, HINT = OLD.secret; END $$;
CREATE TRIGGER tell BEFORE DELETE ON child FOR EACH ROW EXECUTE FUNCTION tell();
SELECT * FROM pg_temp.erase();
DROP TRIGGER tell ON child;
-- A CHECK that the replacement does not pass names the row, in PostgreSQL's own words.
SELECT action FROM architect.declare_edge('mallory', 'child', '{person_id}', 'person', on_erase => 'mask');
ALTER TABLE child ADD CONSTRAINT not_null_please CHECK (secret IS NOT NULL);
SELECT * FROM pg_temp.erase();
ALTER TABLE child DROP CONSTRAINT not_null_please;
SELECT action FROM architect.undeclare_edge((SELECT edge_id FROM architect.privacy_edges('mallory')));

\echo attack: a trigger that keeps the rows, and says nothing
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep BEFORE DELETE ON child FOR EACH ROW EXECUTE FUNCTION keep();
SELECT * FROM pg_temp.erase();
SELECT count(*) FROM person;
DROP TRIGGER keep ON child;

\echo attack: operators and functions in a schema on the caller search_path
CREATE FUNCTION mallory.always(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO mallory.seen VALUES ('operator', current_user); RETURN true; END $$;
CREATE OPERATOR mallory.= (LEFTARG = text, RIGHTARG = text, FUNCTION = mallory.always);
CREATE FUNCTION mallory.lower(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO mallory.seen VALUES ('lower', current_user); RETURN ''; END $$;
DELETE FROM seen;
SET search_path = mallory, pg_catalog;
SELECT * FROM pg_temp.erase();
SELECT * FROM seen;
RESET search_path;

\echo attack: a trigger that changes the settings of the session
CREATE FUNCTION mallory.settle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM set_config('search_path', 'mallory, pg_catalog', false); PERFORM set_config('row_security', 'off', true);
      PERFORM set_config('work_mem', '77MB', false); RETURN OLD; END $$;
CREATE TRIGGER settle BEFORE DELETE ON mallory.child FOR EACH ROW EXECUTE FUNCTION mallory.settle();
SELECT count(*) FROM pg_temp.fresh();
SHOW search_path;
SELECT set_config('search_path', '"$user", public', false), set_config('work_mem', '4MB', false);
BEGIN;
SELECT * FROM pg_temp.erase();
SHOW search_path;
SHOW row_security;
SHOW work_mem;
COMMIT;
SHOW search_path;
SHOW work_mem;
RESET search_path;
RESET work_mem;
DROP TRIGGER settle ON mallory.child;

\echo attack: names that are SQL
SET SESSION AUTHORIZATION regress_mallory;
CREATE TABLE mallory."p"";DROP TABLE x;--" ("id'" int PRIMARY KEY, "e""mail" text, "värde üßer 名前" text NOT NULL UNIQUE);
CREATE TABLE mallory."c'"";" ("ref"";" int REFERENCES mallory."p"";DROP TABLE x;--", "j'" jsonb);
INSERT INTO mallory."p"";DROP TABLE x;--" VALUES (1, 'sentinel@example.org', 'sentinel'), (2, 'b', 'c');
INSERT INTO mallory."c'"";" VALUES (1, '{"a": 1}'), (2, '{}');
RESET SESSION AUTHORIZATION;
SELECT action FROM architect.declare_subject('q''";', 'mallory."p"";DROP TABLE x;--"', on_erase => 'mask');
SELECT action FROM architect.declare_edge('q''";', 'mallory."c''"";"', ARRAY['ref";'], 'mallory."p"";DROP TABLE x;--"');
SELECT object_name, action, columns, rows_affected FROM architect.erase_subject('q''";', '1', dry_run => false,
    expected_plan => (SELECT plan_hash FROM architect.plan_erasure('q''";', '1') LIMIT 1));
SELECT "id'", "e""mail", left("värde üßer 名前", 7) FROM mallory."p"";DROP TABLE x;--" ORDER BY 1;
SELECT * FROM mallory."c'"";";

\echo attack: row-level security that hides rows from the owner
ALTER TABLE mallory.child ENABLE ROW LEVEL SECURITY;
ALTER TABLE mallory.child FORCE ROW LEVEL SECURITY;
SELECT object_name, action, blocker FROM architect.plan_erasure('mallory', '2');
ALTER TABLE mallory.child NO FORCE ROW LEVEL SECURITY;
-- Policies alone do not concern the owner.
SELECT object_name, action, rows FROM architect.plan_erasure('mallory', '2');

\echo attack: somebody who may call erases what is not his
CREATE ROLE regress_operator;
SELECT count(*) > 0 AS granted FROM architect.grant_access('regress_operator', 'operator');
SET ROLE regress_operator;
SELECT object_name, action, blocker FROM architect.plan_erasure('mallory', '2');
SELECT * FROM architect.erase_subject('mallory', '2', expected_plan => 'x', dry_run => false);
SELECT architect.export_subject('mallory', '2');
SELECT * FROM architect.data_deletion_log;
SELECT secret FROM architect.privacy_setting;

\echo attack: somebody who may call takes a subject type for a table of his own
RESET ROLE;
CREATE SCHEMA takeover AUTHORIZATION regress_operator;
SET ROLE regress_operator;
CREATE TABLE takeover.person (id int PRIMARY KEY, email text);
SELECT * FROM architect.declare_subject('mallory', 'takeover.person');
SELECT * FROM architect.undeclare_subject('mallory');

\echo attack: the hold on somebody is lifted, and what was verified is replaced
RESET ROLE;
SELECT architect.place_hold('litigation', 'mallory', '2') AS hold, architect.place_hold('inquiry', table_name => 'mallory.child') AS table_hold,
       architect.open_request('erase', 'mallory', '2') AS request \gset
SET ROLE regress_operator;
\set VERBOSITY terse
SELECT architect.lift_hold(:hold);
SELECT architect.lift_hold(:table_hold);
SELECT architect.place_hold('mine', 'mallory', '2');
SELECT architect.open_request('erase', 'mallory', '2');
SELECT * FROM architect.verify_erasure(:request);
RESET ROLE;
SELECT count(*) AS active FROM architect.privacy_hold WHERE lifted_at IS NULL;
SELECT architect.lift_hold(:hold), architect.lift_hold(:table_hold);
-- A table that is gone cannot be asked who owns it.
SET ROLE regress_operator;
SELECT action FROM architect.declare_subject('taken', 'takeover.person');
DROP TABLE takeover.person;
SELECT * FROM architect.undeclare_subject('taken');
RESET ROLE;
SELECT action FROM architect.undeclare_subject('taken');
DROP SCHEMA takeover;

\echo attack: casts that run as whoever counts
SET SESSION AUTHORIZATION regress_mallory;
CREATE TYPE mallory.mood AS ENUM ('good');
CREATE FUNCTION mallory.spy(mallory.mood) RETURNS json LANGUAGE plpgsql AS $$
BEGIN INSERT INTO mallory.seen VALUES (current_user, 'cast'); RETURN '"seen"'; END $$;
CREATE CAST (mallory.mood AS json) WITH FUNCTION mallory.spy(mallory.mood);
CREATE TABLE mallory.moods (m mallory.mood, s text);
INSERT INTO mallory.moods VALUES ('good', 'a');
CREATE VIEW mallory.moods_view AS SELECT * FROM mallory.moods;
DELETE FROM mallory.seen;
RESET SESSION AUTHORIZATION;
SELECT * FROM architect.k_anonymity('mallory.moods', '{m}', 2);
SELECT * FROM architect.l_diversity('mallory.moods', 's', '{m}', 2);
SELECT * FROM architect.k_anonymity('mallory.moods_view', '{s}', 2);
SELECT DISTINCT who FROM mallory.seen;
\set VERBOSITY default

\echo nobody of this key was ever here: the request stays open
SELECT architect.open_request('erase', 'mallory', '999') AS request \gset
SELECT object_name, action, rows_affected FROM architect.erase_subject('mallory', '999', dry_run => false, request_id => :request,
    expected_plan => (SELECT plan_hash FROM architect.plan_erasure('mallory', '999') LIMIT 1));
SELECT status FROM architect.privacy_requests() WHERE request_id = :request;

\echo retention heeds holds and needs the rights of the owner
CREATE SCHEMA kept;
CREATE TABLE kept.cust (id int PRIMARY KEY, email text, left_on date);
CREATE TABLE kept.file (id int PRIMARY KEY, cust_id int REFERENCES kept.cust, note text, made date);
CREATE TABLE kept.login (id int PRIMARY KEY, ip text, at date);
CREATE TABLE kept.session (id int PRIMARY KEY, login_id int REFERENCES kept.login ON DELETE CASCADE);
INSERT INTO kept.cust SELECT i, 'p' || i || '@example.org', '2000-01-01' FROM generate_series(1, 3) AS i;
INSERT INTO kept.file VALUES (1, 1, 'n', '2000-01-01');
INSERT INTO kept.login VALUES (1, '::1', '2000-01-01');
INSERT INTO kept.session VALUES (1, 1);
SELECT action FROM architect.declare_subject('cust', 'kept.cust');
SELECT action FROM architect.declare_column('kept.cust', 'email', 'email', action => 'null', retention => '1 year', retention_from => 'left_on');
SELECT action FROM architect.declare_column('kept.file', 'note', 'name', action => 'null', retention => '1 year', retention_from => 'made');
SELECT action FROM architect.declare_column('kept.login', 'ip', 'ip_address', action => 'delete_row', retention => '1 year', retention_from => 'at');
-- Numbers that do not depend on other tests.
ALTER TABLE architect.privacy_hold ALTER hold_id RESTART WITH 7001;
SELECT architect.place_hold('litigation', 'cust', '2') AS hold, architect.place_hold('inquiry', table_name => 'kept.session') AS table_hold \gset
SET client_min_messages = notice;
SET ROLE regress_operator;
CALL architect.retention_run(dry_run => false);
RESET ROLE;
SELECT count(*) FROM kept.cust WHERE email IS NULL;
SELECT * FROM architect.retention_due();
CALL architect.retention_run(dry_run => false);
SELECT id, email FROM kept.cust ORDER BY id;
SELECT (SELECT count(*) FROM kept.file WHERE note IS NOT NULL) AS notes, (SELECT count(*) FROM kept.session) AS sessions;
SELECT architect.lift_hold(:hold), architect.lift_hold(:table_hold);
CALL architect.retention_run(dry_run => false);
SELECT (SELECT count(*) FROM kept.cust WHERE email IS NOT NULL) AS emails, (SELECT count(*) FROM kept.file WHERE note IS NOT NULL) AS notes,
       (SELECT count(*) FROM kept.session) AS sessions;
SET client_min_messages = warning;
SELECT action FROM architect.undeclare_column('kept.cust', 'email');
SELECT action FROM architect.undeclare_column('kept.file', 'note');
SELECT action FROM architect.undeclare_column('kept.login', 'ip');
SELECT action FROM architect.undeclare_subject('cust');
DROP SCHEMA kept CASCADE;

SELECT count(*) > 0 AS revoked FROM architect.revoke_access('regress_operator');
SELECT action FROM architect.undeclare_subject('mallory');
SELECT action FROM architect.undeclare_subject('q''";');
DROP SCHEMA mallory CASCADE;
DROP ROLE regress_mallory;
DROP ROLE regress_operator;
