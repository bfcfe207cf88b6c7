#!/usr/bin/env bash
# audit_history, audit_as_of and revert_changes after a restore, on a standby, and against sessions that write meanwhile.
source "$(dirname "$0")/lib.sh"

start_cluster main wal_level=replica
sql "CREATE EXTENSION db_architect;
     CREATE TABLE t (gone int, id int PRIMARY KEY, v text, w text);
     INSERT INTO t SELECT n, n, 'old', 'w' FROM generate_series(1, 5) AS n"
sql "SELECT architect.enable_audit('t')" >/dev/null
sql "ALTER TABLE t DROP COLUMN gone"
before=$(sql "SELECT clock_timestamp()")
sql "UPDATE t SET v = 'first' WHERE id = 1; DELETE FROM t WHERE id = 2; UPDATE t SET id = 30 WHERE id = 3"
txid=$(sql "SELECT max(txid) FROM architect.audit_log WHERE operation = 'DELETE'")
then=$(sql "SELECT clock_timestamp()")
sql "UPDATE t SET v = 'second'"

# A row locked by another session: revert waits for it, and then finds it changed.
undo=$(sql "SELECT max(txid) FROM architect.audit_log WHERE row_key = '{\"id\": 5}'")
in_background writer "BEGIN; UPDATE t SET w = 'meanwhile' WHERE id = 5; SELECT pg_sleep(2); COMMIT"
wait_until "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query ~ 'pg_sleep' AND pid <> pg_backend_pid() AND wait_event = 'PgSleep')"
sql_is "a change that commits while revert waits is not overwritten" \
  "SELECT string_agg(status || ' ' || row_key || COALESCE(' ' || split_part(reason, ' by', 1), ''), ', ' ORDER BY row_key) FROM architect.revert_changes(txid => '$undo', dry_run => false)" \
  'applied {"id": 1}, applied {"id": 4}, refused {"id": 5} changed since, applied {"id": 30}'
finished writer >/dev/null
sql_is "what it did not refuse is undone" "SELECT string_agg(v || ' ' || w, ', ' ORDER BY id) FROM t" "first w, old w, second meanwhile, old w"
sql_is "and nothing else than planned is in the log of it" "SELECT count(*) FROM architect.audit_log WHERE txid > '$undo' AND operation = 'UPDATE'" 4

# An error undoes all of it.
sql "CREATE TABLE two (id int PRIMARY KEY, v int); INSERT INTO two VALUES (1, 1), (2, 2)"
sql "SELECT architect.enable_audit('two')" >/dev/null
sql "UPDATE two SET v = v + 10"
sql "ALTER TABLE two ADD CHECK (v <> 1)"
undo=$(sql "SELECT max(txid) FROM architect.audit_log WHERE table_name = 'two'")
fails_with "a value that a check now refuses" 23514 "SELECT * FROM architect.revert_changes(txid => '$undo', dry_run => false)"
sql_is "no row was changed" "SELECT string_agg(v::text, ' ' ORDER BY id) FROM two" "11 12"

# A standby answers too.
start_standby standby main
wait_for_replay main standby
history="SELECT string_agg(operation || ' ' || row_key, ', ' ORDER BY audit_id) FROM architect.audit_history('t', '{\"id\": 3}')"
was="SELECT string_agg(t::text, ' ' ORDER BY id) FROM architect.audit_as_of(NULL::t, '%s') AS t"
is "history on a standby" "$(sql -c standby "$history")" "$(sql "$history")"
# shellcheck disable=SC2059  # the format is the query
is "as of on a standby" "$(sql -c standby "$(printf "$was" "$before")")" "(1,old,w) (2,old,w) (3,old,w) (4,old,w) (5,old,w)"
is "a dry run on a standby" "$(sql -c standby "SELECT status, count(*) FROM architect.revert_changes(txid => '$txid') GROUP BY 1")" "planned|1"

# A restore into another cluster: the dropped column is not there any more, so numbers of columns are others; and
# transaction ids mean others.
start_cluster other
tool_on main pg_dump -Fc -f "$(cluster_dir main)/t.dump" postgres
tool_on other pg_restore --exit-on-error -d postgres "$(cluster_dir main)/t.dump"
is "history after a restore" "$(sql -c other "$history")" "$(sql "$history")"
# shellcheck disable=SC2059
is "as of before the dump" "$(sql -c other "$(printf "$was" "$before")")" "(1,old,w) (2,old,w) (3,old,w) (4,old,w) (5,old,w)"
is "transactions of the other cluster are not this one's" "$(sql -c other "SELECT count(*) FROM architect.revert_changes(txid => '$txid')")" 0
sql -c other "CALL architect.run_maintenance()" >/dev/null
sql -c other "ALTER TABLE t RENAME COLUMN v TO val; ALTER TABLE t ADD COLUMN added int DEFAULT 1; UPDATE t SET val = 'here'"
# shellcheck disable=SC2059
is "as of before the dump, with changes on both sides and a column renamed and one added here" \
  "$(sql -c other "$(printf "$was" "$then")")" "(1,first,w,) (4,old,w,) (5,old,w,) (30,old,w,)"
is "history by the former key, with changes on both sides" \
  "$(sql -c other "SELECT string_agg(operation, ' ' ORDER BY audit_id) FROM architect.audit_history('t', '3')")" "UPDATE UPDATE UPDATE UPDATE"
is "changes of both sides are undone since a time" \
  "$(sql -c other "SELECT status, count(*) FROM architect.revert_changes(table_name => 't', since => '$before', dry_run => false) GROUP BY 1")" "applied|15"
is "to what it was" "$(sql -c other "SELECT string_agg(t::text, ' ' ORDER BY id) FROM t")" "(1,old,w,1) (2,old,w,1) (3,old,w,1) (4,old,w,1) (5,old,w,1)"
