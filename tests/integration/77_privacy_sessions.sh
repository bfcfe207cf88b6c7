#!/usr/bin/env bash
# Sessions that cross: a hold that is being placed is waited for and heeded by retention; none is placed while a batch of
# retention runs; a person is not erased by two sessions at once, nor from under rows that another session adds.
source "$(dirname "$0")/lib.sh"

start_cluster main
sql "CREATE EXTENSION db_architect" >/dev/null
sql "
CREATE TABLE person (id int PRIMARY KEY, name text, since date);
CREATE TABLE orders (id int PRIMARY KEY, person_id int NOT NULL REFERENCES person, note text);
CREATE INDEX ON orders (person_id);
INSERT INTO person SELECT i, 'Person Number' || i, '1990-01-01' FROM generate_series(1, 40) i;
INSERT INTO orders SELECT i, i, 'x' FROM generate_series(1, 40) i;
CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END \$\$;
CREATE TRIGGER slowly BEFORE UPDATE ON person FOR EACH ROW WHEN (OLD.id = 40) EXECUTE FUNCTION slowly();
SELECT FROM architect.declare_subject('person', 'person', identity_columns => '{name}');
SELECT FROM architect.declare_edge('person', 'orders', '{person_id}', 'person');
SELECT FROM architect.declare_column('person', 'name', 'person_name', retention => '10 years', retention_from => 'since')" >/dev/null
waits_for() { wait_until "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%$1%' AND pid <> pg_backend_pid()"; }

# Retention in the middle of a batch.
in_background gate "BEGIN; SELECT pg_advisory_xact_lock(42); SELECT pg_sleep(600)"
wait_until "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND granted"
sql "SELECT architect.place_hold('claim', 'person', '7')" >/dev/null
in_background retention "SET client_min_messages = warning; CALL architect.retention_run(dry_run => false)"
waits_for retention_run
# It is in the middle of its batch: nobody places a hold now, and who tries waits.
fails_with "no hold is placed while a batch runs" 55P03 "SET lock_timeout = '300ms'; SELECT architect.place_hold('late', 'person', '8')"
sql_is "reading holds does not wait" "SELECT count(*) FROM architect.privacy_hold" 1
sql "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND granted" >/dev/null
finished gate >/dev/null 2>&1 || true
finished retention >/dev/null
sql_is "the held person was left alone" "SELECT string_agg(id::text, ',') FROM person WHERE name IS NOT NULL" 7
sql "SELECT architect.place_hold('late', 'person', '8')" >/dev/null

# The other way round: a hold that is open when retention comes is waited for.
sql "UPDATE person SET name = 'Person Number' || id WHERE id <> 40" >/dev/null
in_background open_hold "BEGIN; SELECT architect.place_hold('claim 2', 'person', '9'); SELECT pg_sleep(2); COMMIT"
wait_until "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'architect.privacy_hold'::regclass AND mode = 'RowExclusiveLock' AND granted"
sql "SET client_min_messages = warning; CALL architect.retention_run(dry_run => false)" >/dev/null
finished open_hold >/dev/null
sql_is "a hold that was open was heeded" "SELECT string_agg(id::text, ',' ORDER BY id) FROM person WHERE name IS NOT NULL" "7,8,9"

# Two sessions erase one person: one does, the other finds nothing left to do.
in_background gate "BEGIN; SELECT FROM person WHERE id = 20 FOR UPDATE; SELECT pg_sleep(600)"
wait_until "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'person'::regclass AND mode = 'RowShareLock' AND granted"
for i in 1 2; do
  in_background "eraser$i" "SELECT sum(rows_affected) FROM architect.erase_subject('person', '20', dry_run => false)"
done
wait_until "SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%erase_subject%'"
sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()" >/dev/null
finished gate >/dev/null 2>&1 || true
said=$({ finished eraser1 || echo failed; finished eraser2 || echo failed; } | sort | paste -sd' ')
is "one erases, the other has nothing to do" "$said" "0 2"
sql_is "the person is gone" "SELECT count(*) FROM person WHERE id = 20" 0

# Somebody adds a row to the person while it is erased: no constraint is left broken, whoever comes first.
in_background adder "BEGIN; INSERT INTO orders VALUES (1021, 21, 'late'); SELECT pg_sleep(2); COMMIT"
wait_until "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'orders'::regclass AND mode = 'RowExclusiveLock' AND granted"
sql "SELECT FROM architect.erase_subject('person', '21', dry_run => false)" >/dev/null 2>&1 || true
finished adder >/dev/null
sql_is "rows and their person agree" "SELECT count(*) FROM orders o LEFT JOIN person p ON p.id = o.person_id WHERE p.id IS NULL" 0
sql "SELECT FROM architect.erase_subject('person', '21', dry_run => false)" >/dev/null
sql_is "and a second call erases all" "SELECT (SELECT count(*) FROM person WHERE id = 21) + (SELECT count(*) FROM orders WHERE person_id = 21)" 0
