-- convert_to_partitioned(): what elsewhere uses the table goes on with the partitioned one. Foreign keys of the
-- table to itself, materialized views with their rows, rules and policies of other tables; all as a dump says it.
SET client_min_messages = warning;
CREATE ROLE regress_uses_owner; CREATE ROLE regress_uses_reader; CREATE ROLE regress_uses_other;
CREATE SCHEMA regress_uses;
GRANT ALL ON SCHEMA regress_uses TO regress_uses_owner, regress_uses_reader;
GRANT USAGE ON SCHEMA architect TO regress_uses_owner;
GRANT EXECUTE ON PROCEDURE architect.convert_to_partitioned TO regress_uses_owner;
SET SESSION AUTHORIZATION regress_uses_owner;
SET search_path = regress_uses;
CREATE TABLE "no""de" (
    id int, day date NOT NULL DEFAULT '2026-01-05', parent int, parent_day date, note text, PRIMARY KEY (id, day),
    CONSTRAINT "Par ent" FOREIGN KEY (parent, parent_day) REFERENCES "no""de" ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE);
COMMENT ON CONSTRAINT "Par ent" ON "no""de" IS 'a tree';
INSERT INTO "no""de" SELECT i, '2026-01-01'::date + i, nullif(i / 2, 0), CASE WHEN i > 1 THEN '2026-01-01'::date + i / 2 END, 'n' || i FROM generate_series(1, 40) AS i;
CREATE MATERIALIZED VIEW mv (a, "b b") WITH (fillfactor = 70) AS SELECT id, note || 'x' FROM "no""de";
CREATE UNIQUE INDEX mv_a ON mv (a);
COMMENT ON MATERIALIZED VIEW mv IS 'materialized'; COMMENT ON COLUMN mv.a IS 'the id';
GRANT SELECT ON mv TO regress_uses_reader;
CREATE MATERIALIZED VIEW mv_empty AS SELECT count(*) FROM "no""de" AS n JOIN mv ON a = n.id WITH NO DATA;
CREATE VIEW over_mv AS SELECT max("b b") FROM mv;
CREATE TABLE other (id int, node int);
INSERT INTO other VALUES (1, 1), (2, 4711);
GRANT SELECT ON other, "no""de" TO regress_uses_reader;
ALTER TABLE other ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_nodes ON other TO regress_uses_reader USING (EXISTS (SELECT FROM "no""de" AS n WHERE n.id = other.node)) WITH CHECK (node IN (SELECT id FROM "no""de"));
CREATE RULE copied AS ON INSERT TO other WHERE NEW.id < 0 DO ALSO INSERT INTO "no""de" (id) VALUES (- NEW.id);
CREATE RULE idle AS ON DELETE TO other DO ALSO DELETE FROM "no""de" WHERE id = OLD.node;
ALTER TABLE other DISABLE RULE idle; COMMENT ON RULE idle ON other IS 'not now';
CREATE RULE own AS ON DELETE TO "no""de" WHERE OLD.id = 7 DO INSTEAD NOTHING;
ALTER TABLE "no""de" DISABLE RULE own; COMMENT ON RULE own ON "no""de" IS 'not either';
CREATE VIEW as_json AS SELECT row_to_json(n) AS j, count(n) OVER () FROM "no""de" AS n;
CREATE VIEW written AS SELECT id, note FROM "no""de";
CREATE RULE instead AS ON INSERT TO written DO INSTEAD INSERT INTO "no""de" (id, note) VALUES (NEW.id, NEW.note);
-- What hangs on a materialized view says who it is: its OID.
SELECT 'mv'::regclass::oid AS mv \gset
SELECT relfilenode AS mv_file FROM pg_class WHERE oid = :mv \gset

CALL architect.convert_to_partitioned('"no""de"', 'day', headroom => 0, dry_run => false);
SELECT :mv = 'mv'::regclass::oid AS the_same, relfilenode = :mv_file AS its_rows_too, relispopulated, obj_description(oid), col_description(oid, 1), relacl IS NOT NULL AS granted, reloptions FROM pg_class WHERE oid = 'mv'::regclass;
SELECT matviewname, ispopulated FROM pg_matviews WHERE schemaname = 'regress_uses' ORDER BY 1;
-- Everything refers to the partitioned table, nothing to its first partition.
SELECT DISTINCT d.classid::regclass, pg_describe_object(d.classid, d.objid, d.objsubid) AS still_of_the_partition FROM pg_depend AS d
 WHERE d.refobjid = '"no""de_p_history"'::regclass AND d.classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass);
INSERT INTO "no""de" VALUES (50, current_date + 60, 1, '2026-01-02', 'later');
SELECT count(*) FROM mv;
REFRESH MATERIALIZED VIEW CONCURRENTLY mv;
REFRESH MATERIALIZED VIEW mv_empty;
SELECT count(*), (SELECT * FROM over_mv), (SELECT * FROM mv_empty) FROM mv;
SELECT count(*), max(count) FROM as_json;
INSERT INTO written VALUES (60, 'through the view');
INSERT INTO other VALUES (-61, 60), (3, 50);
SELECT id, note, tableoid::regclass FROM "no""de" WHERE id > 59 ORDER BY id;
RESET SESSION AUTHORIZATION;
SET ROLE regress_uses_reader;
SELECT * FROM regress_uses.other ORDER BY id;
RESET ROLE;
SET SESSION AUTHORIZATION regress_uses_owner;
DELETE FROM other WHERE id = 1;
SELECT r.rulename, r.ev_enabled, obj_description(r.oid, 'pg_rewrite') FROM pg_rewrite AS r WHERE r.ev_class IN ('other'::regclass, '"no""de"'::regclass) ORDER BY 1;

-- The foreign key holds across partitions, is the partitioned table's, and is checked.
SELECT conrelid::regclass, conname, convalidated, obj_description(oid, 'pg_constraint'), pg_get_constraintdef(oid) FROM pg_constraint
 WHERE contype = 'f' AND conrelid = '"no""de"'::regclass AND conparentid = 0;
SELECT count(*) AS unchecked FROM pg_constraint WHERE conrelid = '"no""de_p_history"'::regclass AND NOT convalidated;
\set VERBOSITY terse
INSERT INTO "no""de" VALUES (70, current_date + 60, 71, '2026-01-02');
INSERT INTO "no""de" VALUES (70, '2026-01-01', 50, '2026-01-01');
\set VERBOSITY default
INSERT INTO "no""de" SELECT 71, '2026-01-01', id, day FROM "no""de" WHERE id = 50;
INSERT INTO "no""de" SELECT 72, day, id, day FROM "no""de" WHERE id = 50;
UPDATE "no""de" SET day = '2026-01-31' WHERE id = 50;
SELECT id, parent, parent_day FROM "no""de" WHERE parent = 50 ORDER BY id;
UPDATE "no""de" SET day = current_date + 30 WHERE id = 50;
SELECT id, parent, parent_day > current_date AS moved FROM "no""de" WHERE parent = 50 ORDER BY id;
DELETE FROM "no""de" WHERE id = 1;
SELECT id, parent FROM "no""de" ORDER BY id;
-- Partitions to come have it too.
RESET SESSION AUTHORIZATION;
SELECT action FROM architect.create_monthly_partitions('"no""de"', since => (date_trunc('month', current_date) + interval '3 years')::timestamp, until => (date_trunc('month', current_date) + interval '3 years 2 days')::timestamp);
SELECT count(DISTINCT conrelid) = (SELECT count(*) FROM pg_inherits WHERE inhparent = '"no""de"'::regclass) AS all_have FROM pg_constraint WHERE conname = 'Par ent' AND conparentid <> 0 AND confrelid = '"no""de"'::regclass;
SET SESSION AUTHORIZATION regress_uses_owner;

-- Foreign keys to a partitioned table are one, not one for each of its partitions.
CREATE TABLE line (day date NOT NULL, node int, node_day date, v int, PRIMARY KEY (day, v), CONSTRAINT of_node FOREIGN KEY (node, node_day) REFERENCES "no""de");
INSERT INTO line SELECT '2026-01-05'::date + 10 * i, n.id, n.day, n.id * 10 + i FROM "no""de" AS n, generate_series(0, 3) AS i;
CALL architect.convert_to_partitioned('line', 'day', dry_run => false);
SELECT conname, confrelid::regclass, convalidated FROM pg_constraint WHERE conrelid = 'line'::regclass AND contype = 'f' AND conparentid = 0;
RESET SESSION AUTHORIZATION;
CALL architect.split_partition('line_p_history', every => '1 month', batch => 100, pause => '0');
SELECT conname, confrelid::regclass, convalidated FROM pg_constraint WHERE conrelid = 'line_p2026_01'::regclass AND contype = 'f' AND confrelid = '"no""de"'::regclass;
SELECT tableoid::regclass, count(*) FROM line GROUP BY 1 ORDER BY (tableoid::regclass)::text COLLATE "C";
SET SESSION AUTHORIZATION regress_uses_owner;

-- Where the key has to be widened it goes the way of other tables' foreign keys.
CREATE TABLE tree (id int PRIMARY KEY, day date NOT NULL, parent int REFERENCES tree);
INSERT INTO tree VALUES (1, '2026-01-01', NULL), (2, '2026-01-02', 1);
CALL architect.convert_to_partitioned('tree', 'day', widen_key => true, dry_run => false);
SET client_min_messages = notice;
CALL architect.convert_to_partitioned('tree', 'id', step => 10, dry_run => true, ahead => 1);
SET client_min_messages = warning;
CALL architect.convert_to_partitioned('tree', 'day', widen_key => true, incoming_keys => 'drop', dry_run => false);
SELECT conname FROM pg_constraint WHERE conrelid = 'tree'::regclass AND contype = 'f';
-- Keys by the partition key alone.
CREATE TABLE numbered (id int PRIMARY KEY, parent int REFERENCES numbered ON DELETE SET NULL, CHECK (parent < id));
INSERT INTO numbered SELECT i, nullif(i - 1, 0) FROM generate_series(1, 30) AS i;
CALL architect.convert_to_partitioned('numbered', 'id', step => 10, ahead => 1, headroom => 0, dry_run => false);
INSERT INTO numbered VALUES (45, 30);
DELETE FROM numbered WHERE id = 30;
SELECT tableoid::regclass, * FROM numbered WHERE id = 45;

-- Functions that take and return rows of the table do so of the partitioned one, with their privileges.
CREATE TABLE person (id int PRIMARY KEY, first text, "la st" text);
INSERT INTO person VALUES (1, 'Ada', 'King'), (2, 'Alan', 'T');
CREATE FUNCTION "full name"(person) RETURNS text STABLE PARALLEL SAFE COST 7 LANGUAGE sql SET work_mem = '5MB' AS $$SELECT $1.first || ' ' || $1."la st"$$;
COMMENT ON FUNCTION "full name"(person) IS 'computed';
REVOKE ALL ON FUNCTION "full name"(person) FROM PUBLIC; GRANT EXECUTE ON FUNCTION "full name"(person) TO regress_uses_reader WITH GRANT OPTION;
CREATE FUNCTION found(int DEFAULT 1, VARIADIC text[] DEFAULT '{}') RETURNS SETOF person LANGUAGE sql BEGIN ATOMIC SELECT * FROM regress_uses.person WHERE id = $1; END;
CREATE PROCEDURE keep(p person, INOUT many person[]) LANGUAGE plpgsql AS $$BEGIN INSERT INTO regress_uses.person SELECT p.*; many := array_append(many, p); END$$;
CREATE FUNCTION used(person) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT $1.first$$;
CREATE VIEW users AS SELECT used(p) FROM person AS p;
CREATE VIEW rows AS SELECT p FROM person AS p;
CREATE TABLE functions_before AS SELECT p.proname, coalesce(p.proacl, acldefault('f', p.proowner))::text AS acl, pg_get_functiondef(p.oid) AS definition, obj_description(p.oid, 'pg_proc') FROM pg_proc AS p WHERE p.pronamespace = 'regress_uses'::regnamespace;
CALL architect.convert_to_partitioned('person', 'id', step => 10, dry_run => false);
DROP VIEW users, rows; DROP FUNCTION used; DELETE FROM functions_before WHERE proname = 'used';
RESET SESSION AUTHORIZATION;
ALTER DEFAULT PRIVILEGES FOR ROLE regress_uses_owner GRANT EXECUTE ON FUNCTIONS TO regress_uses_other;
SET SESSION AUTHORIZATION regress_uses_owner;
CALL architect.convert_to_partitioned('person', 'id', step => 10, dry_run => false);
SELECT proname, p.proacl FROM pg_proc AS p WHERE p.pronamespace = 'regress_uses'::regnamespace ORDER BY 1;
SELECT * FROM functions_before EXCEPT
SELECT p.proname, coalesce(p.proacl, acldefault('f', p.proowner))::text AS acl, pg_get_functiondef(p.oid), obj_description(p.oid, 'pg_proc') FROM pg_proc AS p WHERE p.pronamespace = 'regress_uses'::regnamespace;
CALL keep(ROW(25, 'new', 'one')::person, '{}');
SELECT p."full name", f.first FROM person AS p, found(25) AS f WHERE p.id = 25;
SELECT pg_describe_object(classid, objid, objsubid) AS still_of_the_partition FROM pg_depend WHERE refobjid = (SELECT reltype FROM pg_class WHERE oid = 'person_p_history'::regclass) AND deptype <> 'i';

-- Whose they are is asked first, and what belongs to a session cannot be made anew.
RESET SESSION AUTHORIZATION;
CREATE TABLE mine (id int PRIMARY KEY, parent int REFERENCES mine);
ALTER TABLE mine OWNER TO regress_uses_owner;
GRANT SELECT ON mine TO regress_uses_other; GRANT ALL ON SCHEMA regress_uses TO regress_uses_other;
SET ROLE regress_uses_other;
CREATE MATERIALIZED VIEW others AS SELECT * FROM mine;
CREATE TABLE guarded (id int);
CREATE POLICY p ON guarded USING (id IN (SELECT id FROM mine));
RESET ROLE;
CREATE TEMP VIEW of_a_session AS SELECT * FROM mine;
SET SESSION AUTHORIZATION regress_uses_owner;
CALL architect.convert_to_partitioned('mine', 'id', step => 10, dry_run => false);
RESET SESSION AUTHORIZATION;

REVOKE USAGE ON SCHEMA architect FROM regress_uses_owner; REVOKE EXECUTE ON PROCEDURE architect.convert_to_partitioned FROM regress_uses_owner;
ALTER DEFAULT PRIVILEGES FOR ROLE regress_uses_owner REVOKE EXECUTE ON FUNCTIONS FROM regress_uses_other;
DROP SCHEMA regress_uses CASCADE;
DROP VIEW IF EXISTS of_a_session;
DROP ROLE regress_uses_owner, regress_uses_reader, regress_uses_other;
