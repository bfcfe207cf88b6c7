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

# A partition put on hold, or renamed, while its detach waits for a reader is not dropped; once released, the next run does it.
sql "CREATE TABLE w (at date NOT NULL) PARTITION BY RANGE (at);
     CREATE TABLE w_1 PARTITION OF w FOR VALUES FROM ('2020-01-01') TO ('2020-02-01'); INSERT INTO w VALUES ('2020-01-05');
     CREATE TABLE w_2 PARTITION OF w FOR VALUES FROM ('2020-02-01') TO ('2020-03-01'); INSERT INTO w VALUES ('2020-02-05')"
while_waiting() {
  in_background reader "BEGIN; LOCK TABLE ONLY w IN ACCESS SHARE MODE; SELECT pg_sleep(600)"
  wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE 'SELECT pg_sleep%'"
  in_background retiring "CALL architect.retain_partitions('w', '1 month', action => 'drop', dry_run => false, max_partitions => 1)"
  wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'db_architect worker' AND wait_event_type = 'Lock'"
  sql "$1" >/dev/null
  sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE 'SELECT pg_sleep%'" >/dev/null
  finished retiring >/dev/null 2>&1 || true
  finished reader >/dev/null 2>&1 || true
}
while_waiting "SELECT architect.hold_partition('w_1', 'case 12')"
sql_is "a partition put on hold while it is detached is not dropped" "SELECT count(*) FROM w_1" 1
like "which is told" "$(noted "'w'")" 'failed'
sql "SELECT architect.manage_partitions('w', '1 month', ahead => 0)" >/dev/null
sql "CALL architect.maintain_partitions('w')"
sql_is "nor by the next run" "SELECT count(*) FROM w_1" 1
sql "SELECT architect.release_partition('w_1')" >/dev/null
sql "CALL architect.maintain_partitions('w')"
sql_is "once released it is" "SELECT to_regclass('w_1') IS NULL" t
sql "SELECT architect.unmanage_partitions('w')" >/dev/null
while_waiting "SET lock_timeout = '5s'; ALTER TABLE w_2 RENAME TO w_kept; CREATE TABLE w_2 AS SELECT 1 AS somebody_elses"
sql_is "one renamed while it is detached is not dropped" "SELECT count(*) FROM w_kept" 1
sql_is "nor is the table that has its name now" "SELECT count(*) FROM w_2" 1
# A hold that is not committed yet is waited for.
sql "CREATE TABLE w_3 PARTITION OF w FOR VALUES FROM ('2019-01-01') TO ('2019-02-01')"
in_background holding "BEGIN; SELECT architect.hold_partition('w_3', 'case 13'); SELECT pg_sleep(3); COMMIT"
wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE 'SELECT pg_sleep%'"
sql "CALL architect.retain_partitions('w', '1 month', action => 'drop', dry_run => false, max_partitions => 1)" >/dev/null 2>&1 || true
finished holding >/dev/null
sql_is "a hold not committed yet is waited for" "SELECT to_regclass('w_3') IS NOT NULL" t

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
