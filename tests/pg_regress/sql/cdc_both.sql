-- Audit log and feed of one table: one trigger serves both, whatever each records; ending one leaves the
-- other. What both say of a change is the same.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA cdc_both;
SET search_path = cdc_both;
CREATE TABLE t (id int PRIMARY KEY, a text, b int);
RESET client_min_messages;
SELECT * FROM architect.enable_audit('t', operations => '{insert,update}');
SELECT tgname, tgnargs, tgtype & 28 AS events FROM pg_trigger WHERE tgrelid = 't'::regclass ORDER BY 1;
SELECT * FROM architect.enable_cdc('t', operations => '{update,delete,truncate}', exclude => '{b}');
SELECT tgname, tgnargs, tgtype & 28 AS events FROM pg_trigger WHERE tgrelid = 't'::regclass ORDER BY 1;
INSERT INTO t VALUES (1, 'x', 1), (2, 'y', 2);
UPDATE t SET a = a || '!', b = 0;
UPDATE t SET b = 9 WHERE id = 1;
DELETE FROM t WHERE id = 1;
TRUNCATE t;
SELECT operation, row_key, old_values, new_values FROM architect.audit_log WHERE schema_name = 'cdc_both' ORDER BY audit_id;
SELECT operation, row_key, old_values, new_values FROM architect.change_log WHERE schema_name = 'cdc_both' ORDER BY position;

-- Every pair of images: what is written once says the same in both.
CREATE TABLE pair (id int PRIMARY KEY, a text, b int);
CREATE FUNCTION compare(audit_image text, feed_image text) RETURNS TABLE (operation text, key_same bool, old_same bool, new_same bool, changed_same bool, context_same bool) LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE architect.change_entry;
    PERFORM architect.enable_audit('cdc_both.pair', image => audit_image);
    PERFORM architect.enable_cdc('cdc_both.pair', image => feed_image);
    INSERT INTO cdc_both.pair VALUES (1, 'x', NULL), (2, 'y', 2);
    UPDATE cdc_both.pair SET a = 'z' WHERE id = 1;
    UPDATE cdc_both.pair SET id = 3 WHERE id = 2;
    DELETE FROM cdc_both.pair;
    RETURN QUERY
    SELECT f.operation, f.row_key IS NOT DISTINCT FROM a.row_key,
           CASE WHEN audit_image = feed_image OR f.operation <> 'update' THEN f.old_values IS NOT DISTINCT FROM a.old_values
                WHEN feed_image = 'full' THEN f.old_values @> a.old_values ELSE a.old_values @> f.old_values END,
           CASE WHEN audit_image = feed_image OR f.operation <> 'update' THEN f.new_values IS NOT DISTINCT FROM a.new_values
                WHEN feed_image = 'full' THEN f.new_values @> a.new_values ELSE a.new_values @> f.new_values END,
           f.changed_columns IS NOT DISTINCT FROM a.changed_columns, f.recorded_at = a.changed_at AND f.txid = a.txid
      FROM (SELECT *, row_number() OVER (ORDER BY position) AS n FROM architect.change_log WHERE table_name = 'pair') AS f
      JOIN (SELECT *, row_number() OVER (ORDER BY l.audit_id) AS n FROM architect.audit_log AS l WHERE table_name = 'pair' AND txid = pg_current_xact_id()) AS a USING (n)
     ORDER BY n;
END $$;
SELECT * FROM compare('changed', 'full');
SELECT * FROM compare('full', 'full');
SELECT * FROM compare('full', 'changed');
SELECT * FROM compare('changed', 'changed');

-- A key of the feed's own beside the primary key of the log.
SELECT * FROM architect.enable_cdc('pair', key => '{a}');
INSERT INTO pair VALUES (7, 'seven', 7);
UPDATE pair SET a = 'sept' WHERE id = 7;
SELECT row_key FROM architect.audit_log WHERE schema_name = 'cdc_both' AND table_name = 'pair' ORDER BY audit_id DESC LIMIT 2;
SELECT l.row_key, former_key_hash IS NOT NULL AS had_another FROM architect.change_log AS l JOIN architect.change_entry USING (position) WHERE table_name = 'pair' ORDER BY position DESC LIMIT 2;
-- The log's own questions are not confused by it.
SELECT operation, changed_columns FROM architect.audit_history('pair', '{"id": 7}');

-- Ending one.
SELECT * FROM architect.disable_cdc('t');
SELECT tgname, tgnargs, tgtype & 28 AS events FROM pg_trigger WHERE tgrelid = 't'::regclass ORDER BY 1;
SELECT * FROM architect.enable_cdc('t');
SELECT * FROM architect.disable_audit('t');
SELECT tgname, tgnargs, tgtype & 28 AS events FROM pg_trigger WHERE tgrelid = 't'::regclass ORDER BY 1;

-- Replicated changes: a trigger that fires for both, each records what it was asked for.
SELECT * FROM architect.enable_audit('t', replicated => true);
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 't'::regclass ORDER BY 1;
SET session_replication_role = replica;
INSERT INTO t VALUES (50, 'replicated');
RESET session_replication_role;
INSERT INTO t VALUES (51, 'local');
SELECT row_key FROM architect.audit_log WHERE schema_name = 'cdc_both' AND table_name = 't' ORDER BY audit_id DESC LIMIT 2;
SELECT row_key FROM architect.change_log WHERE schema_name = 'cdc_both' AND table_name = 't' ORDER BY position DESC LIMIT 1;
SELECT * FROM architect.enable_audit('t');
SELECT * FROM architect.enable_cdc('t', replicated => true);
SET session_replication_role = replica;
INSERT INTO t VALUES (52, 'replicated');
RESET session_replication_role;
SELECT row_key FROM architect.audit_log WHERE schema_name = 'cdc_both' AND table_name = 't' ORDER BY audit_id DESC LIMIT 1;
SELECT row_key FROM architect.change_log WHERE schema_name = 'cdc_both' AND table_name = 't' ORDER BY position DESC LIMIT 1;

SET client_min_messages = warning;
DROP SCHEMA cdc_both CASCADE;
