-- grant_access: what each level can do, and that none can touch the log.
CREATE ROLE access_reader;
CREATE ROLE access_operator;
CREATE SCHEMA accessing AUTHORIZATION access_operator;
SET client_min_messages = warning;
SELECT count(*) > 0 AS granted FROM architect.grant_access('access_reader');
SELECT count(*) > 0 AS granted FROM architect.grant_access('access_operator', 'operator');
SELECT architect.grant_access('access_reader', 'owner');
SELECT architect.grant_access('public');

SET ROLE access_operator;
CREATE TABLE accessing.mine (id int PRIMARY KEY, v text);
SELECT action FROM architect.enable_audit('accessing.mine');
INSERT INTO accessing.mine VALUES (1, 'x');
SELECT operation, row_key, session_role = session_user AS session, set_role, current_role_name FROM architect.audit_log WHERE table_name = 'mine';
DELETE FROM architect.audit_log;
DELETE FROM architect.audit_entry;
INSERT INTO architect.capture_context (context_id) VALUES (1);
UPDATE architect.audit_table SET enabled = false;
TRUNCATE architect.audit_entry;
SELECT nextval('architect.audit_id_seq');
SELECT architect.grant_access('access_operator', 'admin');
RESET ROLE;

SET ROLE access_reader;
SELECT count(*) FROM architect.audit_log WHERE table_name = 'mine';
SELECT status FROM architect.audit_coverage() WHERE table_name = 'accessing.mine';
SELECT * FROM architect.audit_entry;
SELECT architect.disable_audit('accessing.mine');
RESET ROLE;

-- PUBLIC has nothing but the trigger functions, which CREATE TABLE ... PARTITION OF asks for: no function, no table, no view, no sequence, no schema.
SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace = 'architect'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE') ORDER BY p.proname;
SELECT c.oid::regclass FROM pg_class c, aclexplode(c.relacl) a WHERE relnamespace = 'architect'::regnamespace AND a.grantee = 0;
SELECT has_schema_privilege('public', 'architect', 'USAGE') AS usage;

SELECT count(*) > 0 AS revoked FROM architect.revoke_access('access_operator');
SELECT count(*) > 0 AS revoked FROM architect.revoke_access('access_reader');
DROP SCHEMA accessing CASCADE;
UPDATE architect.audit_table SET enabled = false WHERE schema_name = 'accessing';
DROP ROLE access_reader;
DROP ROLE access_operator;
