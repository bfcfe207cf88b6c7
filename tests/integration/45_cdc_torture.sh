#!/usr/bin/env bash
# The feed loses nothing and keeps the order of each row's changes: two dozen writers with savepoints,
# rollbacks, long and prepared transactions, three consumers with seven workers, some of which end in the
# middle of a batch, upkeep beside them, and a kill -9 of the server while all of it goes on.
source "$(dirname "$0")/lib.sh"

PYTHON=
for candidate in python3 /usr/bin/python3; do
  if "$candidate" -c 'import psycopg2' 2>/dev/null; then PYTHON=$candidate; break; fi
done
skip_unless "psycopg2 is not installed (apt install python3-psycopg2)" test -n "$PYTHON"

start_cluster main max_prepared_transactions=40 max_connections=80
sql "CREATE EXTENSION db_architect;
     CREATE TABLE counted (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
     INSERT INTO counted SELECT generate_series(1, 40)"
sql "SELECT architect.enable_cdc('counted', notify => false);
     SELECT architect.set_cdc_retention(segment_bytes => 131072);
     SELECT architect.create_consumer('one', visibility_timeout => '5 seconds');
     SELECT architect.create_consumer('several', visibility_timeout => '5 seconds')" >/dev/null

as_server env PGHOST="$(cluster_dir main)" PGPORT="$DBA_PORT" PGUSER=postgres PGDATABASE=postgres \
  "$PYTHON" - "${TORTURE_SECONDS:-30}" <"$DBA_ROOT/tests/integration/clients/cdc_torture.py" >"$DBA_WORK/torture" 2>&1 &
torture=$!
wait_until "SELECT count(*) > 5 FROM pg_stat_activity WHERE application_name = 'torture'"
sleep "$((${TORTURE_SECONDS:-30} / 2))"
crash_cluster main
restart_cluster main
status=0
wait "$torture" || status=$?
is "the clients ran to their end" "$status" 0
is "nothing lost, nothing out of order, twice only what was handed out again" "$(tail -n 1 "$DBA_WORK/torture")" "torture: ok"
diag "$(cat "$DBA_WORK/torture")"
# What all have read is gone, whatever was written meanwhile.
sql "CALL architect.run_maintenance(); CALL architect.run_maintenance()"
sql_is "the feed is small again" "SELECT feed_bytes < 2000000 AND feed_tables <= 8 FROM architect.cdc_health()" t
sql_is "consumers' tables are small" "SELECT sum(pg_total_relation_size(c.oid)) < 2000000 FROM pg_class c WHERE relname IN ('cdc_consumer', 'cdc_worker', 'cdc_aside')" t
