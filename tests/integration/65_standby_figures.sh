#!/usr/bin/env bash
# A standby's figures: reports work there, are imported on the primary, and an index used on a standby is never advised
# to be dropped.
source "$(dirname "$0")/lib.sh"

start_cluster main autovacuum=off
sql "CREATE EXTENSION db_architect" >/dev/null
sql "CREATE TABLE t (id int PRIMARY KEY, a int, b int) WITH (autovacuum_enabled = off)" >/dev/null
sql "INSERT INTO t SELECT g, g, g FROM generate_series(1, 20000) AS g; CREATE INDEX t_a ON t (a); CREATE INDEX t_b ON t (b); CREATE INDEX t_b_id ON t (b, id); ANALYZE t" >/dev/null
sql "SELECT architect.take_snapshot()" >/dev/null
sql "UPDATE architect.statistics_snapshot SET taken_at = taken_at - interval '40 days'" >/dev/null
start_standby standby main
wait_for() { local i; for ((i = 0; i < 300; i++)); do [[ $(sql "${@:2}") == "$1" ]] && return; sleep 0.1; done; return 1; }
ok "the standby streams" wait_for 1 "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"

verdict() { sql "SELECT verdict FROM architect.unused_indexes('30 days') WHERE index_name = 'public.t_$1'"; }
is "with a standby whose figures are unknown nothing is to be dropped" "$(verdict a)" wait
like "and it says so" "$(sql "SELECT reason FROM architect.unused_indexes('30 days') WHERE index_name = 'public.t_a'")" "1 standbys are connected and figures of 0 were imported"
is "unless told to judge by the primary alone" "$(sql "SELECT verdict FROM architect.unused_indexes('30 days', ignore_standbys => true) WHERE index_name = 'public.t_a'")" drop

ok "reports work on a standby" sql -c standby "SELECT count(*) FROM architect.index_usage"
ok "every one of them" sql -c standby "SELECT count(*) FROM architect.unused_indexes(), architect.redundant_indexes(), architect.invalid_indexes(), architect.unindexed_foreign_keys()"
fails_with "a standby keeps no figures" 25006 -c standby "SELECT * FROM architect.take_snapshot()"

sql -c standby "SET enable_seqscan = off; SELECT count(*) FROM generate_series(1, 100) AS g, LATERAL (SELECT FROM t WHERE a = g OFFSET 0) AS x" >/dev/null
figures() { sql -c standby "SELECT architect.statistics_figures()"; }
# Figures of now, as if they had been counted for forty days.
since=$(sql "SELECT to_jsonb(now() - interval '40 days')")
old_figures() { sql "SELECT jsonb_set(\$f\$$(figures)\$f\$::jsonb, '{stats_since}', '$since')"; }
import() { sql "SELECT node, indexes FROM architect.import_snapshot('replica_1', \$f\$$1\$f\$)"; }
is "figures are imported" "$(import "$(old_figures)")" "replica_1|4"
is "an index used there is not unused" "$(verdict a)" ""
sql_is "its use there shows" "SELECT scans, standby_scans, category FROM architect.index_usage('30 days') WHERE index_name = 'public.t_a'" "0|100|OCCASIONALLY_USED"
is "one used nowhere is to be dropped" "$(verdict b)" drop
is "the same figures again are no news" "$(f=$(old_figures); import "$f" >/dev/null; import "$f")" ""

fails_with "figures of the primary are refused" 22023 "SELECT * FROM architect.import_snapshot('replica_1', architect.statistics_figures())"
fails_with "a standby cannot be called primary" 22023 "SELECT * FROM architect.import_snapshot('primary', \$f\$$(figures)\$f\$)"
fails_with "figures of another cluster are refused" 22023 "SELECT * FROM architect.import_snapshot('x', jsonb_set(\$f\$$(figures)\$f\$, '{system_identifier}', '\"1\"'))"
fails_with "figures that are none are refused" 22023 "SELECT * FROM architect.import_snapshot('x', '{}')"
fails_with "figures of another form are refused" 22023 "SELECT * FROM architect.import_snapshot('x', '[1]')"

# The standby restarts with its counters lost: what was imported stays.
crash_cluster standby
restart_cluster standby
import "$(figures)" >/dev/null
sql_is "a standby's crash does not make the index unused" "SELECT standby_scans FROM architect.index_usage('30 days') WHERE index_name = 'public.t_a'" 100

# What is redundant is so everywhere.
sql_is "a redundant index is redundant on the standby too" "SELECT index_name FROM architect.redundant_indexes()" public.t_b
