#!/usr/bin/env bash
# One application with everything switched on, and never pausing: audited, captured, stamped, its big table partitioned and divided
# under it, a person erased, indexes advised, all of it dumped and restored. No statement of the application fails, and what each
# capability promises holds beside the others.
source "$(dirname "$0")/lib.sh"

start_cluster main shared_preload_libraries=pg_stat_statements max_worker_processes=16
sql "CREATE EXTENSION pg_stat_statements; CREATE EXTENSION db_architect; CREATE ROLE app LOGIN; CREATE SCHEMA shop AUTHORIZATION app"
sql -U app "
CREATE TABLE shop.customer (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text UNIQUE NOT NULL, name text NOT NULL, prefs jsonb DEFAULT '{}');
CREATE TABLE shop.orders (id bigint GENERATED ALWAYS AS IDENTITY, customer_id bigint NOT NULL REFERENCES shop.customer,
  placed_at timestamptz NOT NULL DEFAULT now(), status text NOT NULL DEFAULT 'new', note text, total numeric(12,2), PRIMARY KEY (id, placed_at));
CREATE INDEX ON shop.orders (customer_id);
INSERT INTO shop.customer (email, name) SELECT 'person' || i || '@example.org', 'Person number ' || i FROM generate_series(1, 200) AS i;
INSERT INTO shop.orders (customer_id, placed_at, note, total) SELECT 1 + i % 200, now() - i * interval '1 hour', 'deliver to person' || (1 + i % 200) || '@example.org', i FROM generate_series(1, 4000) AS i"
sql "SELECT FROM architect.enable_audit_schema('shop'); SELECT FROM architect.enable_cdc_schema('shop', notify => false);
     SELECT FROM architect.enable_updated_at('shop.orders', add_column => true);
     SELECT FROM architect.create_consumer('sink', tables => '{shop.orders,shop.customer}')" >/dev/null
# What happened before, of a person who will be erased.
sql -U app "SET architect.actor = 'person7@example.org'; UPDATE shop.customer SET prefs = '{\"mail\": \"person7@example.org\"}' WHERE id = 7; UPDATE shop.orders SET status = 'paid' WHERE customer_id = 7"

cat >"$DBA_WORK/load.sql" <<'SQL'
\set c random(20, 200)
BEGIN;
SET LOCAL architect.actor = 'web';
INSERT INTO shop.orders (customer_id, note, total) VALUES (:c, 'deliver to person' || :c || '@example.org', :c);
UPDATE shop.orders SET status = 'paid' WHERE customer_id = :c AND status = 'new' AND placed_at > now() - interval '3 days';
UPDATE shop.customer SET prefs = prefs || jsonb_build_object('n', :c) WHERE id = :c;
END;
SQL
chmod a+r "$DBA_WORK/load.sql"
tool_on main pgbench -n -U app -c 3 -T 90 -f "$DBA_WORK/load.sql" postgres >"$DBA_WORK/load.log" 2>&1 &
writers=$!
wait_until "SELECT count(*) > 4100 FROM shop.orders"

ok "the table becomes a partitioned one" sql "CALL architect.convert_to_partitioned('shop.orders', 'placed_at', '1 month', dry_run => false, deadline => '30 s')"
ok "its history is divided" sql "CALL architect.split_partition('shop.orders_p_history', dry_run => false, deadline => '30 s')"
ok "its partitions are kept coming" sql "SELECT architect.manage_partitions('shop.orders', every => '1 month', ahead => 8, keep => '10 years')"
ok "maintenance runs" sql "CALL architect.run_maintenance()"
sql "SELECT FROM architect.declare_subject('customer', 'shop.customer', identity_columns => '{email,name}');
     SELECT FROM architect.declare_edge('customer', 'shop.orders', '{customer_id}', 'shop.customer')" >/dev/null
sql_is "a person is erased, in every partition, the log and the feed" "SELECT string_agg(object_name, ' ' ORDER BY step, object_name) FROM architect.erase_subject('customer', '{\"id\": 7}', dry_run => false) WHERE rows_affected > 0" \
  "shop.orders shop.customer architect.audit_log architect.change_log"
ok "advice is asked for" sql "SELECT * FROM architect.suggest_indexes(time_limit => '5 s')"
ok "the application has not paused" kill -0 "$writers"
sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'" >/dev/null
wait "$writers" || true
is "and no statement of it has failed" "$(grep -c 'ERROR' "$DBA_WORK/load.log" || true)" 0

sql_is "the person is nowhere" "SELECT count(*) FROM shop.customer c FULL JOIN shop.orders o ON o.customer_id = c.id WHERE c.id = 7 OR o.note ~ 'person7@' OR c.prefs::text ~ 'person7@'" 0
sql_is "nor in log and feed" "SELECT (SELECT count(*) FROM architect.audit_log l WHERE l::text ~ 'person7@'), (SELECT count(*) FROM architect.change_log l WHERE l::text ~ 'person7@')" "0|0"
sql_is "every order of the others was recorded" "SELECT (SELECT count(*) FROM architect.audit_log WHERE table_name = 'orders' AND operation = 'INSERT') = (SELECT count(*) FROM shop.orders WHERE customer_id >= 20 AND id > 4000)" t
sql_is "and stamped" "SELECT count(*) FROM shop.orders WHERE updated_at IS NULL" 0
sql_is "and delivered" "SELECT count(*) = (SELECT count(*) FROM shop.orders WHERE id > 4000) FROM architect.poll_changes('sink', max => 100000) WHERE operation = 'insert' AND table_name = 'orders'" t
covered="SELECT string_agg(DISTINCT status, ',') FROM (SELECT status FROM architect.audit_coverage() UNION ALL SELECT status FROM architect.cdc_coverage()) AS c"
sql_is "nothing is left out" "$covered" covered
sql "SELECT FROM architect.seal_audit_log()" >/dev/null
sound="SELECT DISTINCT severity FROM architect.verify_audit_log()"
sql_is "the log is sound" "$sound" ok
sick="SELECT count(*) FROM architect.partition_health('shop.orders') WHERE severity <> 'info'"
sql_is "the partitions are" "$sick" 0

tool_on main createdb copy
tool_on main pg_dump -f "$(cluster_dir main)/all.sql" postgres
ok "a dump is restored" psql_on main -q -d copy -o /dev/null -f "$(cluster_dir main)/all.sql"
ok "maintenance finds its way there" sql -d copy "CALL architect.run_maintenance()"
is "nothing is left out there" "$(sql -d copy "$covered")" covered
is "the log is sound there" "$(sql -d copy "$sound")" ok
is "the partitions are there" "$(sql -d copy "$sick")" 0
sql -d copy -U app "SET architect.actor = 'copy'; INSERT INTO shop.orders (customer_id) VALUES (20); UPDATE shop.orders SET status = 'paid' WHERE customer_id = 20 AND note IS NULL"
is "what changes there is recorded" "$(sql -d copy "SELECT string_agg(operation || ' ' || partition_name || ' ' || actor, ', ' ORDER BY audit_id) FROM architect.audit_log WHERE actor = 'copy'")" \
  "$(sql "SELECT format('INSERT %1\$s copy, UPDATE %1\$s copy', 'orders_p' || to_char(now(), 'YYYY_MM'))")"
