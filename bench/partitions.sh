#!/usr/bin/env bash
# Upkeep of many partitioned tables against pg_partman in one run: maintenance with nothing to do over TABLES tables of 60 monthly
# partitions, and making 12 months for each. Wall clock and CPU time of the backend; the best of the rounds counts.
# usage: bench/partitions.sh [TABLES] [ROUNDS]
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib/measure.sh"
tables=${1:-100} rounds=${2:-5}

start_bench_cluster main max_locks_per_transaction=1024
[[ -f $DBA_SHARE/extension/pg_partman.control ]] || die "pg_partman is not installed (postgresql-15-partman)"

# prepare DATABASE: as many tables as asked for; both products make the same partitions of them.
prepare() {
  sql "CREATE DATABASE $1"
  psql_on main -q -v ON_ERROR_STOP=1 -U postgres -d "$1" -v tables="$tables" -f - <<'SQL'
CREATE EXTENSION db_architect;
CREATE SCHEMA partman;
CREATE EXTENSION pg_partman SCHEMA partman;
CREATE SCHEMA b;
SELECT format('CREATE TABLE b.t%s (id bigint NOT NULL, at timestamptz NOT NULL, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)', i)
  FROM generate_series(1, :tables) i \gexec
SQL
}

ours_manage() { printf "DO \$\$ BEGIN FOR i IN 1..%s LOOP PERFORM architect.manage_partitions(format('b.t%%s', i)::regclass, '1 month', ahead => %s, timezone => 'UTC', analyze_parent => false); END LOOP; END \$\$" "$tables" "$1"; }

best() { awk -v us="${BEST[$1]}" 'BEGIN {printf "%.0f", us / 1000}'; }
# wall KEY SQL: elapsed and CPU time.
declare -A WALL=()
wall() {
  local begun=${EPOCHREALTIME/./} spent
  measure "$1" "$2"
  spent=$((${EPOCHREALTIME/./} - begun))
  if [[ -z ${WALL[$1]:-} ]] || ((spent < WALL[$1])); then WALL[$1]=$spent; fi
}
elapsed() { awk -v us="${WALL[$1]}" 'BEGIN {printf "%.0f", us / 1000}'; }

for ((round = 0; round < rounds; round++)); do
  # Twelve months for each table, where there are none.
  prepare "ours$round"
  open_session "ours$round"
  wall manage.ours "$(ours_manage 11)"
  wall create.ours "CALL architect.maintain_partitions(deadline => '1 hour')"
  # Sixty partitions, then nothing to do.
  run "$(ours_manage 59)"
  run "CALL architect.maintain_partitions(deadline => '1 hour')"
  run "CALL architect.maintain_partitions(deadline => '1 hour')"
  for _ in 1 2 3; do wall idle.ours "CALL architect.maintain_partitions(deadline => '1 hour')"; done
  wall list.ours "SELECT count(*) FROM architect.partition_list()"
  wall health.ours "SELECT count(*) FROM architect.partition_health()"
  close_session

  prepare "theirs$round"
  open_session "theirs$round"
  # create_parent makes the first ones; what it makes in the same call is part of the measure.
  wall create.theirs "DO \$\$ BEGIN FOR i IN 1..$tables LOOP PERFORM partman.create_parent(format('b.t%s', i), 'at', 'native', 'monthly', p_premake => 11, p_start_partition => date_trunc('month', now())::text); END LOOP; END \$\$"
  run "UPDATE partman.part_config SET premake = 59, infinite_time_partitions = true"
  run "CALL partman.run_maintenance_proc()"
  run "SELECT count(partman.run_maintenance())"
  for _ in 1 2 3; do wall idle.theirs "SELECT count(partman.run_maintenance())"; done
  counted=$(sql -d "theirs$round" "SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relkind = 'r'")
  close_session
  sql "DROP DATABASE ours$round" && sql "DROP DATABASE theirs$round"
done

printf '%s tables; milliseconds, the best of %s rounds (pg_partman held %s partitions with nothing to do).\n\n' "$tables" "$rounds" "$counted"
printf '| | db_architect, elapsed | CPU | pg_partman 4.7.2, elapsed | CPU |\n| --- | --- | --- | --- | --- |\n'
printf '| nothing to do, 60 partitions each | %s | %s | %s | %s |\n' "$(elapsed idle.ours)" "$(best idle.ours)" "$(elapsed idle.theirs)" "$(best idle.theirs)"
# Beginning to manage them is part of it, as it is of create_parent().
BEST[create.ours]=$((BEST[create.ours] + BEST[manage.ours])) WALL[create.ours]=$((WALL[create.ours] + WALL[manage.ours]))
printf '| making 12 months for each | %s | %s | %s | %s |\n' "$(elapsed create.ours)" "$(best create.ours)" "$(elapsed create.theirs)" "$(best create.theirs)"
printf '\npartition_list(): %s; partition_health(): %s.\n' "$(elapsed list.ours)" "$(elapsed health.ours)"
