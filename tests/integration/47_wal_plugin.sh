#!/usr/bin/env bash
# The output plugin and its real client, pg_recvlogical: nothing lost and nothing made up over restarts, kills, streamed
# and two-phase transactions; the same bytes whatever the client's and the database's encoding and settings.
source "$(dirname "$0")/lib.sh"

use_stage
start_cluster main wal_level=logical max_prepared_transactions=10 logical_decoding_work_mem=64kB "$(plugin_setting)"
sql "CREATE EXTENSION db_architect; CREATE TABLE t (id int PRIMARY KEY, a text); CREATE UNLOGGED TABLE line (n bigint GENERATED ALWAYS AS IDENTITY, j json)"

# receive DATABASE SLOT [option=value]...: what the slot has, up to now, in $DBA_WORK/received; confirmed at the end.
receive() {
  local database=$1 slot=$2 option end
  local -a options=()
  shift 2
  for option in "$@"; do options+=(-o "$option"); done
  end=$(sql -d "$database" "SELECT pg_current_wal_flush_lsn()")
  rm -f "$DBA_WORK/received"
  tool_on main pg_recvlogical -d "$database" --slot="$slot" --start --no-loop -s 0 -F 0 --endpos="$end" "${options[@]}" -f - >"$DBA_WORK/received" 2>"$DBA_WORK/said"
}
make_slot() { tool_on main pg_recvlogical -d "$1" --slot="$2" --create-slot --plugin=db_architect "${@:3}"; }
# Into table line, where SQL can look at them: each line is one JSON value, or this fails.
load() {
  sql "TRUNCATE line RESTART IDENTITY"
  psql_on main -q -U postgres -c "\\copy line (j) FROM STDIN (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')" <"$DBA_WORK/received"
}
operations="SELECT string_agg(operation || CASE WHEN count > 1 THEN '*' || count ELSE '' END, ' ' ORDER BY n) FROM
  (SELECT min(n) AS n, j ->> 'operation' AS operation, count(*) FROM (SELECT *, n - row_number() OVER (PARTITION BY j ->> 'operation' ORDER BY n) AS island FROM line) AS l GROUP BY 2, island) AS i"

make_slot postgres s
sql "INSERT INTO t SELECT i, 'a' FROM generate_series(1, 3) i; UPDATE t SET a = 'b' WHERE id = 1; DELETE FROM t WHERE id = 2"
ok "pg_recvlogical reads the slot" receive postgres s
load
sql_is "what it gets" "$operations" "begin insert*3 commit begin update commit begin delete commit"
sql_is "every event says where it is" "SELECT count(*) FROM line WHERE j ->> 'lsn' IS NULL OR j ->> 'txid' IS NULL" 0
ok "the same again" receive postgres s
is "has nothing: it was confirmed" "$(<"$DBA_WORK/received")" ""
fails "an option that does not exist" receive postgres s no-such=1
like "is refused by name" "$(<"$DBA_WORK/said")" 'unrecognized option "no-such"'
like "with a hint" "$(<"$DBA_WORK/said")" 'HINT:  Options are tables, '
sql "INSERT INTO t VALUES (4, 'after the error')"
ok "the slot goes on" receive postgres s tables=public.t format=envelope
like "in the envelope" "$(<"$DBA_WORK/received")" '^\{"key":\{"id":4\},"before":null,"after":\{"id":4,"a":"after the error"\},"source":\{.*"db":"postgres"'

# A client that is killed before it confirms gets everything again, after the server was killed, too. (And some of
# what was confirmed: PostgreSQL does not write that to disk each time.)
sql "BEGIN; INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(100, 5099) i; COMMIT"
tool_on main pg_recvlogical -d postgres --slot=s --start --no-loop -s 0 -F 0 -f - >"$DBA_WORK/first" 2>/dev/null &
client=$!
until [[ -f $DBA_WORK/first && $(wc -l <"$DBA_WORK/first") -gt 1000 ]]; do sleep 0.05; done
crash_cluster main
wait "$client" || true
restart_cluster main
ok "after a crash in the middle" receive postgres s
load
sql_is "the whole transaction comes, once" "SELECT count(*), count(DISTINCT j -> 'key' ->> 'id') FROM line WHERE j ->> 'operation' = 'insert' AND (j -> 'key' ->> 'id')::int >= 100" "5000|5000"
is "the same as before, byte for byte" "$(grep '"id":[0-9]\{3\}}' "$DBA_WORK/first" | head -n 900 | cksum)" "$(grep '"id":[0-9]\{3\}}' "$DBA_WORK/received" | cksum)"

# Streamed: events of a transaction that may yet roll back, and word of how each ended. A client that keeps events by
# transaction and drops what is aborted ends up with what is committed.
sql "DELETE FROM t"
receive postgres s
(
  printf '%s\n' "BEGIN; INSERT INTO t SELECT i, repeat('kept', 50) FROM generate_series(1, 3000) i;" \
    "SAVEPOINT a; INSERT INTO t SELECT i, repeat('gone', 50) FROM generate_series(10001, 13000) i; ROLLBACK TO a;" \
    "SELECT pg_logical_emit_message(true, 'architect.context', '{\"actor\": \"streamer\"}') \\g /dev/null" \
    "SAVEPOINT b; INSERT INTO t SELECT i, repeat('kept', 50) FROM generate_series(20001, 23000) i; RELEASE b;" \
    "DELETE FROM t WHERE id <= 10; COMMIT;" \
    "BEGIN; INSERT INTO t SELECT i, repeat('gone', 50) FROM generate_series(30001, 33000) i; ROLLBACK;" \
    "INSERT INTO t VALUES (0, 'small');"
) | psql_on main -q
ok "streaming" receive postgres s streaming=on
load
sql_is "blocks open and close" "SELECT count(*) FILTER (WHERE j ->> 'operation' = 'stream_start') > 1,
   count(*) FILTER (WHERE j ->> 'operation' = 'stream_start') = count(*) FILTER (WHERE j ->> 'operation' = 'stream_stop') FROM line" "t|t"
# Since PostgreSQL 18 a transaction that is known to have been rolled back is not sent at all.
like "and end" "$(sql "SELECT string_agg(j ->> 'operation', ' ' ORDER BY n) FROM line WHERE j ->> 'operation' ~ 'stream_(commit|abort)' AND j ->> 'subtxid' IS NULL")" "^stream_commit( stream_abort)?$"
applied="WITH sub AS (SELECT n, j ->> 'operation' AS op, j ->> 'txid' AS txid, COALESCE(j ->> 'subtxid', j ->> 'txid') AS part, (j -> 'key' ->> 'id')::int AS id, j ->> 'actor' AS actor FROM line),
     fine AS (SELECT * FROM sub AS s WHERE op IN ('insert', 'delete') AND NOT EXISTS (SELECT FROM sub AS a WHERE a.op = 'stream_abort' AND a.part IN (s.part, s.txid)))"
sql_is "a client that follows them has what is in the table" "$applied
  SELECT (SELECT count(*) FROM fine WHERE op = 'insert'), (SELECT count(*) FROM t),
         (SELECT count(*) FROM ((SELECT id FROM fine GROUP BY id HAVING count(*) = 1) EXCEPT SELECT id FROM t) AS d)" "6001|5991|0"
sql_is "who acted is known from then on" "$applied SELECT min(id), max(id), count(*) FROM fine WHERE actor = 'streamer' AND op = 'insert'" "20001|23000|3000"
sql_is "no time of commit is made up" "SELECT count(*) FROM line WHERE j ->> 'operation' = 'insert' AND j ->> 'subtxid' IS NOT NULL AND j ->> 'committed_at' IS NOT NULL" 0
sql_is "but said in the end" "SELECT count(*) FROM line WHERE j ->> 'operation' = 'stream_commit' AND (j ->> 'committed_at')::timestamptz BETWEEN now() - interval '5 min' AND now()" 1

# Two-phase.
make_slot postgres two --two-phase
sql "BEGIN; INSERT INTO t VALUES (-1, 'two'); PREPARE TRANSACTION 'p ''1'; BEGIN; INSERT INTO t VALUES (-2, 'two'); PREPARE TRANSACTION 'p2'; BEGIN; CREATE TABLE for_empty (a int); PREPARE TRANSACTION 'p3'"
receive postgres two
load
sql_is "prepared transactions come when they are prepared" "$operations" "begin insert prepare begin insert prepare begin prepare"
sql_is "by name" "SELECT string_agg(DISTINCT j ->> 'gid', ',' ORDER BY j ->> 'gid') FROM line" "p '1,p2,p3"
crash_cluster main
restart_cluster main
sql "COMMIT PREPARED 'p ''1'; ROLLBACK PREPARED 'p2'; COMMIT PREPARED 'p3'"
receive postgres two
load
sql_is "and their end, after a crash" "SELECT string_agg(concat_ws(' ', j ->> 'operation', j ->> 'gid'), ', ' ORDER BY n) FROM line WHERE j ->> 'operation' ~ '_prepared'" "commit_prepared p '1, rollback_prepared p2, commit_prepared p3"
sql "BEGIN; INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(-5000, -3001) i; PREPARE TRANSACTION 'large'"
receive postgres two streaming=1
load
sql_is "streamed and prepared" "SELECT string_agg(concat_ws(' ', j ->> 'operation', j ->> 'gid'), ', ' ORDER BY n) FROM line WHERE j ->> 'operation' ~ 'prepare'" "stream_prepare large"
sql "COMMIT PREPARED 'large'"
receive postgres s operations=insert
load
sql_is "a slot without two-phase gets them when they commit" "SELECT count(*), count(DISTINCT j ->> 'txid') FROM line WHERE j ->> 'operation' = 'insert' AND (j -> 'key' ->> 'id')::int < 0" "2001|2"

# The same bytes, whatever the client's settings.
sql "CREATE TABLE odd (id int PRIMARY KEY, d date, ts timestamptz, i interval, b bytea, f float8, m money, x xml);
     SELECT FROM pg_create_logical_replication_slot('one', 'db_architect'); SELECT FROM pg_create_logical_replication_slot('other', 'db_architect');
     INSERT INTO odd VALUES (1, '2024-02-29', '2024-10-27 00:30:00.5+00', '-1 year +2 mons -3 days', '\\xdead', 0.30000000000000004, 1.5, '<a/>')" >/dev/null
receive postgres one
one=$(<"$DBA_WORK/received")
export PGOPTIONS="-c DateStyle=German -c IntervalStyle=sql_standard -c extra_float_digits=-10 -c bytea_output=escape -c TimeZone=Asia/Kathmandu -c search_path= -c client_encoding=LATIN1"
receive postgres other
unset PGOPTIONS
is "settings of the client change nothing" "$(<"$DBA_WORK/received")" "$one"
like "exactly" "$one" '"d":"2024-02-29","ts":"2024-10-27T00:30:00.5\+00:00","i":"-10 mons -3 days","b":"\\\\xdead","f":0.30000000000000004,"m":1.50'

# Several lines in a message, none of two transactions, unless the client wants each for itself; through SQL a line is a
# row.
sql "SELECT FROM pg_create_logical_replication_slot('single', 'db_architect'); SELECT FROM pg_create_logical_replication_slot('batched', 'db_architect');
     INSERT INTO t SELECT i, repeat('y', i % 3000) FROM generate_series(40001, 42000) i; INSERT INTO t VALUES (42001, 'z')"
is "through SQL a line is a row" "$(sql "SELECT count(*) FROM pg_logical_slot_peek_changes('batched', NULL, NULL, 'batch', '1000')")" 2005
receive postgres single batch=0
single=$(cksum <"$DBA_WORK/received")
receive postgres batched batch=1000
is "the lines of a batch are the same lines" "$(cksum <"$DBA_WORK/received")" "$single"

# Other encodings: over the replication protocol lines are UTF-8, by SQL they are text.
sql "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0; CREATE DATABASE unknown ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
for database in latin unknown; do make_slot $database "in_$database"; done
sql -d latin "CREATE TABLE \"tä\" (id int PRIMARY KEY, \"spält\" text); INSERT INTO \"tä\" VALUES (1, 'größe')"
like "by SQL" "$(sql -d latin "SELECT data FROM pg_logical_slot_peek_changes('in_latin', NULL, NULL, 'operations', 'insert')")" '"table":"tä","key":\{"id":1\},"new":\{"id":1,"spält":"größe"\}'
PGCLIENTENCODING=LATIN1 receive latin in_latin
like "by replication, whatever the client's encoding" "$(<"$DBA_WORK/received")" '"table":"tä","key":\{"id":1\},"new":\{"id":1,"spält":"größe"\}'
sql -d unknown "CREATE TABLE t (id int PRIMARY KEY, a text, b text); INSERT INTO t VALUES (1, E'caf\\xe9', E'caf\\xc3\\xa9')"
receive unknown in_unknown
like "bytes nobody knows the encoding of are marked" "$(<"$DBA_WORK/received")" '"a":\{"architect_bytes":"\\\\x22636166e922"\},"b":"café"'

# Where changes come from.
sql "SELECT pg_replication_origin_create('elsewhere')" >/dev/null
receive postgres one
receive postgres other
sql "SELECT pg_replication_origin_session_setup('elsewhere'); INSERT INTO odd VALUES (2); SELECT pg_replication_origin_session_reset(); INSERT INTO odd VALUES (3)" >/dev/null
receive postgres one
load
sql_is "the origin is named" "SELECT string_agg(concat_ws(' ', j ->> 'origin', j -> 'key' ->> 'id'), ', ' ORDER BY n) FROM line WHERE j ->> 'operation' = 'insert'" "elsewhere 2, 3"
receive postgres other origin=none
load
sql_is "and can be left out" "SELECT string_agg(j -> 'key' ->> 'id', ', ' ORDER BY n) FROM line WHERE j ->> 'operation' = 'insert'" "3"

# Slots: a heartbeat for those that are read.
tool_on main pg_recvlogical -d postgres --slot=one --start --no-loop -s 1 -F 0 -f - >"$DBA_WORK/beats" 2>/dev/null &
client=$!
wait_until "SELECT active FROM pg_replication_slots WHERE slot_name = 'one'"
sql_is "a slot that is read gets a heartbeat" "SELECT slot_name, action FROM architect.advance_idle_slots()" "one|heartbeat"
sql "CALL architect.run_maintenance()" 2>/dev/null
deadline=$((SECONDS + 30))
until [[ $(grep -c '"operation":"heartbeat"' "$DBA_WORK/beats") -ge 2 ]] || ((SECONDS > deadline)); do sleep 0.2; done
is "from maintenance, too" "$(grep -c '"operation":"heartbeat"' "$DBA_WORK/beats")" 2
sql_is "the slot says who reads it" "SELECT active_pid = (SELECT pid FROM pg_stat_replication) FROM architect.cdc_slots() WHERE slot_name = 'one'" t
sql "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'one'" >/dev/null
wait "$client" || true
is "no warning or failure of the server's was ours" "$(grep -cE 'WARNING|PANIC|TRAP|signal 11|cache lookup|leak' "$(cluster_log main)")" 0
