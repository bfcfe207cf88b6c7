#!/usr/bin/env bash
# Maintenance beside an application: a reader that holds the parent for seconds, writers that must keep going while partitions
# are made and retired; two maintenances at once; a foreign key; a lock that is not to be had is given up and told.
source "$(dirname "$0")/lib.sh"

start_cluster main
sql "CREATE EXTENSION db_architect"
sql "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT now(), v int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)"
sql "SELECT count(*) FROM architect.create_monthly_partitions('t', back => 20, ahead => 0, timezone => 'UTC')" >/dev/null
sql "INSERT INTO t (at) SELECT now() - i * interval '1 day' FROM generate_series(0, 600) i"
sql "SELECT architect.manage_partitions('t', '1 month', ahead => 12, keep => '15 months', keep_action => 'drop', timezone => 'UTC')" >/dev/null
noted() { sql "SELECT action, count(*) FROM architect.partition_log($1) GROUP BY 1 ORDER BY 1"; }

# Writers that give up after a second: any wait behind maintenance longer than that is a failure of theirs.
printf '%s\n' 'INSERT INTO t (v) VALUES (1);' 'UPDATE t SET v = v + 1 WHERE id = (SELECT max(id) FROM t WHERE at > now() - interval $$1 day$$);' >"$DBA_WORK/writer.sql"
chmod a+r "$DBA_WORK/writer.sql"
{ PGOPTIONS='-c lock_timeout=1s' tool_on main pgbench -n -c 3 -T 14 -f - postgres <"$DBA_WORK/writer.sql" >"$DBA_WORK/pgbench.log" 2>&1; echo $? >"$DBA_WORK/pgbench.done"; } &
in_background reader "BEGIN; SELECT count(*) FROM t; SELECT pg_sleep(5); COMMIT"
wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
# Partitions are made while the reader reads; what is retired is detached once it has ended.
in_background first "CALL architect.maintain_partitions('t')"
wait_until "SELECT count(*) > 30 FROM pg_inherits WHERE inhparent = 't'::regclass"
sql_is "partitions are made beside a reader" "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE 'SELECT pg_sleep%'" 1
in_background second "CALL architect.maintain_partitions('t')"
ok "maintenance ends well" finished first
ok "and so does another at the same time" finished second
finished reader >/dev/null
sql_is "what is due is dropped, once" "SELECT count(*) FROM architect.partition_list('t') WHERE to_value::date < now() - interval '15 months'" 0
sql_is "all that was to be made is there, once" "SELECT count(*) FROM architect.partition_list('t') WHERE from_value::date > now()" 12
sql_is "nothing failed" "SELECT count(*) FROM architect.partition_log('t', 9) WHERE action IN ('failed', 'conflict')" 0
until [[ -s $DBA_WORK/pgbench.done ]]; do sleep 0.2; done
is "no writer was kept waiting" "$(<"$DBA_WORK/pgbench.done") $(grep -c 'aborted' "$DBA_WORK/pgbench.log")" "0 0"
like "they wrote all the time" "$(sql "SELECT count(*) > 500 FROM t WHERE v >= 1")" t

# A foreign key: attaching takes a lock on the table it refers to, which somebody has.
sql "CREATE TABLE dim (id int PRIMARY KEY); INSERT INTO dim VALUES (1);
     CREATE TABLE f (at date NOT NULL, d int REFERENCES dim) PARTITION BY RANGE (at)"
sql "SELECT architect.manage_partitions('f', '1 month', ahead => 2)" >/dev/null
in_background writer "BEGIN; UPDATE dim SET id = 1; SELECT pg_sleep(3); COMMIT"
wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
ok "a deadline too short is no error" sql "CALL architect.maintain_partitions('f', '1 second')"
like "and is told" "$(noted "'f'")" 'failed'
finished writer >/dev/null
sql "CALL architect.maintain_partitions('f')"
is "the next run does it" "$(noted "'f'")" "created|3"
sql_is "the foreign key holds in what was made" "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'f'::regclass)" 3

# Nobody queues up behind an attempt for longer than lock_timeout.
in_background holder "BEGIN; LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE; SELECT pg_sleep(4); COMMIT"
wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
sql "SELECT architect.manage_partitions('t', '1 month', ahead => 14, timezone => 'UTC')" >/dev/null
in_background waiting "CALL architect.maintain_partitions('t', lock_timeout => '100 ms')"
ok "an insert goes through meanwhile" sql "SET lock_timeout = '1s'; INSERT INTO t (v) VALUES (7)"
ok "the lock is tried again until it is there" finished waiting
finished holder >/dev/null
sql_is "and the work done" "SELECT count(*) FROM architect.partition_list('t') WHERE from_value::date > now()" 14

# A foreign key that refers to the table keeps what is referred to, and only that.
sql "CREATE TABLE k (id int, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)"
sql "SELECT count(*) FROM architect.create_monthly_partitions('k', back => 6, ahead => 0)" >/dev/null
sql "INSERT INTO k SELECT i, current_date - i FROM generate_series(0, 150) i;
     CREATE TABLE refs (id int, at date, FOREIGN KEY (id, at) REFERENCES k); INSERT INTO refs SELECT id, at FROM k WHERE id = 149"
sql "SELECT architect.manage_partitions('k', '1 month', ahead => 0, keep => '1 month', keep_action => 'drop', analyze_parent => false)" >/dev/null
sql "CALL architect.maintain_partitions('k')"
is "one stays, with the reason" "$(sql "SELECT count(*) FROM architect.partition_log('k') WHERE action = 'failed' AND detail LIKE '%still referenced%'")" 1
sql_is "it is there, and in use" "SELECT count(*) FROM k WHERE id = 149" 1
sql_is "health says why" "SELECT count(*) FROM architect.partition_health('k') WHERE code = 'FOREIGN_KEY_BLOCKS_RETENTION'" 1
sql "DELETE FROM refs; CALL architect.maintain_partitions('k')"
sql_is "and goes once nothing refers to it" "SELECT count(*) FROM k WHERE id = 149" 0

# Reports assign no transaction id.
sql_is "reports only read" "BEGIN READ ONLY; SELECT count(*) < 0 FROM architect.partition_health(); SELECT count(*) < 0 FROM architect.partition_list(); SELECT count(*) < 0 FROM architect.partition_plan();
  SELECT count(*) < 0 FROM architect.partition_log(); SELECT pg_current_xact_id_if_assigned() IS NULL; ROLLBACK" $'f\nf\nf\nf\nt'
