#!/usr/bin/env bash
# A workload that mostly writes, with indexes that somebody once made: the advice is to create nothing and names what to
# drop, never what a foreign key needs or both of a pair; followed, it is silent; undone, it is the same again.
source "$(dirname "$0")/lib.sh"

start_cluster main shared_preload_libraries=pg_stat_statements autovacuum=off
sql "CREATE EXTENSION pg_stat_statements; CREATE EXTENSION db_architect"
sql "CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, status text NOT NULL, placed_at timestamptz NOT NULL, updated_at timestamptz, total int);
     INSERT INTO orders SELECT i, i % 500, 'done', '2026-01-01'::timestamptz + i * interval '10 s', now(), i % 1000 FROM generate_series(1, 20000) i;
     CREATE INDEX orders_status ON orders (status);
     CREATE INDEX orders_updated ON orders (updated_at);
     CREATE INDEX orders_customer ON orders (customer_id);
     CREATE INDEX orders_customer_placed ON orders (customer_id, placed_at);
     CREATE TABLE event (id bigserial PRIMARY KEY, order_id int NOT NULL REFERENCES orders, what text);
     CREATE INDEX event_order ON event (order_id); CREATE INDEX event_what ON event (what)"
sql "VACUUM ANALYZE" && sql "SELECT pg_stat_reset(); SELECT pg_stat_statements_reset()" >/dev/null
cat >"$DBA_WORK/shop.pgbench" <<'END'
\set order random(1, 20000)
\set customer random(1, 499)
UPDATE orders SET status = 'paid', updated_at = now() WHERE id = :order;
INSERT INTO event (order_id, what) VALUES (:order, 'paid');
INSERT INTO event (order_id, what) VALUES (:order, 'done');
SELECT id, total FROM orders WHERE customer_id = :customer ORDER BY placed_at DESC LIMIT 10;
END
chmod 644 "$DBA_WORK/shop.pgbench"
ok "the shop is open" as_server "$DBA_BIN/pgbench" -h "$(cluster_socket main)" -p "$DBA_PORT" -U postgres -n -t 2000 -f "$DBA_WORK/shop.pgbench" postgres
sleep 1

advice="SELECT action, table_name, statement FROM architect.suggest_indexes() ORDER BY statement"
sql "CREATE TABLE advice AS SELECT action, statement, undo, benefit_ms_per_day FROM architect.suggest_indexes()" 2>/dev/null
sql_is "what only costs is to go, and nothing is to be made" "SELECT statement FROM advice ORDER BY 1" "DROP INDEX CONCURRENTLY public.event_what;
DROP INDEX CONCURRENTLY public.orders_customer;
DROP INDEX CONCURRENTLY public.orders_status;
DROP INDEX CONCURRENTLY public.orders_updated;"
sql_is "each saves writes" "SELECT count(*) FROM advice WHERE benefit_ms_per_day <= 0" 0
sql "SELECT statement FROM advice" | while read -r statement; do sql "$statement"; done
sql_is "that done, nothing is left to say" "SELECT count(*) FROM ($advice) AS a" 0 2>/dev/null
sql_is "every foreign key is served" "SELECT count(*) FROM architect.unindexed_foreign_keys()" 0
sql_is "nothing is redundant" "SELECT count(*) FROM architect.redundant_indexes()" 0
sql "SELECT undo FROM advice" | while read -r statement; do sql "$statement"; done
sql_is "undone, it is the same again" "SELECT count(*) FROM (SELECT statement FROM ($advice) AS a EXCEPT SELECT statement FROM advice) AS b" 0 2>/dev/null
sql_is "all of it" "SELECT count(*) FROM ($advice) AS a" 4 2>/dev/null
