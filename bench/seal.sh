#!/usr/bin/env bash
# How fast the log is sealed and verified: entries a second of one backend, with what it writes, and what a nightly
# seal costs on top of a large log. usage: bench/seal.sh [ENTRIES]
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib/measure.sh"
entries=${1:-2000000}

start_bench_cluster main
sql "CREATE EXTENSION db_architect"
sql "CREATE TABLE t (id bigint PRIMARY KEY, customer text, quantity int, created_at timestamptz DEFAULT now(), price numeric(10,2), status int)"
sql "SELECT architect.enable_audit('t')" >/dev/null

# As an application writes them: twenty changes a transaction, each with a correlation id of its own (one context each).
fill() {
  psql_on main -q -U postgres -d postgres -v first="$1" -v many="$2" -f - <<'SQL'
SET synchronous_commit = off;
SELECT set_config('bench.first', :'first', false), set_config('bench.many', :'many', false) \g /dev/null
DO $$
DECLARE
    first bigint := current_setting('bench.first');
    many  bigint := current_setting('bench.many');
BEGIN
    FOR i IN 0 .. many / 20 - 1 LOOP
        PERFORM set_config('architect.correlation_id', gen_random_uuid()::text, true);
        INSERT INTO t SELECT g, 'customer ' || g, g % 7, now(), g * 1.5, 0
          FROM generate_series(first + i * 10, first + i * 10 + 9) g;
        UPDATE t SET status = 1 WHERE id BETWEEN first + i * 10 AND first + i * 10 + 9;
        COMMIT;
    END LOOP;
END $$;
SQL
}

log_bytes() { sql "SELECT sum(pg_table_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'architect.audit_entry'::regclass"; }
seal_bytes() { sql "SELECT pg_total_relation_size('architect.audit_seal_chunk') + pg_total_relation_size('architect.audit_seal')"; }
peak_kb() { awk '/^VmHWM:/ {print $2}' "/proc/$SESSION_PID/status"; }
shared_kb() { awk '/^RssShmem:/ {print $2}' "/proc/$SESSION_PID/status"; }
line() { printf '%-46s %12s %12s %14s\n' "$@"; }

fill 1 "$entries"
sql "VACUUM ANALYZE architect.audit_entry, architect.capture_context" >/dev/null
open_session postgres
line "" "seconds" "CPU seconds" "entries/s"
step() {
  local before start took cpu
  before=$(cpu_us)
  start=$EPOCHREALTIME
  run "$2"
  took=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN {printf "%.2f", b - a}')
  cpu=$(awk -v a="$before" -v b="$(cpu_us)" 'BEGIN {printf "%.2f", (b - a) / 1e6}')
  line "$1" "$took" "$cpu" "$(awk -v n="$3" -v t="$took" 'BEGIN {printf "%d", n / t}')"
}
step "first seal of $entries entries" "SELECT architect.seal_audit_log()" "$entries"
step "verification of all" "DO 'BEGIN ASSERT (SELECT severity = ''ok'' FROM architect.verify_audit_log()); END'" "$entries"
fill $((entries + 1)) 20000
step "nightly seal of 20000 more" "SELECT architect.seal_audit_log()" 20000
step "nothing new to seal" "SELECT architect.seal_audit_log()" 0
printf '\nlog %s MB, seals %s MB (%s bytes an entry); the backend had at most %s MB of its own\n' \
  $(($(log_bytes) / 1048576)) $(($(seal_bytes) / 1048576)) \
  "$(awk -v a="$(seal_bytes)" -v n="$entries" 'BEGIN {printf "%.1f", a / n}')" $((($(peak_kb) - $(shared_kb)) / 1024))
close_session
