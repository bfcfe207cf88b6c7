#!/usr/bin/env bash
# Real clients of the change feed: psycopg2 that listens, polls and acknowledges; the example consumer, two of
# them, one of which dies; a worker behind a name; a consumer after a restore into another cluster.
source "$(dirname "$0")/lib.sh"

PYTHON=
for candidate in python3 /usr/bin/python3; do
  if "$candidate" -c 'import psycopg2' 2>/dev/null; then PYTHON=$candidate; break; fi
done
skip_unless "psycopg2 is not installed (apt install python3-psycopg2)" test -n "$PYTHON"
python_on() {
  local cluster=$1
  shift
  as_server env PGHOST="$(cluster_dir "$cluster")" PGPORT="$DBA_PORT" PGUSER=postgres PGDATABASE=postgres "$PYTHON" -u - "$@"
}

start_cluster main
sql "CREATE EXTENSION db_architect; CREATE TABLE orders (id int PRIMARY KEY, v text)"
sql "SELECT architect.enable_cdc('orders'); SELECT architect.create_consumer('c'); SELECT architect.create_consumer('example')" >/dev/null

# Woken by a commit, not by a clock; values arrive as Python's.
python_on main >"$DBA_WORK/listener" 2>&1 <<'PYTHON' &
import select, psycopg2
connection = psycopg2.connect("application_name=listener")
connection.autocommit = True
cursor = connection.cursor()
cursor.execute("LISTEN data_changes")
cursor.execute("SELECT count(*) FROM architect.poll_changes('c')")
assert cursor.fetchone() == (0,)
assert select.select([connection], [], [], 30)[0], "no notification"
connection.poll()
channels = {notify.channel for notify in connection.notifies}
cursor.execute("SELECT position, operation, row_key, new_values FROM architect.poll_changes('c')")
events = cursor.fetchall()
print(channels, [event[1:] for event in events])
cursor.execute("SELECT architect.ack_changes('c', %s)", (events[-1][0],))
print(cursor.fetchone())
PYTHON
listener=$!
wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'listener' AND query LIKE '%poll_changes%' AND state = 'idle'"
sql "INSERT INTO orders VALUES (1, 'a'), (2, 'b')"
wait "$listener" || true
is "a listener is woken, polls and acknowledges" "$(<"$DBA_WORK/listener")" \
  "{'data_changes'} [('insert', {'id': 1}, {'id': 1, 'v': 'a'}), ('insert', {'id': 2}, {'id': 2, 'v': 'b'})]
(2,)"

# The example, twice; the first to get something is killed, the other ends the work.
start_example() { PGAPPNAME=$1 python_on main example <"$DBA_ROOT/examples/consumer.py" >"$DBA_WORK/$1" 2>&1 & }
start_example first
wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%poll_changes_json%'"
wait_until "SELECT events = 0 AND batches = 0 FROM architect.consumer_lag() WHERE consumer_name = 'example'"
sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%poll_changes_json%' AND pid <> pg_backend_pid()" >/dev/null
start_example second
sql "INSERT INTO orders SELECT i, 'x' FROM generate_series(10, 2000) i; UPDATE orders SET v = 'y' WHERE id BETWEEN 10 AND 500"
wait_until "SELECT events = 0 AND batches = 0 FROM architect.consumer_lag() WHERE consumer_name = 'example'"
is "the example consumer got everything" "$(cat "$DBA_WORK/first" "$DBA_WORK/second" | grep -cE '^[0-9]+ (insert|update) orders')" 2484
sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%poll_changes_json%' AND pid <> pg_backend_pid()" >/dev/null

# By name: whatever session it comes through, it is the same worker.
sql_is "a named worker gets its batch in another session" \
  "SELECT count(*) FROM architect.poll_changes('c', 100, worker => 'w'); SELECT count(*), max(attempt) FROM architect.poll_changes('c', 100, worker => 'w')" "100
100|1"
sql_is "another worker gets other events" "SELECT count(*) FROM architect.poll_changes('c', 100, worker => 'x')" 100
sql_is "a session that is gone leaves its batch to the next" \
  "SELECT count(*) FROM architect.poll_changes('c', 50)" 50
sql_is "which is said to be the second attempt" "SELECT count(*), min(attempt) FROM architect.poll_changes('c', 1000)" "50|2"

# Elsewhere.
start_cluster other
tool_on main pg_dump postgres >"$DBA_WORK/dump.sql"
psql_on other -q -f - <"$DBA_WORK/dump.sql" >"$DBA_WORK/restore.log" 2>&1
DBA_CLUSTER=other
fails_like "a restored consumer says so" "another cluster.*reset_consumer" "SELECT * FROM architect.poll_changes('c')"
sql_is "it is listed" "SELECT state FROM architect.consumer_lag() WHERE consumer_name = 'c'" restored
sql_is "and starts again where it is told to" "SELECT action FROM architect.reset_consumer('c', 'now'); INSERT INTO orders VALUES (5000, 'z'); SELECT row_key, new_values ->> 'v' FROM architect.poll_changes('c')" 'reset
{"id":5000}|z'
