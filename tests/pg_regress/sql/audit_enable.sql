-- enable_audit and disable_audit: what they say, twice, with other options, and on what cannot be audited.
CREATE SCHEMA enabling;
SET search_path = enabling;
CREATE TABLE plain (id int PRIMARY KEY, v text, secret text);
SELECT * FROM architect.enable_audit('plain', exclude => '{secret}');
SELECT * FROM architect.enable_audit('plain', exclude => '{secret}');
SELECT * FROM architect.enable_audit('plain', image => 'full', operations => '{update,DELETE}');
INSERT INTO plain VALUES (1, 'a', 's');
UPDATE plain SET v = 'b';
TRUNCATE plain;
SELECT operation, row_key, old_values, new_values, changed_columns FROM architect.audit_log WHERE schema_name = 'enabling' ORDER BY audit_id;
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'plain'::regclass ORDER BY 1;
ALTER TABLE plain DISABLE TRIGGER USER;
SELECT * FROM architect.enable_audit('plain', image => 'full', operations => '{update,delete}');
SELECT * FROM architect.disable_audit('plain');
SELECT * FROM architect.disable_audit('plain');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'plain'::regclass;

-- Enabled again, the table has the history it had.
SELECT action FROM architect.enable_audit('plain');
SELECT count(DISTINCT table_id) FROM architect.audit_table WHERE schema_name = 'enabling' AND table_name = 'plain';

-- Nothing is half done.
CREATE VIEW a_view AS SELECT 1 AS id;
CREATE TEMP TABLE a_temp (id int);
CREATE SEQUENCE a_sequence;
CREATE MATERIALIZED VIEW a_matview AS SELECT 1 AS id;
CREATE FUNCTION attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE message text; detail text; hint text; state text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, state = RETURNED_SQLSTATE;
    RETURN concat_ws(' | ', state, message, nullif(detail, ''), nullif(hint, ''));
END $$;
SELECT regexp_replace(attempt(format('SELECT architect.enable_audit(%L)', name)), 'pg_temp_\d+', 'pg_temp', 'g') AS attempt
  FROM unnest(ARRAY['a_view', 'a_temp', 'a_sequence', 'a_matview', 'pg_class', 'architect.audit_table']) AS name;
SELECT attempt($$SELECT architect.enable_audit('plain', exclude => '{nope}')$$);
SELECT attempt($$SELECT architect.enable_audit('plain', columns => '{id}', exclude => '{v}')$$);
SELECT attempt($$SELECT architect.enable_audit('plain', operations => '{merge}')$$);
SELECT attempt($$SELECT architect.enable_audit('plain', image => 'half')$$);
SELECT attempt($$SELECT architect.enable_audit('plain', on_error => 'ignore')$$);
CREATE ROLE enabling_stranger;
GRANT USAGE ON SCHEMA enabling, architect TO enabling_stranger;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA architect TO enabling_stranger;
SET ROLE enabling_stranger;
SELECT enabling.attempt($$SELECT architect.enable_audit('enabling.plain')$$);
RESET ROLE;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA architect FROM enabling_stranger;
REVOKE ALL ON SCHEMA enabling, architect FROM enabling_stranger;
DROP ROLE enabling_stranger;

-- A hostile name is a name.
CREATE TABLE "a""b'; DROP TABLE plain; --" ("id""'" int PRIMARY KEY, "v\x" text);
SELECT * FROM architect.enable_audit('"a""b''; DROP TABLE plain; --"', columns => ARRAY['v\x']);
INSERT INTO "a""b'; DROP TABLE plain; --" VALUES (1, 'x');
SELECT table_name, row_key, new_values FROM architect.audit_log WHERE table_name LIKE 'a"b%';
SELECT * FROM architect.audit_coverage() WHERE table_name LIKE '%a""b%';
SELECT action FROM architect.disable_audit('"a""b''; DROP TABLE plain; --"');

-- A partition belongs to its table.
CREATE TABLE parted (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
SELECT * FROM architect.enable_audit('parted_1');
SELECT * FROM architect.enable_audit('parted');
SELECT * FROM architect.enable_audit('parted_1');
SELECT * FROM architect.disable_audit('parted_1');
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgrelid IN ('parted'::regclass, 'parted_1'::regclass) ORDER BY 1, 2;
SELECT * FROM architect.disable_audit('parted');
SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('parted'::regclass, 'parted_1'::regclass);

SET client_min_messages = warning;
DROP SCHEMA enabling CASCADE;
UPDATE architect.audit_table SET enabled = false WHERE schema_name = 'enabling';
