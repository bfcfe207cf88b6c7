-- Protects the keeping of the log: months made ahead, no change refused for want of a partition, rows
-- moved out of the default partition, retention by the month that a sealed log knows to be lawful.
-- In a database of its own, because it is about the whole log.
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_architect_keeping;
\c regress_architect_keeping
SET client_min_messages = warning;
CREATE EXTENSION db_architect;
CREATE TABLE t (id int PRIMARY KEY, v text);

-- Without a log there is nothing to do, and nothing fails.
CALL architect.run_maintenance();
SELECT * FROM architect.maintenance_log() WHERE step LIKE 'audit%';
SELECT failed_steps, overdue, schedule FROM architect.maintenance_status();

SELECT action FROM architect.enable_audit('t');
CREATE FUNCTION this_month(ahead int) RETURNS timestamptz LANGUAGE sql
    RETURN (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead)) AT TIME ZONE 'UTC';
-- Months by their distance from this one, whatever month it is.
CREATE VIEW months AS
    SELECT row_number() OVER (ORDER BY c.relname) - 1 AS month,
           c.relname = to_char(this_month((row_number() OVER (ORDER BY c.relname))::int - 1) AT TIME ZONE 'UTC', '"audit_entry_p"YYYY_MM') AS named,
           pg_get_expr(c.relpartbound, c.oid) = format('FOR VALUES FROM (%L) TO (%L)',
               this_month((row_number() OVER (ORDER BY c.relname))::int - 1), this_month((row_number() OVER (ORDER BY c.relname))::int)) AS bounded
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'architect.audit_entry'::regclass AND c.relname <> 'audit_entry_default';
SELECT * FROM months;
SELECT * FROM architect.partition_policies();
-- Restored under another owner's name it is followed all the same.
UPDATE architect.partition_policy SET owner_name = 'somebody';
SELECT architect.set_audit_months_ahead(5);
SELECT architect.set_audit_months_ahead(5);
SELECT action, count(*) FROM architect.partition_plan('architect.audit_entry') GROUP BY 1;
CALL architect.run_maintenance();
SELECT step, action FROM architect.maintenance_log() WHERE step = 'partitions';
-- The bounds do not depend on the session's settings.
SET timezone = 'Asia/Kathmandu';
SET datestyle = 'SQL, DMY';
SELECT architect.set_audit_months_ahead(7);
CALL architect.run_maintenance();
RESET datestyle;
SELECT * FROM months;
RESET timezone;
-- A partition is open to nobody, whatever default privileges say.
CREATE ROLE regress_keeping_reader;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO regress_keeping_reader, PUBLIC;
SELECT architect.set_audit_months_ahead(8);
CALL architect.run_maintenance();
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM regress_keeping_reader, PUBLIC;
SELECT count(*) AS readable FROM pg_class c CROSS JOIN aclexplode(c.relacl) a
 WHERE c.relname LIKE 'audit_entry%' AND a.grantee <> c.relowner;

-- No partition for this month: changes are recorded all the same, and the next run has it taken over.
SELECT to_char(now() AT TIME ZONE 'UTC', '"audit_entry_p"YYYY_MM') AS current_month \gset
DROP TABLE architect.:"current_month";
INSERT INTO t VALUES (1, 'a'), (2, 'b');
SELECT tableoid::regclass, count(*) FROM architect.audit_entry GROUP BY 1;
CALL architect.run_maintenance();
SELECT step, regexp_replace(object_name, '\d', 'n', 'g') AS object_name, action, detail FROM architect.maintenance_log() WHERE step = 'partitions';
SELECT conname FROM pg_constraint WHERE conrelid = 'architect.audit_entry_default'::regclass AND contype = 'c';
INSERT INTO t VALUES (3, 'c');
SELECT count(*) FROM architect.audit_log;

-- Rows of other months in the default partition go where they belong; nothing is lost or changed.
INSERT INTO architect.audit_entry
SELECT '2020-01-31 23:59:59.999999+00'::timestamptz + make_interval(months => i / 10), audit_id + 1000 + i, txid, context_id, relation_id,
       statement, key_hash, operation, row_key, image
  FROM architect.audit_entry, generate_series(0, 29) i WHERE row_key = '1';
CREATE TABLE before AS SELECT * FROM architect.audit_entry;
CALL architect.run_maintenance();
SELECT object_name, action, detail FROM architect.maintenance_log() WHERE step = 'partitions';
SELECT count(*) AS differences FROM (
    (SELECT to_jsonb(e) FROM architect.audit_entry e EXCEPT ALL SELECT to_jsonb(b) FROM before b)
    UNION ALL (SELECT to_jsonb(b) FROM before b EXCEPT ALL SELECT to_jsonb(e) FROM architect.audit_entry e)) d;
SELECT tableoid::regclass, count(*) FROM architect.audit_entry WHERE changed_at < '2021-01-01' GROUP BY 1 ORDER BY 1;

-- Retention. What is not sealed stays where the log is sealed; what goes leaves the log verifiable.
SELECT architect.set_audit_retention('1 hour');
SELECT architect.set_audit_retention('1 year', action => 'burn');
SELECT architect.set_audit_retention('1 year');
-- Whatever else runs in this cluster may hold a seal back for a moment.
CREATE PROCEDURE seal() LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        EXIT WHEN (SELECT s.held_back_by IS NULL FROM architect.seal_audit_log() s);
        COMMIT;
        PERFORM pg_sleep(0.05);
    END LOOP;
END $$;
CALL seal();
BEGIN;
SELECT 1 AS prepared FROM pg_current_xact_id();
PREPARE TRANSACTION 'regress_keeping';
INSERT INTO architect.audit_entry
SELECT '2020-02-15+00', audit_id + 5000, pg_current_xact_id(), context_id, relation_id, statement, key_hash, operation, row_key, image
  FROM architect.audit_entry WHERE row_key = '2';
SELECT held_back_by LIKE 'prepared transaction ''regress_keeping'' of role % in database regress_architect_keeping, prepared at %' AS held_back
  FROM architect.seal_audit_log();
CALL architect.run_maintenance();
SELECT object_name, action, detail FROM architect.maintenance_log() WHERE step = 'partitions';
SELECT severity, code FROM architect.verify_audit_log();
ROLLBACK PREPARED 'regress_keeping';
CALL seal();
SELECT architect.set_audit_retention('1 year', action => 'detach');
CALL architect.run_maintenance();
SELECT object_name, action, detail FROM architect.maintenance_log() WHERE step = 'partitions';
SELECT count(*) AS detached FROM architect.audit_entry_p2020_02;
SELECT severity, code FROM architect.verify_audit_log();
SELECT kind, retired_from, detail FROM architect.audit_seal WHERE kind = 'retire' ORDER BY seal_id;
-- A dropped month is not an excuse for another, nor for something put in its place.
BEGIN;
DELETE FROM architect.audit_entry WHERE row_key = '3';
SELECT severity, code FROM architect.verify_audit_log();
ROLLBACK;
BEGIN;
INSERT INTO architect.audit_entry SELECT * FROM architect.audit_entry_p2020_02 LIMIT 1;
SELECT severity, code FROM architect.verify_audit_log();
ROLLBACK;
BEGIN;
UPDATE architect.audit_seal SET retired_to = now() WHERE kind = 'retire';
DELETE FROM architect.audit_entry;
SELECT DISTINCT severity, code FROM architect.verify_audit_log() ORDER BY code;
ROLLBACK;
-- A month that does not verify is evidence, and stays.
SELECT architect.set_audit_retention(NULL);
INSERT INTO architect.audit_entry
SELECT this_month(-14) + make_interval(secs => i), audit_id + 9000 + i, pg_current_xact_id(), context_id, relation_id, statement, key_hash, operation, row_key, image
  FROM architect.audit_entry, generate_series(0, 1) i WHERE row_key = '2';
INSERT INTO t VALUES (4, 'd');
CALL seal();
UPDATE architect.audit_entry SET image = '{}' WHERE changed_at = this_month(-14);
SELECT architect.set_audit_retention('1 year');
SET client_min_messages = error;
CALL architect.run_maintenance();
CALL architect.run_maintenance();
SELECT action, regexp_replace(detail, 'Chunk .*', 'Chunk ...') AS detail FROM architect.maintenance_log() WHERE step = 'partitions';
SELECT failed_steps FROM architect.maintenance_status();
SELECT severity, code FROM architect.verify_audit_log();

-- Contexts go with the last entries that could refer to them.
INSERT INTO architect.capture_context (context_id, recorded_at, session_role, set_role, current_role_name, backend_pid)
VALUES (-2, this_month(-14) - interval '30 days', 'r', 'r', 'r', 1), (-1, this_month(-14) - interval '28 days', 'r', 'r', 'r', 1);
CALL architect.run_maintenance();
SELECT context_id FROM architect.capture_context WHERE context_id < 0;

-- The log is a table the policy engine keeps, with its functions; what leaves it is asked about first.
SELECT is_default, count(*) FROM architect.partition_list('architect.audit_entry') GROUP BY 1 ORDER BY 1;
SELECT severity, code FROM architect.partition_health('architect.audit_entry') WHERE code NOT IN ('SCHEDULE_MISSING', 'LAST_RUN_FAILED') ORDER BY 2;
SELECT action, detail ~ '^was FOR VALUES' AS was FROM architect.partition_log('architect.audit_entry', runs => 100) WHERE object_name LIKE '%2020_0%' AND action <> 'created' ORDER BY 1;
SELECT action FROM architect.manage_partitions('architect.audit_entry', '1 month', ahead => 4, keep => '5 years', keep_action => 'drop', timezone => 'UTC', analyze_parent => false);
SELECT architect.set_audit_retention('5 years');
SELECT architect.unmanage_partitions('architect.audit_entry');
CALL architect.detach_partition('architect.audit_entry_default');
CALL architect.drain_default('architect.audit_entry');
SELECT 'architect.' || to_char(this_month(1) AT TIME ZONE 'UTC', '"audit_entry_p"YYYY_MM') AS next_month \gset
CALL architect.split_partition(:'next_month', '1 day');

-- Only on its own, and only who may.
BEGIN;
CALL architect.run_maintenance();
ROLLBACK;
DO 'BEGIN CALL architect.run_maintenance(); END';
CREATE FUNCTION in_function() RETURNS void LANGUAGE plpgsql AS 'BEGIN CALL architect.run_maintenance(); END';
SELECT in_function();
SET ROLE regress_keeping_reader;
CALL architect.run_maintenance();
SELECT architect.set_audit_retention('1 day');
RESET ROLE;
SELECT architect.schedule_maintenance();
DROP OWNED BY regress_keeping_reader;
\c :old_database
DROP DATABASE regress_architect_keeping;
DROP ROLE regress_keeping_reader;
