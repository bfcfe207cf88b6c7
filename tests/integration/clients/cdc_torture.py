"""Writers and consumers of the change feed, each in a session of its own, through a crash of the server.

Every writer counts rows up (n = n + 1), so that the changes of a row are known to the last one: a consumer
must see 1, 2, 3, ... of each row in this order, and a number once more only in a batch handed out again.
Prints one line a finding and 'torture: ok' if there is none.
"""
import collections
import random
import sys
import threading
import time

import psycopg2
import psycopg2.errors

SECONDS = int(sys.argv[1])
ROWS = 40
STOP = threading.Event()
DRAINED = threading.Event()
FAILURES = []


def connect():
    while True:
        try:
            connection = psycopg2.connect("application_name=torture")
            connection.autocommit = True
            return connection
        except psycopg2.OperationalError:
            time.sleep(0.1)


def writer(number):
    rng = random.Random(number)
    connection = connect()
    round = 0
    while not STOP.is_set():
        round += 1
        try:
            with connection.cursor() as cursor:
                cursor.execute("BEGIN")
                # In one order, so that writers do not deadlock.
                for key in sorted(rng.sample(range(1, ROWS + 1), rng.randint(1, 4))):
                    chance = rng.random()
                    if chance < 0.2:
                        cursor.execute("SAVEPOINT s")
                        cursor.execute("UPDATE counted SET n = n + 1 WHERE id = %s", (key,))
                        cursor.execute("ROLLBACK TO s")
                    elif chance < 0.4:
                        cursor.execute("SAVEPOINT s")
                    cursor.execute("UPDATE counted SET n = n + 1 WHERE id = %s", (key,))
                    if rng.random() < 0.15:
                        # Has what waits written: from now on positions are taken and the transaction is open.
                        cursor.execute("SELECT FROM architect.change_entry WHERE false")
                    if chance > 0.9:
                        time.sleep(rng.random() * 0.2)
                end = rng.random()
                if end < 0.1:
                    name = f"w{number}_{round}"
                    cursor.execute(f"PREPARE TRANSACTION '{name}'")
                    time.sleep(rng.random() * 0.2)
                    cursor.execute(f"{'COMMIT' if end < 0.06 else 'ROLLBACK'} PREPARED '{name}'")
                else:
                    cursor.execute("ROLLBACK" if end < 0.25 else "COMMIT")
        except psycopg2.errors.DeadlockDetected:
            connection.cursor().execute("ROLLBACK")
        except psycopg2.Error:
            connection = connect()


class Consumer:
    """What the workers of one consumer have been given, in the order they began to process it."""

    def __init__(self, name):
        self.name = name
        self.lock = threading.Lock()
        self.last = {}
        self.again = 0
        self.events = 0

    def process(self, events):
        with self.lock:
            for position, operation, key, before, after, attempt in events:
                self.events += 1
                n = after["n"]
                known = self.last.get(key["id"])
                if operation == "read":
                    expected = known is None
                else:
                    expected = known is None and before["n"] == 0 or known is not None and n == known + 1
                if expected:
                    self.last[key["id"]] = n
                elif known is not None and n <= known:
                    self.again += 1
                    if attempt == 1:
                        FAILURES.append(f"{self.name}: row {key['id']}: {n} came twice (position {position})")
                else:
                    FAILURES.append(f"{self.name}: row {key['id']}: {n} after {known} (position {position})")

    def work(self, number):
        rng = random.Random(number)
        connection = connect()
        while not DRAINED.is_set():
            try:
                with connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT position, operation, row_key, old_values, new_values, attempt"
                        "  FROM architect.poll_changes(%s, %s, '100 ms')",
                        (self.name, rng.choice([5, 50, 500])),
                    )
                    events = cursor.fetchall()
                    if not events:
                        continue
                    self.process(events)
                    if rng.random() < 0.02:
                        # This worker ends before it can acknowledge.
                        connection.close()
                        connection = connect()
                        continue
                    if rng.random() < 0.1 and len(events) > 2:
                        cursor.execute("SELECT architect.ack_changes(%s, %s)", (self.name, events[1][0]))
                        # The rest of the batch is the same worker's: it gets it again.
                        self.forgive(events[2:])
                    else:
                        cursor.execute("SELECT architect.ack_changes(%s, %s)", (self.name, events[-1][0]))
            except psycopg2.Error:
                connection = connect()

    def forgive(self, events):
        with self.lock:
            for _, _, key, _, after, _ in reversed(events):
                self.last[key["id"]] = after["n"] - 1


def maintain():
    connection = connect()
    while not DRAINED.is_set():
        time.sleep(1)
        try:
            connection.cursor().execute("CALL architect.run_maintenance()")
        except psycopg2.Error:
            connection = connect()


def finish_orphans():
    """Prepared transactions outlive the crash, their locks too; the sessions that made them do not."""
    while not DRAINED.is_set():
        for gid, ending in ask(
            "SELECT gid, (ARRAY['COMMIT', 'ROLLBACK'])[1 + (hashtext(gid) & 1)] FROM pg_prepared_xacts"
            " WHERE prepared < clock_timestamp() - interval '2 seconds'"
        ):
            try:
                connect().cursor().execute(f"{ending} PREPARED '{gid}'")
            except psycopg2.Error:
                pass
        time.sleep(0.5)


def ask(query):
    while True:
        try:
            with connect().cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall() if cursor.description else None
        except psycopg2.ProgrammingError:
            raise
        except psycopg2.Error:
            # Whatever the crash did to the connection.
            time.sleep(0.1)


consumers = [Consumer("one"), Consumer("several"), Consumer("late")]
writers = [threading.Thread(target=writer, args=(i,)) for i in range(24)]
workers = [threading.Thread(target=consumers[0].work, args=(100,))]
workers += [threading.Thread(target=consumers[1].work, args=(200 + i,)) for i in range(4)]
workers += [threading.Thread(target=maintain), threading.Thread(target=finish_orphans)]
for thread in writers + workers:
    thread.start()
time.sleep(SECONDS / 3)
# In the middle of it, one that starts from the rows that are there.
ask("SELECT architect.create_consumer('late', start => 'snapshot')")
late = [threading.Thread(target=consumers[2].work, args=(300 + i,)) for i in range(2)]
for thread in late:
    thread.start()
time.sleep(SECONDS * 2 / 3)
STOP.set()
for thread in writers:
    thread.join()

while ask("SELECT FROM pg_prepared_xacts"):
    time.sleep(0.2)
deadline = time.time() + 60
wanted = dict(ask("SELECT id, n FROM counted WHERE n > 0"))
while time.time() < deadline:
    behind = ask("SELECT consumer_name, events, batches, aside FROM architect.consumer_lag()")
    if not any(events or batches or aside for _, events, batches, aside in behind):
        break
    time.sleep(0.5)
else:
    FAILURES.append(f"not drained: {behind}")
DRAINED.set()
for thread in workers + late:
    thread.join()
for consumer in consumers:
    for key, n in wanted.items():
        if consumer.last.get(key) != n:
            FAILURES.append(f"{consumer.name}: row {key} ends at {consumer.last.get(key)} and not at {n}")
    print(f"{consumer.name}: {consumer.events} events, {consumer.again} of them again")
print(f"{sum(wanted.values())} changes of {len(wanted)} rows")
for failure in FAILURES[:20]:
    print(failure)
print("torture: ok" if not FAILURES and sum(wanted.values()) > 200 else "torture: failed")
