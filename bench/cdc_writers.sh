#!/usr/bin/env bash
# What the change feed costs a writer: CPU time of the backend above the same statement on a plain table, next to the audit
# log alone and to both together; then transactions a second of 16 clients with the feed on, with and without notifications.
# usage: bench/cdc_writers.sh [ROWS] [ROUNDS]
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib/measure.sh"
rows=${1:-100000} rounds=${2:-5} singles=20000 clients=${BENCH_CLIENTS:-16}

setup() {
  sql "CREATE DATABASE bench"
  psql_on main -q -v ON_ERROR_STOP=1 -U postgres -d bench -v rows="$rows" -f - <<'SQL'
CREATE EXTENSION db_architect;
CREATE TABLE plain (id bigint PRIMARY KEY, customer text, quantity int, created_at timestamptz DEFAULT now(),
    price numeric(10,2), active boolean, note text, status int);
INSERT INTO plain SELECT i, 'customer ' || i, i % 7, now(), i * 1.5, i % 2 = 0, 'some note ' || i, 0 FROM generate_series(1, :rows) i;
CREATE TABLE audited (LIKE plain INCLUDING ALL);
CREATE TABLE captured (LIKE plain INCLUDING ALL);
CREATE TABLE captured_changed (LIKE plain INCLUDING ALL);
CREATE TABLE both_changed (LIKE plain INCLUDING ALL);
CREATE TABLE both_full (LIKE plain INCLUDING ALL);
CREATE TABLE both_default (LIKE plain INCLUDING ALL);
CREATE TABLE audited_full (LIKE plain INCLUDING ALL);
INSERT INTO audited SELECT * FROM plain;
INSERT INTO captured SELECT * FROM plain;
INSERT INTO captured_changed SELECT * FROM plain;
INSERT INTO both_changed SELECT * FROM plain;
INSERT INTO both_full SELECT * FROM plain;
INSERT INTO audited_full SELECT * FROM plain;
INSERT INTO both_default SELECT * FROM plain;
SELECT FROM architect.enable_audit('audited') \g /dev/null
SELECT FROM architect.enable_audit('audited_full', image => 'full') \g /dev/null
SELECT FROM architect.enable_cdc('captured', notify => false) \g /dev/null
SELECT FROM architect.enable_cdc('captured_changed', image => 'changed', notify => false) \g /dev/null
SELECT FROM architect.enable_audit('both_changed') \g /dev/null
SELECT FROM architect.enable_cdc('both_changed', image => 'changed', notify => false) \g /dev/null
SELECT FROM architect.enable_audit('both_full', image => 'full') \g /dev/null
SELECT FROM architect.enable_cdc('both_full', notify => false) \g /dev/null
SELECT FROM architect.enable_audit('both_default') \g /dev/null
SELECT FROM architect.enable_cdc('both_default', notify => false) \g /dev/null
VACUUM ANALYZE;
CHECKPOINT;
SQL
}

empty_logs() { run "TRUNCATE architect.audit_entry; TRUNCATE architect.change_entry"; }

# in_turn NAME SQL-with-%T TABLE...: measures the statement on each table, round by round.
in_turn() {
  local name=$1 statement=$2 table round
  shift 2
  for ((round = 0; round < rounds; round++)); do
    empty_logs
    for table in "$@"; do
      measure "$name.$table" "${statement//%T/$table}"
      run "VACUUM $table"
    done
  done
}

row() { printf '| %s | %s | %s | %s | %s | %s |\n' "$@"; }
# line NAME TITLE ROWS AUDITED CAPTURED BOTH: each with the image named
line() {
  local plain=$1.plain
  row "$2" "$(per_row "$1.$4" "$plain" "$3")" "$(per_row "$1.$5" "$plain" "$3")" "$(per_row "$1.$6" "$plain" "$3")" \
    "$(ratio "$1.$5" "$1.$4" "$plain")" "$(ratio "$1.$6" "$1.$4" "$plain")"
}

start_bench_cluster main wal_level=replica
setup
open_session bench

tables=(plain audited captured_changed both_changed audited_full captured both_full both_default)
in_turn update "UPDATE %T SET quantity = quantity + 1" "${tables[@]}"
in_turn single "DO 'BEGIN FOR i IN 1..$singles LOOP UPDATE %T SET status = status + 1 WHERE id = i; END LOOP; END'" "${tables[@]}"
in_turn committed "DO 'BEGIN FOR i IN 1..$singles LOOP UPDATE %T SET status = status + 1 WHERE id = i; COMMIT; END LOOP; END'" \
  plain audited captured both_default
copy="SELECT id + 10000000, customer, quantity, created_at, price, active, note, status FROM plain WHERE id <= $rows"
for ((round = 0; round < rounds; round++)); do
  empty_logs
  for table in plain audited captured both_full; do
    measure "insert.$table" "INSERT INTO $table $copy"
    measure "delete.$table" "DELETE FROM $table WHERE id > 10000000"
    run "VACUUM $table"
  done
done
close_session

printf '| statement, %s rows | audit, µs/row | feed, µs/row | both, µs/row | feed to audit (goal 1.0) | both to audit (goal 1.5) |\n| --- | --- | --- | --- | --- | --- |\n' "$rows"
line update "bulk UPDATE, changed columns" "$rows" audited captured_changed both_changed
line update "bulk UPDATE, full image" "$rows" audited_full captured both_full
line update "bulk UPDATE, defaults of both" "$rows" audited captured both_default
line single "single-row UPDATE by key, changed columns" "$singles" audited captured_changed both_changed
line single "single-row UPDATE by key, full image" "$singles" audited_full captured both_full
line single "single-row UPDATE by key, defaults of both" "$singles" audited captured both_default
line committed "the same, a transaction each" "$singles" audited captured both_default
line insert "bulk INSERT" "$rows" audited captured both_full
line delete "bulk DELETE" "$rows" audited captured both_full

# pgbench's TPC-B-like script, every table captured; the databases take turns.
tps() {
  tool_on main pgbench -n -c "$clients" -j 2 -T "${BENCH_SECONDS:-10}" "$1" 2>/dev/null | awk '/^tps/ {printf "%d", $3}'
}
for name in plain quiet notifying; do
  sql "CREATE DATABASE bench_$name"
  tool_on main pgbench -i -q -s 20 "bench_$name" >/dev/null 2>&1
done
for name in quiet notifying; do
  psql_on main -q -U postgres -d "bench_$name" -c "CREATE EXTENSION db_architect" -c "ALTER TABLE pgbench_history ADD id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY" \
    -c "SELECT count(*) FROM architect.enable_cdc_schema('public', notify => $([[ $name == notifying ]] && echo true || echo false))" >/dev/null
done
# The same table, so that what is compared is the feed.
psql_on main -q -U postgres -d bench_plain -c "ALTER TABLE pgbench_history ADD id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
declare -A total=()
for _ in 1 2 3; do
  for name in plain quiet notifying; do total[$name]=$((${total[$name]:-0} + $(tps "bench_$name"))); done
done
printf '\npgbench (TPC-B-like, scale 20, %s clients), transactions a second: %d plain, %d with the feed (%s), %d with the feed and notifications (%s).\n' \
  "$clients" $((total[plain] / 3)) $((total[quiet] / 3)) "$(quotient "${total[quiet]}" "${total[plain]}")" \
  $((total[notifying] / 3)) "$(quotient "${total[notifying]}" "${total[plain]}")"
