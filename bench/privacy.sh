#!/usr/bin/env bash
# Erasing one person in a graph of four million rows, against what somebody would write by hand who knows the schema:
# CPU time of one backend, subjects taking turns. usage: bench/privacy.sh [CUSTOMERS]
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib/measure.sh"
customers=${1:-1000}

start_bench_cluster main
sql "CREATE EXTENSION db_architect"
# Each customer: 100 orders of 30 items and 5 events each, 400 visits, 99 messages, one address: 4,101 rows.
sql "SET synchronous_commit = off;
CREATE TABLE address (id int PRIMARY KEY, street text);
CREATE TABLE customer (id int PRIMARY KEY, email text UNIQUE, name text NOT NULL, address_id int REFERENCES address);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customer, note text);
CREATE TABLE item (id bigint PRIMARY KEY, order_id int NOT NULL REFERENCES orders, product text, price numeric);
CREATE TABLE event (id bigint PRIMARY KEY, order_id int NOT NULL REFERENCES orders, what text);
CREATE TABLE visit (id bigint PRIMARY KEY, customer_id int NOT NULL REFERENCES customer, page text);
CREATE TABLE message (id bigint PRIMARY KEY, customer_id int NOT NULL REFERENCES customer, body text);
INSERT INTO address SELECT c, 'street ' || c FROM generate_series(1, $customers) c;
INSERT INTO customer SELECT c, 'c' || c || '@example.org', 'customer ' || c, c FROM generate_series(1, $customers) c;
INSERT INTO orders SELECT (c - 1) * 100 + o, c, 'note' FROM generate_series(1, $customers) c, generate_series(1, 100) o;
INSERT INTO item SELECT (o - 1) * 30 + n, o, 'product ' || n, n FROM generate_series(1, $customers * 100) o, generate_series(1, 30) n;
INSERT INTO event SELECT (o - 1) * 5 + n, o, 'paid' FROM generate_series(1, $customers * 100) o, generate_series(1, 5) n;
INSERT INTO visit SELECT (c - 1) * 400 + n, c, 'page ' || n FROM generate_series(1, $customers) c, generate_series(1, 400) n;
INSERT INTO message SELECT (c - 1) * 99 + n, c, 'hello' FROM generate_series(1, $customers) c, generate_series(1, 99) n;
CREATE INDEX ON customer (address_id); CREATE INDEX ON orders (customer_id); CREATE INDEX ON item (order_id); CREATE INDEX ON event (order_id);
CREATE INDEX ON visit (customer_id); CREATE INDEX ON message (customer_id);
SELECT FROM architect.declare_subject('customer', 'customer', identity_columns => '{email,name}');
SELECT FROM architect.declare_edge('customer', 'orders', '{customer_id}', 'customer');
SELECT FROM architect.declare_edge('customer', 'item', '{order_id}', 'orders');
SELECT FROM architect.declare_edge('customer', 'event', '{order_id}', 'orders');
SELECT FROM architect.declare_edge('customer', 'visit', '{customer_id}', 'customer');
SELECT FROM architect.declare_edge('customer', 'message', '{customer_id}', 'customer');
SELECT FROM architect.declare_edge('customer', 'customer', '{address_id}', 'address', direction => 'referred');" >/dev/null
sql "VACUUM ANALYZE" >/dev/null
sql "CREATE FUNCTION by_hand(c int) RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE a int;
BEGIN
  SELECT address_id INTO a FROM customer WHERE id = c FOR UPDATE;
  DELETE FROM item WHERE order_id IN (SELECT id FROM orders WHERE customer_id = c);
  DELETE FROM event WHERE order_id IN (SELECT id FROM orders WHERE customer_id = c);
  DELETE FROM orders WHERE customer_id = c;
  DELETE FROM visit WHERE customer_id = c;
  DELETE FROM message WHERE customer_id = c;
  DELETE FROM customer WHERE id = c;
  DELETE FROM address WHERE id = a;
END \$\$;
CREATE FUNCTION erase(c int) RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
  PERFORM architect.erase_subject('customer', to_jsonb(c), dry_run => false,
    expected_plan => current_setting('bench.plan'));
END \$\$;"
rows=$(sql "SELECT sum(rows) FROM architect.plan_erasure('customer', '1')")
open_session postgres
run "SELECT by_hand(1)"
run "SELECT count(*) FROM architect.plan_erasure('customer', '2')"
for round in 1 2 3 4 5 6 7 8; do
  measure hand "SELECT by_hand($((round * 10)))"
  run "SELECT set_config('bench.plan', (SELECT plan_hash FROM architect.plan_erasure('customer', '$((round * 10 + 5))') LIMIT 1), false)"
  measure erase "SELECT erase($((round * 10 + 5)))"
  measure plan "SELECT count(*) FROM architect.plan_erasure('customer', '$((round * 10 + 7))')"
done
close_session
printf '%s rows of one person among %s\n' "$rows" "$(sql "SELECT sum(n_live_tup) FROM pg_stat_user_tables WHERE schemaname = 'public'")"
printf '%-34s %10s %8s\n' "" "CPU ms" "ratio"
for key in hand plan erase; do
  case $key in hand) name="DELETEs by hand" ;; plan) name="plan_erasure()" ;; erase) name="erase_subject()" ;; esac
  printf '%-34s %10s %8s\n' "$name" "$(awk -v a="${BEST[$key]}" 'BEGIN {printf "%.1f", a / 1000}')" "$(quotient "${BEST[$key]}" "${BEST[hand]}")"
done
