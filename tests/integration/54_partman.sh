#!/usr/bin/env bash
# Tables pg_partman keeps are taken over as they are; what differs is told; partitions go on from where its end.
# Advice about a table that is not partitioned, from the statements that were run.
source "$(dirname "$0")/lib.sh"
skip_unless "pg_partman is not installed" has_extension pg_partman

start_cluster main shared_preload_libraries=pg_stat_statements
sql "CREATE EXTENSION db_architect"
fails_with "without pg_partman there is a clear error" 55000 "SELECT architect.import_pg_partman()"
sql "CREATE SCHEMA partman; CREATE EXTENSION pg_partman SCHEMA partman; CREATE SCHEMA p"
sql "CREATE TABLE p.months (id bigint, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
     CREATE TABLE p.weeks (id bigint, at timestamptz NOT NULL) PARTITION BY RANGE (at);
     CREATE TABLE p.numbers (id bigint NOT NULL) PARTITION BY RANGE (id)"
sql "SELECT partman.create_parent('p.months', 'at', 'native', 'monthly'), partman.create_parent('p.weeks', 'at', 'native', 'weekly'),
            partman.create_parent('p.numbers', 'id', 'native', '1000')" >/dev/null
sql "UPDATE partman.part_config SET retention = '3 months', retention_keep_table = false WHERE parent_table = 'p.months'"
before=$(sql "SELECT count(*) FROM pg_inherits")
sql_is "it tells what it would do" "SELECT count(*) FROM architect.import_pg_partman() WHERE action = 'would manage'" 3
sql_is "and does nothing" "SELECT count(*) FROM architect.partition_policies()" 0
like "what differs is told" "$(sql "SELECT detail FROM architect.import_pg_partman('p.months') WHERE action = 'differs'")" 'by its bound in the catalogue'
sql_is "it is stored when asked to" "SELECT count(*) FROM architect.import_pg_partman(dry_run => false) WHERE action = 'managed'" 3
sql_is "as it was configured" "SELECT string_agg(concat_ws(' ', parent, every, ahead, keep, keep_action), '; ' ORDER BY parent) FROM architect.partition_policies()" \
  "p.months 1 month 4 3 mons drop; p.numbers 1000 4 detach; p.weeks 7 days 4 detach"
ok "maintenance adopts them" sql "CALL architect.maintain_partitions()"
sql_is "what is there is whole" "SELECT count(*) FROM architect.partition_health() WHERE code IN ('GAP', 'MISALIGNED_BOUNDS', 'TIME_ZONE_MISMATCH', 'NO_PARTITION_NOW')" 0
sql "SELECT architect.manage_partitions('p.weeks', '7 days', ahead => 10), architect.manage_partitions('p.numbers', step => 1000, ahead => 9)" >/dev/null
ok "and goes on" sql "CALL architect.maintain_partitions()"
sql_is "without a gap or an odd bound" "SELECT count(*) FROM architect.partition_health() WHERE code IN ('GAP', 'MISALIGNED_BOUNDS')" 0
sql_is "with more partitions" "SELECT count(*) > $before FROM pg_inherits" t
like "its own statement has it leave them alone" "$(sql "SELECT detail FROM architect.import_pg_partman('p.weeks') WHERE action = 'to do'")" 'UPDATE partman.part_config'

sql "CREATE EXTENSION pg_stat_statements"
sql "CREATE TABLE p.events (id bigint PRIMARY KEY, at timestamptz NOT NULL, seen date, v text)"
sql "INSERT INTO p.events SELECT i, now() - (100000 - i) * interval '10 minutes', NULL, 'x' FROM generate_series(1, 100000) i"
sql "DELETE FROM p.events WHERE at < now() - interval '600 days'; SELECT count(*) FROM p.events WHERE at > now() - interval '1 day'; ANALYZE p.events" >/dev/null
sql_is "a table whose rows are deleted by age is found" "SELECT table_name, key_column FROM architect.advise_partitioning(min_size => 1000000)" "p.events|at"
like "with the reasons" "$(sql "SELECT reasons FROM architect.advise_partitioning('p.events')")" 'correlation .*deletes by at'
like "and what is in the way" "$(sql "SELECT obstacles FROM architect.advise_partitioning('p.events')")" 'widen'
