#!/usr/bin/env bash
# Several sessions enable audit at once, the very first time too, while others write: each succeeds, the
# work is done once, and from then on every change is recorded.
source "$(dirname "$0")/lib.sh"

start_cluster main
sql "CREATE EXTENSION db_architect; CREATE ROLE alice LOGIN; CREATE SCHEMA app; GRANT ALL ON SCHEMA app TO alice"

# at_once SQL...: each in a session of its own, all let go by one lock; prints what they said.
at_once() {
  local i=0 statement
  in_background gate "SELECT pg_advisory_lock(42); SELECT pg_sleep(600)"
  wait_until "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND granted"
  for statement in "$@"; do
    in_background "racer$((i++))" "SET client_min_messages = warning; SELECT 'ready' FROM pg_advisory_lock_shared(42); $statement"
  done
  wait_until "SELECT count(*) = $# FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted"
  sql "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND granted" >/dev/null
  finished gate >/dev/null || true
  for ((i = 0; i < $#; i++)); do finished "racer$i" || echo failed; done | grep -v '^ready$'
}
count_lines() { sort | uniq -c | awk '{$1 = $1; print}' | paste -sd';'; }

# Storage is made by the first call: eight of them, on eight tables.
for i in 1 2 3 4 5 6 7 8; do sql "CREATE TABLE app.t$i (id int PRIMARY KEY, n int); INSERT INTO app.t$i SELECT generate_series(1, 100), 0"; done
racers=()
for i in 1 2 3 4 5 6 7 8; do racers+=("SELECT action FROM architect.enable_audit('app.t$i')"); done
is "eight first calls at once all succeed" "$(at_once "${racers[@]}" | count_lines)" "8 enabled"
sql_is "the log was made once" "SELECT (SELECT count(*) FROM architect.capture_origin), (SELECT count(*) FROM architect.audit_table WHERE enabled)" "1|8"
sql_is "each table is covered" "SELECT count(*) FROM architect.audit_coverage() WHERE status = 'covered'" 8

# One table, while it is written to without pause.
cat >"$DBA_WORK/write.sql" <<'SQL'
\set id random(1, 100)
UPDATE app.hot SET n = n + 1 WHERE id = :id;
SQL
chmod a+r "$DBA_WORK/write.sql"
sql "CREATE TABLE app.hot (id int PRIMARY KEY, n int); INSERT INTO app.hot SELECT generate_series(1, 100), 0"
for round in 1 2 3; do
  tool_on main pgbench -n -c 4 -T 3 -f "$DBA_WORK/write.sql" postgres >"$DBA_WORK/bench.log" 2>&1 &
  bench=$!
  wait_until "SELECT sum(n) > 100 * $round FROM app.hot"
  racers=()
  for i in 1 2 3 4 5 6 7 8; do racers+=("SELECT action FROM architect.enable_audit('app.hot')"); done
  is "eight calls for one table: round $round" "$(at_once "${racers[@]}" | count_lines)" "1 enabled;7 exists"
  status=0
  wait "$bench" || status=$?
  is "the writers went on and no write failed" "$status $(grep -cE 'ERROR|aborted' "$DBA_WORK/bench.log" || true)" "0 0"
  sql_is "the table has two triggers and one policy" \
    "SELECT (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'app.hot'::regclass), (SELECT count(*) FROM architect.audit_table WHERE table_name = 'hot' AND enabled)" "2|1"
  # From the first recorded change of a row on, each one is there: old and new values make a chain that ends at the row.
  sql_is "nothing is missing from the first recorded change on" \
    "WITH entries AS (SELECT l.row_key ->> 'id' AS id, l.old_values -> 'n' AS old, l.new_values -> 'n' AS new,
                             lead(l.old_values -> 'n') OVER (PARTITION BY l.row_key ORDER BY (l.new_values ->> 'n')::int) AS next_old
                        FROM architect.audit_log AS l JOIN architect.audit_table AS t ON t.table_name = l.table_name AND l.changed_at >= t.enabled_at
                       WHERE l.table_name = 'hot')
     SELECT count(*) > 100, count(*) FILTER (WHERE e.new <> COALESCE(e.next_old, to_jsonb(h.n))) FROM entries AS e JOIN app.hot AS h ON h.id = e.id::int" "t|0"
  sql "SELECT action FROM architect.disable_audit('app.hot')" >/dev/null
done

# Switching on, off and to another policy at once leaves one of these states, whole.
racers=()
for i in 1 2 3; do
  racers+=("SELECT 'fine' FROM architect.enable_audit('app.hot')" "SELECT 'fine' FROM architect.disable_audit('app.hot')" "SELECT 'fine' FROM architect.enable_audit('app.hot', image => 'full', operations => '{update}')")
done
is "on, off and otherwise at once" "$(at_once "${racers[@]}" | count_lines)" "9 fine"
sql_is "policy and triggers agree" \
  "SELECT (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'app.hot'::regclass)
        = COALESCE((SELECT CASE WHEN enabled THEN CASE WHEN image = 'full' THEN 1 ELSE 2 END ELSE 0 END FROM architect.audit_table WHERE table_name = 'hot'), 0)" t

# Making partitions while the partitioned table is enabled and written to.
sql "CREATE TABLE app.p (id int, k int) PARTITION BY LIST (k); CREATE TABLE app.p0 PARTITION OF app.p FOR VALUES IN (0)"
racers=("SELECT 'fine' FROM architect.enable_audit('app.p')" "SELECT 'fine' FROM architect.enable_audit('app.p')")
for i in 1 2 3 4; do racers+=("CREATE TABLE app.p$i PARTITION OF app.p FOR VALUES IN ($i); INSERT INTO app.p VALUES ($i, $i); SELECT 'fine'"); done
is "partitions made meanwhile" "$(at_once "${racers[@]}" | count_lines)" "6 fine"
sql "INSERT INTO app.p SELECT 9, i FROM generate_series(0, 4) AS i; TRUNCATE app.p1; TRUNCATE app.p"
sql_is "each has its triggers" "SELECT count(*) FROM architect.audit_log WHERE table_name = 'p' AND new_values ->> 'id' = '9'" 5
sql_is "and TRUNCATE is seen" "SELECT count(*) FROM architect.audit_log WHERE table_name = 'p' AND operation = 'TRUNCATE'" 2
