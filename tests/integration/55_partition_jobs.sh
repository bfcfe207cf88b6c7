#!/usr/bin/env bash
# Commands that need the top level, run by a background worker: with somebody in the way, with the worker
# or the caller ended in the middle, with no room for a worker. The server never goes down over it, nothing
# stays half done that a second call does not finish, and nobody who writes has to wait.
source "$(dirname "$0")/lib.sh"

start_cluster main max_worker_processes=4
sql "CREATE EXTENSION db_architect; CREATE ROLE alice; CREATE ROLE bob LOGIN;
     GRANT USAGE ON SCHEMA architect TO bob; GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA architect TO bob; GRANT CREATE ON SCHEMA public TO alice;
     CREATE TABLE m (id bigint, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
     ALTER TABLE m OWNER TO alice"
for i in 1 2 3 4 5 6 7 8 9; do
  sql "CREATE TABLE m_$i (LIKE m); ALTER TABLE m_$i OWNER TO alice; ALTER TABLE m ATTACH PARTITION m_$i FOR VALUES FROM ('2026-0$i-01') TO ('2026-$(printf %02d $((i + 1)))-01')"
done
sql "INSERT INTO m SELECT i, '2026-01-01'::date + i % 270 FROM generate_series(1, 2000) AS i"
since() { sql "SELECT pg_postmaster_start_time()"; }
up_since=$(since)
hold() { in_background holder "BEGIN; SELECT count(*) FROM m; SELECT pg_sleep(600)"; wait_until "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND state = 'active' AND pid <> pg_backend_pid()"; }
let_go() { sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()" >/dev/null; finished holder >/dev/null || true; }
job_state() { sql "SELECT state || COALESCE(' ' || sqlstate, '') FROM architect.partition_job ORDER BY job_id DESC LIMIT 1"; }
worker_waits="SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'db_architect worker' AND wait_event_type = 'Lock'"

sql "CALL architect.detach_partition('m_1')"
sql_is "a partition is detached" "SELECT count(*) FROM pg_inherits WHERE inhrelid = 'm_1'::regclass" 0
sql_is "by its owner" "SELECT run_as::regrole, state FROM architect.partition_job" "alice|done"
fails_with "only the owner may ask" 42501 -U bob "CALL architect.detach_partition('m_2')"
fails_with "not within a transaction" 25001 "BEGIN; CALL architect.detach_partition('m_2')"
fails_with "not from a function" 25001 "DO \$\$ BEGIN PERFORM 1; EXECUTE 'CALL architect.detach_partition(''m_2'')'; EXCEPTION WHEN division_by_zero THEN NULL; END \$\$"

# The owner's functions run within the command: a CHECK is evaluated when it is planned. They have the owner's rights there,
# and cannot go back to those of the worker.
sql "CREATE ROLE mallory LOGIN; GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA architect TO mallory; GRANT USAGE ON SCHEMA architect TO mallory; CREATE SCHEMA mal AUTHORIZATION mallory"
number=0
for attempt in "set_config('role', 'none', false)" "set_config('role', 'postgres', true)" "set_config('session_authorization', 'postgres', false)"; do
  number=$((number + 1))
  sql -U mallory "DROP TABLE IF EXISTS mal.m, mal.m1, mal.tried; CREATE TABLE mal.tried (as_role text);
     CREATE TABLE mal.m (at date) PARTITION BY RANGE (at); CREATE TABLE mal.m1 PARTITION OF mal.m FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
     CREATE OR REPLACE FUNCTION mal.boom() RETURNS int LANGUAGE plpgsql AS \$\$BEGIN
         INSERT INTO mal.tried VALUES (current_user); EXECUTE 'ALTER ROLE mallory SUPERUSER'; RETURN 1;
         EXCEPTION WHEN insufficient_privilege THEN RETURN 1; END\$\$;
     CREATE OR REPLACE FUNCTION mal.evil(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS \$\$DECLARE x int; BEGIN
         BEGIN PERFORM pg_catalog.$attempt; EXCEPTION WHEN OTHERS THEN RAISE WARNING 'refused: %', SQLERRM; END;
         PERFORM set_config('default_transaction_read_only', 'on', false);
         SELECT mal.boom() INTO x; RETURN 1; END\$\$;
     ALTER TABLE mal.m1 ADD CHECK (mal.evil(1) > 0)" >/dev/null 2>&1
  ok "a partition with a CHECK of its owner's is detached ($number)" sql -U mallory "CALL architect.detach_partition('mal.m1')"
  sql_is "which does not get the worker's rights: $attempt" "SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'" f
  like "it tried, and was refused ($number)" "$(grep -c 'WARNING:  refused: cannot set parameter' "$(cluster_log main)")" '^[1-9]'
done

# A reader of the whole table holds for seconds: writers go on meanwhile, and the detach waits.
hold
in_background detaching "CALL architect.detach_partition('m_2', deadline => '1 minute')"
wait_until "$worker_waits"
ok "writers go on while a detach waits" sql "SET lock_timeout = '1s'; INSERT INTO m VALUES (9999, '2026-05-05'); UPDATE m SET id = 10000 WHERE id = 9999"
let_go
ok "and it ends when the reader does" finished detaching
sql_is "the partition is gone" "SELECT count(*) FROM pg_inherits WHERE inhrelid = 'm_2'::regclass" 0

# The deadline passes: what is begun can be finished by calling again.
hold
fails_with "past the deadline it gives up" 57014 "CALL architect.detach_partition('m_3', deadline => '1 second')"
is "the job says so" "$(job_state)" "failed 57014"
sql_is "the detach is pending" "SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = 'm_3'::regclass" t
let_go
sql "CALL architect.detach_partition('m_3')"
sql_is "a second call ends it" "SELECT count(*) FROM pg_inherits WHERE inhrelid = 'm_3'::regclass" 0

# The caller is cancelled: its worker stops too.
hold
in_background detaching "CALL architect.detach_partition('m_4')"
wait_until "$worker_waits"
sql "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL architect.detach%' AND pid <> pg_backend_pid()" >/dev/null
fails "the caller is cancelled" finished detaching
wait_until "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'db_architect worker'"
is "and so is the worker" "$(job_state)" "failed 57014"
let_go
sql "CALL architect.detach_partition('m_4')"

# The worker is terminated, and the caller told.
hold
in_background detaching "CALL architect.detach_partition('m_5')"
wait_until "$worker_waits"
sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'db_architect worker'" >/dev/null
like "the caller learns that its worker is gone" "$(finished detaching || true)" "worker ended before its command did"
let_go
sql "CALL architect.detach_partition('m_5')"
sql_is "four are left" "SELECT count(*) FROM pg_inherits WHERE inhparent = 'm'::regclass" 4

# The caller is terminated: the worker goes on alone.
hold
in_background detaching "CALL architect.detach_partition('m_6')"
wait_until "$worker_waits"
sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL architect.detach%' AND pid <> pg_backend_pid()" >/dev/null
finished detaching >/dev/null || true
let_go
wait_until "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'db_architect worker'"
sql "CALL architect.detach_partition('m_6')" || true
sql_is "what is left is finished by a call" "SELECT count(*) FROM pg_inherits WHERE inhrelid = 'm_6'::regclass" 0

# Errors of the command itself, often, in new workers each: the caller gets them as they are.
sql "CREATE TABLE r (id bigint, at date, FOREIGN KEY (id, at) REFERENCES m); ALTER TABLE r OWNER TO alice; INSERT INTO r SELECT id, at FROM m_7 LIMIT 1"
for _ in 1 2 3 4 5 6 7 8; do
  fails_with "an error of the command" 23503 "CALL architect.detach_partition('m_7', deadline => '1 minute')" >"$DBA_WORK/one"
  grep -q '^ok' "$DBA_WORK/one" || cat "$DBA_WORK/one"
done
is "the last of them" "$(job_state)" "failed 23503"
sql "DROP TABLE r"
sql "CREATE TABLE m_default PARTITION OF m DEFAULT"
fails_with "not beside a default partition" 55000 "CALL architect.detach_partition('m_7')"
sql "CALL architect.detach_partition('m_default', concurrently => false)"

# No room for a worker: the command is handed over.
hold
for i in 1 2 3 4 5; do in_background "busy$i" "CALL architect.detach_partition('m_$((i % 2 + 7))', deadline => '8 seconds')"; done
wait_until "SELECT count(*) >= 1 FROM pg_stat_activity WHERE backend_type = 'db_architect worker'"
let_go
for i in 1 2 3 4 5; do finished "busy$i" >/dev/null || true; done
sql_is "of five calls for two partitions each ended" "SELECT count(*) FROM architect.partition_job WHERE finished_at IS NULL" 0

# The server is killed while a worker is at work.
hold
in_background detaching "CALL architect.detach_partition('m_9')"
wait_until "$worker_waits"
is "up to here the server never went down" "$(since)" "$up_since"
crash_cluster main
finished detaching >/dev/null || true
finished holder >/dev/null || true
start_again main
sql "CALL architect.detach_partition('m_9')"
sql_is "after a crash a second call ends it" "SELECT count(*) FROM pg_inherits WHERE inhrelid = 'm_9'::regclass" 0
