#!/usr/bin/env bash
# The feed outlives a dump and restore, into another database and another cluster, and DROP EXTENSION; capturing goes on under
# the same policies. What was dropped by hand is made again by run_maintenance().
source "$(dirname "$0")/lib.sh"

start_cluster main
start_cluster other
tool_on main createdb app
DBA_DATABASE=app
sql "CREATE ROLE alice LOGIN; CREATE EXTENSION db_architect; CREATE SCHEMA shop AUTHORIZATION alice"
sql -c other -d postgres "CREATE DATABASE app; CREATE ROLE alice LOGIN; CREATE TABLE burn_oids (id int)"
sql "SET ROLE alice;
     CREATE TABLE shop.orders (id int PRIMARY KEY, status text, email text, gone int);
     ALTER TABLE shop.orders DROP gone;
     CREATE TABLE shop.\"odd \"\"name\" (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
     CREATE TABLE shop.odd1 PARTITION OF shop.\"odd \"\"name\" FOR VALUES IN (1);
     CREATE TABLE shop.paid (no int, status text);
     CREATE TABLE shop.both (id int PRIMARY KEY)"
sql "SELECT action FROM architect.enable_cdc('shop.orders', mask => '{\"email\": \"hash\"}', image => 'changed');
     SELECT action FROM architect.enable_cdc('shop.\"odd \"\"name\"', replicated => true);
     SELECT action FROM architect.enable_cdc('shop.paid', operations => '{insert,update}', key => '{no}', \"when\" => 'new.status = ''paid''', notify => false);
     SELECT action FROM architect.enable_cdc('shop.both', channel => 'both');
     SELECT action FROM architect.enable_audit('shop.both')" >/dev/null
work="SET ROLE alice; SET architect.actor = 'é'; INSERT INTO shop.orders VALUES (1, 'new', 'a@b'); UPDATE shop.orders SET status = 'old';
     INSERT INTO shop.\"odd \"\"name\" VALUES (1, 1); INSERT INTO shop.paid VALUES (1, 'new'), (2, 'paid'); INSERT INTO shop.both VALUES (1)"
sql "$work"
sql "SELECT architect.emit_event('topic', '1', '{\"a\": 1.50}')" >/dev/null
# Entries in more than one table of the feed.
sql "BEGIN; UPDATE architect.change_segment SET state = 'full' WHERE state = 'current'; UPDATE architect.change_segment SET state = 'current' WHERE segment_id = 1; COMMIT"
sql "INSERT INTO shop.both VALUES (2)"
sql_is "more than one table of the feed has entries" "SELECT count(DISTINCT tableoid) FROM architect.change_entry" 2

feed="SELECT md5(string_agg(l::text, E'\\n' ORDER BY position)) FROM architect.change_log AS l"
tables="SELECT string_agg(tableoid::regclass || ' ' || position, ', ' ORDER BY position) FROM architect.change_entry"
segments="SELECT string_agg(segment_id || ' ' || state, ', ' ORDER BY segment_id) FROM architect.change_segment"
triggers="SELECT string_agg(pg_get_triggerdef(oid) || tgenabled::text, E'\\n' ORDER BY tgrelid::regclass::text, tgname) FROM pg_trigger WHERE tgfoid = 'architect.capture()'::regprocedure"
policies="SELECT string_agg(concat_ws(' ', table_id, schema_name, table_name, enabled, operations, image, mask_columns, mask_actions, key_columns, condition, replicated, notify, channel), ', ' ORDER BY table_id) FROM architect.cdc_table"
rights="SELECT count(*) FROM pg_class AS c, aclexplode(c.relacl) AS a WHERE c.relnamespace = 'architect'::regnamespace AND a.grantee <> c.relowner"
indexes="SELECT string_agg(indexdef, ', ' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'architect' AND tablename LIKE 'change%'"
position="SELECT last_value FROM architect.change_position_seq"

tool_on main pg_dump -f "$(cluster_dir main)/app.sql" app
tool_on main pg_dump -Fc -f "$(cluster_dir main)/app.dump" app
tool_on main createdb copy
ok "a plain dump restores into another database" psql_on main -q -d copy -f "$(cluster_dir main)/app.sql"
ok "a custom dump restores into another cluster" tool_on other pg_restore --exit-on-error -d app "$(cluster_dir main)/app.dump"

check_copy() { # check_copy CLUSTER DATABASE WHERE
  local query
  for query in feed tables segments triggers policies rights indexes position; do
    is "$3: $query" "$(sql -c "$1" -d "$2" "${!query}" 2>&1)" "$(sql "${!query}")"
  done
  # What changes from now on is captured under the same policies, by roles that have no right on the feed.
  sql -c "$1" -d "$2" "SET ROLE alice; UPDATE shop.orders SET status = 'after', email = 'c@d'; INSERT INTO shop.\"odd \"\"name\" VALUES (9, 1); UPDATE shop.paid SET no = no + 10; INSERT INTO shop.both VALUES (9)"
  is "$3: capturing goes on" "$(sql -c "$1" -d "$2" "SELECT string_agg(concat_ws(' ', operation, table_name, row_key, changed_columns), ', ' ORDER BY position) FROM architect.change_log WHERE position > (SELECT position FROM architect.change_log WHERE table_name = 'both' AND row_key = '{\"id\": 2}')")" \
    "update orders {\"id\": 1} {status,email}, insert odd \"name {\"k\": 1, \"id\": 9}, update paid {\"no\": 12} {no}, insert both {\"id\": 9}"
  is "$3: the clear text is nowhere" "$(sql -c "$1" -d "$2" "SELECT count(*) FROM architect.change_entry WHERE image::text ~ '@'")" 0
  is "$3: identifiers are not ours yet" "$(sql -c "$1" -d "$2" "SELECT count(*) FROM architect.cdc_coverage() WHERE code = 'restored_elsewhere'")" 1
  sql -c "$1" -d "$2" "CALL architect.run_maintenance()" >/dev/null
  is "$3: run_maintenance looks them up" "$(sql -c "$1" -d "$2" "SELECT count(*) FILTER (WHERE status <> 'covered'), count(*) FILTER (WHERE status = 'covered') FROM architect.cdc_coverage()")" "0|4"
  is "$3: by number" "$(sql -c "$1" -d "$2" "SELECT bool_and(relid = format('%I.%I', schema_name, table_name)::regclass) FROM architect.cdc_table")" t
  sql -c "$1" -d "$2" "ALTER TABLE shop.orders RENAME email TO mail; UPDATE shop.orders SET mail = 'e@f'"
  is "$3: a rename is followed" "$(sql -c "$1" -d "$2" "SELECT masked_columns FROM architect.change_log ORDER BY position DESC LIMIT 1")" "{mail}"
}
check_copy main copy "another database"
check_copy other app "another cluster"

# Tables of the feed dropped by hand are made again.
sql "DROP TABLE architect.change_entry_1, architect.change_entry_2"
sql "INSERT INTO shop.both VALUES (50)"
sql_is "meanwhile another is written to" "SELECT tableoid::regclass FROM architect.change_entry WHERE row_key = '50'" architect.change_entry_0
sql "CALL architect.run_maintenance()" >/dev/null
sql_is "and there are three again" "SELECT count(*) FROM pg_inherits WHERE inhparent = 'architect.change_entry'::regclass" 3
sql_is "nothing is missing" "SELECT count(*) FROM architect.cdc_coverage() WHERE status <> 'covered'" 0
sql "INSERT INTO shop.both VALUES (51)"
sql_is "the current one is written to" "SELECT tableoid::regclass FROM architect.change_entry WHERE row_key = '51'" architect.change_entry_1

# The feed stays when the extension goes, and is taken up when it comes back.
entries=$(sql "SELECT count(*) FROM architect.change_entry")
sql "DROP EXTENSION db_architect CASCADE" 2>/dev/null
sql "INSERT INTO shop.both VALUES (60)"
sql_is "events stay when the extension goes" "SELECT count(*) FROM architect.change_entry" "$entries"
sql "CREATE EXTENSION db_architect"
sql_is "and cdc_coverage says what is not captured" "SELECT count(*) FROM architect.cdc_coverage() WHERE status = 'gap' AND table_name = 'shop.\"both\"'" 2
sql "SELECT action FROM architect.enable_cdc('shop.both', channel => 'both')" >/dev/null
sql "INSERT INTO shop.both VALUES (61)"
sql_is "capturing goes on where it ended" "SELECT string_agg(row_key ->> 'id', ' ' ORDER BY position) FROM architect.change_log WHERE table_name = 'both' AND (row_key ->> 'id')::int >= 50" "50 51 61"
