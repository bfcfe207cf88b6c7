#!/usr/bin/env bash
# A superuser maintains somebody else's tables: what is made is the owner's, and nothing of the owner's code gets the
# superuser's rights, nor out of the owner's.
source "$(dirname "$0")/lib.sh"

start_cluster main
sql "CREATE EXTENSION db_architect"
sql "CREATE ROLE mallory LOGIN; CREATE ROLE boss LOGIN IN ROLE mallory; CREATE ROLE stranger LOGIN"
sql "CREATE SCHEMA m AUTHORIZATION mallory; GRANT USAGE ON SCHEMA m TO stranger"
for role in mallory boss stranger; do sql "SELECT count(*) FROM architect.grant_access('$role', 'operator')" >/dev/null; done
sql -U mallory "CREATE TABLE m.t (at date NOT NULL, v text) PARTITION BY RANGE (at)"

ok "a superuser makes partitions" sql "SELECT * FROM architect.create_monthly_partitions('m.t', back => 8, ahead => 0)"
ok "and so does a member of the owner" sql -U boss "SELECT * FROM architect.create_monthly_partitions('m.t', ahead => 2)"
fails_with "nobody else" 42501 -U stranger "SELECT * FROM architect.create_monthly_partitions('m.t', ahead => 4)"
sql_is "all are the owner's" "SELECT string_agg(DISTINCT relowner::regrole::text, ',') FROM pg_class WHERE relnamespace = 'm'::regnamespace" mallory

# What is archived is handed to a function of the owner's.
for attempt in "EXECUTE 'ALTER ROLE mallory SUPERUSER'" "PERFORM set_config('role', 'postgres', false); EXECUTE 'ALTER ROLE mallory SUPERUSER'" \
  "EXECUTE 'RESET ROLE'; EXECUTE 'ALTER ROLE mallory SUPERUSER'" "EXECUTE 'CREATE TEMP TABLE hidden (x int)'" "EXECUTE 'SET SESSION AUTHORIZATION postgres'"; do
  sql -U mallory "CREATE OR REPLACE FUNCTION m.take(partition regclass) RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN $attempt; END \$\$"
  sql -U mallory "SELECT architect.manage_partitions('m.t', '1 month', ahead => 2, keep => '1 month', keep_action => 'archive', archive_function => 'm.take', max_retired => 1)" >/dev/null
  ok "maintenance ends all the same: $attempt" sql "CALL architect.maintain_partitions()"
  like "the function fails" "$(sql "SELECT string_agg(action, ',') FROM architect.partition_log() WHERE action IN ('failed', 'archived')")" 'failed'
done
sql_is "mallory is no superuser" "SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'" f
sql -U mallory "CREATE TABLE m.seen (partition text, by name, path text);
  CREATE OR REPLACE FUNCTION m.take(partition regclass) RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN INSERT INTO m.seen VALUES (partition::text, current_user, current_setting('search_path')); END \$\$"
ok "what failed is finished" sql "CALL architect.maintain_partitions()"
sql_is "as the owner, with a safe search_path" "SELECT DISTINCT by, path FROM m.seen" "mallory|pg_catalog, pg_temp"
sql_is "each once" "SELECT count(*) = count(DISTINCT partition) AND count(*) > 1 FROM m.seen" t
sql_is "nothing is left over" "SELECT count(*) FROM architect.partition_retiring" 0

# Functions and operators in reach of the search_path, and event triggers, change nothing.
sql "CREATE SCHEMA trap; CREATE FUNCTION trap.eq(oid, oid) RETURNS bool LANGUAGE plpgsql AS \$\$ BEGIN RAISE 'trapped'; END \$\$;
     CREATE OPERATOR trap.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = trap.eq);
     CREATE FUNCTION trap.format(text, VARIADIC \"any\") RETURNS text LANGUAGE internal AS 'text_format';
     CREATE FUNCTION trap.now() RETURNS timestamptz LANGUAGE plpgsql AS \$\$ BEGIN RAISE 'trapped'; END \$\$"
sql "ALTER DATABASE postgres SET search_path = trap, pg_catalog, public"
sql_is "the trap is set" "SELECT current_schema" trap
for call in "CALL architect.maintain_partitions()" "SELECT count(*) FROM architect.partition_health()" "SELECT count(*) FROM architect.partition_list()" \
  "SELECT count(*) FROM architect.partition_plan()" "SELECT count(*) FROM architect.create_monthly_partitions('m.t', ahead => 9)" \
  "SELECT count(*) FROM architect.partition_policies()" "CALL architect.retain_partitions('m.t', '2 months')" "SELECT count(*) FROM architect.advise_partitioning()"; do
  ok "not trapped: $call" sql "$call"
done
sql "ALTER DATABASE postgres RESET search_path"
sql_is "what is there is shown" "SELECT count(*) > 0 FROM architect.partition_list('m.t')" t
