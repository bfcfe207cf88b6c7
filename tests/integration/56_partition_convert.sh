#!/usr/bin/env bash
# A table is converted while it is written to, through a foreign key of another table too: no write fails,
# nothing deadlocks, not a row is lost, whoever holds the table for a while; ended in the middle, by a
# cancel, a deadline or a crash, the table is as it was or a second call goes on.
source "$(dirname "$0")/lib.sh"

start_cluster main max_worker_processes=16 deadlock_timeout=500ms
sql "CREATE EXTENSION db_architect; CREATE ROLE app LOGIN; CREATE SCHEMA app AUTHORIZATION app;"
make() {
  sql "SET ROLE app; SET client_min_messages = warning; DROP TABLE IF EXISTS app.item, app.t CASCADE;
       CREATE TABLE app.t (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT now(), n int NOT NULL DEFAULT 0, before_id bigint, before_at timestamptz, PRIMARY KEY (id, at),
                          CONSTRAINT before_fk FOREIGN KEY (before_id, before_at) REFERENCES app.t ON DELETE CASCADE);
       CREATE TABLE app.item (id bigint GENERATED ALWAYS AS IDENTITY, t_id bigint, t_at timestamptz, FOREIGN KEY (t_id, t_at) REFERENCES app.t ON DELETE CASCADE);
       CREATE MATERIALIZED VIEW app.m AS SELECT count(*) AS n FROM app.t;
       CREATE VIEW app.v AS SELECT * FROM app.t WHERE n >= 0;
       INSERT INTO app.t (at) SELECT '2026-01-01'::timestamptz + i * interval '1 minute' FROM generate_series(1, ${1:-50000}) AS i;
       INSERT INTO app.item (t_id, t_at) SELECT id, at FROM app.t WHERE id % 100 = 0"
}
cat >"$DBA_WORK/write.sql" <<'SQL'
\set id random(1, 50000)
INSERT INTO app.t (n, before_id, before_at) SELECT 1, id, at FROM app.t WHERE id = :id AND at = '2026-01-01'::timestamptz + :id * interval '1 minute';
UPDATE app.t SET n = n + 1 WHERE id = :id AND at = '2026-01-01'::timestamptz + :id * interval '1 minute';
BEGIN;
INSERT INTO app.item (t_id, t_at) SELECT id, at FROM app.v WHERE id = :id AND at < '2026-06-01';
UPDATE app.t SET n = n + 1 WHERE id = :id AND at = '2026-01-01'::timestamptz + :id * interval '1 minute';
END;
SQL
chmod a+r "$DBA_WORK/write.sql"
writers_begin() {
  tool_on main pgbench -n -U app -c 4 -T 6 -f "$DBA_WORK/write.sql" postgres >"$DBA_WORK/bench.log" 2>&1 &
  writers=$!
  wait_until "SELECT sum(n) > 100 FROM app.t"
}
writers_end() { wait "$writers" || true; }
convert="CALL architect.convert_to_partitioned('app.t', 'at', dry_run => false"
partitioned="SELECT relkind = 'p' FROM pg_class WHERE oid = 'app.t'::regclass"
own_key() {
  sql_is "its foreign key to itself is its own, and every partition's" \
    "SELECT bool_and(convalidated), count(*) FILTER (WHERE conrelid = 'app.t'::regclass), count(*) FILTER (WHERE conrelid <> 'app.t'::regclass AND conparentid <> 0) = (SELECT count(*) FROM pg_inherits WHERE inhparent = 'app.t'::regclass) FROM pg_constraint WHERE conname = 'before_fk' AND confrelid = 'app.t'::regclass" "t|1|t"
}
traces="SELECT count(*) FROM pg_constraint WHERE conname LIKE 'architect%'"

make
sql "SELECT architect.enable_audit('app.t'); SELECT architect.enable_cdc('app.t')" >/dev/null
writers_begin
ok "a table is converted while it is written to" sql "$convert)"
sleep 1
writers_end
sql_is "its audit has every change, before and after" \
  "SELECT count(*) FILTER (WHERE operation = 'INSERT') = (SELECT count(*) - 50000 FROM app.t),
          count(*) FILTER (WHERE operation = 'UPDATE') = (SELECT sum(n) - count(*) + 50000 FROM app.t),
          count(*) FILTER (WHERE partition_name IS NULL) > 0, count(*) FILTER (WHERE partition_name = 't_p_history') > 0
     FROM architect.audit_log WHERE table_name = 't'" "t|t|t|t"
sql_is "and so has its change feed" "SELECT count(*) = (SELECT count(*) FROM architect.audit_log) FROM architect.change_log" t
sql_is "nothing is missing for those that follow" "SELECT string_agg(DISTINCT status, ',') FROM (SELECT status FROM architect.audit_coverage() UNION ALL SELECT status FROM architect.cdc_coverage()) AS c" covered
is "no write failed" "$(grep -ciE 'error|deadlock|aborted' "$DBA_WORK/bench.log" || true)" 0
sql_is "it is partitioned" "$partitioned" t
sql_is "each row is there once, whatever the writers did" "SELECT count(*) = count(DISTINCT id), count(*) >= 50000, max(id) = count(*) FROM app.t" "t|t|t"
sql_is "writes went on afterwards" "SELECT count(*) > 0 FROM app.t WHERE xmin::text::bigint > (SELECT xmin::text::bigint FROM pg_class WHERE oid = 'app.t'::regclass)" t
sql_is "the foreign key to it is checked" "SELECT convalidated FROM pg_constraint WHERE conrelid = 'app.item'::regclass AND contype = 'f' AND conparentid = 0" t
own_key
sql_is "what a materialized view held it holds" "SELECT n FROM app.m" 0
sql_is "and holds the whole table's once refreshed" "REFRESH MATERIALIZED VIEW app.m; SELECT n = (SELECT count(*) FROM app.t) FROM app.m" t
fails_with "and holds" 23503 "INSERT INTO app.item (t_id, t_at) VALUES (-1, now())"
sql_is "nothing is left of the way there" "$traces" 0

# Writers without a pause use the table and the one it refers to, in the one order or in the other: there is always a transaction
# that an attempt in the opposite order would be deadlocked with.
for order in child_first parent_first; do
  sql "SET ROLE app; SET client_min_messages = warning; DROP TABLE IF EXISTS app.child, app.parent;
       CREATE TABLE app.parent (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO app.parent SELECT generate_series(1, 1000);
       CREATE TABLE app.child (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT now(), parent int REFERENCES app.parent, PRIMARY KEY (id, at));
       INSERT INTO app.child (at, parent) SELECT now() - i * interval '1 hour', 1 + i % 1000 FROM generate_series(1, 2000) AS i"
  child='INSERT INTO app.child (parent) VALUES (:id);'
  parent='UPDATE app.parent SET n = n + 1 WHERE id = :id;'
  if [[ $order == child_first ]]; then statements="$child $parent"; else statements="$parent $child"; fi
  printf '\\set id random(1, 1000)\nBEGIN;\n%s\nEND;\n' "$statements" >"$DBA_WORK/order.sql"
  chmod a+r "$DBA_WORK/order.sql"
  tool_on main pgbench -n -U app -c 4 -T 60 -f "$DBA_WORK/order.sql" postgres >"$DBA_WORK/order.log" 2>&1 &
  writers=$!
  wait_until "SELECT sum(n) > 100 FROM app.parent"
  ok "$order: converted beside writers that never pause" sql "CALL architect.convert_to_partitioned('app.child', 'at', dry_run => false, deadline => '15 s')"
  ok "$order: divided" sql "CALL architect.split_partition('app.child_p_history', dry_run => false, deadline => '15 s')"
  ok "$order: they have not paused" kill -0 "$writers"
  sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'" >/dev/null
  writers_end
  is "$order: none was deadlocked" "$(grep -ci 'deadlock' "$DBA_WORK/order.log" || true)" 0
  sql_is "$order: every row is there" "SELECT (SELECT count(*) - 2000 FROM app.child) = (SELECT sum(n) FROM app.parent), count(*) > 2 FROM pg_partition_tree('app.child') WHERE isleaf" "t|t"
done

# Somebody holds the table: writers are let through between attempts, and the work is done when they let go.
make
in_background holder "BEGIN; SELECT count(*) FROM app.t; SELECT pg_sleep(600)"
wait_until "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND wait_event = 'PgSleep'"
writers_begin
in_background converting "$convert, deadline => '1 minute')"
sleep 2
first=$(sql "SELECT sum(n) FROM app.t")
sleep 1
like "writers go on meanwhile" "$(($(sql "SELECT sum(n) FROM app.t") - first))" '^[1-9]'
sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()" >/dev/null
finished holder >/dev/null || true
ok "done when they let go" finished converting
writers_end
is "no write failed then either" "$(grep -ciE 'error|deadlock|aborted' "$DBA_WORK/bench.log" || true)" 0
sql_is "it is partitioned now" "$partitioned" t

# The deadline passes, then somebody cancels.
make 1000
in_background holder "BEGIN; LOCK TABLE app.t IN SHARE MODE; SELECT pg_sleep(600)"
wait_until "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND wait_event = 'PgSleep'"
fails_with "a lock is not to be had by the deadline" 55P03 "$convert, deadline => '1 second')"
in_background converting "$convert)"
wait_until "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'CALL%' AND state = 'active' AND pid <> pg_backend_pid()"
sql "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL%' AND pid <> pg_backend_pid()" >/dev/null
sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()" >/dev/null
fails "the caller is cancelled" finished converting
finished holder >/dev/null || true
sql "CALL architect.abort_partition_operation('app.t')" >/dev/null 2>&1 || true
sql_is "the table is as it was" "$partitioned" f
sql_is "without a trace" "$traces" 0
sql_is "nothing is under way" "SELECT count(*) FROM architect.partition_progress() WHERE finished_at IS NULL" 0

# A crash before the exchange, which a reader of the referring table holds up; then one after it.
make 20000
in_background holder "BEGIN; SELECT count(*) FROM app.item; SELECT pg_sleep(600)"
wait_until "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND wait_event = 'PgSleep'"
in_background converting "$convert)"
wait_until "SELECT COALESCE((SELECT convalidated FROM pg_constraint WHERE conname = 'architect_partition_bound'), false)"
sleep 1
crash_cluster main
finished converting >/dev/null 2>&1 || true
finished holder >/dev/null 2>&1 || true
start_again main
sql_is "after a crash the table is what it was" "SELECT count(*), (SELECT count(*) FROM app.v), ($partitioned) FROM app.t" "20000|20000|f"
sql_is "and the conversion is known" "SELECT phase FROM architect.partition_progress() WHERE finished_at IS NULL" preparing
fails_with "rows beyond the first partition are refused meanwhile" 23514 "INSERT INTO app.t (at) VALUES (now() + interval '1 year')"
ok "a second call goes on" sql "$convert)"
sql_is "to the end" "SELECT ($partitioned), ($traces), (SELECT count(*) FROM app.t)" "t|0|20000"
sql "UPDATE architect.partition_operation SET finished_at = NULL, outcome = NULL, settings = settings || jsonb_build_object('later', jsonb_build_array(jsonb_build_object('relation', 'app.item'::regclass::oid::bigint, 'constraint', (SELECT conname FROM pg_constraint WHERE conrelid = 'app.item'::regclass AND contype = 'f' AND conparentid = 0)),
                jsonb_build_object('relation', 'app.t_p_history'::regclass::oid::bigint, 'constraint', 'before_fk', 'rises', true))) WHERE outcome = 'converted' AND operation_id = (SELECT max(operation_id) FROM architect.partition_operation);
     ALTER TABLE app.t DROP CONSTRAINT before_fk; ALTER TABLE app.t_p_history ADD CONSTRAINT before_fk FOREIGN KEY (before_id, before_at) REFERENCES app.t ON DELETE CASCADE NOT VALID;
     ALTER TABLE app.t_p_history ADD CONSTRAINT architect_partition_bound CHECK (at IS NOT NULL)"
sql_is "what is left after the exchange is known too" "SELECT phase FROM architect.partition_progress() WHERE finished_at IS NULL" exchanged
fails_with "there is no way back then" 55000 "CALL architect.abort_partition_operation('app.t')"
ok "but a call ends it" sql "$convert)"
own_key
sql_is "whole" "SELECT ($traces), (SELECT count(*) FROM architect.partition_progress() WHERE finished_at IS NULL)" "0|0"

# Members of both owners may have other roles' objects made anew; a mere owner may not.
make 100
sql "CREATE ROLE other LOGIN; GRANT USAGE ON SCHEMA app TO other; GRANT SELECT ON app.t TO other; GRANT CREATE ON SCHEMA app TO other; CREATE VIEW app.theirs AS SELECT id FROM app.t; ALTER VIEW app.theirs OWNER TO other;
     GRANT USAGE ON SCHEMA architect TO app; GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA architect TO app"
fails_with "another role's view stands in the way" 55000 -U app "$convert)"
ok "not in a superuser's" sql "$convert)"
sql_is "the view is still theirs" "SELECT relowner::regrole, (SELECT count(*) FROM app.theirs) FROM pg_class WHERE relname = 'theirs'" "other|100"
