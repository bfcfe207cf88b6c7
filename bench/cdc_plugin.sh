#!/usr/bin/env bash
# The output plugin next to wal2json (format 2), in one run, both decoding the same WAL: through pg_recvlogical and through SQL
# (a count of pg_logical_slot_peek_changes). CPU and elapsed time, rows a second, bytes, and peak memory of the process that
# decodes: all of it but shared buffers, and what is its own alone (without pages of program files).
# usage: bench/cdc_plugin.sh [CHANGES] [ROUNDS]    (changes of a table of mixed columns; a hundredth of them, wide and TOAST-heavy)
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib/measure.sh"
changes=${1:-1000000} rounds=${2:-3}
# db_architect as it is, and with a message for each line (batch=0) as wal2json has it.
plugins=(db_architect single wal2json)
plugin_of() { if [[ $1 == single ]]; then echo db_architect; else echo "$1"; fi; }

use_stage
[[ -f $("$PG_CONFIG" --pkglibdir)/wal2json.so ]] || die "wal2json is not installed: apt-get install postgresql-$PG_MAJOR-wal2json"
start_bench_cluster main wal_level=logical max_replication_slots=60 max_wal_senders=10 "$(plugin_setting)"
sql "CREATE TABLE mixed (id bigint PRIMARY KEY, customer text, quantity int, created_at timestamptz DEFAULT now(), price numeric(10,2),
       active boolean, note text, status int, uid uuid, born date, weight float8, doc jsonb);
     CREATE TABLE wide (id bigint PRIMARY KEY, a text, b text, c text, d bytea, $(for ((i = 1; i < 20; i++)); do printf 'n%d int DEFAULT %d, ' $i $i; done) n20 int);
     ALTER TABLE wide ALTER a SET STORAGE EXTERNAL, ALTER d SET STORAGE EXTERNAL"

slots() { # NAME: the slots of a workload, made before it so that all of them decode the same WAL
  local plugin round
  for plugin in "${plugins[@]}"; do
    for ((round = 0; round < rounds; round++)); do
      sql "SELECT FROM pg_create_logical_replication_slot('$1_${plugin}_$round', '$(plugin_of "$plugin")')"
    done
  done
}

options() {
  case $1 in
    wal2json) echo "-o format-version=2" ;;
    single) echo "-o batch=0" ;;
  esac
}

declare -A cpu=() elapsed=() memory=() own=() bytes=()
lesser() { if [[ -z $2 ]] || (($1 < $2)); then echo "$1"; else echo "$2"; fi; }
# note_memory KEY PID
note_memory() {
  local peak shared anonymous
  peak=$(awk '/^VmHWM:/ {print $2}' "/proc/$2/status")
  shared=$(awk '/^RssShmem:/ {print $2}' "/proc/$2/status")
  anonymous=$(awk '/^RssAnon:/ {print $2}' "/proc/$2/status")
  memory[$1]=$(lesser $((peak - shared)) "${memory[$1]:-}")
  own[$1]=$(lesser "$anonymous" "${own[$1]:-}")
}
used() { awk '{printf "%d\n", $1 / 1000}' "/proc/$1/schedstat"; }

receive() { # NAME PLUGIN ROUND TARGET
  local slot=$1_$2_$3 key=stream.$1.$2 pid client started
  started=$(date +%s%N)
  # shellcheck disable=SC2046
  tool_on main pg_recvlogical -d postgres --slot="$slot" --start --no-loop -s 1 -F 0 $(options "$2") -f - >"$DBA_WORK/out" 2>/dev/null &
  client=$!
  wait_until "SELECT sent_lsn >= '$4' FROM pg_stat_replication WHERE pid = (SELECT active_pid FROM pg_replication_slots WHERE slot_name = '$slot')" 600
  elapsed[$key]=$(lesser $((($(date +%s%N) - started) / 1000)) "${elapsed[$key]:-}")
  pid=$(sql "SELECT active_pid FROM pg_replication_slots WHERE slot_name = '$slot'")
  cpu[$key]=$(lesser "$(used "$pid")" "${cpu[$key]:-}")
  note_memory "$key" "$pid"
  sql "SELECT pg_terminate_backend($pid)" >/dev/null
  wait "$client" || true
  wait_until "SELECT NOT active FROM pg_replication_slots WHERE slot_name = '$slot'"
  bytes[$key]=$(stat -c %s "$DBA_WORK/out")
  rm -f "$DBA_WORK/out"
}

peek() { # NAME PLUGIN ROUND TARGET
  local key=sql.$1.$2 started before arguments=
  if [[ $2 == wal2json ]]; then arguments=", 'format-version', '2'"; fi
  open_session postgres
  before=$(cpu_us) started=$(date +%s%N)
  run "SELECT count(*), sum(length(data)) FROM pg_logical_slot_peek_changes('$1_$2_$3', '$4', NULL$arguments)"
  elapsed[$key]=$(lesser $((($(date +%s%N) - started) / 1000)) "${elapsed[$key]:-}")
  cpu[$key]=$(lesser $(($(cpu_us) - before)) "${cpu[$key]:-}")
  note_memory "$key" "$SESSION_PID"
  bytes[$key]=${bytes[stream.$1.$2]:-0}
  close_session
}

workload() { # NAME ROWS SQL
  local target round plugin
  slots "$1" >/dev/null
  psql_on main -q -U postgres -d postgres -v changes="$2" -f - <<<"$3" >/dev/null
  target=$(sql "SELECT FROM pg_logical_emit_message(true, 'end', '')" >/dev/null; sql "SELECT pg_current_wal_flush_lsn()")
  for ((round = 0; round < rounds; round++)); do
    for plugin in "${plugins[@]}"; do
      if [[ $plugin != single ]]; then peek "$1" "$plugin" "$round" "$target"; fi
      receive "$1" "$plugin" "$round" "$target"
      sql "SELECT pg_drop_replication_slot('$1_${plugin}_$round')" >/dev/null
    done
  done
  report stream "$1" "$2" db_architect single
  report sql "$1" "$2" db_architect
}

report() { # INTERFACE NAME ROWS PLUGIN...
  local plugin key peer=$1.$2.wal2json
  for plugin in "${@:4}" wal2json; do
    key=$1.$2.$plugin
    row "$1" "$2" "$plugin" "$(awk -v n="$3" -v t="${elapsed[$key]}" 'BEGIN {printf "%d", n * 1e6 / t}')" \
      "$(awk -v n="$3" -v t="${cpu[$key]}" 'BEGIN {printf "%.2f", t / n}')" "$((bytes[$key] / 1000000))" \
      "$((memory[$key] / 1024))" "$((own[$key] / 1024))"
  done
  for plugin in "${@:4}"; do
    key=$1.$2.$plugin
    printf '%s, %s: %s has %s times the rows/s of wal2json, %s times as much by CPU; memory %s, its own %s of it\n' "$1" "$2" "$plugin" \
      "$(quotient "${elapsed[$peer]}" "${elapsed[$key]}")" "$(quotient "${cpu[$peer]}" "${cpu[$key]}")" \
      "$(quotient "${memory[$key]}" "${memory[$peer]}")" "$(quotient "${own[$key]}" "${own[$peer]}")"
  done
}
row() { printf '| %-6s | %-8s | %-12s | %10s | %9s | %8s | %8s | %8s |\n' "$@"; }

row by workload plugin rows/s "CPU us/row" "MB sent" "peak MB" "own MB"
workload mixed "$changes" "
INSERT INTO mixed SELECT i, 'customer ' || i, i % 7, now(), i * 1.5, i % 2 = 0, 'some \"note\" ' || i, 0, gen_random_uuid(), '2000-01-01'::date + i % 9000, i / 7.0,
       jsonb_build_object('a', i, 'tags', '[\"x\", \"y\"]'::jsonb) FROM generate_series(1, :changes * 2 / 5) i;
UPDATE mixed SET status = status + 1;
DELETE FROM mixed WHERE id % 2 = 0;"
workload wide "$((changes / 100))" "
INSERT INTO wide SELECT i, string_agg(md5((i * 1000 + g)::text) || E' \"quoted\"\n', ''), repeat('some text, ', 500), 'small', decode(string_agg(md5((i * g)::text), ''), 'hex')
  FROM generate_series(1, :changes / 2) i, generate_series(1, 400) g GROUP BY i;
UPDATE wide SET c = 'changed', b = 'short';"
