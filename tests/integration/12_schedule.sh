#!/usr/bin/env bash
# pg_cron calls run_maintenance(): registered once however often asked for, and it does run.
source "$(dirname "$0")/lib.sh"
skip_unless "pg_cron is not installed" has_extension pg_cron

start_cluster main shared_preload_libraries=pg_cron cron.database_name=postgres cron.use_background_workers=on
sql "CREATE EXTENSION db_architect"
fails_with "without pg_cron in the database there is a clear error" 55000 "SELECT architect.schedule_maintenance()"
sql "CREATE EXTENSION pg_cron"
schedule() { sql "SELECT action, detail FROM architect.schedule_maintenance($1)"; }
is "it is scheduled" "$(schedule "'0 4 * * *'")" "scheduled|0 4 * * *: CALL architect.run_maintenance()"
is "twice is a no-op" "$(schedule "'0 4 * * *'")" "exists|0 4 * * *: CALL architect.run_maintenance()"
is "another schedule replaces it" "$(schedule "'* * * * *'")" "changed|* * * * *: CALL architect.run_maintenance()"
sql_is "there is one job" "SELECT count(*) FROM cron.job" 1
sql_is "the schedule is shown" "SELECT schedule FROM architect.maintenance_status()" "* * * * *"
fails "nonsense is refused" sql "SELECT architect.schedule_maintenance('every now and then')"
wait_until "SELECT last_finished IS NOT NULL FROM architect.maintenance_status()" 130 || true
sql_is "pg_cron has run it" "SELECT failed_steps, overdue FROM architect.maintenance_status()" "0|f"

# From another database of the cluster, where pg_cron is not and cannot be.
tool_on main createdb other
DBA_DATABASE=other
sql "CREATE EXTENSION db_architect"
elsewhere() { sql "SELECT action, detail FROM architect.schedule_maintenance($1)"; }
is "a schedule is registered where pg_cron is" "$(elsewhere "'5 4 * * *'")" "scheduled|5 4 * * *: CALL architect.run_maintenance(), by pg_cron in database postgres"
is "twice is a no-op" "$(elsewhere "'5 4 * * *'")" "exists|5 4 * * *: CALL architect.run_maintenance(), by pg_cron in database postgres"
like "another one replaces it" "$(elsewhere "'* * * * *'")" '^changed'
is "one job, for this database" "$(sql -d postgres "SELECT schedule || ' ' || username FROM cron.job WHERE database = 'other'")" "* * * * * postgres"
fails "nonsense is refused there too" sql "SELECT architect.schedule_maintenance('every now and then')"
sql "CREATE ROLE somebody LOGIN; GRANT USAGE ON SCHEMA architect TO somebody; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA architect TO somebody"
fails_with "a role without rights to pg_cron gets none this way" 42501 -U somebody "SELECT architect.schedule_maintenance()"
wait_until "SELECT last_finished IS NOT NULL FROM architect.maintenance_status()" 130 || true
sql_is "pg_cron has run it" "SELECT failed_steps FROM architect.maintenance_status()" 0
is "and is told to stop" "$(sql "SELECT action FROM architect.unschedule_maintenance()")" unscheduled
is "which it does" "$(sql -d postgres "SELECT count(*) FROM cron.job WHERE database = 'other'")" 0
DBA_DATABASE=postgres
is "here too" "$(sql "SELECT action FROM architect.unschedule_maintenance()")" unscheduled
is "once" "$(sql "SELECT action FROM architect.unschedule_maintenance()")" skipped
