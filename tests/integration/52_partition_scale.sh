#!/usr/bin/env bash
# A thousand partitions of one table; a dump and restore of policies and holds; a standby; real data.
source "$(dirname "$0")/lib.sh"

start_cluster main max_locks_per_transaction=512
sql "CREATE EXTENSION db_architect"
sql "CREATE TABLE many (at timestamptz NOT NULL, v int) PARTITION BY RANGE (at)"
sql_is "a thousand partitions in one call" "SELECT count(*) FROM architect.create_partitions('many', '1 day', ahead => 999, timezone => 'Europe/Vienna') WHERE action = 'created'" 1000
sql_is "they are contiguous" "SELECT count(*) FROM architect.partition_health('many') WHERE code IN ('GAP', 'OVERLAP', 'MISALIGNED_BOUNDS')" 0
sql "SELECT architect.manage_partitions('many', '1 day', ahead => 999, keep => '1 year', timezone => 'Europe/Vienna')" >/dev/null
ok "their maintenance" sql "CALL architect.maintain_partitions()"
sql_is "finds nothing to do" "SELECT count(*) FROM architect.partition_log()" 0
sql_is "every day of two changes of the clock is whole" \
  "SELECT count(*) FROM (SELECT to_value::timestamp AT TIME ZONE 'Europe/Vienna' - from_value::timestamp AT TIME ZONE 'Europe/Vienna' AS length
     FROM architect.partition_list('many')) AS days WHERE length NOT IN ('24:00', '23:00', '25:00')" 0
sql_is "twenty-three and twenty-five hours come" \
  "SELECT count(DISTINCT length) FROM (SELECT to_value::timestamp AT TIME ZONE 'Europe/Vienna' - from_value::timestamp AT TIME ZONE 'Europe/Vienna' AS length
     FROM architect.partition_list('many')) AS days" 3

# Policies and holds survive a dump, a restore into another database and DROP EXTENSION.
sql "SELECT architect.hold_partition(partition_name::regclass, 'kept') FROM architect.partition_list('many') LIMIT 1" >/dev/null
tool_on main createdb other
tool_on main pg_dump -d postgres >"$DBA_WORK/dump.sql" 2>"$DBA_WORK/dump.log"
ok "a dump is restored" psql_on main -q -v ON_ERROR_STOP=1 -d other -f - <"$DBA_WORK/dump.sql"
DBA_DATABASE=other
sql_is "the policy is there, for the same table" "SELECT parent || ' ' || status FROM architect.partition_policies()" "public.many ok"
sql_is "and so is the hold" "SELECT reason FROM architect.partition_holds()" kept
sql "DROP TABLE many CASCADE; CREATE TABLE many (at timestamptz NOT NULL, v int) PARTITION BY RANGE (at)"
ok "maintenance follows the name" sql "CALL architect.maintain_partitions(deadline => '1 minute')"
sql_is "of a table made anew" "SELECT count(*) FROM architect.partition_list('many')" 1000
sql "DROP EXTENSION db_architect CASCADE; CREATE EXTENSION db_architect"
sql_is "policies survive the extension" "SELECT count(*) FROM architect.partition_policies()" 1
DBA_DATABASE=postgres

# Real data: pagila's payment, where the sample is at hand.
data=$DBA_ROOT/../shared/data/pagila
if [[ -d $data ]]; then
  tool_on main createdb pagila
  DBA_DATABASE=pagila
  sql "CREATE EXTENSION db_architect"
  psql_on main -q -d pagila -f - <"$data/pagila-schema.sql" >/dev/null 2>&1
  psql_on main -q -d pagila -f - <"$data/pagila-data.sql" >/dev/null 2>&1
  rows=$(sql "SELECT count(*) FROM payment")
  parts=$(sql "SELECT count(*) FROM pg_inherits WHERE inhparent = 'payment'::regclass")
  ok "payment is adopted" sql "SELECT * FROM architect.manage_partitions('payment', '1 month', ahead => 3, keep => '1 year', keep_action => 'detach', max_retired => 3)"
  ok "extended and retained" sql "CALL architect.maintain_partitions('payment')"
  sql_is "three months of it are retired" "SELECT count(*) FROM architect.partition_log('payment') WHERE action = 'detached'" 3
  sql_is "the present and what comes have partitions" "SELECT count(*) FROM architect.partition_health('payment') WHERE code IN ('NO_PARTITION_NOW', 'RUNWAY_SHORT')" 0
  sql_is "no row is lost" "SELECT (SELECT count(*) FROM payment) + sum(c) = $rows FROM (
      SELECT (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM %s', object_name), false, true, '')))[1]::text::bigint AS c
        FROM architect.partition_log('payment') WHERE action = 'detached') AS gone" t
  like "it had partitions before" "$parts" '^[1-9]'
  ok "a payment of today is taken" sql "INSERT INTO payment (customer_id, staff_id, rental_id, amount, payment_date) SELECT customer_id, staff_id, rental_id, amount, now() FROM payment LIMIT 1"
fi
