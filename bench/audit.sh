#!/usr/bin/env bash
# What auditing costs the application: CPU time of the backend above the same statement on an unaudited table, next to the
# usual PL/pgSQL trigger (to_jsonb(OLD), to_jsonb(NEW) into a log with the same indexes), in one run.
# usage: bench/audit.sh [ROWS] [ROUNDS]
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib/measure.sh"
declare -a wal=()
rows=${1:-100000} rounds=${2:-5} singles=20000

setup() {
  sql "CREATE DATABASE bench"
  psql_on main -q -v ON_ERROR_STOP=1 -U postgres -d bench -v rows="$rows" -f - <<'SQL'
CREATE EXTENSION db_architect;
CREATE TABLE plain (id bigint PRIMARY KEY, customer text, quantity int, created_at timestamptz DEFAULT now(),
    price numeric(10,2), active boolean, note text, status int);
INSERT INTO plain SELECT i, 'customer ' || i, i % 7, now(), i * 1.5, i % 2 = 0, 'some note ' || i, 0 FROM generate_series(1, :rows) i;
CREATE TABLE audited (LIKE plain INCLUDING ALL);
CREATE TABLE audited_full (LIKE plain INCLUDING ALL);
CREATE TABLE plpgsql (LIKE plain INCLUDING ALL);
INSERT INTO audited SELECT * FROM plain;
INSERT INTO audited_full SELECT * FROM plain;
INSERT INTO plpgsql SELECT * FROM plain;

CREATE TABLE plpgsql_log (audit_id bigint GENERATED ALWAYS AS IDENTITY, changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    txid xid8 NOT NULL DEFAULT pg_current_xact_id(), role_name text NOT NULL DEFAULT current_user,
    application_name text NOT NULL DEFAULT current_setting('application_name'), table_name text NOT NULL, operation text NOT NULL,
    key_hash int NOT NULL, old_values jsonb, new_values jsonb);
CREATE INDEX ON plpgsql_log (key_hash, table_name);
CREATE INDEX ON plpgsql_log USING brin (changed_at);
CREATE FUNCTION plpgsql_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO plpgsql_log (table_name, operation, key_hash, new_values) VALUES (TG_TABLE_NAME, TG_OP, NEW.id, to_jsonb(NEW));
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO plpgsql_log (table_name, operation, key_hash, old_values, new_values)
        VALUES (TG_TABLE_NAME, TG_OP, NEW.id, to_jsonb(OLD), to_jsonb(NEW));
    ELSE
        INSERT INTO plpgsql_log (table_name, operation, key_hash, old_values) VALUES (TG_TABLE_NAME, TG_OP, OLD.id, to_jsonb(OLD));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON plpgsql FOR EACH ROW EXECUTE FUNCTION plpgsql_audit();

CREATE TABLE plain_toast (id int PRIMARY KEY, counter int, body text);
ALTER TABLE plain_toast ALTER body SET STORAGE EXTERNAL;
INSERT INTO plain_toast SELECT i, 0, repeat(md5(i::text), 1600) FROM generate_series(1, 1000) i;
CREATE TABLE audited_toast (LIKE plain_toast INCLUDING ALL);
CREATE TABLE plpgsql_toast (LIKE plain_toast INCLUDING ALL);
INSERT INTO audited_toast SELECT * FROM plain_toast;
INSERT INTO plpgsql_toast SELECT * FROM plain_toast;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON plpgsql_toast FOR EACH ROW EXECUTE FUNCTION plpgsql_audit();

SELECT FROM architect.enable_audit('audited') \g /dev/null
SELECT FROM architect.enable_audit('audited_full', image => 'full') \g /dev/null
SELECT FROM architect.enable_audit('audited_toast') \g /dev/null
VACUUM ANALYZE;
CHECKPOINT;
SQL
}

log_of() { case $1 in plpgsql*) echo "pg_total_relation_size('plpgsql_log')" ;; *) echo "(SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('architect.audit_entry')) + pg_total_relation_size('architect.capture_context')" ;; esac; }
empty_logs() { run "TRUNCATE plpgsql_log; TRUNCATE architect.audit_entry"; }
in_bench() { psql_on main -qAtX -U postgres -d bench -c "$1"; }

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

row() { printf '| %s | %s | %s | %s | %s |\n' "$@"; }
compare() { row "$2" "$(per_row "$1.$3" "$1.plain${6:-}" "$4")" "$(per_row "$1.plpgsql${6:-}" "$1.plain${6:-}" "$4")" "$(ratio "$1.$3" "$1.plpgsql${6:-}" "$1.plain${6:-}")" "$5"; }

wal_of() { # NAME SQL: bytes of WAL the statement writes
  local before
  run "CHECKPOINT"
  run "$2"   # full-page images are out of the way
  before=$(in_bench "SELECT pg_current_wal_insert_lsn()")
  run "$2"
  in_bench "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '$before')::bigint"
}

start_bench_cluster main wal_level=replica
setup
open_session bench

in_turn update "UPDATE %T SET quantity = quantity + 1" plain audited plpgsql
in_turn full "UPDATE %T SET quantity = quantity + 1" plain audited_full plpgsql
copy="SELECT id + 10000000, customer, quantity, created_at, price, active, note, status FROM audited_full WHERE id <= $rows"
for ((round = 0; round < rounds; round++)); do
  empty_logs
  for table in plain audited plpgsql; do
    measure "insert.$table" "INSERT INTO $table $copy"
    measure "delete.$table" "DELETE FROM $table WHERE id > 10000000"
    run "VACUUM $table"
  done
done
in_turn single "DO 'BEGIN FOR i IN 1..$singles LOOP UPDATE %T SET status = status + 1 WHERE id = i; END LOOP; END'" plain audited plpgsql
in_turn toast "UPDATE %T SET counter = counter + 1" plain_toast audited_toast plpgsql_toast

printf '| statement, %s rows | audited, µs/row | PL/pgSQL, µs/row | ratio | goal |\n| --- | --- | --- | --- | --- |\n' "$rows"
compare update "bulk UPDATE of one column" audited "$rows" 0.20
compare insert "bulk INSERT" audited "$rows" 0.40
compare delete "bulk DELETE" audited "$rows" 0.40
compare full "bulk UPDATE, full image" audited_full "$rows" 0.40
compare single "single-row UPDATE by key" audited "$singles" 0.25
compare toast "UPDATE of an int beside 50 kB of text" audited_toast 1000 0.02 _toast

empty_logs
run "UPDATE audited SET quantity = quantity + 1"
run "UPDATE plpgsql SET quantity = quantity + 1"
ours=$(in_bench "SELECT (($(log_of audited)) / $rows)::bigint") theirs=$(in_bench "SELECT ($(log_of plpgsql)) / $rows")
row "log bytes a row, one-column UPDATE" "$ours" "$theirs" "$(quotient "$ours" "$theirs")" 0.30
for table in plain audited plpgsql; do wal[${#wal[@]}]=$(wal_of "$table" "UPDATE ${table}_toast SET counter = counter + 1"); done
row "WAL bytes a row beside 50 kB of text" $(((wal[1] - wal[0]) / 1000)) $(((wal[2] - wal[0]) / 1000)) "$(quotient $((wal[1] - wal[0])) $((wal[2] - wal[0])))" "1 kB"
close_session

# Memory of a backend over a statement of a million rows: the peak of what is its own, sampled.
peak_memory() {
  local pid peak=0 now
  open_session bench
  pid=$SESSION_PID
  run "UPDATE $1 SET status = 0 WHERE id = 1"
  printf "UPDATE %s SET status = status + 1;\nSELECT 'done';\n" "$1" >&"$SESSION_IN"
  while ! read -r -t 0.05 _ <&"$SESSION_OUT"; do
    now=$(awk '/RssAnon/ {print $2}' "/proc/$pid/status")
    ((now > peak)) && peak=$now
  done
  close_session
  printf '%s' $((peak / 1024))
}
psql_on main -q -U postgres -d bench -f - <<'SQL'
CREATE TABLE big_plain (LIKE plain INCLUDING ALL);
INSERT INTO big_plain SELECT i, 'customer ' || i, i % 7, now(), i * 1.5, i % 2 = 0, 'some note ' || i, 0 FROM generate_series(1, 1000000) i;
CREATE TABLE big_audited (LIKE plain INCLUDING ALL);
INSERT INTO big_audited SELECT * FROM big_plain;
CREATE TABLE big_noop (LIKE plain INCLUDING ALL);
INSERT INTO big_noop SELECT * FROM big_plain;
CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER noop AFTER INSERT OR UPDATE OR DELETE ON big_noop FOR EACH ROW EXECUTE FUNCTION noop();
SELECT count(*) FROM architect.enable_audit('big_audited') \g /dev/null
SQL
printf '\nPeak private memory of the backend over an UPDATE of 1,000,000 rows: %s MB without a trigger, %s MB with an empty AFTER ROW trigger, %s MB audited.\n' \
  "$(peak_memory big_plain)" "$(peak_memory big_noop)" "$(peak_memory big_audited)"

# pgbench's TPC-B-like script, every table audited.
tps() {
  tool_on main pgbench -n -c 2 -j 1 -T "${BENCH_SECONDS:-10}" "$1" 2>/dev/null | awk '/^tps/ {printf "%d", $3}'
}
for name in unaudited audited plpgsql; do
  sql "CREATE DATABASE bench_$name"
  tool_on main pgbench -i -q -s 10 "bench_$name" >/dev/null 2>&1
done
psql_on main -q -U postgres -d bench_audited -c "CREATE EXTENSION db_architect" -c "ALTER TABLE pgbench_history ADD id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY" -c "SELECT count(*) FROM architect.enable_audit_schema('public')" >/dev/null
psql_on main -q -U postgres -d bench_plpgsql -c "ALTER TABLE pgbench_history ADD id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY" -f - >/dev/null <<'SQL'
CREATE TABLE plpgsql_log (audit_id bigint GENERATED ALWAYS AS IDENTITY, changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    txid xid8 NOT NULL DEFAULT pg_current_xact_id(), role_name text NOT NULL DEFAULT current_user,
    application_name text NOT NULL DEFAULT current_setting('application_name'), table_name text NOT NULL, operation text NOT NULL,
    key_hash int NOT NULL, old_values jsonb, new_values jsonb);
CREATE INDEX ON plpgsql_log (key_hash, table_name);
CREATE INDEX ON plpgsql_log USING brin (changed_at);
CREATE FUNCTION plpgsql_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    old_row jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    new_row jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
BEGIN
    INSERT INTO plpgsql_log (table_name, operation, key_hash, old_values, new_values)
    VALUES (TG_TABLE_NAME, TG_OP, (COALESCE(new_row, old_row) ->> TG_ARGV[0])::int, old_row, new_row);
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON pgbench_accounts FOR EACH ROW EXECUTE FUNCTION plpgsql_audit('aid');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON pgbench_tellers FOR EACH ROW EXECUTE FUNCTION plpgsql_audit('tid');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON pgbench_branches FOR EACH ROW EXECUTE FUNCTION plpgsql_audit('bid');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON pgbench_history FOR EACH ROW EXECUTE FUNCTION plpgsql_audit('id');
SQL
declare -A total=()
for _ in 1 2 3; do
  for name in unaudited audited plpgsql; do total[$name]=$((${total[$name]:-0} + $(tps "bench_$name"))); done
done
printf '\npgbench (TPC-B-like, scale 10, 2 clients), transactions a second: %d unaudited, %d audited (%s), %d PL/pgSQL (%s).\n' \
  $((total[unaudited] / 3)) $((total[audited] / 3)) "$(quotient "${total[audited]}" "${total[unaudited]}")" \
  $((total[plpgsql] / 3)) "$(quotient "${total[plpgsql]}" "${total[unaudited]}")"
