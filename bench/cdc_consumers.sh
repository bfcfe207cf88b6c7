#!/usr/bin/env bash
# What consumers of the change feed get: events a second polled and acknowledged in batches of 1,000 by one client, through
# psql and through psycopg2; and the time from a commit to its receipt with LISTEN, at a given rate of transactions.
# usage: bench/cdc_consumers.sh [EVENTS] [RATE] [SECONDS]
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib/measure.sh"
events=${1:-500000} rate=${2:-1000} seconds=${3:-10}

PYTHON=
for candidate in python3 /usr/bin/python3; do
  if "$candidate" -c 'import psycopg2' 2>/dev/null; then PYTHON=$candidate; break; fi
done
client() {
  as_server env PGHOST="$(cluster_dir main)" PGPORT="$DBA_PORT" PGUSER=postgres PGDATABASE=postgres "$PYTHON" - "$@"
}

start_bench_cluster main
sql "CREATE EXTENSION db_architect;
     CREATE TABLE orders (id bigint PRIMARY KEY, customer text, quantity int, created_at timestamptz DEFAULT now(), price numeric(10,2), active boolean);
     SELECT FROM architect.enable_cdc('orders', notify => false);
     SELECT FROM architect.create_consumer('rows'); SELECT FROM architect.create_consumer('documents');
     SELECT FROM architect.create_consumer('psql'); SELECT FROM architect.create_consumer('many')"
sql "INSERT INTO orders SELECT i, 'customer ' || i, i % 7, now(), i * 1.5, true FROM generate_series(1, $((events / 2))) i;
     UPDATE orders SET quantity = quantity + 1"
sql "VACUUM ANALYZE; CHECKPOINT"

note "$events events in batches of 1,000"
# psql: the whole session from one file; rows go to /dev/null.
batches=$((events / 1000))
for ((i = 0; i < batches; i++)); do
  printf '%s\n' "SELECT * FROM architect.poll_changes('psql');" "SELECT architect.ack_changes('psql', (SELECT max(through) FROM architect.cdc_worker WHERE pid = pg_backend_pid()));"
done >"$DBA_WORK/polls.sql"
start=$(date +%s%N)
psql_on main -qAt -f - <"$DBA_WORK/polls.sql" >/dev/null
spent=$((($(date +%s%N) - start) / 1000))
printf '%-40s %8d events/s\n' "psql, rows" $((batches * 1000 * 1000000 / spent))
[[ -n $PYTHON ]] || { note "psycopg2 is not installed: the rest is left out"; exit 0; }

client "$events" <<'PYTHON'
import sys, time, psycopg2
def run(what, consumer, query):
    connection = psycopg2.connect("")
    connection.autocommit = True
    cursor = connection.cursor()
    done, start = 0, time.time()
    while True:
        cursor.execute(query, (consumer,))
        rows = cursor.fetchall()
        if not rows:
            break
        done += len(rows)
        cursor.execute("SELECT architect.ack_changes(%s, %s)", (consumer, rows[-1][0]))
    print(f"{what:40} {done / (time.time() - start):8.0f} events/s")
run("psycopg2, rows, values parsed", "rows", "SELECT * FROM architect.poll_changes(%s)")
run("psycopg2, documents as text", "documents", "SELECT position, event::text FROM architect.poll_changes_json(%s)")
PYTHON

note "from commit to receipt with LISTEN, $rate transactions a second for $seconds s"
sql "SELECT architect.disable_cdc('orders'); SELECT architect.enable_cdc('orders'); SELECT architect.create_consumer('fast')" >/dev/null
cat >"$DBA_WORK/write.sql" <<'SQL'
\set id random(1, 10000)
UPDATE orders SET customer = clock_timestamp()::text WHERE id = :id;
SQL
chmod a+r "$DBA_WORK/write.sql"
tool_on main pgbench -n -c 4 -R "$rate" -T "$((seconds + 2))" -f "$DBA_WORK/write.sql" postgres >/dev/null 2>&1 &
bench=$!
client "$seconds" <<'PYTHON'
import datetime, select, sys, time, psycopg2
connection = psycopg2.connect("")
connection.autocommit = True
cursor = connection.cursor()
cursor.execute("LISTEN data_changes")
late, until = [], time.time() + float(sys.argv[1])
while time.time() < until:
    cursor.execute("SELECT position, extract(epoch FROM recorded_at) FROM architect.poll_changes('fast')")
    rows = cursor.fetchall()
    now = time.time()
    if not rows:
        select.select([connection], [], [], 1)
        connection.poll()
        connection.notifies.clear()
        continue
    late += [now - float(at) for _, at in rows]
    cursor.execute("SELECT architect.ack_changes('fast', %s)", (rows[-1][0],))
late.sort()
print(f"{len(late)} events: p50 {late[len(late) // 2] * 1000:.1f} ms, p99 {late[len(late) * 99 // 100] * 1000:.1f} ms")
PYTHON
wait "$bench" || true
