#!/usr/bin/env python3
"""A consumer of db_architect's change feed: start from here.

Once:    SELECT architect.enable_cdc('orders');
         SELECT architect.create_consumer('mailer', tables => '{orders}', max_attempts => 5);
         SELECT architect.grant_access('mailer_role', 'operator');
Then:    PGDATABASE=shop ./consumer.py mailer

Needs psycopg2 (apt install python3-psycopg2). Run as many of them as you like: each gets other events, and
all changes of one row go to one of them at a time and in order. An event may come twice (after a crash
between processing and acknowledging), so make process() repeatable, or write what it does into this
database in the transaction that acknowledges.
"""
import select
import sys

import psycopg2

CHANNEL = "data_changes"
BATCH = 500


def process(event):
    """Yours. Raise an exception where it cannot be done."""
    print(event["position"], event["operation"], event["table"], event["key"], flush=True)


def wait_for_changes(connection, seconds):
    """Until a writer notifies, or so long: writers may be told not to notify."""
    select.select([connection], [], [], seconds)
    connection.poll()
    connection.notifies.clear()


def main(consumer):
    connection = psycopg2.connect("")
    # Each poll is a transaction of its own, so that other workers do not wait for this one.
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(f"LISTEN {CHANNEL}")
    while True:
        cursor.execute("SELECT position, event FROM architect.poll_changes_json(%s, %s)", (consumer, BATCH))
        batch = cursor.fetchall()
        if not batch:
            wait_for_changes(connection, 5)
            continue
        done = None
        for position, event in batch:
            try:
                process(event)
            except Exception as error:  # whatever went wrong, the rest goes on
                if done is not None:
                    cursor.execute("SELECT architect.ack_changes(%s, %s)", (consumer, done))
                cursor.execute("SELECT * FROM architect.nack_changes(%s, %s, %s)", (consumer, position, str(error)))
                break
            done = position
        else:
            cursor.execute("SELECT architect.ack_changes(%s, %s)", (consumer, done))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "example")
