#!/usr/bin/env bash
# Sealing while the log is being written: every entry is sealed exactly once, whatever the order of commits; open and
# prepared transactions only delay it; it survives a crash, DROP EXTENSION, and a restore into another cluster where
# transaction ids start anew. Upkeep under load: a missing month is taken over without a lost or a refused change.
source "$(dirname "$0")/lib.sh"

start_cluster main max_prepared_transactions=10
sql "CREATE EXTENSION db_architect"
sql "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int); SELECT architect.enable_audit('t')" >/dev/null
verdict() { sql "$@" "SELECT concat_ws(' ', severity, code, substring(detail, 'sealed: [^;]*')) FROM architect.verify_audit_log()"; }
seal() { sql "$@" "SELECT entries FROM architect.seal_audit_log()"; }

# Writers commit in another order than they take ids, some keep transactions open for a while, some roll back.
cat >"$DBA_WORK/writer.sql" <<'SQL'
\set many random(1, 20)
\set pause random(0, 30)
\set end random(0, 9)
BEGIN;
INSERT INTO t (v) SELECT i FROM generate_series(1, :many) i;
\sleep :pause ms
UPDATE t SET v = v + 1 WHERE id = (SELECT max(id) FROM t WHERE v >= 0) AND :end > 4;
\if :end = 0
ROLLBACK;
\else
COMMIT;
\endif
SQL
chmod a+r "$DBA_WORK/writer.sql"
{ tool_on main pgbench -n -c 8 -j 2 -T 15 -f - postgres <"$DBA_WORK/writer.sql" >"$DBA_WORK/pgbench.log" 2>&1 || true; echo done >"$DBA_WORK/pgbench.done"; } &
sealed=0 rounds=0
until [[ -e $DBA_WORK/pgbench.done ]]; do
  now=$(seal)
  sealed=$((sealed + now)) rounds=$((rounds + (now > 0)))
  sleep 0.2
done
wait_until "SELECT held_back_by IS NULL FROM architect.seal_audit_log()"
like "several seals were made among the writers" "$rounds" '^([5-9]|[1-9][0-9]+)$'
sql_is "every entry is sealed exactly once" \
  "SELECT (SELECT sum(entries) FROM architect.audit_seal) = (SELECT count(*) FROM architect.audit_entry) AND count(*) > 1000 FROM architect.audit_entry" t
like "nothing is found where nothing was done" "$(verdict)" '^ok verified .*not sealed yet: 0'

# Two at once: one of them is told so.
sql "INSERT INTO t (v) VALUES (0)"
in_background sealer "BEGIN; SELECT architect.seal_audit_log(); SELECT pg_sleep(2); COMMIT"
wait_until "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND granted"
fails_with "two sessions cannot seal at once" 55P03 "SELECT architect.seal_audit_log()"
ok "the first is not disturbed" finished sealer

# An open transaction delays what comes after it, is named, and its own entries come in the end.
in_background writer "BEGIN; INSERT INTO t (v) VALUES (1); SELECT pg_sleep(3); COMMIT"
wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
sql "INSERT INTO t (v) VALUES (2)"
like "the transaction that holds a seal back is named" "$(sql "SELECT entries, held_back_by FROM architect.seal_audit_log()")" '^0\|process [0-9]+ of role postgres in database postgres, active'
ok "the writer commits" finished writer
wait_until "SELECT held_back_by IS NULL FROM architect.seal_audit_log()"
like "both are sealed" "$(verdict)" '^ok verified .*not sealed yet: 0'
sql "BEGIN; INSERT INTO t (v) VALUES (3); PREPARE TRANSACTION 'waits'"
sql "INSERT INTO t (v) VALUES (4)"
like "a prepared transaction is named" "$(sql "SELECT entries, held_back_by FROM architect.seal_audit_log()")" "^0\|prepared transaction 'waits' of role postgres"
sql "COMMIT PREPARED 'waits'"
is "what it wrote is sealed with the rest" "$(seal)" 2

# A crash: what was sealed and committed is there, and agrees.
sql "INSERT INTO t (v) SELECT 5 FROM generate_series(1, 3000)"
seal >/dev/null
sql "INSERT INTO t (v) VALUES (6)"
crash_cluster main
restart_cluster main
like "after a crash the log verifies" "$(verdict)" '^ok verified .*not sealed yet: 1'
is "and is sealed further" "$(seal)" 1

# On a standby.
start_standby standby main
sql "INSERT INTO t (v) VALUES (7)"
seal >/dev/null
wait_for_replay main standby
like "a standby can verify" "$(verdict -c standby)" '^ok verified'
sql "UPDATE architect.audit_entry SET image = '{}' WHERE audit_id = (SELECT max(audit_id) FROM architect.audit_entry)"
wait_for_replay main standby
like "a standby finds what was changed" "$(verdict -c standby)" '^error edited'
sql "DELETE FROM architect.audit_entry WHERE audit_id = (SELECT max(audit_id) FROM architect.audit_entry)" >/dev/null
like "a deletion of the last entry is found" "$(verdict)" '^error deleted'
stop_cluster standby

# Into another cluster, behind the first in transaction ids: entries sealed there, not sealed there, and made here before
# anybody noted that this is another cluster. And back into one that is ahead.
sql "CREATE DATABASE fresh"
sql -d fresh "CREATE EXTENSION db_architect; CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int)"
sql -d fresh "SELECT architect.enable_audit('t')" >/dev/null
sql -d fresh "INSERT INTO t (v) SELECT i FROM generate_series(1, 1500) i"
wait_until "SELECT held_back_by IS NULL FROM architect.seal_audit_log()"
seal -d fresh >/dev/null
kept=$(sql -d fresh "SELECT encode(hash, 'hex') FROM architect.audit_seal ORDER BY seal_id DESC LIMIT 1")
sql -d fresh "INSERT INTO t (v) SELECT i FROM generate_series(1, 10) i"
tool_on main pg_dump -Fc -f "$(cluster_dir main)/fresh.dump" fresh
start_cluster behind
sql -c behind "CREATE DATABASE fresh"
tool_on behind pg_restore -d fresh "$(cluster_dir main)/fresh.dump"
isnt "transaction ids are behind there" "$(sql -c behind "SELECT pg_current_xact_id()::text::bigint < $(sql "SELECT pg_current_xact_id()")")" f
like "a restored log verifies" "$(verdict -c behind -d fresh)" '^ok verified sealed: 1500 entries.*not sealed yet: 10'
sql -c behind -d fresh "UPDATE t SET v = -1 WHERE id <= 5"
like "what is written there is not taken for tampering" "$(verdict -c behind -d fresh)" '^ok verified sealed: 1500 entries.*not sealed yet: (10|15)'
is "what came unsealed and what was written there is sealed" "$(sql -c behind -d fresh "SELECT sum(entries) FROM architect.seal_audit_log()")" 15
sql -c behind -d fresh "CALL architect.run_maintenance(); UPDATE t SET v = -2 WHERE id <= 5"
is "and so is what follows" "$(seal -c behind -d fresh)" 5
like "all of it verifies" "$(verdict -c behind -d fresh)" '^ok verified sealed: 1520 entries.*not sealed yet: 0'
like "against the hash kept from before the restore too" \
  "$(sql -c behind -d fresh "SELECT severity FROM architect.verify_audit_log('$kept')")" '^ok$'
tool_on behind pg_dump -Fc -f "$(cluster_dir main)/fresh2.dump" fresh
sql "CREATE DATABASE again"
tool_on main pg_restore -d again "$(cluster_dir main)/fresh2.dump"
sql -d again "UPDATE t SET v = -3 WHERE id <= 3"
is "back in a cluster that is ahead new entries are sealed" "$(sql -d again "SELECT sum(entries) FROM architect.seal_audit_log()")" 3
like "and everything verifies" "$(verdict -d again)" '^ok verified sealed: 1523 entries.*not sealed yet: 0'
sql -d again "DELETE FROM architect.audit_entry WHERE row_key = '7' AND operation = 'I'"
like "tampering in an earlier era is found" "$(verdict -d again)" '^error deleted'
sql -d fresh "DROP EXTENSION db_architect CASCADE; CREATE EXTENSION db_architect" 2>/dev/null
like "the seals outlive the extension" "$(verdict -d fresh)" '^ok verified sealed: 1500 entries.*not sealed yet: 10'
