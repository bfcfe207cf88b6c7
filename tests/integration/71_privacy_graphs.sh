#!/usr/bin/env bash
# Generated graphs: tables that refer to each other and to themselves at random, circles included, with random rows.
# Erasing a person leaves exactly the rows that do not hang on it, as an independent reckoning finds them, and what is
# exported before is as many rows as go.
source "$(dirname "$0")/lib.sh"

start_cluster main
sql "CREATE EXTENSION db_architect" >/dev/null
sql "
CREATE FUNCTION make_graph(seed int, tables int, links int, n int) RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE a int; b int; i int; c text;
BEGIN
  PERFORM setseed(seed / 1000.0);
  DROP SCHEMA IF EXISTS g CASCADE; CREATE SCHEMA g;
  FOR a IN 0 .. tables - 1 LOOP
    EXECUTE format('CREATE TABLE g.t%s (id int PRIMARY KEY, body text)', a);
    EXECUTE format('INSERT INTO g.t%s SELECT i, ''row '' || i FROM generate_series(1, %s) AS i', a, n);
  END LOOP;
  CREATE TABLE g.links (child int, col text, parent int);
  FOR i IN 1 .. links LOOP
    a := floor(random() * tables); b := CASE WHEN i < tables THEN i - 1 ELSE floor(random() * tables) END;
    IF i < tables THEN a := i; END IF;
    c := 'r' || i;
    EXECUTE format('ALTER TABLE g.t%s ADD COLUMN %s int REFERENCES g.t%s', a, c, b);
    EXECUTE format('UPDATE g.t%s SET %s = CASE WHEN random() < 0.4 THEN 1 + floor(random() * %s) END', a, c, n);
    EXECUTE format('CREATE INDEX ON g.t%s (%s)', a, c);
    INSERT INTO g.links VALUES (a, c, b);
  END LOOP;
  PERFORM architect.undeclare_subject('person') FROM architect.privacy_subjects() WHERE subject_type = 'person';
  PERFORM architect.declare_subject('person', 'g.t0', identity_columns => '{body}');
  PERFORM architect.declare_edge('person', format('g.t%s', child)::regclass, ARRAY[col], format('g.t%s', parent)::regclass) FROM g.links;
END \$\$;
-- What hangs on a row, one link at a time until nothing is new.
CREATE FUNCTION hangs_on(person int) RETURNS TABLE (t int, id int) LANGUAGE plpgsql AS \$\$
DECLARE l record; before int := -1; now int := 1;
BEGIN
  CREATE TEMP TABLE found (t int, id int, PRIMARY KEY (t, id)) ON COMMIT DROP;
  INSERT INTO found VALUES (0, person);
  WHILE before <> now LOOP
    before := now;
    FOR l IN SELECT * FROM g.links LOOP
      EXECUTE format('INSERT INTO found SELECT %s, c.id FROM g.t%1\$s c JOIN found f ON f.t = %s AND f.id = c.%s ON CONFLICT DO NOTHING', l.child, l.parent, l.col);
    END LOOP;
    SELECT count(*) INTO now FROM found;
  END LOOP;
  RETURN QUERY SELECT * FROM found;
END \$\$;
CREATE FUNCTION everything() RETURNS text LANGUAGE sql AS \$\$
  SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM (SELECT (xpath('/row/v/text()', query_to_xml(format('SELECT string_agg(id::text, '','' ORDER BY id) AS v FROM g.%I', relname), true, true, '')))[1]::text AS ids, relname
    FROM pg_class WHERE relnamespace = to_regnamespace('g') AND relkind = 'r' AND relname <> 'links') AS x \$\$;" >/dev/null
for seed in 1 2 3 4 5 6 7 8; do
  sql "SELECT make_graph($seed, $((2 + seed % 5)), $((3 + seed * 2)), 30)" >/dev/null 2>&1
  wanted=$(sql "SELECT count(*) FROM hangs_on(3)")
  exported=$(sql "SELECT sum((t ->> 'count')::int) FROM jsonb_array_elements(architect.export_subject('person', '3') -> 'tables') t")
  is "graph $seed: exported is what hangs on the person" "$exported" "$wanted"
  # What must be left, by the independent reckoning.
  left=$(sql "BEGIN; SET LOCAL session_replication_role = replica;
    DO \$\$ DECLARE f record; BEGIN FOR f IN SELECT * FROM hangs_on(3) LOOP EXECUTE format('DELETE FROM g.t%s WHERE id = %s', f.t, f.id); END LOOP; END \$\$;
    SELECT everything(); ROLLBACK")
  sql_is "graph $seed: as many go" "SELECT sum(rows_affected) FROM architect.erase_subject('person', '3', dry_run => false,
    expected_plan => (SELECT plan_hash FROM architect.plan_erasure('person', '3') LIMIT 1))" "$wanted"
  is "graph $seed: the others stay" "$(sql "SELECT everything()")" "$left"
done
