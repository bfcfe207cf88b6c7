#!/usr/bin/env bash
# 50,000 audited statements in one transaction: each recorded under a number of its own, in order, without
# slowing down or using up memory on the way.
source "$(dirname "$0")/lib.sh"

start_cluster main shared_buffers=128MB
sql "CREATE EXTENSION db_architect; CREATE TABLE t (id int PRIMARY KEY, a int); CREATE TABLE other (id int PRIMARY KEY, a int);
     INSERT INTO t SELECT i, 0 FROM generate_series(1, 1000) AS i; INSERT INTO other SELECT * FROM t"
sql "SELECT FROM architect.enable_audit('t'); SELECT FROM architect.enable_audit('other')"

# Two of PostgreSQL's own contexts grow with any trigger and any row that changes twice; they are left out.
# As a client sends them, so that each statement is prepared, planned and run by itself.
{
  echo "SET client_min_messages = warning; CREATE TEMP TABLE measured (n int, at timestamptz, bytes bigint);"
  echo "PREPARE measure(int) AS INSERT INTO measured SELECT \$1, clock_timestamp(), sum(total_bytes) FROM pg_backend_memory_contexts WHERE name NOT IN ('AfterTriggerEvents', 'Combo CIDs');"
  echo "BEGIN;"
  awk 'BEGIN { for (i = 0; i < 50000; i++) {
         if (i % 5000 == 0) printf "EXECUTE measure(%d);\n", i
         if (i % 100 == 99) print "SAVEPOINT s; UPDATE t SET a = -1 WHERE id = 1; ROLLBACK TO s; RELEASE s;"
         printf "UPDATE %s SET a = a + 1 WHERE id = %d;\n", i % 2 ? "t" : "other", i % 1000 + 1 } }'
  echo "EXECUTE measure(50000);"
  echo "COMMIT;"
  echo "SELECT n, extract(epoch FROM at - lag(at) OVER (ORDER BY n))::numeric(9,3), bytes FROM measured ORDER BY n;"
} >"$DBA_WORK/statements.sql"
measured=$(psql_on main -qAt -d postgres -f - <"$DBA_WORK/statements.sql")
diag "$measured"
mapfile -t line <<<"$measured"
part() { cut -d'|' -f"$2" <<<"${line[$1]}"; }

sql_is "every statement is recorded once" "SELECT count(*), count(DISTINCT statement), count(DISTINCT txid), count(DISTINCT changed_at) FROM architect.audit_log" "50000|50000|1|50000"
sql_is "in the order of the statements" \
  "SELECT count(*) FROM (SELECT (row_key ->> 'id')::int AS id, table_name, row_number() OVER (ORDER BY audit_id) - 1 AS i, row_number() OVER (ORDER BY statement) - 1 AS j, row_number() OVER (ORDER BY changed_at) - 1 AS k FROM architect.audit_log) AS l
    WHERE i <> j OR i <> k OR id <> i % 1000 + 1 OR table_name <> CASE WHEN i % 2 = 1 THEN 't' ELSE 'other' END" 0
sql_is "one context for all" "SELECT count(*) FROM architect.capture_context" 1
sql_is "nothing of the savepoints" "SELECT count(*) FROM architect.audit_log WHERE new_values ->> 'a' = '-1'" 0
# Time is shown, and judged only for what no machine's noise explains: a cost that grows with what went before.
first=$(part 2 2) last=$(part 10 2)
ok "the last 5,000 do not take five times as long as the second 5,000 ($last s, $first s)" awk -v a="$first" -v b="$last" 'BEGIN { exit !(b < 5 * a + 0.5) }'
grown=$(($(part 10 3) - $(part 2 3)))
ok "memory does not grow with statements ($grown bytes over 40,000)" test "$grown" -lt 1000000

# The same in one command of a procedural language, with exception blocks.
sql_is "and in PL/pgSQL, with one context more for its session" "DO \$\$ BEGIN FOR i IN 1 .. 20000 LOOP
    BEGIN UPDATE t SET a = 0 WHERE id = i % 1000 + 1; IF i % 2 = 0 THEN RAISE division_by_zero; END IF; EXCEPTION WHEN division_by_zero THEN NULL; END;
  END LOOP; END \$\$; SELECT count(*) FROM architect.audit_log WHERE new_values ->> 'a' = '0'; SELECT count(*) FROM architect.capture_context" '500
2'
