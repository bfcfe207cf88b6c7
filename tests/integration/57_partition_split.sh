#!/usr/bin/env bash
# A partition is split and partitions are merged while rows come, change, move and go: afterwards the table
# holds exactly what it would without. Ended in the middle, by a deadline or a crash, a second call goes on
# or it is given up without a trace.
source "$(dirname "$0")/lib.sh"

start_cluster main max_worker_processes=16 deadlock_timeout=500ms
sql "CREATE EXTENSION db_architect; CREATE ROLE app LOGIN; CREATE SCHEMA app AUTHORIZATION app"
# The mirror is kept by triggers, in the same transactions: what the table must be equal to.
make() {
  sql "SET ROLE app; SET client_min_messages = warning; DROP TABLE IF EXISTS app.t, app.mirror CASCADE;
       CREATE TABLE app.mirror (id int, at date, n int, u int, PRIMARY KEY (id, at));
       CREATE TABLE app.t (id int, at date, n int DEFAULT 0, u int, PRIMARY KEY (id, at), UNIQUE (u, at)) PARTITION BY RANGE (at);
       CREATE TABLE app.t_h PARTITION OF app.t FOR VALUES FROM (MINVALUE) TO ('2026-07-01') WITH (fillfactor = 50);
       CREATE TABLE app.t_next PARTITION OF app.t FOR VALUES FROM ('2026-07-01') TO ('2026-08-01');
       CREATE INDEX ON app.t (n);
       CREATE OR REPLACE FUNCTION app.keep() RETURNS trigger LANGUAGE plpgsql AS \$\$BEGIN
           IF TG_OP <> 'INSERT' THEN DELETE FROM app.mirror WHERE id = OLD.id AND at = OLD.at; END IF;
           IF TG_OP <> 'DELETE' THEN INSERT INTO app.mirror VALUES (NEW.*); END IF; RETURN NULL; END\$\$;
       CREATE TRIGGER keep AFTER INSERT OR UPDATE OR DELETE ON app.t FOR EACH ROW EXECUTE FUNCTION app.keep();
       INSERT INTO app.t SELECT i, '2026-01-01'::date + i % 180, 0, i FROM generate_series(1, ${1:-20000}) AS i"
}
same="SELECT (SELECT md5(string_agg(t::text, ',' ORDER BY id, at)) FROM app.t AS t) = (SELECT md5(string_agg(m::text, ',' ORDER BY id, at)) FROM app.mirror AS m)"
traces="SELECT count(*) FROM pg_class WHERE relname LIKE 'architect%' AND relnamespace = 'app'::regnamespace"
cat >"$DBA_WORK/write.sql" <<'SQL'
\set id random(1, 20000)
\set other random(1, 20000)
\set new random(20001, 1000000)
\set day random(0, 200)
INSERT INTO app.t VALUES (:new, '2026-01-01'::date + :day, 1, :new) ON CONFLICT DO NOTHING;
UPDATE app.t SET n = n + 1 WHERE id = :id;
UPDATE app.t SET at = '2026-01-01'::date + :day WHERE id = :other;
DELETE FROM app.t WHERE id = :new - 1;
BEGIN;
UPDATE app.t SET u = -u WHERE id = :id;
UPDATE app.t SET id = -id WHERE id = :other;
END;
SQL
chmod a+r "$DBA_WORK/write.sql"
writers_begin() {
  tool_on main pgbench -n -U app -c 4 -R 400 -T 12 -f "$DBA_WORK/write.sql" postgres >"$DBA_WORK/bench.log" 2>&1 &
  writers=$!
  wait_until "SELECT sum(n) > 50 FROM app.t"
}
writers_end() { wait "$writers" || true; }

make
writers_begin
ok "a partition is split while it is written to" sql "CALL architect.split_partition('app.t_h', batch => 2000, pause => '20 ms')"
ok "some are merged again" sql "CALL architect.merge_partitions(ARRAY['app.t_p2026_02', 'app.t_p2026_03']::regclass[], batch => 2000, pause => '5 ms')"
writers_end
# Writers may meet each other's locks; what they may not meet is us.
is "no write failed of us" "$(grep -iE 'error|aborted' "$DBA_WORK/bench.log" | grep -vciE 'deadlock|concurrent update|another partition due|duplicate key|aborted in command' || true)" 0
sql_is "the table is what it would be without" "$same" t
sql_is "in these partitions" "SELECT string_agg(c.relname, ' ' ORDER BY c.relname COLLATE \"C\") FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid WHERE inhparent = 'app.t'::regclass" \
  "t_next t_p2026_01 t_p2026_02_to_03 t_p2026_04 t_p2026_05 t_p2026_06 t_p_before"
sql_is "nothing is left of the way there" "$traces" 0
sql_is "every index is whole" "SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid IN (SELECT relid FROM pg_partition_tree('app.t'))" t
sql_is "no constraint is left" "SELECT count(*) FROM pg_constraint WHERE conname LIKE 'architect%'" 0

# What commits while the exchange waits for its lock is in the table, whatever isolation the session asks for.
for level in "repeatable read" serializable; do
  make 2000
  sql "ALTER ROLE app SET default_transaction_isolation = '$level'; GRANT USAGE ON SCHEMA architect TO app; GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA architect TO app"
  in_background splitting -U app "CALL architect.split_partition('app.t_h', batch => 100, pause => '50 ms', lock_timeout => '20 s')"
  wait_until "SELECT count(*) = 1 FROM architect.partition_operation WHERE finished_at IS NULL AND phase = 'copying'"
  in_background writing "BEGIN; INSERT INTO app.t VALUES (5000, '2026-03-03', 1, 5000); UPDATE app.t SET n = 7 WHERE id < 50; DELETE FROM app.t WHERE id BETWEEN 50 AND 60; SELECT pg_sleep(4); COMMIT"
  wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'CALL architect.split%' AND wait_event_type = 'Lock'"
  ok "a partition is split under $level" finished splitting
  sql_is "and nothing committed meanwhile is lost ($level)" "$same" t
  finished writing >/dev/null || true
done
sql "ALTER ROLE app RESET default_transaction_isolation"

# Ended between watching and copying: what watches is there already.
make 2000
sql "CALL architect.split_partition('app.t_h', batch => 100, pause => '200 ms', deadline => '1 second')" >/dev/null 2>&1 || true
sql "UPDATE architect.partition_operation SET phase = 'preparing' WHERE finished_at IS NULL"
ok "a second call goes on where watching had begun" sql "CALL architect.split_partition('app.t_h')"
sql_is "with every row" "$same" t

# Given up in the middle.
make 2000
fails_with "the deadline passes" 57014 "CALL architect.split_partition('app.t_h', batch => 100, pause => '200 ms', deadline => '1 second')"
like "progress is shown" "$(sql "SELECT phase, rows_done > 0, rows_done < 2000 FROM architect.partition_progress() WHERE finished_at IS NULL")" '^copying\|t\|t$'
fails_with "TRUNCATE is refused meanwhile" 55006 "TRUNCATE app.t_h"
fails_with "and a merge of the same" 55006 "CALL architect.merge_partitions(ARRAY['app.t_h', 'app.t_next']::regclass[])"
sql "UPDATE app.t SET n = 5 WHERE id < 100"
# A row that has been copied and one that has not exchange a unique value: they are not copied as of one moment.
sql "UPDATE app.t SET u = 100001 WHERE id = 1; UPDATE app.t SET u = 1 WHERE id = 1981; UPDATE app.t SET u = 1981 WHERE id = 1"
ok "a second call goes on" sql "CALL architect.split_partition('app.t_h')"
sql_is "with what has changed between" "$same" t
make 2000
sql "CALL architect.split_partition('app.t_h', batch => 100, pause => '200 ms', deadline => '1 second')" >/dev/null 2>&1 || true
ok "it is given up" sql "CALL architect.abort_partition_operation('app.t_h')"
sql_is "without a trace" "$traces" 0
sql_is "the partition has its own triggers only" "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'app.t_h'::regclass" 1
ok "and can be truncated" sql "TRUNCATE app.t_h"

# A crash at many points, with writers.
round=0
while ((++round < 8)); do
  make 5000
  in_background splitting "CALL architect.split_partition('app.t_h', batch => 50, pause => '100 ms')"
  for i in 1 2 3; do in_background "w$i" "SELECT format('UPDATE app.t SET n = n + 1, u = %s WHERE id = %s', -i, i) FROM generate_series($i, 5000, 7) AS i \\gexec"; done
  sleep "$(awk -v r="$round" 'BEGIN {print r * 0.5}')"
  crash_cluster main
  for i in 1 2 3; do finished "w$i" >/dev/null 2>&1 || true; done
  finished splitting >/dev/null 2>&1 || true
  start_again main
  [[ $(sql "$same") == t ]] || fail "rows after crash $round"
  phase=$(sql "SELECT COALESCE((SELECT phase FROM architect.partition_progress() WHERE finished_at IS NULL), 'none')")
  seen="${seen:-} $phase"
  if [[ $phase == none && $(sql "SELECT to_regclass('app.t_h') IS NULL") == t ]]; then break; fi
  sql "UPDATE app.t SET n = n + 100 WHERE id % 50 = 0"
  oid=$(sql "SELECT COALESCE((SELECT relation::regclass::text FROM architect.partition_operation WHERE finished_at IS NULL), 'app.t_h')")
  sql "CALL architect.split_partition('$oid', batch => 2000, pause => '0')" 2>"$DBA_WORK/said" || fail "a second call after crash $round (phase $phase)" "$(cat "$DBA_WORK/said")"
  [[ $(sql "$same;$traces" | paste -sd' ') == "t 0" ]] || fail "after crash $round (phase $phase) and a second call" "$(sql "$same;$traces")"
done
like "crashes came in the middle of the copy" "$seen" "copying"
pass "a second call after each of $round crashes went on: $seen"
