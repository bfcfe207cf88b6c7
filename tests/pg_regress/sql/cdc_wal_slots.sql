-- Around the output plugin: events and context an application writes into the WAL, what is shown of slots, and moving
-- a slot that nobody reads: only over WAL that has nothing for it.
SET client_min_messages = warning;
CREATE SCHEMA wal_slots;
SET search_path = wal_slots;
CREATE TABLE t (id int PRIMARY KEY);
SELECT 'created' FROM pg_create_logical_replication_slot('regress_wal_slots', 'db_architect');
BEGIN;
SET LOCAL architect.actor = 'alice "a"';
SET LOCAL architect.correlation_id = 'A0EEBC999C0B4EF8BB6D6BB9BD380A11';
SET LOCAL architect.context = '{"page": 1.50}';
SELECT architect.set_wal_context()::pg_lsn IS NOT NULL AS written;
INSERT INTO t VALUES (1);
SELECT architect.emit_wal_event('order "x"', 'k-1', '{"b": [1.50, null], "a": 1e2}', '{"h": "v"}')::pg_lsn > '0/0' AS written;
SELECT architect.emit_wal_event('bare')::pg_lsn > '0/0' AS written;
RESET architect.actor;
RESET architect.correlation_id;
RESET architect.context;
SELECT architect.set_wal_context()::pg_lsn IS NOT NULL AS written;
INSERT INTO t VALUES (2);
COMMIT;
BEGIN;
SELECT architect.emit_wal_event('rolled back')::pg_lsn > '0/0' AS written;
ROLLBACK;
SELECT architect.emit_wal_event('');
SELECT architect.emit_wal_event(NULL);
BEGIN;
SET LOCAL architect.correlation_id = 'no uuid';
SELECT architect.set_wal_context();
ROLLBACK;
BEGIN;
SET LOCAL architect.context = '{"a":';
SELECT architect.set_wal_context();
ROLLBACK;
SELECT regexp_replace(data, '"txid":\d+,', '') FROM pg_logical_slot_peek_changes('regress_wal_slots', NULL, NULL, 'include-lsn', '0', 'include-timestamp', '0');

SELECT slot_name, plugin, database_name = current_database() AS here, active, active_pid, lag_bytes > 0 AS lags, retained_bytes >= lag_bytes AS retains,
       wal_status, safe_wal_size, max_keep_bytes, two_phase, advice
  FROM architect.cdc_slots() WHERE slot_name = 'regress_wal_slots';
-- A slot nobody reads is left alone unless that is asked for, and kept while changes wait.
SELECT * FROM architect.advance_idle_slots();
SELECT slot_name, action, regexp_replace(detail, '\w+/\w+', 'X/X') AS detail FROM architect.advance_idle_slots(unread => true);
SELECT count(*) FROM pg_logical_slot_get_changes('regress_wal_slots', NULL, NULL, 'include-transaction', '0');
CREATE TABLE not_a_change (a int);
SELECT slot_name, action, regexp_replace(detail, '\w+/\w+', 'X/X') AS detail FROM architect.advance_idle_slots(unread => true);
SELECT lag_bytes < 10000 AS moved FROM architect.cdc_slots() WHERE slot_name = 'regress_wal_slots';
INSERT INTO t VALUES (3);
SELECT action FROM architect.advance_idle_slots(unread => true);
SELECT count(*) FROM pg_logical_slot_get_changes('regress_wal_slots', NULL, NULL, 'include-transaction', '0');
-- Reading assigns no transaction id.
BEGIN;
SELECT count(*) > 0 FROM architect.cdc_slots();
SELECT pg_current_xact_id_if_assigned() IS NULL AS none;
ROLLBACK;
SELECT pg_drop_replication_slot('regress_wal_slots');
DROP SCHEMA wal_slots CASCADE;
