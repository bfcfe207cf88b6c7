#!/usr/bin/env bash
# The log outlives a dump and restore, into another database and another cluster, and DROP EXTENSION.
source "$(dirname "$0")/lib.sh"

start_cluster main
start_cluster other
tool_on main createdb app
DBA_DATABASE=app
sql "CREATE ROLE alice LOGIN; CREATE ROLE auditor LOGIN; CREATE EXTENSION db_architect; CREATE SCHEMA shop AUTHORIZATION alice"
sql -c other -d postgres "CREATE DATABASE app; CREATE ROLE alice LOGIN; CREATE ROLE auditor LOGIN; CREATE TABLE burn_oids (id int)"
sql "SET ROLE alice;
     CREATE TABLE shop.orders (id int PRIMARY KEY, status text, gone int, total numeric);
     CREATE TABLE shop.\"odd \"\"name\" (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
     CREATE TABLE shop.odd1 PARTITION OF shop.\"odd \"\"name\" FOR VALUES IN (1);
     CREATE TABLE shop.odd2 PARTITION OF shop.\"odd \"\"name\" FOR VALUES IN (2);
     CREATE TABLE shop.always (id int PRIMARY KEY, secret text, a int);
     CREATE TABLE shop.off (id int PRIMARY KEY);
     ALTER TABLE shop.orders DROP gone"
sql "SELECT action FROM architect.enable_audit('shop.orders');
     SELECT action FROM architect.enable_audit('shop.\"odd \"\"name\"');
     SELECT action FROM architect.enable_audit('shop.always', replicated => true, exclude => '{secret}', image => 'full', on_error => 'fail');
     SELECT action FROM architect.enable_audit('shop.off');
     SELECT count(*) FROM architect.grant_access('auditor')" >/dev/null
sql "SET architect.actor = 'é \"x\"'; SET architect.context = '{\"a\": [1.50]}'; SET architect.correlation_id = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11';
     INSERT INTO shop.orders VALUES (1, E'new\\\\ \\n\"', 1.50), (2, 'new', 'NaN');
     UPDATE shop.orders SET id = 3 WHERE id = 2;
     INSERT INTO shop.\"odd \"\"name\" VALUES (1, 1), (1, 2);
     INSERT INTO shop.always VALUES (1, 'secret', 1);
     UPDATE shop.always SET a = 2, secret = 'other';
     INSERT INTO shop.off VALUES (1);
     TRUNCATE shop.off"
sql "SELECT action FROM architect.disable_audit('shop.off')" >/dev/null
sql "CALL architect.run_maintenance()" >/dev/null
# An entry of another month, so that more than one partition has rows.
sql "INSERT INTO architect.audit_entry SELECT '2001-01-01', 900000, txid, context_id, relation_id, statement, key_hash, operation, row_key, image FROM architect.audit_entry LIMIT 1"

log="SELECT md5(string_agg(l::text, E'\\n' ORDER BY audit_id, operation)) FROM (SELECT audit_id, changed_at, txid, statement, schema_name, table_name, partition_name, operation, row_key,
        old_values, new_values, changed_columns, session_role, actor, correlation_id, context, application_name, backend_pid FROM architect.audit_log) AS l"
stored="SELECT md5(string_agg(e::text, E'\\n' ORDER BY e.audit_id, e.operation)) FROM architect.audit_entry AS e"
partitions="SELECT string_agg(relid::text || ' ' || pg_get_expr(c.relpartbound, c.oid), ', ' ORDER BY relid::text) FROM pg_partition_tree('architect.audit_entry') JOIN pg_class AS c ON c.oid = relid WHERE isleaf"
triggers="SELECT string_agg(tgrelid::regclass || ' ' || tgname || ' ' || tgenabled::text || ' ' || tgtype, ', ' ORDER BY tgrelid::regclass::text, tgname) FROM pg_trigger WHERE tgfoid = 'architect.capture()'::regprocedure"
policies="SELECT string_agg(concat_ws(' ', table_id, schema_name, table_name, enabled, operations, image, exclude_columns, replicated, on_error), ', ' ORDER BY table_id) FROM architect.audit_table"
rights="SELECT string_agg(concat_ws(' ', c.relname, a.grantee::regrole, a.privilege_type), ', ' ORDER BY c.relname, a.grantee::regrole::text, a.privilege_type) FROM pg_class AS c, aclexplode(c.relacl) AS a WHERE c.relnamespace = 'architect'::regnamespace AND a.grantee <> c.relowner"
functions="SELECT string_agg(concat_ws(' ', p.oid::regprocedure, a.grantee), ', ' ORDER BY p.oid::regprocedure::text, a.grantee) FROM pg_proc AS p, aclexplode(p.proacl) AS a WHERE p.pronamespace = 'architect'::regnamespace AND a.grantee IN (0, 'auditor'::regrole) AND a.grantee <> p.proowner"
members="SELECT count(*) FROM pg_depend WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass"
indexes="SELECT string_agg(indexdef, ', ' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'architect'"

tool_on main pg_dump -f "$(cluster_dir main)/app.sql" app
tool_on main pg_dump -Fc -f "$(cluster_dir main)/app.dump" app
tool_on main createdb copy
ok "a plain dump restores into another database" psql_on main -q -d copy -f "$(cluster_dir main)/app.sql"
ok "a custom dump restores into another cluster" tool_on other pg_restore --exit-on-error -d app "$(cluster_dir main)/app.dump"

check_copy() { # check_copy CLUSTER DATABASE WHERE
  local query
  for query in log stored partitions triggers policies rights functions members indexes; do
    is "$3: $query" "$(sql -c "$1" -d "$2" "${!query}" 2>&1)" "$(sql "${!query}" | tr -d '\0')"
  done
  # What changes from now on is recorded under the same history, by the roles that may.
  sql -c "$1" -d "$2" "SET ROLE alice; UPDATE shop.orders SET status = 'after' WHERE id = 3; INSERT INTO shop.\"odd \"\"name\" VALUES (2, 2); UPDATE shop.always SET secret = 'unseen', a = 3; INSERT INTO shop.off VALUES (2)"
  is "$3: the history goes on" "$(sql -c "$1" -d "$2" "SELECT string_agg(operation::text || ' ' || table_id, ', ' ORDER BY audit_id) FROM architect.audit_entry JOIN architect.capture_relation USING (relation_id)
      WHERE table_name = 'orders' AND row_key = '3'")" "U 1, U 1"
  is "$3: what is left out stays out" "$(sql -c "$1" -d "$2" "SELECT new_values FROM architect.audit_log WHERE table_name = 'always' ORDER BY audit_id DESC LIMIT 1")" '{"a": 3, "id": 1}'
  is "$3: partitions too" "$(sql -c "$1" -d "$2" "SELECT partition_name FROM architect.audit_log WHERE row_key = '{\"id\": 2, \"k\": 2}'")" odd2
  is "$3: what was not audited is not" "$(sql -c "$1" -d "$2" "SELECT count(*) FROM architect.audit_log WHERE table_name = 'off' AND new_values ->> 'id' = '2'")" 0
  is "$3: numbers go on" "$(sql -c "$1" -d "$2" "SELECT count(*) = count(DISTINCT audit_id) FROM architect.audit_log")" t
  is "$3: the auditor reads" "$(sql -c "$1" -d "$2" -U auditor "SELECT count(*) > 5 FROM architect.audit_log")" t
  ok "$3: maintenance runs" sql -c "$1" -d "$2" "CALL architect.run_maintenance()"
  is "$3: everything is covered" "$(sql -c "$1" -d "$2" "SELECT string_agg(DISTINCT status, ',') FROM architect.audit_coverage()")" covered
  is "$3: enabled again is enabled still" "$(sql -c "$1" -d "$2" "SELECT action FROM architect.enable_audit('shop.orders')")" exists
  # Identifiers were looked up: a rename keeps the policy.
  sql -c "$1" -d "$2" "ALTER TABLE shop.orders RENAME TO purchases; INSERT INTO shop.purchases VALUES (9)"
  is "$3: renamed, still one history" "$(sql -c "$1" -d "$2" "SELECT string_agg(DISTINCT table_id::text, ',') FROM architect.capture_relation WHERE table_name IN ('orders', 'purchases')")" 1
  is "$3: and recorded" "$(sql -c "$1" -d "$2" "SELECT count(*) FROM architect.audit_log WHERE table_name = 'purchases'")" 1
  # The dump of the copy works as well.
  ok "$3: dumped again" tool_on "$1" pg_dump -f /dev/null "$2"
}
check_copy main copy "another database"
check_copy other app "another cluster"

# Until maintenance has looked up identifiers, tables are known by name: a rename before that is said aloud.
tool_on main createdb third
psql_on main -q -d third -f "$(cluster_dir main)/app.sql" >/dev/null
sql -d third "UPDATE shop.orders SET status = 'by name' WHERE id = 1; ALTER TABLE shop.orders RENAME TO purchases"
like "renamed before that: a warning at the first change" "$(sql -d third "INSERT INTO shop.purchases VALUES (9)" 2>&1)" "changes of table shop.purchases are not recorded"
like "and a gap in the coverage" "$(sql -d third "SELECT string_agg(status || ' ' || table_name, ',') FROM architect.audit_coverage()")" "gap shop.(orders|purchases)"

# Only the schema, and only the data.
tool_on main createdb bare
tool_on main pg_dump --schema-only -f "$(cluster_dir main)/schema.sql" app
ok "the schema alone restores" psql_on main -q -d bare -f "$(cluster_dir main)/schema.sql"
ok "and its tables can be written to" sql -d bare "INSERT INTO shop.orders VALUES (1)"
like "with a word about what is missing" "$(sql -d bare "INSERT INTO shop.orders VALUES (2)" 2>&1)" "not recorded"
is "enabled again, it is recorded" "$(sql -d bare "SELECT action FROM architect.enable_audit('shop.orders'); INSERT INTO shop.orders VALUES (3); SELECT count(*) FROM architect.audit_log")" "enabled
1"

# DROP EXTENSION.
fails_with "DROP EXTENSION is refused while triggers are attached" 2BP01 "DROP EXTENSION db_architect"
fails_like "and says which" 'trigger .*00_architect_capture.* on table shop.orders depends on function architect.capture' "DROP EXTENSION db_architect"
before=$(sql "$stored")
sql "SET client_min_messages = warning; DROP EXTENSION db_architect CASCADE"
is "with CASCADE the log stays" "$(sql "$stored")" "$before"
ok "it can still be read" sql "SELECT count(*) FROM architect.audit_log"
ok "and its tables written to" sql "UPDATE shop.orders SET status = 'meanwhile' WHERE id = 1"
tool_on main pg_dump -f "$(cluster_dir main)/without.sql" app
tool_on main createdb without
ok "and it can be dumped and restored without the extension" psql_on main -q -d without -f "$(cluster_dir main)/without.sql"
is "whole" "$(sql -d without "$stored")" "$before"
ok "the extension can be created again" sql "CREATE EXTENSION db_architect"
like "what is no longer covered shows" "$(sql "SELECT string_agg(DISTINCT status || ' ' || code, ',') FROM architect.audit_coverage()")" gap
is "auditing goes on where it ended" "$(sql "SELECT action FROM architect.enable_audit('shop.orders'); UPDATE shop.orders SET status = 'again' WHERE id = 1;
   SELECT string_agg(DISTINCT table_id::text, ',') FROM architect.capture_relation WHERE table_name = 'orders'; SELECT new_values FROM architect.audit_log ORDER BY changed_at DESC LIMIT 1")" "repaired
1
{\"status\": \"again\"}"
