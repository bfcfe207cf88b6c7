#!/usr/bin/env bash
# Protects: a masking that was killed goes on where it was, masks every row exactly once and puts foreign keys back; two
# maskings at once; and what is masked is the same in another run.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
start_cluster main --fsync
sql "CREATE EXTENSION db_architect"
sql "CREATE TABLE person (id int PRIMARY KEY, email text UNIQUE, twin text);
     CREATE TABLE visit (id int PRIMARY KEY, person_id int NOT NULL REFERENCES person, note text);
     INSERT INTO person SELECT i, 'u' || i || '@example.org', 'u' || i || '@example.org' FROM generate_series(1, 40000) AS i;
     INSERT INTO visit SELECT i, 1 + i % 40000, 'n' FROM generate_series(1, 40000) AS i;
     CREATE TABLE before AS SELECT p.id, p.email, v.id AS visit_id FROM person AS p JOIN visit AS v ON v.person_id = p.id;
     SELECT FROM architect.declare_column('person', 'id', 'number', 'pseudonym');
     SELECT FROM architect.declare_column('visit', 'person_id', 'number', 'pseudonym');
     SELECT FROM architect.declare_column('person', 'email', 'email', 'pseudonym', '{\"domain\": \"mail\"}');
     SELECT FROM architect.declare_column('person', 'twin', 'email', 'pseudonym', '{\"domain\": \"mail\"}')" >/dev/null

in_background masking "CALL architect.mask_database(batch_pages => 5, pause => '20 ms')"
wait_until "SELECT COALESCE(max(pages_done), 0) > 20 FROM architect.mask_progress()"
fails_with "a second masking waits its turn" 55006 "CALL architect.mask_database()"
crash_cluster main
finished masking >/dev/null 2>&1 || true
restart_cluster main
sql_is "the crash left it half done" "SELECT bool_or(status = 'running') AND sum(rows_masked) BETWEEN 1 AND 79999 FROM architect.mask_progress()" t
fails_with "other tables wait until it is ended" 55000 "CALL architect.mask_database(ARRAY['visit'::regclass])"

# Cancelled the second time, ended the third.
in_background again "CALL architect.mask_database(batch_pages => 5, pause => '20 ms')"
wait_until "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL architect.mask_database%' AND pid <> pg_backend_pid() AND clock_timestamp() > query_start + interval '1 second'"
finished again >/dev/null 2>&1 || true
ok "the third call ends it" sql "CALL architect.mask_database(batch_pages => 100)"

sql_is "every row was masked" "SELECT count(*) FROM person AS p JOIN before AS b ON b.email IN (p.email, p.twin)" 0
sql_is "once, not twice: two columns of one domain agree" "SELECT count(*) FROM person WHERE email <> twin" 0
sql_is "keys still lead to the same rows" \
  "SELECT count(*) FROM visit AS v JOIN person AS p ON p.id = v.person_id JOIN before AS b ON b.visit_id = v.id" 40000
sql_is "no two became one" "SELECT count(DISTINCT id) || ' ' || count(DISTINCT email) FROM person" "40000 40000"
sql_is "numbers moved" "SELECT count(*) > 39000 FROM visit AS v JOIN before AS b ON b.visit_id = v.id WHERE v.person_id <> b.id" t
sql_is "the foreign key is back and was checked" "SELECT convalidated FROM pg_constraint WHERE conrelid = 'visit'::regclass AND contype = 'f'" t
sql_is "rows are counted once" "SELECT sum(rows_masked) FROM architect.mask_progress()" 80000
sql_is "the same value becomes the same in another table and run" "
  CREATE TABLE later (a text);
  INSERT INTO later VALUES ('u7@example.org');
  CREATE TEMP TABLE done AS SELECT FROM architect.anonymize_table('later', rules => '{\"a\": {\"action\": \"pseudonym\", \"category\": \"email\", \"params\": {\"domain\": \"mail\"}}}');
  SELECT count(*) FROM later AS l JOIN person AS p ON p.email = l.a" 1
