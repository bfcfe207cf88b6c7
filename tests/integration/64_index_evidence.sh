#!/usr/bin/env bash
# "Unused" rests on evidence: over a stated time, through resets of statistics, a crash that loses them, REINDEX
# CONCURRENTLY, an index made later. Time is moved by dating kept snapshots back.
source "$(dirname "$0")/lib.sh"

start_cluster main track_counts=on autovacuum=off
sql "CREATE EXTENSION db_architect" >/dev/null
sql "CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int)
     WITH (autovacuum_enabled = off)" >/dev/null
sql "INSERT INTO t SELECT g, g, g, g FROM generate_series(1, 20000) AS g; CREATE INDEX t_a ON t (a); CREATE INDEX t_b ON t (b); CREATE INDEX t_c ON t (c); ANALYZE t" >/dev/null

# scan COLUMN TIMES: uses that column's index, and has the counters written.
scan() { sql "SET enable_seqscan = off; SELECT count(*) FROM generate_series(1, $2) AS g, LATERAL (SELECT FROM t WHERE $1 = g OFFSET 0) AS x" >/dev/null; }
ago() { sql "UPDATE architect.statistics_snapshot SET taken_at = taken_at - interval '$1'" >/dev/null; }
usage() { sql "SELECT category, scans, round(evidence_days) FROM architect.index_usage('$2') WHERE index_name = 'public.t_$1'"; }
verdict() { sql "SELECT verdict FROM architect.unused_indexes('$2') WHERE index_name = 'public.t_$1'"; }

is "without time to judge by, nothing is to be dropped" "$(verdict c '30 days')" wait
like "and it says why" "$(sql "SELECT reason FROM architect.unused_indexes() WHERE index_name = 'public.t_c'")" "less than a day.*may be younger.*30 days are asked for"

scan a 50
sql_is "a snapshot keeps every index" "SELECT node, indexes, changed FROM architect.take_snapshot()" "primary|4|4"
sql_is "what did not change takes no row" "SELECT indexes, changed FROM architect.take_snapshot()" "4|0"
ago '40 days'
scan b 200
sql "SELECT architect.take_snapshot()" >/dev/null
is "scans of the time asked for" "$(usage b '30 days')" "OCCASIONALLY_USED|200|40"
is "an index used before the time asked for is unused in it" "$(usage a '30 days')" "UNUSED|0|40"
is "and is to be dropped" "$(verdict a '30 days')" drop
is "an index never used too" "$(verdict c '30 days')" drop
is "a primary key never" "$(sql "SELECT count(*) FROM architect.unused_indexes() WHERE index_name = 'public.t_pkey'")" 0

# A reset: what was counted before is kept, what was not yet is known to be lost.
ago '5 days'
sql "SELECT pg_stat_reset()" >/dev/null
is "a reset does not make a used index unused" "$(usage b '30 days')" "OCCASIONALLY_USED|200|45"
like "what it wiped away uncounted is said" "$(sql "SELECT basis FROM architect.index_usage('30 days') WHERE index_name = 'public.t_b'")" "what happened in 5 days of them was lost"
scan b 30
is "scans after it are added" "$(usage b '30 days')" "OCCASIONALLY_USED|230|45"
sql "SELECT architect.take_snapshot()" >/dev/null
is "also once kept" "$(usage b '30 days')" "OCCASIONALLY_USED|230|45"
scan b 10
is "and counted on from there" "$(usage b '30 days')" "OCCASIONALLY_USED|240|45"
is "time that was not observed is no proof" "$(verdict c '42 days')" wait
is "what was observed is" "$(verdict c '30 days')" drop

# An index's own counters reset.
sql "SELECT pg_stat_reset_single_table_counters('t_b'::regclass)" >/dev/null
like "one index's counters reset: it stays used" "$(usage b '30 days')" "^OCCASIONALLY_USED\|2[34]0\|"

# A crash discards the counters.
sql "SELECT architect.take_snapshot()" >/dev/null
crash_cluster main
restart_cluster main
like "a crash does not make a used index unused" "$(usage b '30 days')" "^OCCASIONALLY_USED\|2[34]0\|"
is "since a crash is no time" "$(sql "SELECT stats_since > now() - interval '1 minute' FROM architect.take_snapshot()")" t

# An index rebuilt is the same, one made anew under its name is not.
sql "REINDEX INDEX CONCURRENTLY t_b" >/dev/null
like "REINDEX CONCURRENTLY leaves the evidence" "$(usage b '30 days')" "^OCCASIONALLY_USED\|2[34]0\|45"
sql "DROP INDEX t_c" >/dev/null
sql "CREATE INDEX t_c ON t (c, b)" >/dev/null
is "an index made after a snapshot is as old as that" "$(verdict c '30 days')" wait
is "its evidence begins there" "$(usage c '30 days')" "UNUSED|0|0"

# Old figures go, and what later ones are counted from stays.
sql "UPDATE architect.statistics_snapshot SET taken_at = taken_at - interval '500 days'" >/dev/null
sql "SELECT architect.take_snapshot()" >/dev/null
sql_is "of each index one row past its time stays" "SELECT count(*) FROM architect.index_snapshot p JOIN architect.statistics_snapshot s USING (snapshot_id) WHERE s.taken_at < now() - interval '400 days' AND index_oid = 't_a'::regclass" 1
is "and is evidence" "$(verdict a '90 days')" drop

sql "CALL architect.run_maintenance()" >/dev/null
sql_is "maintenance takes snapshots" "SELECT action FROM architect.maintenance_log() WHERE step = 'statistics snapshot'" taken

# A table that somebody holds exclusively: no report waits for it. Indexes that go meanwhile end no report.
sql "CREATE TABLE held (id int PRIMARY KEY, a int REFERENCES t, d date) PARTITION BY RANGE (id);
     CREATE TABLE held_1 PARTITION OF held FOR VALUES FROM (1) TO (10); CREATE INDEX held_a ON held (a, id)" >/dev/null
in_background holder "BEGIN; LOCK TABLE t, held, held_1 IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)"
until [[ $(sql "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'held_1'::regclass") == 1 ]]; do sleep 0.1; done
for report in "index_usage()" "unused_indexes()" "redundant_indexes(true)" "unindexed_foreign_keys()" "invalid_indexes()" "index_bloat('0')" \
  "take_snapshot()" "statistics_figures()" "review_advice()"; do
  ok "$report does not wait" sql "SET statement_timeout = '20s'; SELECT count(*) FROM architect.$report AS x"
done
sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'pg_sleep' AND pid <> pg_backend_pid()" >/dev/null
finished holder >/dev/null || true
in_background churn "DO \$\$ BEGIN FOR i IN 1..150 LOOP EXECUTE format('CREATE TABLE churn_%s (id int PRIMARY KEY, a int)', i); COMMIT; EXECUTE format('CREATE INDEX ON churn_%s (a)', i); COMMIT; EXECUTE format('DROP TABLE churn_%s', i); COMMIT; END LOOP; END \$\$"
status=0
while [[ ! -s $DBA_WORK/background.churn.status ]]; do
  sql "SELECT count(*) FROM architect.index_usage; SELECT count(*) FROM architect.unused_indexes('0', include_kept => true); SELECT count(*) FROM architect.redundant_indexes(true)" >/dev/null 2>"$DBA_WORK/churn.err" || { status=1; break; }
done
finished churn >/dev/null || true
is "indexes dropped meanwhile end no report" "$status $(cat "$DBA_WORK/churn.err" 2>/dev/null)" "0 "
