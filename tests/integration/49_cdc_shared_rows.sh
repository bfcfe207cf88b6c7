#!/usr/bin/env bash
# Events that share a row of the feed (src/capture/pending.rs) are written late: whatever happens in between, the feed
# says what the audit log says, which is written at once, and a person is taken out of a shared row without the others.
source "$(dirname "$0")/lib.sh"

start_cluster main
sql "CREATE EXTENSION db_architect;
CREATE TABLE a (id int PRIMARY KEY, v text);
CREATE TABLE b (id int PRIMARY KEY, v text);
SELECT FROM unnest('{a,b}'::regclass[]) AS t, architect.enable_audit(t, image => 'full');
SELECT FROM unnest('{a,b}'::regclass[]) AS t, architect.enable_cdc(t);
CREATE VIEW unlike AS
WITH audit AS (SELECT txid, lower(operation), table_name, row_key::jsonb, old_values::jsonb, new_values::jsonb FROM architect.audit_log),
     feed AS (SELECT txid, operation, table_name, row_key::jsonb, old_values::jsonb, new_values::jsonb FROM architect.change_log)
(TABLE audit EXCEPT ALL TABLE feed) UNION ALL (TABLE feed EXCEPT ALL TABLE audit);
-- Before a row is changed it is what it was after it was changed last.
CREATE VIEW broken AS SELECT * FROM (
  SELECT position, operation, old_values::jsonb AS o, lag(new_values::jsonb) OVER w AS n FROM architect.change_log
  WINDOW w AS (PARTITION BY table_name, row_key::text ORDER BY position)) AS s
 WHERE operation = 'update' AND o IS DISTINCT FROM n;
CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
  IF NEW.v = 'bad' THEN RAISE 'bad'; END IF; RETURN NULL; END \$\$;
CREATE TRIGGER zz_picky AFTER UPDATE ON b FOR EACH ROW EXECUTE FUNCTION picky();
CREATE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
  BEGIN
    INSERT INTO b SELECT 1000 * NEW.id + g, 'n' FROM generate_series(1, 3) AS g;
    IF NEW.id % 3 = 0 THEN RAISE 'no'; END IF;
  EXCEPTION WHEN raise_exception THEN NULL;
  END;
  UPDATE b SET v = v || '.' WHERE id BETWEEN 1000 * NEW.id AND 1000 * NEW.id + 2;
  RETURN NULL; END \$\$" >/dev/null

# complete NAME EVENTS: so many, in all, and both logs agree.
complete() {
  is "$1" "$(sql "SELECT (SELECT count(*) FROM architect.change_log), (SELECT count(*) FROM unlike), (SELECT count(*) FROM broken)")" "$2|0|0"
}

sql "BEGIN; INSERT INTO b SELECT g FROM generate_series(1, 10) AS g; SAVEPOINT s; UPDATE b SET v = 'x'; ROLLBACK TO s;
  UPDATE b SET v = 'y' WHERE id < 5; RELEASE s; DELETE FROM b WHERE id > 8; COMMIT" >/dev/null
complete "savepoints" 16
sql "DO \$\$ BEGIN
  BEGIN UPDATE b SET v = CASE WHEN id = 5 THEN 'bad' ELSE 'w' END; EXCEPTION WHEN raise_exception THEN NULL; END;
  UPDATE b SET v = 'after'; END \$\$"
complete "a statement that fails in the midst of its triggers" 24
sql "CREATE TRIGGER aa_busy AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION busy(); INSERT INTO a SELECT g FROM generate_series(1, 6) AS g"
complete "triggers that write, called before ours" 50
sql "ALTER TRIGGER aa_busy ON a RENAME TO zz_busy; INSERT INTO a SELECT g FROM generate_series(7, 12) AS g"
complete "and after" 76

# COPY ends in no query.
copy_in() { printf 'COPY b (id) FROM stdin;\n%s\n\\.\n' "$(seq "$1" "$2")"; }
sql "BEGIN;
$(copy_in 101 103)
SAVEPOINT s;
$(copy_in 104 106)
ROLLBACK TO s; COMMIT"
complete "COPY, and one that is rolled back" 79
sql "BEGIN;
$(copy_in 111 113)
SAVEPOINT s;
$(copy_in 114 116)
COMMIT"
complete "COPY in a savepoint that is not released" 85

# A row that cannot be written fails its savepoint; what waits for the statement around is written all the same.
sql "CREATE TABLE c (id int PRIMARY KEY, v text); SELECT FROM architect.enable_cdc('c');
CREATE FUNCTION fault(image json, operation \"char\") RETURNS int IMMUTABLE LANGUAGE plpgsql AS \$\$ BEGIN
  IF operation = 'P' AND image::text LIKE '%boom%' THEN RAISE 'no room'; END IF; RETURN 1; END \$\$;
CREATE FUNCTION explode() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
  BEGIN INSERT INTO b SELECT g, 'boom' FROM generate_series(201, 203) AS g; EXCEPTION WHEN raise_exception THEN UPDATE c SET v = SQLERRM WHERE id = 0; END;
  RETURN NULL; END \$\$;
INSERT INTO c VALUES (0);
CREATE TRIGGER zz_explode AFTER INSERT ON c FOR EACH ROW WHEN (NEW.id = 3) EXECUTE FUNCTION explode();
DO \$\$ DECLARE one regclass; BEGIN
  FOR one IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'architect.change_entry'::regclass LOOP
    EXECUTE format('CREATE INDEX fault_%s ON %s (fault(image, operation))', one::oid, one);
  END LOOP; END \$\$;
INSERT INTO c SELECT g FROM generate_series(1, 3) AS g;
DO \$\$ DECLARE one regclass; BEGIN
  FOR one IN SELECT indexrelid::regclass FROM pg_index WHERE indexrelid::regclass::text LIKE 'architect.fault%' LOOP EXECUTE format('DROP INDEX %s', one); END LOOP; END \$\$" >/dev/null
sql_is "the savepoint failed" "SELECT v, (SELECT count(*) FROM b WHERE v = 'boom') FROM c WHERE id = 0" "no room|0"
sql_is "the statement around is in the feed" "SELECT string_agg(operation || (row_key ->> 'id'), ' ' ORDER BY row_key ->> 'id', operation) FROM architect.change_log WHERE table_name = 'c'" "insert0 update0 insert1 insert2 insert3"

# A person goes from the rows that are shared, from a document however deep, and nothing else does.
sql "CREATE TABLE person (id int PRIMARY KEY, name text, email text, n numeric, doc jsonb);
SELECT FROM architect.enable_cdc('person');
SELECT FROM architect.declare_subject('person', 'person', identity_columns => '{email}');
INSERT INTO person SELECT g, 'Name' || g, 'mail' || g || '@example.org', (g || '.10')::numeric,
       CASE WHEN g IN (4, 5) THEN (repeat('[', 150) || format('{\"to\": \"mail%s@example.org\", \"n\": 1.50}', 9 - g) || repeat(']', 150))::jsonb END
  FROM generate_series(1, 7) AS g;
CREATE TABLE before_it AS SELECT position, row_key::text, new_values::text FROM architect.change_log WHERE table_name = 'person'" >/dev/null
isnt "events share a row" "$(sql "SELECT count(*) FROM architect.change_entry WHERE operation = 'P' AND image::text LIKE '%Name2%Name3%'")" 0
erase() {
  sql "SELECT count(*) > 0 FROM architect.erase_subject('person', '$1', dry_run => false,
    expected_plan => (SELECT plan_hash FROM architect.plan_erasure('person', '$1') LIMIT 1))"
}
is "persons are erased" "$(erase 3)$(erase 4)" tt
is "nothing of them is left" "$(sql "SELECT count(*) FROM architect.change_entry WHERE image::text ~ '(Name|mail)[34]'")" 0
is "others are as they were, but for what named them" "$(sql "SELECT string_agg(row_key, ' ' ORDER BY position) FROM before_it AS b
  WHERE new_values IS DISTINCT FROM (SELECT new_values::text FROM architect.change_log AS l WHERE l.position = b.position)")" '{"id": 3} {"id": 4} {"id": 5}'
like "what is beside it stays" "$(sql "SELECT new_values FROM architect.change_log WHERE row_key::jsonb = '{\"id\": 5}' AND table_name = 'person' AND operation = 'insert'")" '"n": 5\.10.*architect_redacted.*Name5.*mail5@'

# What is not in the feed yet cannot be taken out of it.
said=$(sql "BEGIN; COPY person (id, name, email) FROM stdin;
21	Name21	mail21@example.org
22	Name22	mail22@example.org
23	Name23	mail23@example.org
\\.
SAVEPOINT s;
SELECT FROM architect.erase_subject('person', '23', dry_run => false, expected_plan => (SELECT plan_hash FROM architect.plan_erasure('person', '23') LIMIT 1))" 2>&1 || true)
like "COPY and a savepoint: it is said, not left" "$said" 'changes of this transaction are not in the feed yet'
