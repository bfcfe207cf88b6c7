#!/usr/bin/env bash
# analyze_slow_queries: each kind of finding from a statement that deserves it, none from one that does not; constants
# are not shown; a role sees no more than it may; one statement that cannot be planned does not end the call.
source "$(dirname "$0")/lib.sh"

start_cluster main shared_preload_libraries=pg_stat_statements autovacuum=off pg_stat_statements.track_planning=on \
  max_parallel_workers_per_gather=0 work_mem=1MB jit=off
sql "CREATE EXTENSION pg_stat_statements; CREATE EXTENSION db_architect" >/dev/null
sql "CREATE TABLE orders (id int PRIMARY KEY, customer int, name text, amount numeric, region int, city int, note text) WITH (autovacuum_enabled = off);
     INSERT INTO orders SELECT g, g % 5000, 'name ' || g, g, g % 50, g % 50, repeat('x', 60) FROM generate_series(1, 200000) AS g;
     CREATE INDEX orders_name ON orders (name);
     CREATE TABLE codes (code numeric PRIMARY KEY);
     INSERT INTO codes SELECT g FROM generate_series(1, 200000, 400) AS g;
     CREATE TABLE fresh (id int, note text) WITH (autovacuum_enabled = off);
" >/dev/null
sql "ANALYZE orders; ANALYZE codes" >/dev/null
sql "INSERT INTO fresh SELECT g, repeat('y', 200) FROM generate_series(1, 50000) AS g" >/dev/null

# found STATEMENT: the findings of a statement run alone, in order.
found() {
  sql "SELECT pg_stat_statements_reset()" >/dev/null
  sql "$1" >/dev/null
  findings
}
findings() { sql "SELECT DISTINCT finding FROM architect.analyze_slow_queries('0') AS a JOIN pg_stat_statements AS s ON s.queryid = a.query_id WHERE s.query !~ 'pg_stat_statements' ORDER BY 1" | tr '\n' ' '; }

like "an index is missing" "$(found "SELECT * FROM orders WHERE customer = 4711")" "missing_index .*sequential_scan "
sql_is "which, with its statement" "SELECT recommendation FROM architect.analyze_slow_queries('0') WHERE finding = 'missing_index'" \
  "CREATE INDEX CONCURRENTLY orders_customer_idx ON public.orders (customer);"
is "no constant is shown" "$(sql "SELECT count(*) FROM architect.analyze_slow_queries('0') WHERE concat(detail, recommendation) ~ '4711'")" 0
is "by the key nothing is conspicuous" "$(found "SELECT * FROM orders WHERE id = 4711")" "none "
like "a function on an indexed column" "$(found "SELECT * FROM orders WHERE lower(name) = 'name 1'")" "function_on_indexed_column "
like "a cast that is written out too" "$(found "SELECT * FROM orders WHERE id::text = '4711'")" "function_on_indexed_column "
like "an expression too" "$(found "SELECT * FROM orders WHERE coalesce(id, 0) + 1 = 4711")" "function_on_indexed_column "
unlike "not where another index finds the rows" "$(found "SELECT * FROM orders WHERE id = 5 AND lower(name) = 'x'")" "function_on"
unlike "a function on one without" "$(found "SELECT * FROM orders WHERE abs(region) = 5 LIMIT 1")" "function_on_indexed_column"
like "a column converted to be compared" "$(found "SELECT * FROM orders WHERE id = 4711::numeric")" "implicit_cast "
like "also in a join" "$(found "SELECT count(*) FROM codes, orders WHERE orders.id = codes.code")" "implicit_cast "
unlike "one compared with its own type is not" "$(found "SELECT count(*) FROM codes, orders WHERE orders.amount = codes.code AND orders.id < 5000::bigint")" "implicit_cast"
like "a pattern" "$(found "SELECT * FROM orders WHERE note LIKE '%z%'")" "leading_wildcard "
sql "CREATE INDEX orders_note ON orders (note text_pattern_ops)" >/dev/null
sql "UPDATE orders SET note = 'n' || id WHERE id <= 1000; VACUUM ANALYZE orders" >/dev/null
unlike "one that an index found is none" "$(found "SELECT * FROM orders WHERE note LIKE 'n99%'")" "leading_wildcard|pattern"
like "with such an index one that read all began with a wildcard" "$(found "SELECT * FROM orders WHERE note LIKE '%99'"; sql "SELECT detail FROM architect.analyze_slow_queries('0') WHERE finding = 'leading_wildcard'")" "that begins with a wildcard"
unlike "a table read in part is not read whole" "$(found "SELECT * FROM orders LIMIT 10")" "sequential_scan"
unlike "an estimate that is right for some values is not wrong" "$(found "SELECT * FROM orders WHERE id > 199990")" "row_estimate"
like "a large result" "$(found "SELECT id FROM orders")" "large_result "
unlike "unless limited" "$(found "SELECT id FROM orders LIMIT 20000")" "large_result"
unlike "or counted" "$(found "SELECT count(*) FROM orders")" "large_result"
like "OFFSET" "$(found "SELECT id FROM orders ORDER BY id LIMIT 10 OFFSET 1000")" "offset_pagination "
like "in a subquery too" "$(found "SELECT count(*) FROM (SELECT id FROM orders ORDER BY id OFFSET 1000 LIMIT 10) AS x")" "offset_pagination "
unlike "OFFSET 0 as a fence is none" "$(found "SELECT count(*) FROM (SELECT id FROM orders WHERE id < 5 OFFSET 0) AS x")" "offset_pagination"
unlike "a column called offset is none" "$(found "SELECT id AS \"offset\" FROM orders WHERE id = 1 -- offset 5")" "offset_pagination"
like "a sort that spills" "$(found "SELECT id FROM orders ORDER BY note, amount LIMIT 100000"; sql "SELECT detail FROM architect.analyze_slow_queries('0') WHERE finding = 'spill'")" "spill .*a sort does not fit"
like "a hash table that spills" "$(found "SELECT customer + id, count(*) FROM orders GROUP BY 1 LIMIT 1"; sql "SELECT detail FROM architect.analyze_slow_queries('0') WHERE finding = 'spill'")" "spill .*does not fit"
unlike "one that has room" "$(found "SET work_mem = '64MB'; SELECT id FROM orders ORDER BY note, amount LIMIT 100000")" "spill"
if [[ $(sql "SELECT pg_jit_available()") == t ]]; then
  like "compiling that takes longer than it saves" "$(found "SET jit = on; SET jit_above_cost = 0; SET jit_optimize_above_cost = 0; SET jit_inline_above_cost = 0; SELECT count(*) FROM codes WHERE code > 7")" "jit "
fi
unlike "none where there was none" "$(found "SELECT count(*) FROM codes WHERE code > 7")" "jit"
like "columns that depend on each other" "$(found "SELECT id, customer FROM orders WHERE region = 5 AND city = 5")" "row_estimate "
like "with the statistics to make" "$(sql "SELECT recommendation FROM architect.analyze_slow_queries('0') WHERE finding = 'row_estimate'")" "CREATE STATISTICS .* ON region, city FROM public.orders"
sql "CREATE TABLE tiny (id int) WITH (autovacuum_enabled = off); INSERT INTO tiny VALUES (1)" >/dev/null
is "a small one need not be" "$(found "SELECT * FROM tiny WHERE id > 5")" "none "
sql "CREATE TABLE moved AS SELECT g AS id, repeat('m', 100) AS pad FROM generate_series(1, 20000) AS g; ANALYZE moved; SELECT pg_stat_force_next_flush(); UPDATE moved SET id = -id" >/dev/null 2>&1
like "a table changed since it was analyzed" "$(found "SELECT count(*) FROM moved WHERE id > 5")" "stale_statistics "
like "a table never analyzed" "$(found "SELECT count(*) FROM fresh WHERE id > 5")" "stale_statistics "

sql "SELECT pg_stat_statements_reset()" >/dev/null
sql "$(for ((i = 1; i <= 1500; i++)); do echo "SELECT name FROM orders WHERE id = $i;"; done)" >/dev/null
sql_is "many calls for a row each" "SELECT finding, priority FROM architect.analyze_slow_queries('1 hour')" "n_plus_one|LOW"
sql_is "however low the bar for slow ones" "SELECT finding FROM architect.analyze_slow_queries('0') WHERE calls = 1500" n_plus_one
sql "SELECT pg_stat_statements_reset()" >/dev/null
sql "SELECT id FROM orders WHERE region = 7 LIMIT 150; $(for ((i = 1; i <= 150; i++)); do echo "SELECT count(*) FROM orders WHERE id = $i;"; done)" >/dev/null
sql_is "one for each row of another statement" "SELECT a.finding, a.priority, a.detail ~ p.queryid::text FROM architect.analyze_slow_queries('1 hour') AS a, pg_stat_statements AS p WHERE p.query ~ 'LIMIT'" "n_plus_one|MEDIUM|t"
sql "SELECT pg_stat_statements_reset()" >/dev/null
sql "$(for ((i = 1; i <= 1500; i++)); do echo "SELECT $i; SELECT relname FROM pg_class WHERE oid = $i;"; done)" >/dev/null
is "what looks nothing up in a table of users is none" "$(sql "SELECT count(*) FROM architect.analyze_slow_queries('1 hour')")" 0
is "only the slow are looked at otherwise" "$(sql "SELECT pg_stat_statements_reset()" >/dev/null; sql "SELECT count(*) FROM orders" >/dev/null; sql "SELECT count(*) FROM architect.analyze_slow_queries('1 hour')")" 0

# Statements that cannot be planned, beside one that can.
sql "SELECT pg_stat_statements_reset()" >/dev/null
sql "CREATE TABLE gone (id int); SELECT * FROM gone WHERE id = 1; DROP TABLE gone; SELECT * FROM orders WHERE region = 7" >/dev/null
like "what cannot be planned is said" "$(sql "SELECT detail FROM architect.analyze_slow_queries('0') WHERE finding = 'not_analyzed'")" "SQLSTATE 42P01"
like "and does not end the call" "$(findings)" "sequential_scan"
sql "CREATE TABLE \"a\"\"b'; drop\" (\"x\"\"y'\" int, pad text); INSERT INTO \"a\"\"b'; drop\" SELECT g, repeat('z', 300) FROM generate_series(1, 30000) AS g; ANALYZE \"a\"\"b'; drop\"" >/dev/null
found "SELECT * FROM \"a\"\"b'; drop\" WHERE \"x\"\"y'\" = 7" >/dev/null
statement=$(sql "SELECT recommendation FROM architect.analyze_slow_queries('0') WHERE finding = 'missing_index'")
like "hostile names are quoted" "$statement" 'CREATE INDEX CONCURRENTLY .* ON public\."a""b'"'"'; drop" \("x""y'"'"'"\);'
ok "and the statement runs" sql "$statement"

sql "CREATE ROLE reader; GRANT USAGE ON SCHEMA architect TO reader; GRANT EXECUTE ON FUNCTION architect.analyze_slow_queries TO reader" >/dev/null
found "SELECT * FROM orders WHERE customer = 4711" >/dev/null
sql_is "a role that may not see texts is told so" "SET ROLE reader; SELECT DISTINCT finding FROM architect.analyze_slow_queries('0')" not_analyzed
sql "GRANT pg_read_all_stats TO reader" >/dev/null
sql_is "one that may not read the table too" "SET ROLE reader; SELECT DISTINCT finding FROM architect.analyze_slow_queries('0') WHERE detail ~ '42501'" not_analyzed
is "no transaction id is assigned" "$(sql "BEGIN; SELECT count(*) > 0 FROM architect.analyze_slow_queries('0'); SELECT pg_current_xact_id_if_assigned() IS NULL; COMMIT" | tail -1)" t
# What became of advice: the statements' times before and since, between snapshots.
found "SELECT * FROM orders WHERE customer = 17" >/dev/null
sql "SELECT architect.take_snapshot()" >/dev/null
sql "INSERT INTO architect.advice_log (advised_to, advised_by, action, table_oid, schema_name, table_name, index_name, columns, method, statement, helped_before, helped_after, query_ids)
     SELECT 'x', 'x', 'CREATE', 'orders'::regclass, 'public', 'orders', 'orders_customer_idx', '{customer}', 'btree', '', 100, 1, ARRAY[queryid] FROM pg_stat_statements WHERE query ~ 'customer = '" >/dev/null
sql "CREATE INDEX orders_customer_idx ON orders (customer)" >/dev/null
is "until a snapshot finds the index no time is compared" "$(sql "SELECT status, before_ms IS NULL, after_ms IS NULL FROM architect.review_advice()")" "built|t|t"
sql "SELECT architect.take_snapshot()" >/dev/null
sql "SELECT * FROM orders WHERE customer = 18" >/dev/null
is "times before and since" "$(sql "SELECT status, before_ms > 0, after_ms > 0 FROM architect.review_advice()")" "built|t|t"
like "and what was predicted" "$(sql "SELECT verdict FROM architect.review_advice()")" "its statements take [0-9]+ % of the time they took, 1 % of their cost was predicted"

# What was advised to be dropped and is there is judged by its scans since; what is younger than the figures is not
# said to be unused all that time.
sql "INSERT INTO architect.advice_log (advised_to, advised_by, action, table_oid, schema_name, table_name, index_name, columns, method, statement)
     VALUES ('x', 'x', 'DROP', 'orders'::regclass, 'public', 'orders', 'orders_name', '{name}', 'btree', '')" >/dev/null
sql "SELECT * FROM orders WHERE name = 'name 5'; SELECT pg_stat_force_next_flush()" >/dev/null
like "an index that is used after all" "$(sql "SELECT status, verdict FROM architect.review_advice() WHERE action = 'DROP'")" "not_dropped\|the index is still there, and has been scanned"
# An index of the same columns that is partial, or includes more, is another.
sql "INSERT INTO architect.advice_log (advised_to, advised_by, action, table_oid, schema_name, table_name, index_name, columns, method, statement)
     VALUES ('x', 'x', 'CREATE', 'orders'::regclass, 'public', 'orders', 'partial', '{amount}', 'btree', 'CREATE INDEX ON orders (amount) WHERE amount > 5'),
            ('x', 'x', 'CREATE', 'orders'::regclass, 'public', 'orders', 'more', '{region,note}', 'btree', 'CREATE INDEX ON orders (region) INCLUDE (note)');
     CREATE INDEX whole ON orders (amount); CREATE INDEX wide ON orders (region) INCLUDE (note)" >/dev/null
sql_is "what is built is told by all that makes an index" "SELECT index_name, status FROM architect.review_advice() WHERE index_name IN ('partial', 'wide', 'more') ORDER BY 1" "$(printf 'partial|not_built\nwide|built')"

sql "DROP EXTENSION pg_stat_statements" >/dev/null
fails_with "without pg_stat_statements it says what to do" 55000 "SELECT * FROM architect.analyze_slow_queries()"
