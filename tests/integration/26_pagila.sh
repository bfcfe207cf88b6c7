#!/usr/bin/env bash
# A real schema, pagila: audited whole before its data are loaded, every row of every table changed and
# deleted; what was recorded gives each row back as it was.
source "$(dirname "$0")/lib.sh"
data=$DBA_ROOT/../shared/data/pagila
skip_unless "the pagila sample database is not beside this checkout" test -d "$data"

start_cluster main shared_buffers=128MB max_wal_size=4GB
tool_on main createdb pagila
DBA_DATABASE=pagila
sql "CREATE EXTENSION db_architect"
ok "its schema loads" psql_on main -q -d pagila -f - <"$data/pagila-schema.sql"
audited=$(sql "SET client_min_messages = warning; SELECT count(*) FROM architect.enable_audit_schema('public') WHERE action = 'enabled'")
sql_is "every table is audited" "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition" "$audited"
ok "its data load" psql_on main -q -d pagila -f - <"$data/pagila-data.sql"

# For each audited table: what the log says of one operation, and whether two sets of its rows are the same, by their text.
sql "CREATE SCHEMA saved;
CREATE TABLE saved.tables AS SELECT relid::regclass AS t, table_name AS name, (SELECT key_columns FROM architect.capture_relation AS r WHERE r.table_id = a.table_id ORDER BY relation_id DESC LIMIT 1) AS key
  FROM architect.audit_table AS a WHERE enabled;
CREATE TABLE saved.log (LIKE architect.audit_log);
CREATE PROCEDURE saved.look() LANGUAGE sql AS 'TRUNCATE saved.log; INSERT INTO saved.log SELECT * FROM architect.audit_log; ANALYZE saved.log';
-- %t the table, %n its name, %k its key as the log has it
CREATE FUNCTION saved.each(query text) RETURNS TABLE (name text, answer text) LANGUAGE plpgsql AS \$\$
DECLARE it record; said text;
BEGIN
  FOR it IN SELECT * FROM saved.tables ORDER BY tables.name LOOP
    EXECUTE replace(replace(replace(query, '%t', it.t::text), '%n', quote_literal(it.name)),
                    '%k', format('jsonb_build_object(%s)', (SELECT string_agg(format('%L, t.%I', k, k), ', ') FROM unnest(it.key) AS k))) INTO said;
    IF said IS DISTINCT FROM 'true' THEN name := it.name; answer := said; RETURN NEXT; END IF;
  END LOOP;
END \$\$;
CREATE FUNCTION saved.same(a text, b text) RETURNS boolean LANGUAGE plpgsql AS \$\$
DECLARE is_same boolean;
BEGIN
  EXECUTE format('SELECT count(*) = 0 FROM (SELECT a::text AS r, count(*) AS n FROM (%s) AS a GROUP BY 1) AS a
                    FULL JOIN (SELECT b::text AS r, count(*) AS n FROM (%s) AS b GROUP BY 1) AS b USING (r) WHERE a.n IS DISTINCT FROM b.n', a, b) INTO is_same;
  RETURN is_same;
END \$\$;
CREATE PROCEDURE saved.run(statement text) LANGUAGE plpgsql AS \$\$
DECLARE it record;
BEGIN
  FOR it IN SELECT * FROM saved.tables ORDER BY name LOOP EXECUTE replace(replace(statement, '%t', it.t::text), '%n', quote_literal(it.name)); END LOOP;
END \$\$;
CALL saved.look()"
sql_is "there is an entry for every row" "SELECT count(*) > 30000 FROM saved.log WHERE operation = 'INSERT'" t
sql_is "what COPY recorded is what is there" \
  "SELECT * FROM saved.each(\$\$SELECT saved.same(\$q\$SELECT (jsonb_populate_record(NULL::%t, new_values)).* FROM saved.log WHERE table_name = %n AND operation = 'INSERT'\$q\$, 'SELECT * FROM %t')\$\$)" ""

# Every row changes in every column that is no key and has no rules of its own.
sql "CALL saved.run(\$\$CREATE TABLE saved.%t AS TABLE public.%t\$\$)"
updates=$(sql "SELECT string_agg(format('UPDATE %s SET %s;', s.t, columns), ' ' ORDER BY s.name) FROM saved.tables AS s, LATERAL (
    SELECT string_agg(format('%1\$I = %s', a.attname, CASE
             WHEN a.atttypid = 'bool'::regtype THEN format('NOT %I', a.attname)
             WHEN a.atttypid = 'text[]'::regtype THEN format('%I || ''é \"x\"''::text', a.attname)
             WHEN a.atttypid IN ('timestamp'::regtype, 'timestamptz'::regtype) AND a.attname <> 'payment_date' THEN format('%I + interval ''1 day 00:00:00.000001''', a.attname)
             WHEN a.atttypid = 'text'::regtype THEN format('%I || '' é''', a.attname)
             WHEN a.attname IN ('length', 'rental_duration', 'replacement_cost') THEN format('%I + 1', a.attname)
             ELSE quote_ident(a.attname) END), ', ') AS columns
      FROM pg_attribute AS a WHERE a.attrelid = s.t AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = '') AS c")
ok "every row of every table is updated" sql "SET architect.actor = 'everything'; BEGIN; $updates COMMIT; CALL saved.look()"
sql_is "a row that changed has one entry, another none" \
  "SELECT * FROM saved.each(\$\$SELECT (SELECT count(*) FROM (SELECT t::text FROM public.%t AS t EXCEPT ALL SELECT t::text FROM saved.%t AS t) AS changed)
                                    = (SELECT count(*) FROM saved.log WHERE table_name = %n AND operation = 'UPDATE' AND actor = 'everything')\$\$)" ""
sql_is "thousands of them" "SELECT count(*) > 20000 FROM saved.log WHERE operation = 'UPDATE'" t
sql_is "old values give every row back as it was" \
  "SELECT * FROM saved.each(\$\$SELECT saved.same('SELECT * FROM saved.%t', \$q\$SELECT (jsonb_populate_record(t, COALESCE(l.old_values, '{}'))).* FROM public.%t AS t
      LEFT JOIN saved.log AS l ON l.table_name = %n AND l.operation = 'UPDATE' AND l.actor = 'everything' AND l.row_key = %k\$q\$)\$\$)" ""

# Everything is deleted, as a replica would so that foreign keys do not mind, and comes back from the log.
sql "CALL saved.run(\$\$DROP TABLE saved.%t\$\$); CALL saved.run(\$\$CREATE TABLE saved.%t AS TABLE public.%t\$\$)"
ok "the policy is changed for replicas" sql "SET client_min_messages = warning; CALL saved.run(\$\$SELECT architect.enable_audit('%t', replicated => true)\$\$)"
ok "every row is deleted" sql "SET session_replication_role = replica; CALL saved.run(\$\$DELETE FROM %t\$\$); CALL saved.look()"
sql_is "deleted rows are recorded whole" \
  "SELECT * FROM saved.each(\$\$SELECT saved.same('SELECT * FROM saved.%t', \$q\$SELECT (jsonb_populate_record(NULL::%t, old_values)).* FROM saved.log WHERE table_name = %n AND operation = 'DELETE'\$q\$)\$\$)" ""
sql_is "everything is covered" "SELECT string_agg(DISTINCT status, ',') FROM architect.audit_coverage()" covered
