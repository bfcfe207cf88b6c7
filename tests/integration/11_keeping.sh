#!/usr/bin/env bash
# Upkeep of the log while it is being written: a missing month is taken over from the default partition, and the default
# partition emptied, without a change lost or refused; a busy lock is given up, not waited for; one run at a time.
source "$(dirname "$0")/lib.sh"

start_cluster main
sql "CREATE EXTENSION db_architect"
sql "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int); SELECT architect.enable_audit('t')" >/dev/null
month=$(sql "SELECT to_char(now() AT TIME ZONE 'UTC', '\"audit_entry_p\"YYYY_MM')")
in_default() { sql "SELECT count(*) FROM architect.audit_entry_default"; }
noted() { sql "SELECT concat_ws(' ', step, regexp_replace(object_name, '\d', 'n', 'g'), action, detail) FROM architect.maintenance_log()"; }

sql "DROP TABLE architect.$month"
sql "INSERT INTO t (v) SELECT i FROM generate_series(1, 20000) i"
is "without a month's partition changes are in the default one" "$(in_default)" 20000
printf '%s\n' 'INSERT INTO t (v) VALUES (1), (2);' >"$DBA_WORK/writer.sql"
chmod a+r "$DBA_WORK/writer.sql"
{ tool_on main pgbench -n -c 4 -T 75 -f - postgres <"$DBA_WORK/writer.sql" >"$DBA_WORK/pgbench.log" 2>&1; echo $? >"$DBA_WORK/pgbench.done"; } &
wait_until "SELECT count(*) > 20100 FROM t"
sql "CALL architect.run_maintenance()"
like "the month is taken over" "$(noted)" 'partitions architect.audit_entry_pnnnnnnnntnnnnnn_nnnnnnnn created takes over'
sql_is "no constraint is left behind" "SELECT count(*) FROM pg_constraint WHERE conrelid = 'architect.audit_entry_default'::regclass AND contype = 'c'" 0
successor=$(sql "SELECT relname FROM pg_class WHERE relname ~ '^audit_entry_p[0-9]{8}t' AND relkind = 'r'")

# A reader of the log keeps a lock that attaching a partition has to wait for: a little at a time, so that
# others get through, until the reader has gone.
sql "SELECT architect.set_audit_months_ahead(4)" >/dev/null
in_background reader "BEGIN; SELECT count(*) FROM architect.audit_log; SELECT pg_sleep(6); COMMIT"
wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
begun=$EPOCHSECONDS
sql "CALL architect.run_maintenance()"
like "a lock that is not to be had is asked for again" "$(noted)" 'partitions architect.audit_entry_pnnnn_nn created'
ok "nobody was sent away, or waited for less than the reader" test $((EPOCHSECONDS - begun)) -ge 3
sql_is "nothing half done is left" "SELECT count(*) FROM pg_class c WHERE relname LIKE 'audit_entry%' AND relkind = 'r' AND NOT relispartition" 0
finished reader >/dev/null
in_background sealer "BEGIN; LOCK TABLE architect.capture_origin IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(1.5); COMMIT"
wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
in_background busy "CALL architect.run_maintenance()"
wait_until "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND granted"
fails_with "two runs at once: the second is told so" 55006 "CALL architect.run_maintenance()"
finished busy >/dev/null || true
finished sealer >/dev/null || true

# The successor begins a minute after it was made. What came before is moved then.
wait_until "SELECT count(*) > 0 FROM architect.$successor" 90
sql_is "writers went on until then" "SELECT count(*) > 20100 FROM architect.audit_entry_default" t
sql "CALL architect.run_maintenance()"
like "what the default partition held is moved" "$(noted)" 'partitions architect.audit_entry_pn+_n+tn+ created [0-9]+ entries moved'
is "all of it" "$(in_default)" 0
until [[ -s $DBA_WORK/pgbench.done ]]; do sleep 0.2; done
is "no writer was refused" "$(<"$DBA_WORK/pgbench.done") $(grep -c 'aborted' "$DBA_WORK/pgbench.log")" "0 0"
is "nobody writes to the default partition any more" "$(in_default)" 0
sql_is "no change is lost, none is there twice" \
  "SELECT (SELECT count(*) FROM t) = count(*) AND count(*) = count(DISTINCT e.row_key) AND count(*) > 20200 FROM architect.audit_entry e" t
sql_is "a sealed log verifies" "SELECT entries > 0 FROM architect.seal_audit_log()" t
sql_is "wherever entries were moved from and to" "SELECT severity FROM architect.verify_audit_log()" ok

# Interrupted: the run stops, does not take it for a step's failure, and leaves no lock.
sql "ALTER TABLE architect.audit_entry RENAME TO audit_entry_away"
ok "without its table a run does nothing" sql "CALL architect.run_maintenance()"
sql "ALTER TABLE architect.audit_entry_away RENAME TO audit_entry"
sql "SELECT architect.set_audit_months_ahead(6)" >/dev/null
in_background reader "BEGIN; LOCK TABLE architect.audit_entry_default IN ACCESS SHARE MODE; SELECT pg_sleep(30); COMMIT"
wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE 'SELECT pg_sleep%'"
in_background run "CALL architect.run_maintenance()"
wait_until "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'CALL%' AND wait_event_type = 'Lock'"
sql "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL%'" >/dev/null
like "a run can be cancelled" "$(finished run || true)" 'canceling statement due to user request'
sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'" >/dev/null
finished reader >/dev/null || true
ok "and the next one works" sql "CALL architect.run_maintenance()"
like "doing what the other left" "$(noted)" 'partitions architect.audit_entry_pnnnn_nn created'
