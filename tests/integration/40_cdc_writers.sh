#!/usr/bin/env bash
# Writers and the feed over sessions, crashes and prepared transactions: nothing is lost or invented, the locks that order the
# feed are there as long as they must be, consumers are woken once and never by PREPARE, and values of any size pass.
source "$(dirname "$0")/lib.sh"

start_cluster main max_prepared_transactions=10 fsync=on
sql "CREATE EXTENSION db_architect; CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE quiet (id int PRIMARY KEY)
     ; SELECT count(*) FROM architect.enable_cdc('t')
     ; SELECT count(*) FROM architect.enable_cdc('quiet', notify => false)" >/dev/null
keys="SELECT string_agg(row_key ->> 'id', ' ' ORDER BY position) FROM architect.change_log WHERE table_name = 't'"
marks="SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 16707 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"

# Order: who waits for a row's lock has the higher position, whoever began first.
sql "INSERT INTO t VALUES (1, 'a')"
in_background late "BEGIN; SELECT pg_sleep(0.4); UPDATE t SET v = v || 'late' WHERE id = 1; COMMIT"
sql "BEGIN; UPDATE t SET v = v || 'early' WHERE id = 1; SELECT pg_sleep(0.8); COMMIT" >/dev/null
finished late >/dev/null
sql_is "changes of one row are in the order of their commits" \
  "SELECT string_agg(new_values ->> 'v', ' ' ORDER BY position) FROM architect.change_log WHERE table_name = 't'" "a aearly aearlylate"
sql_is "a session that wrote nothing holds nothing" "BEGIN; SELECT 1; $marks; COMMIT" "1
0"

# A mark is below every position of its transaction.
sql_is "the mark is below the positions" \
  "BEGIN; INSERT INTO t VALUES (2); SELECT (SELECT (classid::bigint << 32) + objid::bigint FROM pg_locks WHERE objsubid = 16707) < (SELECT max(position) FROM architect.change_entry); COMMIT" t

# Two phases, and a crash in between: the mark stays until the transaction is decided, the event comes with the commit.
# No notification stands in the way of PREPARE.
sql "BEGIN; INSERT INTO t VALUES (3); PREPARE TRANSACTION 'three'; BEGIN; INSERT INTO t VALUES (4); PREPARE TRANSACTION 'four'"
sql "BEGIN; SELECT architect.emit_event('prepared', '1'); PREPARE TRANSACTION 'event'" >/dev/null
sql_is "prepared transactions hold their marks" "$marks" 3
crash_cluster main
restart_cluster main
sql_is "after a crash too" "$marks" 3
sql_is "and are not in the feed" "$keys" "1 1 1 2"
sql "INSERT INTO t VALUES (5)"
sql "COMMIT PREPARED 'three'; ROLLBACK PREPARED 'four'; COMMIT PREPARED 'event'"
sql_is "then they are, or never" "$keys" "1 1 1 2 3 5"
sql_is "the event too" "SELECT count(*) FROM architect.change_log WHERE topic = 'prepared'" 1
sql_is "no mark is left" "$marks" 0
sql_is "positions are unique over the crash" "SELECT count(*) = count(DISTINCT position) FROM architect.change_entry" t

# Waking: once a transaction and channel.
listen() { sql "LISTEN data_changes; $1" 2>&1 | grep -c 'Asynchronous notification "data_changes"' || true; }
is "many changes, one notification" "$(listen "BEGIN; INSERT INTO t SELECT generate_series(100, 200); UPDATE t SET v = 'x'; SELECT architect.emit_event('x'); COMMIT; SELECT 1")" 1
is "a quiet table wakes nobody" "$(listen "INSERT INTO quiet VALUES (1); SELECT 1")" 0
is "an event without a channel wakes nobody" "$(listen "SELECT architect.emit_event('x', channel => NULL); SELECT 1")" 0
is "what is rolled back wakes nobody" "$(listen "BEGIN; INSERT INTO t VALUES (6); ROLLBACK; BEGIN; SAVEPOINT a; INSERT INTO t VALUES (6); ROLLBACK TO a; COMMIT; SELECT 1")" 0
like "the payload is a position" "$(sql "LISTEN data_changes; INSERT INTO t VALUES (7); SELECT 1" 2>&1)" 'payload "[0-9]+"'

# Values: out of line, unchanged beside another change, and larger than JSON can be.
sql "TRUNCATE t; INSERT INTO t SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, 100000) AS i"
sql_is "a value of some megabytes is whole" \
  "SELECT md5(new_values ->> 'v') = (SELECT md5(v) FROM t) FROM architect.change_log WHERE table_name = 't' ORDER BY position DESC LIMIT 1" t
sql "SELECT count(*) FROM architect.disable_cdc('t'); CREATE TABLE big (id int PRIMARY KEY, v text); SELECT count(*) FROM architect.enable_cdc('big')" >/dev/null
ok "a value larger than jsonb holds does not fail the writer" sql "INSERT INTO big VALUES (1, repeat('x', 260000000))"
sql_is "and is marked" "SELECT new_values #>> '{v,architect_omitted,bytes}' FROM architect.change_log WHERE table_name = 'big'" 260000000

# A table of the feed is emptied and another is written to while writers are at work: none fails, none is lost.
sql "CREATE TABLE busy (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, writer int); SELECT count(*) FROM architect.enable_cdc('busy', notify => false)" >/dev/null
for writer in 1 2 3 4; do
  in_background "writer$writer" "DO 'BEGIN FOR i IN 1..300 LOOP INSERT INTO busy (writer) VALUES ($writer); COMMIT; END LOOP; END'"
done
for turn in 1 2 0 1 2 0; do
  sql "BEGIN; UPDATE architect.change_segment SET state = 'full' WHERE state = 'current';
       UPDATE architect.change_segment SET state = 'current' WHERE segment_id = $turn; COMMIT" >/dev/null
  sql "ANALYZE architect.change_segment"   # others hear of it
done
for writer in 1 2 3 4; do ok "writer $writer never failed" finished "writer$writer"; done
sql_is "every change is in the feed once" \
  "SELECT count(*), count(DISTINCT row_key), (SELECT count(*) FROM busy) FROM architect.change_log WHERE table_name = 'busy'" "1200|1200|1200"
