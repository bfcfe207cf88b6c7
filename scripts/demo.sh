#!/usr/bin/env bash
# What the extension does, shown on a private server that is gone afterwards: pgbench plays the application.
# Each part is a function; show SQL prints it and its result. Longer or shorter: DEMO_SECONDS=10 make demo.
source "$(dirname "$0")/lib/cluster.sh"
seconds=${DEMO_SECONDS:-4} clients=4

bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
if [[ ! -t 1 || -n ${NO_COLOR:-} ]]; then bold='' dim='' plain=''; fi

heading() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
explain() { printf '%s%s%s\n' "$dim" "$*" "$plain"; }

# show SQL: the statement as one would type it, then psql's table.
show() {
  printf '\n%s%s%s\n' "$bold" "$1" "$plain"
  printf '%s\n' "$1" | psql_on main -q -U postgres -d demo -v ON_ERROR_STOP=1 -P pager=off -P null=- -f -
}
# quiet SQL: runs it. answer SQL: its one value.
quiet() { printf '%s\n' "$1" | psql_on main -q -U postgres -d demo -v ON_ERROR_STOP=1 -f - >/dev/null; }
answer() { psql_on main -qAtX -U postgres -d demo -v ON_ERROR_STOP=1 -c "$1"; }

tps() { tool_on main pgbench -n -c "$clients" -j 2 -T "$seconds" demo 2>/dev/null | awk '/^tps/ {printf "%d", $3}'; }

create_database() {
  heading "A private PostgreSQL $PG_MAJOR, and pgbench as its application"
  tool_on main createdb demo
  tool_on main pgbench -i -q -s 5 demo 2>/dev/null
  quiet "ALTER TABLE pgbench_history ADD history_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
  explain "$clients clients, $seconds seconds, nothing attached yet ..."
  tps_before=$(tps)
  show "CREATE EXTENSION db_architect;"
}

attach() {
  heading "Audit on every table, updated_at on one"
  show "SELECT * FROM architect.enable_audit_schema('public');"
  show "SELECT * FROM architect.enable_updated_at('pgbench_accounts', add_column => true);"
}

load() {
  heading "The application at work"
  explain "$clients clients, $seconds seconds ..."
  tps_after=$(tps)
  printf '%s transactions a second before, %s with every table audited: %s %%\n' "$tps_before" "$tps_after" \
    $((tps_after * 100 / (tps_before > 0 ? tps_before : 1)))
}

recorded() {
  heading "What was recorded"
  show "SELECT table_name, operation, count(*) AS entries, count(DISTINCT txid) AS transactions, min(changed_at)::time(0) AS first, max(changed_at)::time(0) AS last
  FROM architect.audit_log GROUP BY 1, 2 ORDER BY 1, 2;"
  show "SELECT pg_size_pretty(sum(pg_total_relation_size(relid))) AS size_of_the_log, count(*) - 1 AS partitions FROM pg_partition_tree('architect.audit_entry');"
}

one_row() {
  heading "The life of one row"
  explain "The busiest account, its last changes, with who and from where."
  account=$(answer "SELECT row_key->>'aid' FROM architect.audit_log WHERE table_name = 'pgbench_accounts' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1")
  quiet "BEGIN; SET LOCAL architect.actor = 'alice@example.com'; SET LOCAL architect.context = '{\"ticket\": 4711}';
         UPDATE pgbench_accounts SET abalance = abalance + 100 WHERE aid = $account; COMMIT"
  show "SELECT changed_at::time(3), operation, old_values, new_values, actor, context, application_name
  FROM architect.audit_history('pgbench_accounts', '{\"aid\": $account}') ORDER BY audit_id DESC LIMIT 4;"
}

disaster() {
  heading "Somebody forgets the WHERE"
  moment=$(answer "SELECT clock_timestamp()")
  quiet "BEGIN; SET LOCAL architect.actor = 'mallory@example.com'; UPDATE pgbench_tellers SET tbalance = 0; COMMIT"
  bad=$(answer "SELECT txid FROM architect.audit_log WHERE actor = 'mallory@example.com' LIMIT 1")
  show "SELECT actor, operation, table_name, count(*) FROM architect.audit_log WHERE txid = '$bad' GROUP BY 1, 2, 3;"
  explain "The table as it was a moment ago, beside what it is now:"
  show "SELECT tid, was.tbalance AS was, is_now.tbalance AS is_now
  FROM architect.audit_as_of(NULL::pgbench_tellers, '$moment') AS was JOIN pgbench_tellers AS is_now USING (tid) ORDER BY tid LIMIT 5;"
  heading "That one transaction, taken back"
  quiet "UPDATE pgbench_tellers SET tbalance = 5 WHERE tid = 2"
  explain "(Teller 2 has been changed by somebody else since: that row is refused, and says why.)"
  show "SELECT status, count(*), min(reason) AS reason FROM architect.revert_changes(txid => '$bad') GROUP BY status;"
  show "SELECT status, count(*) FROM architect.revert_changes(txid => '$bad', dry_run => false) GROUP BY status;"
  show "SELECT count(*) AS tellers_that_differ
  FROM architect.audit_as_of(NULL::pgbench_tellers, '$moment') AS was JOIN pgbench_tellers AS is_now USING (tid) WHERE was.tbalance <> is_now.tbalance;"
}

trust() {
  heading "Has anybody edited the log?"
  show "SELECT * FROM architect.seal_audit_log();"
  show "SELECT * FROM architect.verify_audit_log();"
  explain "A superuser hides who did it:"
  show "UPDATE architect.capture_context SET actor = 'nobody' WHERE actor = 'mallory@example.com';"
  show "SELECT * FROM architect.verify_audit_log() LIMIT 3;"
  heading "Is everything still recorded?"
  quiet "ALTER TABLE pgbench_branches DISABLE TRIGGER \"00_architect_capture\""
  show "SELECT table_name, status, code, fix FROM architect.audit_coverage();"
}

feed() {
  heading "A feed of changes that loses nothing"
  show "SELECT * FROM architect.enable_cdc('pgbench_tellers');"
  show "SELECT * FROM architect.create_consumer('shipping');"
  quiet "UPDATE pgbench_tellers SET tbalance = tbalance + 1 WHERE tid <= 3"
  quiet "SELECT architect.emit_event('order.paid', '4711', '{\"amount\": 12.5}')"
  show "SELECT position, operation, coalesce(table_name, topic) AS what, row_key, new_values FROM architect.poll_changes('shipping');"
  position=$(answer "SELECT max(position) FROM architect.poll_changes('shipping')")
  show "SELECT architect.ack_changes('shipping', $position);"
  show "SELECT consumer_name, state, events, behind FROM architect.consumer_lag();"
}

partitions() {
  heading "Partitions for the coming months"
  quiet "CREATE TABLE measurements (id bigint, at timestamptz NOT NULL, value float8) PARTITION BY RANGE (at)"
  show "SELECT * FROM architect.manage_partitions('measurements', every => '1 month', ahead => 3, keep => '2 years');"
  show "CALL architect.maintain_partitions('measurements');"
  show "SELECT partition_name, from_value, to_value FROM architect.partition_list('measurements');"
  show "SELECT severity, code, detail FROM architect.partition_health('measurements');"
}

indexes() {
  heading "A plan with an index nobody has built"
  show "SELECT version, round(total_cost) AS cost, plan FROM architect.explain_with_indexes('SELECT * FROM pgbench_accounts WHERE abalance = 4711',
       ARRAY['CREATE INDEX ON pgbench_accounts (abalance)']);"
  show "SELECT index_name, category, scans FROM architect.index_usage ORDER BY scans DESC NULLS LAST, 1 LIMIT 5;"
}

privacy() {
  heading "Where personal data is, and one person erased"
  quiet "CREATE TABLE customers (id bigint PRIMARY KEY, name text, email text UNIQUE, born date);
         CREATE TABLE invoices (id int PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, sent_to text);
         CREATE INDEX ON invoices (customer_id);
         SELECT * FROM architect.enable_audit('customers');
         INSERT INTO customers SELECT i, 'Maria Garcia', 'maria' || i || '@example.org', '1980-01-01' FROM generate_series(1, 50) AS i;
         INSERT INTO invoices SELECT i, i, 'maria' || i || '@example.org' FROM generate_series(1, 50) AS i"
  show "SELECT table_name, column_name, category, round(confidence::numeric, 2) AS confidence, proposed_action FROM architect.discover_pii('{public}')
 WHERE table_name IN ('customers', 'invoices');"
  quiet "SELECT architect.declare_subject('customer', 'customers', identity_columns => '{email}');
         SELECT architect.declare_edge('customer', 'invoices', '{customer_id}', 'customers', ownership => 'owned')"
  show "SELECT step, object_name, action, rows, blocker FROM architect.erase_subject('customer', '{\"id\": 7}');"
  plan=$(answer "SELECT plan_hash FROM architect.plan_erasure('customer', '{\"id\": 7}') LIMIT 1")
  show "SELECT step, object_name, action, rows_affected FROM architect.erase_subject('customer', '{\"id\": 7}', expected_plan => '$plan', dry_run => false);"
  explain "The audit log keeps that there was a row, and nothing of whom:"
  show "SELECT operation, row_key, old_values, new_values FROM architect.audit_log WHERE table_name = 'customers' AND row_key->>'id' = '7';"
  heading "The others masked"
  show "SELECT column_name, action, status, detail FROM architect.anonymize_table('customers', keep_logs => true, rules =>
       '{\"name\": \"null\", \"email\": {\"action\": \"pseudonym\", \"category\": \"email\"}, \"born\": {\"action\": \"generalise\", \"params\": {\"unit\": \"year\"}}}');"
  show "SELECT * FROM customers ORDER BY id LIMIT 3;"
}

nightly() {
  heading "Nightly"
  show "CALL architect.run_maintenance();"
  show "SELECT relid::regclass AS partition FROM pg_partition_tree('architect.audit_entry') WHERE isleaf ORDER BY 1;"
}

started=$SECONDS
start_cluster main shared_buffers=256MB
create_database
attach
load
recorded
one_row
disaster
trust
feed
partitions
indexes
privacy
nightly
heading "Done in $((SECONDS - started)) seconds; the server is stopped and removed"
