#!/usr/bin/env bash
# The server crashes in the middle of maintenance: what was half done is finished, or was never there.
source "$(dirname "$0")/lib.sh"

start_cluster main restart_after_crash=on
sql "CREATE EXTENSION db_architect"
crash() {
  # shellcheck disable=SC2016
  as_server sh -c 'kill -9 "$1"' sh "$(sql "SELECT pid FROM pg_stat_activity WHERE $1 LIMIT 1")"
  until sql "SELECT 1" >/dev/null 2>&1; do sleep 0.1; done
}
table() {
  sql "CREATE TABLE $1 (at date NOT NULL) PARTITION BY RANGE (at)"
  sql "SELECT count(*) FROM architect.create_monthly_partitions('$1', back => 6, ahead => 0)" >/dev/null
  sql "INSERT INTO $1 SELECT current_date - i FROM generate_series(0, 150) i"
  sql "SELECT architect.manage_partitions('$1', '1 month', ahead => 3, keep => '4 months', keep_action => 'drop', analyze_parent => false)" >/dev/null
}
oldest() { sql "SELECT partition_name FROM architect.partition_list('$1') LIMIT 1"; }

# While a detach waits for a reader: it stays a partition, half detached.
table a
in_background reader "BEGIN; SELECT count(*) FROM a; SELECT pg_sleep(60)"
wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
in_background run "CALL architect.maintain_partitions('a')"
wait_until "SELECT count(*) = 1 FROM pg_inherits WHERE inhdetachpending"
crash "query LIKE 'SELECT pg_sleep%' OR wait_event = 'PgSleep'"
finished reader >/dev/null 2>&1 || true
finished run >/dev/null 2>&1 || true
sql_is "an interrupted detach is seen" "SELECT count(*) FROM architect.partition_health('a') WHERE code = 'PENDING_DETACH'" 1
sql "CALL architect.maintain_partitions('a')"
like "the next run finishes it" "$(sql "SELECT string_agg(DISTINCT action, ',' ORDER BY action) FROM architect.partition_log('a')")" 'finalized'
sql_is "nothing is pending" "SELECT count(*) FROM pg_inherits WHERE inhdetachpending" 0
sql "CALL architect.maintain_partitions('a')"
sql_is "no table is left behind" "SELECT count(*) FROM pg_class c WHERE relname LIKE 'a\_p%' AND relkind = 'r' AND NOT relispartition" 0
sql_is "nothing is to be done" "SELECT count(*) FROM architect.partition_plan('a')" 0
sql_is "nor remembered" "SELECT count(*) FROM architect.partition_retiring" 0

# Between detaching and dropping: somebody reads the partition itself.
table b
first=$(oldest b)
in_background reader "BEGIN; SELECT count(*) FROM $first; SELECT pg_sleep(60)"
wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE 'SELECT pg_sleep%'"
sql "INSERT INTO architect.partition_retiring (relid, parent, owner_oid, schema_name, table_name, keep_action)
     SELECT c.oid, 'b'::regclass, c.relowner, 'public', c.relname, 'drop' FROM pg_class c WHERE c.oid = '$first'::regclass"
crash "query LIKE 'SELECT pg_sleep%'"
finished reader >/dev/null 2>&1 || true
sql "ALTER TABLE b DETACH PARTITION $first"
sql "CALL architect.maintain_partitions('b')"
sql_is "what was detached and not dropped is dropped" "SELECT to_regclass('$first') IS NULL" t

# While partitions are made: all of a transaction or none.
table c
sql "SELECT architect.manage_partitions('c', '1 day', ahead => 400, analyze_parent => false)" >/dev/null
in_background run "CALL architect.maintain_partitions('c')"
wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'CALL%' AND backend_xid IS NOT NULL"
crash "query LIKE 'CALL%'"
finished run >/dev/null 2>&1 || true
sql_is "no table is left behind" "SELECT count(*) FROM pg_class c WHERE relname LIKE 'c\_p%' AND relkind = 'r' AND NOT relispartition" 0
sql "CALL architect.maintain_partitions('c')"
sql_is "the next run makes them" "SELECT count(*) >= 370 FROM architect.partition_list('c')" t
sql_is "without a gap" "SELECT count(*) FROM architect.partition_health('c') WHERE code = 'GAP'" 0

# A constraint left on a default partition would turn rows away.
sql "CREATE TABLE d (at date, v text) PARTITION BY RANGE (at); CREATE TABLE d_rest PARTITION OF d DEFAULT;
     ALTER TABLE d_rest ADD CONSTRAINT db_architect_holds_none_of_it CHECK (at < '2000-01-01') NOT VALID"
sql "SELECT architect.manage_partitions('d', '1 month', ahead => 1)" >/dev/null
sql_is "it is seen" "SELECT count(*) FROM architect.partition_health('d') WHERE code = 'PROOF_LEFT_OVER'" 1
sql "CALL architect.maintain_partitions('d')"
ok "and taken away" sql "INSERT INTO d VALUES ('2040-01-01')"
