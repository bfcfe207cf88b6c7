#!/usr/bin/env bash
# What is recorded is what is committed: with two-phase commit, and when the server is killed in the middle.
source "$(dirname "$0")/lib.sh"

start_cluster main --fsync max_prepared_transactions=10
sql "CREATE EXTENSION db_architect; CREATE TABLE t (id int PRIMARY KEY, a int);"
sql "SELECT action FROM architect.enable_audit('t')" >/dev/null
recorded="SELECT string_agg(operation || ' ' || (row_key ->> 'id') || ' ' || coalesce(actor, '-'), ', ' ORDER BY audit_id) FROM architect.audit_log"
dangling="SELECT count(*) FROM architect.audit_entry AS e WHERE NOT EXISTS (SELECT FROM architect.capture_context AS c WHERE c.context_id = e.context_id)
                                                             OR NOT EXISTS (SELECT FROM architect.capture_relation AS r WHERE r.relation_id = e.relation_id)"

# The transaction that stores the context is the prepared one: the session must not rely on it afterwards.
sql "SET architect.actor = 'one';
     BEGIN; INSERT INTO t VALUES (1, 1); PREPARE TRANSACTION 'one';
     INSERT INTO t VALUES (2, 2);
     ROLLBACK PREPARED 'one';
     INSERT INTO t VALUES (3, 3);"
sql_is "a prepared transaction that is rolled back leaves nothing" "$recorded" "INSERT 2 one, INSERT 3 one"
sql_is "nor does anything refer to its context" "$dangling" 0
sql "SET architect.actor = 'two'; BEGIN; UPDATE t SET a = 4 WHERE id = 2; SAVEPOINT s; INSERT INTO t VALUES (4, 4); PREPARE TRANSACTION 'two';"
sql_is "a prepared transaction is not recorded yet" "$recorded" "INSERT 2 one, INSERT 3 one"
sql "COMMIT PREPARED 'two'"
sql_is "another session commits it" "$recorded" "INSERT 2 one, INSERT 3 one, UPDATE 2 two, INSERT 4 two"
sql_is "every entry has its context" "$dangling" 0

# A new table's description is stored by the first writer after a change: it too may be rolled back.
sql "ALTER TABLE t ADD b int; BEGIN; UPDATE t SET b = 1 WHERE id = 2; PREPARE TRANSACTION 'three'; UPDATE t SET b = 1 WHERE id = 3; ROLLBACK PREPARED 'three'; UPDATE t SET b = 1 WHERE id = 4"
sql_is "every entry has its table's description" "$dangling" 0

sql "BEGIN; INSERT INTO t VALUES (5, 5); PREPARE TRANSACTION 'pending'"
crash_cluster main
restart_cluster main
sql_is "after a crash the prepared transaction is still not recorded" "SELECT count(*) FROM architect.audit_log WHERE row_key ->> 'id' = '5'" 0
sql "COMMIT PREPARED 'pending'"
sql_is "until it is committed" "SELECT count(*) FROM architect.audit_log WHERE row_key ->> 'id' = '5'" 1

# kill -9 in the middle of a transaction.
in_background open "BEGIN; INSERT INTO t SELECT i, i FROM generate_series(1001, 3000) AS i; SELECT pg_advisory_lock(1); SELECT pg_sleep(600); COMMIT"
wait_until "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND granted"
sql "INSERT INTO t VALUES (10, 10)"
crash_cluster main
finished open >/dev/null || true
restart_cluster main
sql_is "what was committed is recorded, what was not is not" \
  "SELECT string_agg(row_key ->> 'id', ',' ORDER BY audit_id) FROM architect.audit_log WHERE (row_key ->> 'id')::int >= 10" 10

# kill -9 while several sessions write.
sql "CREATE TABLE busy (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int); SELECT FROM architect.enable_audit('busy')"
cat >"$DBA_WORK/busy.sql" <<'SQL'
\set n random(1, 20)
SET architect.actor = 'worker :client_id';
INSERT INTO busy (a) SELECT :n FROM generate_series(1, :n);
SQL
chmod a+r "$DBA_WORK/busy.sql"
tool_on main pgbench -n -c 4 -T 60 -f "$DBA_WORK/busy.sql" postgres >/dev/null 2>&1 &
bench=$!
wait_until "SELECT count(*) > 2000 FROM busy"
crash_cluster main
wait "$bench" || true
restart_cluster main
sql_is "each committed row has its entry, each entry its row" \
  "SELECT count(*) > 2000, count(*) = count(l.audit_id), count(*) = count(b.id), count(DISTINCT l.audit_id) = count(*)
     FROM busy AS b FULL JOIN (SELECT * FROM architect.audit_log WHERE table_name = 'busy') AS l ON (l.row_key ->> 'id')::int = b.id" "t|t|t|t"
sql_is "every entry has its context" "$dangling" 0
sql "CREATE EXTENSION IF NOT EXISTS amcheck" 2>/dev/null &&
  ok "the log's indexes have every row" sql "SELECT bt_index_check(indexrelid, true) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
    WHERE amname = 'btree' AND relkind = 'i' AND indrelid::regclass::text LIKE 'architect.audit_%'"
sql_is "the summaries cover every row" \
  "SET enable_seqscan = off; SELECT (SELECT count(*) FROM architect.audit_entry WHERE changed_at >= '2000-01-01') = (SELECT count(*) FROM architect.audit_entry)" t
sql "UPDATE busy SET a = -1 WHERE id <= 10"
sql_is "numbers of entries go on, none twice" "SELECT count(*) = count(DISTINCT audit_id) FROM architect.audit_log" t
