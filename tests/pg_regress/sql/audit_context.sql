-- Who, for which request and why is recorded with every change, and never made up.
SET client_min_messages = warning;
CREATE SCHEMA capture_context;
SET search_path = capture_context;
CREATE ROLE regress_context_writer;
CREATE ROLE regress_context_definer;
GRANT USAGE ON SCHEMA capture_context TO regress_context_writer, regress_context_definer;
CREATE TABLE t (id int PRIMARY KEY, a int);
GRANT ALL ON t TO regress_context_writer, regress_context_definer;
INSERT INTO t VALUES (1, 0);
SELECT action FROM architect.enable_audit('t');
CREATE VIEW log AS
    SELECT audit_id, new_values -> 'a' AS a, actor, correlation_id, context,
           NULLIF(session_role, current_user) AS session_role, NULLIF(set_role, current_user) AS set_role, NULLIF(current_role_name, current_user) AS current_role_name,
           application_name, client_addr, backend_pid = pg_backend_pid() AS mine
      FROM architect.audit_log WHERE schema_name = 'capture_context';

-- Settings made before the library is loaded in the session count.
\c -
SET search_path = capture_context;
SET client_min_messages = warning;
SET architect.actor = 'set before';
SET application_name = 'audit test';
BEGIN;
SET LOCAL architect.correlation_id = 'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11';
SET LOCAL architect.context = '{"why": ["because", 1.50, null], "é": "\u00e9"}';
UPDATE t SET a = 1;
COMMIT;
-- After the transaction its settings are gone, the session's are not.
UPDATE t SET a = 2;
RESET architect.actor;
UPDATE t SET a = 3;
SET architect.actor = '';
SET architect.correlation_id = '';
SET architect.context = '';
UPDATE t SET a = 4;
RESET ALL;
SET search_path = capture_context;
SET client_min_messages = warning;
SELECT set_config('architect.actor', 'é "quoted" \ % {0}', false);
UPDATE t SET a = 5;
RESET architect.actor;
SET application_name = 'another';
UPDATE t SET a = 6;
-- A savepoint's settings go with it.
BEGIN;
SET LOCAL architect.actor = 'outer';
SAVEPOINT s;
SET LOCAL architect.actor = 'inner';
UPDATE t SET a = 7;
ROLLBACK TO s;
UPDATE t SET a = 8;
COMMIT;
-- A function's own setting holds while it runs.
CREATE FUNCTION job() RETURNS void LANGUAGE sql SET architect.actor = 'job' AS 'UPDATE capture_context.t SET a = 9';
SELECT job();
UPDATE t SET a = 10;
SELECT a, actor, correlation_id, context, application_name, client_addr, mine FROM log WHERE application_name ~ 'a' AND audit_id > 0 ORDER BY audit_id;

-- The same settings are stored once.
SELECT count(DISTINCT e.context_id) AS contexts, count(*) AS entries
  FROM architect.audit_entry AS e JOIN architect.capture_context AS c USING (context_id) JOIN architect.capture_relation AS r USING (relation_id)
 WHERE r.schema_name = 'capture_context' AND c.actor IS NULL AND c.application_name = 'another';

-- What cannot be recorded as it is is an error when a change is made, not before and not dropped.
SET architect.correlation_id = 'not a uuid';
SELECT 1 AS reading_is_fine;
UPDATE t SET a = 11;
UPDATE t SET a = a;
SET architect.correlation_id = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 ';
UPDATE t SET a = 11;
RESET architect.correlation_id;
SET architect.context = '{"a": 1';
UPDATE t SET a = 11;
SET architect.context = '{"a": "\u0000"}';
UPDATE t SET a = 11;
SET architect.context = '{"a": 1e999999}';
UPDATE t SET a = 11;
SET architect.context = 'word';
SET client_min_messages = notice;
DO $$
DECLARE detail text; hint text;
BEGIN
    UPDATE capture_context.t SET a = 11;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RAISE NOTICE 'state % | % | %', SQLSTATE, detail, hint;
END $$;
SET client_min_messages = warning;
SET architect.context = 'null';
UPDATE t SET a = 12;
SET architect.context = '"just text"';
UPDATE t SET a = 13;
RESET architect.context;
SET architect.unknown = 'x';
SELECT a, context, jsonb_typeof(context) FROM log WHERE a::int >= 11 ORDER BY audit_id;

-- Roles: of the session, as SET ROLE chose, and in force.
CREATE FUNCTION as_definer() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'UPDATE capture_context.t SET a = 22';
ALTER FUNCTION as_definer() OWNER TO regress_context_definer;
GRANT EXECUTE ON FUNCTION as_definer() TO regress_context_writer;
UPDATE t SET a = 20;
SET ROLE regress_context_writer;
UPDATE t SET a = 21;
SELECT as_definer();
UPDATE t SET a = 23;
RESET ROLE;
SET SESSION AUTHORIZATION regress_context_writer;
UPDATE t SET a = 24;
SELECT as_definer();
RESET SESSION AUTHORIZATION;
SELECT a, session_role, set_role, current_role_name FROM log WHERE a::int >= 20 ORDER BY audit_id;

-- Tables that may only be changed with a context.
CREATE TABLE strict (id int PRIMARY KEY, a int);
SELECT action FROM architect.enable_audit('strict', require_context => true);
INSERT INTO strict VALUES (1, 1);
TRUNCATE strict;
SET architect.context = '{"is": "not enough"}';
INSERT INTO strict VALUES (1, 1);
RESET architect.context;
SET architect.actor = '';
INSERT INTO strict VALUES (1, 1);
SET architect.actor = 'somebody';
INSERT INTO strict VALUES (1, 1);
RESET architect.actor;
-- A statement that changes no row, and one that changes no value, need none.
UPDATE strict SET a = 5 WHERE id = 2;
UPDATE strict SET a = 1;
BEGIN;
SET LOCAL architect.correlation_id = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11';
UPDATE strict SET a = 2;
TRUNCATE strict;
COMMIT;
INSERT INTO strict VALUES (2, 2);
SELECT operation, actor, correlation_id FROM architect.audit_log WHERE schema_name = 'capture_context' AND table_name = 'strict' ORDER BY audit_id;
TABLE strict;
SELECT action FROM architect.enable_audit('strict');
INSERT INTO strict VALUES (2, 2);

DROP SCHEMA capture_context CASCADE;
DROP ROLE regress_context_writer, regress_context_definer;
