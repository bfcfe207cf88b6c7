#!/usr/bin/env bash
# What a session remembers does not grow with the rows it writes, and follows what other sessions change.
source "$(dirname "$0")/lib.sh"

start_cluster main
sql "CREATE EXTENSION db_architect; CREATE TYPE pair AS (a numeric, b text[])"

# Memory: everything that has to be looked up, in columns that need output functions, arrays, composites.
sql "CREATE TABLE rows (id int PRIMARY KEY, n numeric, t text, i interval, r int4range, p pair, ps pair[], j jsonb, x uuid, u tsvector, big text);
     CREATE TABLE parted (id int, k int, i interval, PRIMARY KEY (id, k)) PARTITION BY LIST (k)"
for i in 0 1 2 3 4 5 6 7 8 9; do sql "CREATE TABLE parted$i PARTITION OF parted FOR VALUES IN ($i)"; done
sql "SELECT action FROM architect.enable_audit('rows'); SELECT action FROM architect.enable_audit('parted')" >/dev/null
work="INSERT INTO rows SELECT i, i, md5(i::text), make_interval(secs => i), int4range(i, i + 1), ROW(i::numeric, ARRAY[i::text])::pair, ARRAY[ROW(i::numeric, NULL::text[])::pair], '{\"a\": 1}', NULL::uuid, 'a b'::tsvector, repeat('x', 50)
        FROM generate_series(1, @n) AS i;
      UPDATE rows SET i = i * 2, ps = ps || ps, p = ROW(0::numeric, NULL::text[])::pair, u = u || 'c'::tsvector;
      DELETE FROM rows;
      INSERT INTO parted SELECT i, i % 10, '1 day' FROM generate_series(1, @n) AS i;
      UPDATE parted SET k = (k + 1) % 10, i = '2 days';
      DELETE FROM parted;"
contexts="SELECT count(*), sum(total_bytes) FROM pg_backend_memory_contexts"
ours="SELECT count(*) || ' contexts' FROM pg_backend_memory_contexts WHERE name LIKE 'db_architect%'"
measured=$(sql "${work//@n/1000}
  $ours; $contexts; SELECT * FROM architect.capture_statistics();
  ${work//@n/100000}
  $ours; $contexts; SELECT * FROM architect.capture_statistics();")
diag "$measured"
mapfile -t line <<<"$measured"
half=$((${#line[@]} / 2))
is "as many memory contexts after 600,000 rows as after 6,000" "${line[half]}" "${line[0]}"
is "as many plans and contexts remembered" "${line[half + 2]%|*}" "${line[2]%|*}"
ok "buffers as large as a row needs" test "${line[half + 2]##*|}" -lt 10000
grown=$((${line[half + 1]#*|} - ${line[1]#*|}))
ok "the session's memory grew by less than 1 MB ($grown bytes)" test "$grown" -lt 1000000

# Many transactions, each with a context of its own.
sql "CREATE TABLE few (id int PRIMARY KEY, a int); INSERT INTO few VALUES (1, 0); SELECT FROM architect.enable_audit('few')"
measured=$(sql "CREATE PROCEDURE many(n int) LANGUAGE plpgsql AS \$\$ BEGIN FOR i IN 1 .. n LOOP
      PERFORM set_config('architect.correlation_id', gen_random_uuid()::text, true); UPDATE few SET a = a + 1; COMMIT; END LOOP; END \$\$;
    CALL many(500); $contexts; CALL many(5000); $contexts")
mapfile -t line <<<"$measured"
grown=$((${line[1]#*|} - ${line[0]#*|}))
ok "nor by 5,000 transactions with contexts of their own ($grown bytes)" test "$grown" -lt 100000
sql_is "all of them stored" "SELECT count(DISTINCT correlation_id), count(*) FROM architect.audit_log WHERE table_name = 'few'" "5500|5500"
sql "CREATE PROCEDURE tables(n int) LANGUAGE plpgsql AS \$\$ BEGIN FOR i IN 1 .. n LOOP
      CREATE TABLE shortlived (id int PRIMARY KEY, i interval); PERFORM FROM architect.enable_audit('shortlived'); INSERT INTO shortlived VALUES (1); DROP TABLE shortlived; COMMIT; END LOOP; END \$\$"
measured=$(sql "CALL tables(20); $ours; CALL tables(200); $ours")
is "nor by tables that come and go" "$(uniq <<<"$measured" | wc -l)" 1

# A session that stays open while another alters what it writes to.
open_session() { # keeps a psql running; tell and ask speak to it
  mkfifo "$DBA_WORK/to_session"
  psql_on main -qAt -v ON_ERROR_STOP=0 -d postgres <"$DBA_WORK/to_session" >"$DBA_WORK/from_session" 2>&1 &
  exec 8>"$DBA_WORK/to_session"
  turns=0
}
tell() { # tell SQL: and waits until it is done
  turns=$((turns + 1))
  printf '%s\n;\n\\echo done %s\n' "$1" "$turns" >&8
  until grep -q "^done $turns\$" "$DBA_WORK/from_session"; do sleep 0.02; done
}
last="SELECT concat_ws(' ', schema_name, table_name, operation, row_key, old_values, new_values) FROM architect.audit_log ORDER BY changed_at DESC, audit_id DESC LIMIT 1"
sql "CREATE TABLE t (id int PRIMARY KEY, a int, b text); INSERT INTO t VALUES (1, 1, 'x'); SELECT FROM architect.enable_audit('t')"
open_session
tell "UPDATE t SET a = 2"
sql_is "before" "$last" 'public t UPDATE {"id": 1} {"a": 1} {"a": 2}'
sql "ALTER TABLE t ADD c numeric DEFAULT 1.50"
tell "UPDATE t SET c = 1.5"
sql_is "a column was added" "$last" 'public t UPDATE {"id": 1} {"c": 1.50} {"c": 1.5}'
sql "ALTER TABLE t DROP a"
tell "UPDATE t SET b = 'y'"
sql_is "a column was dropped" "$last" 'public t UPDATE {"id": 1} {"b": "x"} {"b": "y"}'
sql "ALTER TABLE t RENAME b TO bb"
tell "UPDATE t SET bb = 'z'"
sql_is "a column was renamed" "$last" 'public t UPDATE {"id": 1} {"bb": "y"} {"bb": "z"}'
sql "ALTER TABLE t ALTER c TYPE text USING 'is ' || c"
tell "UPDATE t SET c = 'text'"
sql_is "a column's type was changed" "$last" 'public t UPDATE {"id": 1} {"c": "is 1.5"} {"c": "text"}'
sql "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (c)"
tell "UPDATE t SET bb = 'k'"
sql_is "the key was changed" "$last" 'public t UPDATE {"c": "text"} {"bb": "z"} {"bb": "k"}'
sql "ALTER TABLE t RENAME TO tt; CREATE SCHEMA s; ALTER TABLE tt SET SCHEMA s"
tell "UPDATE s.tt SET bb = 'l'"
sql_is "the table was renamed and moved" "$last" 's tt UPDATE {"c": "text"} {"bb": "k"} {"bb": "l"}'
sql "SELECT action FROM architect.enable_audit('s.tt', image => 'full', exclude => '{id}')" >/dev/null
tell "UPDATE s.tt SET bb = 'm'"
sql_is "the policy was changed" "$last" 's tt UPDATE {"c": "text"} {"c": "text", "bb": "l"} {"c": "text", "bb": "m"}'
sql "SELECT action FROM architect.disable_audit('s.tt')" >/dev/null
tell "UPDATE s.tt SET bb = 'n'"
sql_is "it was switched off" "$last" 's tt UPDATE {"c": "text"} {"c": "text", "bb": "l"} {"c": "text", "bb": "m"}'
sql "SELECT action FROM architect.enable_audit('s.tt')" >/dev/null
tell "UPDATE s.tt SET bb = 'o'"
sql_is "and on again" "$last" 's tt UPDATE {"c": "text"} {"bb": "n"} {"bb": "o"}'
tell "BEGIN; UPDATE s.tt SET bb = 'p'"
in_background alter "ALTER TABLE s.tt ADD d int"
wait_until "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND relation = 's.tt'::regclass"
tell "UPDATE s.tt SET bb = 'q'; COMMIT"
finished alter
tell "UPDATE s.tt SET d = 1"
sql_is "altered while the session was in a transaction" "$last" 's tt UPDATE {"c": "text"} {"d": null} {"d": 1}'
sql "DROP TABLE s.tt; CREATE TABLE s.tt (z text, id int PRIMARY KEY); SELECT FROM architect.enable_audit('s.tt')"
tell "INSERT INTO s.tt VALUES ('new', 5)"
sql_is "the table was dropped and made again" "$last" 's tt INSERT {"id": 5} {"z": "new", "id": 5}'
sql "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TYPE comp AS (x int); ALTER TABLE s.tt ADD m mood DEFAULT 'a', ADD p comp"
tell "UPDATE s.tt SET p = ROW(1)"
sql "ALTER TYPE mood RENAME VALUE 'a' TO 'aa'; ALTER TYPE comp ADD ATTRIBUTE y text"
tell "UPDATE s.tt SET m = 'b', p = ROW(1, 'y')"
sql_is "a type was changed" "$last" 's tt UPDATE {"id": 5} {"m": "aa", "p": {"x": 1, "y": null}} {"m": "b", "p": {"x": 1, "y": "y"}}'
# The log itself is maintained meanwhile.
sql "CREATE INDEX ON architect.audit_entry (audit_id) WHERE operation = 'U'; CREATE UNIQUE INDEX ON architect.audit_entry_default (audit_id, operation)"
tell "UPDATE s.tt SET z = 'indexed'"
sql_is "the log got indexes" "$last" 's tt UPDATE {"id": 5} {"z": "new"} {"z": "indexed"}'
sql_is "and they are kept" "SET enable_seqscan = off; SELECT count(*) = (SELECT count(*) FROM architect.audit_entry WHERE operation::text || '' = 'U') FROM architect.audit_entry WHERE operation = 'U' AND audit_id > 0" t
sql "DO \$\$ DECLARE p regclass; BEGIN
       FOR p IN SELECT relid FROM pg_partition_tree('architect.audit_entry') WHERE isleaf LOOP EXECUTE format('ALTER TABLE architect.audit_entry DETACH PARTITION %s', p); EXECUTE format('ALTER TABLE %s RENAME TO %I', p, 'old_' || p::oid); END LOOP;
       CREATE TABLE architect.audit_entry_default PARTITION OF architect.audit_entry DEFAULT; END \$\$"
tell "UPDATE s.tt SET z = 'partition'"
sql_is "the partition in use was detached" "$last" 's tt UPDATE {"id": 5} {"z": "indexed"} {"z": "partition"}'
sql "TRUNCATE architect.audit_entry"
tell "UPDATE s.tt SET z = 'truncated'"
sql_is "the log was truncated" "SELECT count(*) FROM architect.audit_entry" 1
sql "SET client_min_messages = warning; DROP EXTENSION db_architect CASCADE"
tell "UPDATE s.tt SET z = 'gone'"
sql "CREATE EXTENSION db_architect; SELECT FROM architect.enable_audit('s.tt')"
tell "UPDATE s.tt SET z = 'back'"
sql_is "the extension was dropped and created again" "$last" 's tt UPDATE {"id": 5} {"z": "gone"} {"z": "back"}'
exec 8>&-
is "the session saw no error" "$(grep -v '^done' "$DBA_WORK/from_session" || true)" ""
