#!/usr/bin/env bash
# Where the server has no room for a background worker pg_cron runs what must be at the top level, as the table's
# owner; where that cannot be either the command is handed over, and nothing is left behind.
source "$(dirname "$0")/lib.sh"
skip_unless "pg_cron is not installed" has_extension pg_cron

# The two workers are the logical replication launcher and pg_cron itself.
start_cluster main shared_preload_libraries=pg_cron cron.database_name=postgres max_worker_processes=2 max_parallel_workers=0
sql "ALTER SYSTEM SET cron.host = '$(cluster_socket main)'"
restart_cluster main
sql "CREATE EXTENSION db_architect; CREATE EXTENSION pg_cron; CREATE ROLE app LOGIN; CREATE ROLE nobody;
     GRANT CREATE ON SCHEMA public TO app, nobody"
for owner in app nobody; do
  sql "SET ROLE $owner; CREATE TABLE t_$owner (id int, at date NOT NULL) PARTITION BY RANGE (at);
       CREATE TABLE ${owner}_1 PARTITION OF t_$owner FOR VALUES FROM ('2024-01-01') TO ('2024-02-01'); CREATE TABLE ${owner}_2 PARTITION OF t_$owner FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')"
done
partitions() { sql "SELECT count(*) FROM pg_inherits WHERE inhparent = 't_$1'::regclass"; }

sql "SELECT architect.manage_partitions('t_app', '1 month', ahead => 0, keep => '1 year', keep_action => 'drop', max_retired => 1)" >/dev/null
in_background maintaining "CALL architect.maintain_partitions()"
in_background handed "CALL architect.detach_partition('nobody_1', deadline => '5 seconds')"
like "a role that cannot log in has the command handed over" "$(finished handed || true)" 'ALTER TABLE public.t_nobody DETACH PARTITION public.nobody_1 CONCURRENTLY'
finished maintaining >/dev/null
sql_is "pg_cron has detached what was past keeping, and it is dropped" "SELECT action FROM architect.partition_log('t_app') WHERE object_name = 'public.app_1'" dropped
sql_is "as the table's owner" "SELECT DISTINCT username, status FROM cron.job_run_details WHERE command LIKE '%app_1%' AND status = 'succeeded'" "app|succeeded"
is "nothing else went" "$(partitions app) $(partitions nobody)" "$(sql "SELECT count(*) FROM architect.partition_list('t_app')") 2"
sql_is "no job is left with pg_cron" "SELECT count(*) FROM cron.job" 0
sql_is "or in the queue" "SELECT count(*) FROM architect.partition_job WHERE finished_at IS NULL" 0
sql "DROP EXTENSION pg_cron"
fails_with "without pg_cron it is handed over too" 53000 "CALL architect.detach_partition('app_2', deadline => '3 seconds')"
