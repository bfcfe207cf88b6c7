-- Who writes to an audited table, and who owns it, can neither read nor change, forge nor suppress what
-- is recorded; nothing of the extension is there for everybody; nobody's objects are called in its stead.
SET client_min_messages = warning;
CREATE SCHEMA audit_privileges;
CREATE ROLE regress_priv_owner;
CREATE ROLE regress_priv_writer;
CREATE ROLE regress_priv_nobody;
CREATE ROLE regress_priv_reader;
CREATE ROLE regress_priv_operator;
GRANT ALL ON SCHEMA audit_privileges TO regress_priv_owner, regress_priv_operator;
GRANT USAGE ON SCHEMA audit_privileges TO regress_priv_writer;
SET search_path = audit_privileges;
CREATE TABLE t (id int PRIMARY KEY, a text, n int UNIQUE CHECK (n < 1000));
ALTER TABLE t OWNER TO regress_priv_owner;
GRANT ALL ON t TO regress_priv_writer;
SELECT action FROM architect.enable_audit('t');

-- Nothing is granted to everybody.
SELECT c.relname, a.privilege_type FROM pg_class AS c, aclexplode(c.relacl) AS a
 WHERE c.relnamespace = 'architect'::regnamespace AND a.grantee = 0;
-- The exceptions are trigger functions, which CREATE TABLE ... PARTITION OF by an owner without any
-- privilege needs; nobody can name them who has nothing in the schema, and called otherwise they fail.
SELECT p.oid::regprocedure FROM pg_proc AS p, aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) AS a
 WHERE p.pronamespace = 'architect'::regnamespace AND a.grantee = 0 ORDER BY p.proname;
SELECT a.privilege_type FROM pg_namespace AS n, aclexplode(n.nspacl) AS a WHERE n.nspname = 'architect' AND a.grantee = 0;
SELECT count(*) AS security_definer FROM pg_proc WHERE pronamespace = 'architect'::regnamespace AND prosecdef;
-- What is kept belongs to the extension's owner, not to the table's.
SELECT DISTINCT c.relowner = e.extowner AS owned_by_the_extensions_owner FROM pg_class AS c, pg_extension AS e
 WHERE c.relnamespace = 'architect'::regnamespace AND e.extname = 'db_architect';

-- The writer writes, and that is recorded; the log is out of reach.
SET ROLE regress_priv_writer;
INSERT INTO audit_privileges.t VALUES (1, 'x', 1);
UPDATE audit_privileges.t SET a = 'y';
\set VERBOSITY sqlstate
SELECT * FROM architect.audit_log;
SELECT * FROM architect.audit_entry;
INSERT INTO architect.audit_entry SELECT * FROM architect.audit_entry;
UPDATE architect.audit_entry SET image = '{}';
DELETE FROM architect.audit_entry;
TRUNCATE architect.audit_entry;
DROP TABLE architect.audit_entry;
SELECT nextval('architect.audit_id_seq');
SELECT architect.disable_audit('audit_privileges.t');
SELECT architect.architect_version();
RESET ROLE;
-- Neither does it help to reach the schema.
GRANT USAGE ON SCHEMA architect TO regress_priv_writer, regress_priv_owner;
SET ROLE regress_priv_writer;
SELECT * FROM architect.audit_log;
SELECT * FROM architect.audit_entry_default;
UPDATE architect.capture_context SET actor = 'me';
DELETE FROM architect.audit_table;
SELECT architect.enable_audit('audit_privileges.t');
SELECT architect.capture();
ALTER TABLE audit_privileges.t DISABLE TRIGGER ALL;
DROP TRIGGER "00_architect_capture" ON audit_privileges.t;
SET session_replication_role = replica;
CREATE TEMP TABLE mine (id int);
CREATE TRIGGER forge AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION architect.capture();
DROP TABLE mine;
RESET ROLE;
SET ROLE regress_priv_owner;
SELECT * FROM architect.audit_log;
DELETE FROM architect.audit_entry;
-- A trigger more makes no entry more, and none in another table's name.
CREATE TRIGGER twice AFTER INSERT ON audit_privileges.t FOR EACH ROW EXECUTE FUNCTION architect.capture('audit_privileges.other');
INSERT INTO audit_privileges.t VALUES (2, 'once', 2);
DELETE FROM audit_privileges.t WHERE id = 2;
DROP TRIGGER twice ON audit_privileges.t;
ALTER FUNCTION architect.capture() RENAME TO mine;
CREATE OR REPLACE FUNCTION architect.capture() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TABLE architect.mine (id int);
RESET ROLE;
\set VERBOSITY default
REVOKE USAGE ON SCHEMA architect FROM regress_priv_writer, regress_priv_owner;

-- The trigger function answers only to the trigger manager, and in its place.
SELECT architect.capture();
CREATE TABLE by_hand (id int PRIMARY KEY);
CREATE TRIGGER before_row BEFORE INSERT ON by_hand FOR EACH ROW EXECUTE FUNCTION architect.capture();
INSERT INTO by_hand VALUES (1);
DROP TRIGGER before_row ON by_hand;
CREATE TRIGGER after_statement AFTER INSERT ON by_hand FOR EACH STATEMENT EXECUTE FUNCTION architect.capture();
INSERT INTO by_hand VALUES (1);
DROP TRIGGER after_statement ON by_hand;
CREATE VIEW a_view AS SELECT 1 AS id;
CREATE TRIGGER instead INSTEAD OF INSERT ON a_view FOR EACH ROW EXECUTE FUNCTION architect.capture();
INSERT INTO a_view VALUES (1);
-- Attached by hand to a table nobody asked to audit it records nothing, and says so once.
CREATE TRIGGER after_row AFTER INSERT OR UPDATE ON by_hand FOR EACH ROW EXECUTE FUNCTION architect.capture();
INSERT INTO by_hand VALUES (1);
INSERT INTO by_hand VALUES (2);
SELECT count(*) FROM architect.audit_log WHERE schema_name = 'audit_privileges' AND table_name = 'by_hand';
-- A trigger's arguments and conditions cannot make an entry say what did not happen.
CREATE TRIGGER forged AFTER UPDATE ON t FOR EACH ROW WHEN (OLD.a IS DISTINCT FROM NEW.a) EXECUTE FUNCTION architect.capture('audit_privileges.other', 'I');
DROP TRIGGER forged ON t;

-- The owner can disable the trigger, which shows; what is in the log stays.
SET ROLE regress_priv_owner;
ALTER TABLE audit_privileges.t DISABLE TRIGGER "00_architect_capture";
UPDATE audit_privileges.t SET a = 'unseen';
RESET ROLE;
SELECT table_name, status, code FROM architect.audit_coverage() WHERE table_name = 'audit_privileges.t';
ALTER TABLE t ENABLE TRIGGER "00_architect_capture";
SELECT operation, new_values FROM architect.audit_log WHERE schema_name = 'audit_privileges' ORDER BY audit_id;

-- The owner of an audited partitioned table, who has no privilege here, can make partitions, which are
-- recorded, and take them off.
CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
ALTER TABLE parts OWNER TO regress_priv_owner;
SELECT action FROM architect.enable_audit('parts');
SET ROLE regress_priv_owner;
CREATE TABLE audit_privileges.parts1 PARTITION OF audit_privileges.parts FOR VALUES FROM (0) TO (10);
CREATE TABLE audit_privileges.parts2 (id int PRIMARY KEY);
ALTER TABLE audit_privileges.parts ATTACH PARTITION audit_privileges.parts2 FOR VALUES FROM (10) TO (20);
INSERT INTO audit_privileges.parts VALUES (1), (11);
TRUNCATE audit_privileges.parts2;
ALTER TABLE audit_privileges.parts DETACH PARTITION audit_privileges.parts2;
ALTER TABLE audit_privileges.parts RENAME COLUMN id TO key;
INSERT INTO audit_privileges.parts VALUES (2);
ALTER TABLE audit_privileges.parts RENAME TO parts_renamed;
INSERT INTO audit_privileges.parts_renamed VALUES (3);
DROP TABLE audit_privileges.parts1;
RESET ROLE;
SELECT table_name, partition_name, operation, row_key FROM architect.audit_log WHERE schema_name = 'audit_privileges' AND table_name LIKE 'parts%' ORDER BY audit_id;

-- An owner who was given access switches audit on and off for what is his, and reads nothing by that.
SELECT count(*) > 0 AS granted FROM architect.grant_access('regress_priv_operator', 'operator');
SELECT count(*) > 0 AS granted FROM architect.grant_access('regress_priv_reader', 'reader');
SET ROLE regress_priv_operator;
CREATE TABLE audit_privileges.own (id int PRIMARY KEY, a int);
SELECT action FROM architect.enable_audit('audit_privileges.own');
INSERT INTO audit_privileges.own VALUES (1, 1);
\set VERBOSITY sqlstate
SELECT architect.enable_audit('audit_privileges.t');
SELECT architect.disable_audit('audit_privileges.t');
SELECT architect.enable_audit('pg_catalog.pg_authid');
INSERT INTO architect.audit_entry SELECT * FROM architect.audit_entry;
DELETE FROM architect.audit_entry;
UPDATE architect.audit_table SET enabled = false;
UPDATE architect.capture_relation SET table_name = 'x';
RESET ROLE;
SET ROLE regress_priv_reader;
SELECT count(*) FROM architect.audit_log WHERE schema_name = 'audit_privileges' AND table_name = 'own';
DELETE FROM architect.audit_log;
DELETE FROM architect.audit_entry;
SELECT architect.disable_audit('audit_privileges.own');
RESET ROLE;
\set VERBOSITY default
SELECT count(*) > 0 AS revoked FROM architect.revoke_access('regress_priv_reader');
SELECT count(*) > 0 AS revoked FROM architect.revoke_access('regress_priv_operator');
SELECT c.relname FROM pg_class AS c, aclexplode(c.relacl) AS a WHERE c.relnamespace = 'architect'::regnamespace AND a.grantee::regrole::text LIKE 'regress_priv%';

-- Objects in the way of search_path are never called.
CREATE SCHEMA audit_trap;
GRANT ALL ON SCHEMA audit_trap TO PUBLIC;
SET search_path = audit_trap, audit_privileges, pg_catalog;
CREATE FUNCTION audit_trap.trap(anyelement, anyelement) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trapped''; END';
CREATE FUNCTION audit_trap.trap_int(int, int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trapped''; END';
CREATE FUNCTION audit_trap.trap_text(text, text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trapped''; END';
CREATE OPERATOR audit_trap.= (LEFTARG = anyelement, RIGHTARG = anyelement, FUNCTION = audit_trap.trap);
CREATE OPERATOR audit_trap.= (LEFTARG = int, RIGHTARG = int, FUNCTION = audit_trap.trap_int);
CREATE OPERATOR audit_trap.<> (LEFTARG = anyelement, RIGHTARG = anyelement, FUNCTION = audit_trap.trap);
CREATE OPERATOR audit_trap.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = audit_trap.trap_text);
CREATE FUNCTION audit_trap.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trapped''; END';
CREATE FUNCTION audit_trap.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trapped''; END';
CREATE FUNCTION audit_trap.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trapped''; END';
CREATE FUNCTION audit_trap.json_object_keys(json) RETURNS SETOF text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trapped''; END';
CREATE FUNCTION audit_trap.now() RETURNS timestamptz LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trapped''; END';
CREATE DOMAIN audit_trap.text AS pg_catalog.text CHECK (VALUE IS NULL);
CREATE DOMAIN audit_trap.jsonb AS pg_catalog.jsonb CHECK (VALUE IS NULL);
CREATE DOMAIN audit_trap.int4 AS pg_catalog.int4 CHECK (VALUE IS NULL);
CREATE TABLE audit_trap.pg_class (oid oid);
CREATE TABLE audit_trap.pg_trigger (oid oid);
CREATE TABLE audit_trap.audit_entry (id int);
CREATE TABLE audit_privileges.trapped (id pg_catalog.int4 PRIMARY KEY, a pg_catalog.text, r regclass, d pg_catalog.timestamptz[]) PARTITION BY LIST (id);
CREATE TABLE audit_privileges.trapped1 PARTITION OF trapped FOR VALUES IN (1);
SELECT action FROM architect.enable_audit('trapped', exclude => '{d}');
SELECT action FROM architect.enable_audit('trapped', image => 'full');
SET architect.context = '{}';
INSERT INTO trapped VALUES (1, 'x', 'trapped', '{2000-01-01}');
UPDATE trapped SET a = 'y';
DELETE FROM trapped;
TRUNCATE trapped;
RESET architect.context;
SELECT status, code FROM architect.audit_coverage() WHERE table_name OPERATOR(pg_catalog.=) 'audit_privileges.trapped';
SELECT action FROM architect.disable_audit('trapped');
SELECT pg_catalog.count(*) FROM architect.audit_log WHERE table_name OPERATOR(pg_catalog.=) 'trapped';
RESET search_path;
DROP SCHEMA audit_trap CASCADE;
SET search_path = audit_privileges;

-- An error in a table that is audited says which constraint, table and schema it was.
CREATE TABLE other (id int PRIMARY KEY, a text);
SELECT action FROM architect.enable_audit('other');
CREATE FUNCTION nested() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit_privileges.other VALUES (NEW.id, NEW.a); RETURN NULL; END $$;
CREATE TRIGGER nested AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION nested();
INSERT INTO other VALUES (9, 'x');
CREATE FUNCTION diagnose(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE s text; t text; c text; k text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS s = SCHEMA_NAME, t = TABLE_NAME, c = CONSTRAINT_NAME, k = COLUMN_NAME;
    RETURN concat_ws(' ', SQLSTATE, s, t, c, k);
END $$;
SELECT diagnose('UPDATE t SET n = 5000');
SELECT diagnose('INSERT INTO t VALUES (1, ''dup'', 2)');
SELECT diagnose('INSERT INTO t VALUES (2, ''dup'', 1)');
SELECT diagnose('INSERT INTO t VALUES (NULL, ''null'', 3)');
SELECT diagnose('INSERT INTO t VALUES (9, ''nested'', 9)');
ALTER TABLE other ADD CONSTRAINT refers FOREIGN KEY (id) REFERENCES t DEFERRABLE INITIALLY IMMEDIATE NOT VALID;
SELECT diagnose('INSERT INTO other VALUES (77, ''x'')');
SELECT diagnose('UPDATE t SET id = 10 WHERE id = 9; DELETE FROM t');

DROP SCHEMA audit_privileges CASCADE;
DROP ROLE regress_priv_owner, regress_priv_writer, regress_priv_nobody, regress_priv_reader, regress_priv_operator;
