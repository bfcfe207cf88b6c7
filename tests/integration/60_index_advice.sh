#!/usr/bin/env bash
# Advice from a real pg_stat_statements: five hundred statements, twenty joins, hostile names, a cancel in mid-search,
# DDL beside it, a standby. What is not to be seen stays unseen, and no session is left with indexes that are not there.
source "$(dirname "$0")/lib.sh"

start_cluster main shared_preload_libraries=pg_stat_statements max_wal_senders=4 wal_level=replica
sql "CREATE EXTENSION pg_stat_statements; CREATE EXTENSION db_architect"

sql "CREATE TABLE big (id int PRIMARY KEY, a int, b int, c text, d timestamptz);
     INSERT INTO big SELECT i, i % 5000, i % 300, 'c' || i, now() + i * interval '1 s' FROM generate_series(1, 50000) i; ANALYZE big"
# The load is not what a day writes.
sql "SELECT pg_stat_reset(); SELECT pg_stat_statements_reset()" >/dev/null
for i in $(seq 1 7); do sql "SELECT count(*) FROM big WHERE a = $i"; done >/dev/null
top="SELECT statement FROM architect.suggest_indexes(min_calls => 5) WHERE action = 'CREATE' LIMIT 1"
like "the statement that was run is helped" "$(sql "$top" 2>/dev/null)" 'ON public.big \(a\)'

# Twenty joins.
from=$(for i in $(seq 1 20); do printf '%s big t%d' "$([[ $i -gt 1 ]] && echo ,)" "$i"; done)
where=$(for i in $(seq 2 20); do printf ' AND t%d.a = t%d.id' "$i" "$((i - 1))"; done)
ok "twenty joins" sql "SELECT count(*) FROM architect.suggest_indexes(time_limit => '3 s', workload => ARRAY['SELECT 1 FROM $from WHERE t1.b = 5 $where'])"

# Five hundred statements: an answer when time is up.
many="SELECT array_agg(format('SELECT * FROM big WHERE b = %s AND a > %s ORDER BY d LIMIT %s', i, i, i)) FROM generate_series(1, 500) i"
began=$(date +%s)
ok "five hundred statements" sql "SELECT count(*) FROM architect.suggest_indexes(time_limit => '5 s', workload => ($many))"
ok "within a minute" test $(($(date +%s) - began)) -lt 60

# A cancel goes through, and the session plans as before.
fails_with "a cancel in mid-search" 57014 "SET statement_timeout = '300 ms'; SELECT count(*) FROM architect.suggest_indexes(time_limit => '60 s', workload => ($many))"
is "the session is as before" "$(sql "DO \$\$ BEGIN PERFORM architect.suggest_indexes(time_limit => '60 s', workload => ($many)); EXCEPTION WHEN query_canceled THEN NULL; END \$\$; EXPLAIN (COSTS off) SELECT * FROM big WHERE a = 5" 2>/dev/null | head -1)" "Seq Scan on big"

# Hostile names.
sql 'CREATE SCHEMA "s""; drop"; CREATE TABLE "s""; drop"."t'"'"'; --" ("a""b" int, "select" text);
     INSERT INTO "s""; drop"."t'"'"'; --" SELECT i, i FROM generate_series(1, 20000) i; ANALYZE "s""; drop"."t'"'"'; --"'
statement=$(sql 'SELECT statement FROM architect.suggest_indexes(weights => '"'{100000}'"', workload => ARRAY[$q$SELECT * FROM "s""; drop"."t'"'"'; --" WHERE "a""b" = $1$q$])' 2>/dev/null)
ok "advice on hostile names can be run" sql "$statement"

# DDL beside it: it waits for nobody's table to vanish, and nothing crashes.
in_background advice "SELECT count(*) >= 0 FROM architect.suggest_indexes(time_limit => '4 s', workload => ($many))"
sql "SET lock_timeout = '20 s'; ALTER TABLE big ADD extra int; ALTER TABLE big DROP extra"
ok "advice beside DDL" finished advice

# A table somebody holds is not waited for.
holds="SELECT count(*) FROM pg_locks WHERE relation = 'big'::regclass AND mode = 'AccessExclusiveLock' AND granted"
in_background holder "BEGIN; LOCK TABLE big; SELECT pg_sleep(5); COMMIT"
until [[ $(sql "$holds") == 1 ]]; do sleep 0.1; done
like "a table that is held is told" "$(sql "SELECT outcome FROM architect.workload_coverage(workload => ARRAY['SELECT * FROM big WHERE a = 1'])")" "held by somebody"
sql_is "while it is held" "$holds" 1
ok "and who holds it goes on" finished holder

# Somebody who may not read the table.
sql "CREATE ROLE nosy LOGIN; GRANT USAGE ON SCHEMA architect TO nosy; GRANT EXECUTE ON FUNCTION architect.suggest_indexes, architect.workload_coverage TO nosy"
is "no advice on what may not be read" "$(sql "SET ROLE nosy; SELECT count(*) FROM architect.suggest_indexes(weights => '{100000}', workload => ARRAY['SELECT * FROM big WHERE a = 1'])" 2>/dev/null | tail -1)" 0
like "and the reason is told" "$(sql "SET ROLE nosy; SELECT outcome FROM architect.workload_coverage(workload => ARRAY['SELECT * FROM big WHERE a = 1'])" 2>/dev/null)" "may not"

# What is run by others is planned as they are: their functions get nobody else's rights, nor his settings.
sql "CREATE ROLE spy LOGIN; CREATE SCHEMA spy AUTHORIZATION spy; CREATE TABLE seen (who text); GRANT INSERT ON seen TO PUBLIC; GRANT SELECT ON big TO spy;
     SET ROLE spy; CREATE FUNCTION spy.note() RETURNS int VOLATILE LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.seen VALUES (current_user); PERFORM set_config(''search_path'', ''spy'', false); RETURN 1; END';
     CREATE FUNCTION spy.seen(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN spy.note(); END'"
for i in 1 2 3 4 5 6; do
    sql "SET ROLE spy; SELECT count(*) FROM big WHERE b = spy.seen(1)" >/dev/null
    sql "SET ROLE spy; SELECT count(*) FROM big WHERE spy.seen(b) = 1 LIMIT 5" >/dev/null
    sql "SET ROLE spy; SELECT count(*) FROM big WHERE c = '$i'" >/dev/null
done
sql "TRUNCATE seen"
is "the caller's settings stay" "$(sql "SELECT count(*) >= 0 FROM architect.suggest_indexes(); SHOW search_path" 2>/dev/null | tail -1)" '"$user", public'
sql "SELECT count(*) FROM architect.workload_coverage()" >/dev/null
sql "SELECT count(*) FROM architect.analyze_slow_queries('0')" >/dev/null
sql_is "functions of others run as they are" "SELECT string_agg(DISTINCT who, ',') FROM seen" spy
sql "GRANT pg_read_all_stats TO nosy; GRANT SELECT ON big TO nosy"
like "what no role of the caller's ran is left out" "$(sql "SET ROLE nosy; SELECT outcome FROM architect.workload_coverage()" 2>/dev/null)" "rights this role does not have"
sql "GRANT spy TO nosy"
like "and is not once it has the rights" "$(sql "SET ROLE nosy; SELECT outcome FROM architect.workload_coverage()" 2>/dev/null)" "analysed"

# Names are looked up where the role that ran the statement has them: on the path that its sessions begin with.
sql "CREATE ROLE app LOGIN; CREATE SCHEMA store AUTHORIZATION app; GRANT SELECT ON big TO app; CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.orders (id int); SET ROLE app; CREATE TABLE store.orders AS SELECT i AS id, i % 900 AS customer FROM generate_series(1, 20000) i"
sql "SELECT pg_stat_statements_reset()" >/dev/null
in_app="SELECT count(*) FROM orders WHERE customer = 1"
for i in 1 2 3 4 5 6; do sql "SET ROLE app; SET search_path = store; $in_app" >/dev/null; done
seen="SELECT outcome FROM architect.workload_coverage(5) WHERE outcome NOT LIKE '%utility%'"
like "without a setting the caller's path is taken" "$(sql "$seen")" "not on this search_path"
sql "ALTER DATABASE postgres SET search_path = elsewhere; ALTER ROLE app IN DATABASE postgres SET search_path = store"
sql_is "the role's own path is taken" "SET search_path = public; $seen" analysed
like "and advice names its table" "$(sql "SELECT statement FROM architect.suggest_indexes() WHERE action = 'CREATE'" 2>/dev/null)" 'ON store.orders \(customer\)'
sql "ALTER DATABASE postgres RESET search_path"

# Nothing of ours is in pg_stat_statements because of an analysis.
sql_is "analysing enters nothing" "SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%ORDER BY d LIMIT%' AND query NOT LIKE '%format%'" 0

# A standby advises too, and keeps nothing.
kept=$(sql "SELECT count(*) FROM architect.advice_log")
start_standby standby main
ok "advice on a standby" sql -c standby "SELECT count(*) FROM architect.suggest_indexes(weights => '{100000,1}', workload => ARRAY['SELECT * FROM big WHERE b = 1 AND c = \$1', 'UPDATE big SET a = 1 WHERE b = 2'])"
is "an index on a standby" "$(sql -c standby "SELECT indexes_after FROM architect.index_cost('SELECT * FROM big WHERE a = 1', ARRAY['CREATE INDEX ON big (a)'])")" "{hypothetical_big_a_idx}"
sql_is "kept nowhere" "SELECT count(*) FROM architect.advice_log" "$kept"
