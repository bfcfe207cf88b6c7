#!/usr/bin/env bash
# updated_at between sessions and databases: a session's plans follow another session's ALTER TABLE, callers at once queue
# up, dump and restore keep everything (also after renames and with other attribute numbers), the extension can't be dropped
# under its triggers, logical replication keeps the publisher's values.
source "$(dirname "$0")/lib.sh"

start_cluster main wal_level=logical
sql "CREATE EXTENSION db_architect" >/dev/null

# --- another session changes the table --------------------------------------------------------------------------------
sql "CREATE TABLE t (id int PRIMARY KEY, gone text, name text, updated_at timestamptz, version int);
     INSERT INTO t VALUES (1, 'x', 'a');
     SELECT FROM architect.add_standard_columns('t', created_at => false, created_by => false, updated_by => false)" >/dev/null
coproc OTHER { psql_on main -qAtX -U postgres -d postgres 2>&1; }
# ask SQL: runs it in the session that stays open; its first line is the answer.
ask() {
  local line answer=
  printf "%s;\n\\\\echo done\n" "$1" >&"${OTHER[1]}"
  while read -r -t 60 line <&"${OTHER[0]}"; do
    [[ $line == done ]] && break
    answer+=${answer:+ }$line
  done
  printf '%s\n' "$answer"
}
kept="UPDATE t SET name = name || '.' RETURNING version, abs(extract(epoch FROM clock_timestamp() - updated_at)) < 60"
is "the trigger keeps the columns" "$(ask "$kept")" "1|t"
sql "ALTER TABLE t DROP gone, ADD late int DEFAULT 5"
is "columns dropped and added by another session" "$(ask "$kept")" "2|t"
sql "ALTER TABLE t RENAME updated_at TO changed"
sql "ALTER TABLE t RENAME version TO revision"
is "columns renamed by another session" \
  "$(ask "UPDATE t SET name = name || '.' RETURNING revision, abs(extract(epoch FROM clock_timestamp() - changed)) < 60")" "3|t"
sql "ALTER TABLE t ALTER revision TYPE bigint, ALTER changed TYPE timestamp"
is "columns of another type" \
  "$(ask "UPDATE t SET name = name || '.' RETURNING revision, abs(extract(epoch FROM clock_timestamp()::timestamp - changed)) < 60")" "4|t"
sql "SELECT FROM architect.enable_updated_at('t', 'changed', only_if_changed => false)" >/dev/null
is "other options" "$(ask "UPDATE t SET name = name RETURNING revision")" 5
sql "SELECT FROM architect.remove_standard_columns('t')" >/dev/null
is "switched off" "$(ask "UPDATE t SET name = name || '.' RETURNING revision")" 5
sql "DROP TABLE t; CREATE TABLE t (version int DEFAULT 7, name text); INSERT INTO t VALUES (DEFAULT, '')"
is "another table of the same name" "$(ask "UPDATE t SET name = 'b' RETURNING version")" 7
sql "SELECT FROM architect.add_standard_columns('t', false, false, false, false)" >/dev/null
is "and that one enabled" "$(ask "UPDATE t SET name = 'c' RETURNING version")" 8
for i in {1..30}; do ask "CREATE TEMP TABLE temp_$i (n int); DROP TABLE temp_$i" >/dev/null; ask "UPDATE t SET name = name || '.'" >/dev/null; done
is "one plan is all the session remembers" "$(ask "SELECT plans FROM architect.updated_at_statistics()")" 1
sql "CREATE ROLE alice LOGIN; GRANT ALL ON t TO alice; ALTER TABLE t ADD updated_by text; SELECT FROM architect.add_standard_columns('t', false, false, false)" >/dev/null
sql_is "the session's role, without any privilege of ours" "SET SESSION AUTHORIZATION alice; UPDATE t SET name = 'd' RETURNING updated_by" alice
printf '\\q\n' >&"${OTHER[1]}"

# --- callers at once ---------------------------------------------------------------------------------------------------
sql "CREATE TABLE busy (id int, n int); INSERT INTO busy VALUES (1, 0)"
for i in 1 2 3 4; do in_background "caller$i" "SELECT action FROM architect.add_standard_columns('busy')"; done
for i in 1 2 3 4; do finished "caller$i" >>"$DBA_WORK/callers" || true; done
is "of four callers at once one enables, three find it done" \
  "$(sort "$DBA_WORK/callers" | uniq -c | awk '{print $1, $2}' | tr '\n' ';')" "5 added;1 enabled;3 exists;"
in_background holder "BEGIN; UPDATE busy SET n = 1; SELECT pg_sleep(3); COMMIT"
wait_until "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query ~ 'pg_sleep' AND wait_event = 'PgSleep')"
sql_is "what is enabled already waits for nobody" "SET lock_timeout = 500; SELECT action FROM architect.add_standard_columns('busy')" exists
finished holder >/dev/null

# --- dump and restore --------------------------------------------------------------------------------------------------
sql "CREATE DATABASE source"
sql -d source "CREATE EXTENSION db_architect; CREATE SCHEMA s;
  CREATE TABLE s.\"a\"\"b'; drop\" (first int, second timestamptz, name text, \"u=p'd\" timestamptz, other timestamptz, also int);
  ALTER TABLE s.\"a\"\"b'; drop\" DROP first, DROP second;
  INSERT INTO s.\"a\"\"b'; drop\" VALUES ('a', '2000-01-01', '2000-01-01', 1);
  SELECT FROM architect.enable_updated_at('s.\"a\"\"b''; drop\"', 'u=p''d', clock => 'statement');
  CREATE TABLE s.renamed (x int, y int, name text, was timestamptz, other timestamptz);
  ALTER TABLE s.renamed DROP x, DROP y;
  SELECT FROM architect.enable_updated_at('s.renamed', 'was');
  ALTER TABLE s.renamed RENAME was TO is_now;
  INSERT INTO s.renamed VALUES ('a', '2000-01-01', '2000-01-01');
  ALTER EVENT TRIGGER architect_updated_at_ddl DISABLE;
  CREATE TABLE s.unnoted (LIKE s.renamed);
  ALTER TABLE s.unnoted RENAME is_now TO was;
  ALTER TABLE s.unnoted ADD x int; ALTER TABLE s.unnoted DROP x;
  INSERT INTO s.unnoted VALUES ('a', '2000-01-01', '2000-01-01');
  SELECT FROM architect.enable_updated_at('s.unnoted', 'was');
  ALTER TABLE s.unnoted RENAME was TO is_now;
  ALTER EVENT TRIGGER architect_updated_at_ddl ENABLE;
  CREATE TABLE s.parts (id int, name text) PARTITION BY LIST (id);
  CREATE TABLE s.parts_1 PARTITION OF s.parts FOR VALUES IN (1);
  SELECT FROM architect.add_standard_columns('s.parts');
  INSERT INTO s.parts (id, name) VALUES (1, 'a');
  UPDATE s.parts SET name = 'b'" >/dev/null
for method in plain custom; do
  sql "CREATE DATABASE restored_$method"
  if [[ $method == plain ]]; then
    ok "dump and restore as SQL" eval "tool_on main pg_dump source | psql_on main -q -U postgres -d restored_plain >/dev/null"
  else
    tool_on main pg_dump -Fc -f "$(cluster_data main)/../dump" source
    ok "dump and restore with pg_restore" tool_on main pg_restore -e -j 2 -d restored_custom "$(cluster_data main)/../dump"
  fi
  tables="SELECT string_agg(concat_ws(' ', table_name, kept_as, clock, only_if_changed, trigger_name), E'\n' ORDER BY table_name, kept_as) FROM architect.updated_at_tables()"
  is "the same is enabled" "$(sql -d "restored_$method" "$tables")" "$(sql -d source "$tables")"
  is "times and versions are restored, not made anew" "$(sql -d "restored_$method" "SELECT * FROM s.parts")" "$(sql -d source "SELECT * FROM s.parts")"
  is "the column is found by name, whatever its number now" \
    "$(sql -d "restored_$method" "UPDATE s.\"a\"\"b'; drop\" SET name = 'b' RETURNING \"u=p'd\" > '2001-01-01', other > '2001-01-01'")" "t|f"
  is "partitions too" "$(sql -d "restored_$method" "UPDATE s.parts SET name = 'c' RETURNING version, updated_at > created_at")" "3|t"
  # The rename was noted in the trigger when it happened.
  is "a column renamed before the dump" \
    "$(sql -d "restored_$method" "UPDATE s.renamed SET name = 'b' RETURNING is_now > '2001-01-01', other > '2001-01-01'")" "t|f"
  # One that was not noted, in a table whose numbers changed: better no write than a write to another column.
  fails_with "a rename nobody noted is not guessed" 42703 -d "restored_$method" "UPDATE s.unnoted SET name = 'b'"
  like "the listing says so" "$(sql -d "restored_$method" "SELECT status FROM architect.updated_at_tables() WHERE table_name = 's.unnoted'")" "every UPDATE fails"
  sql -d "restored_$method" "SELECT FROM architect.enable_updated_at('s.unnoted', 'is_now')" >/dev/null
  is "until it is enabled under its new name" \
    "$(sql -d "restored_$method" "UPDATE s.unnoted SET name = 'c' RETURNING is_now > '2001-01-01', other > '2001-01-01'")" "t|f"
done

# --- the extension -----------------------------------------------------------------------------------------------------
fails_with "the extension can't be dropped under its triggers" 2BP01 -d restored_plain "DROP EXTENSION db_architect"
ok "with CASCADE it can" sql -d restored_plain "DROP EXTENSION db_architect CASCADE"
is "the columns stay, and their defaults work without it" \
  "$(sql -d restored_plain "SET architect.actor = 'bob'; INSERT INTO s.parts (id, name) VALUES (1, 'x') RETURNING created_by, version, created_at IS NOT NULL")" "bob|1|t"

# --- logical replication -----------------------------------------------------------------------------------------------
start_cluster subscriber
sql "CREATE DATABASE pub"
for place in "-d pub" "-c subscriber"; do
  # shellcheck disable=SC2086  # options
  sql $place "CREATE EXTENSION db_architect; CREATE TABLE r (id int PRIMARY KEY, name text); SELECT FROM architect.add_standard_columns('r')" >/dev/null
done
sql -d pub "INSERT INTO r (id, name) VALUES (1, 'a'); CREATE PUBLICATION p FOR TABLE r"
sql -c subscriber "CREATE SUBSCRIPTION s CONNECTION '$(cluster_conninfo main pub)' PUBLICATION p" >/dev/null 2>&1
DBA_CLUSTER=subscriber wait_until "SELECT count(*) = 1 FROM r"
sql -d pub "SET architect.actor = 'publisher'; UPDATE r SET name = 'b'; UPDATE r SET name = 'c'"
DBA_CLUSTER=subscriber wait_until "SELECT name = 'c' FROM r"
is "the subscriber has the publisher's values" "$(sql -c subscriber "SELECT * FROM r")" "$(sql -d pub "SELECT * FROM r")"
sql -c subscriber "DROP SUBSCRIPTION s" >/dev/null 2>&1
