-- updated_at and the standard columns: what enabling does and undoes, what an UPDATE sets and leaves
-- alone, that the trigger stays the last one and follows the table, and what is refused.
SET client_min_messages = warning;
CREATE SCHEMA ua;
SET search_path = ua, public;
CREATE FUNCTION fresh(at timestamptz) RETURNS text LANGUAGE sql AS
    $$ SELECT CASE WHEN at = now() THEN 'now' WHEN at IS NULL THEN 'null' ELSE 'before' END $$;

-- An existing column: enabled, enabled again, what INSERT and UPDATE do.
CREATE TABLE plain (id int PRIMARY KEY, name text, updated_at timestamptz);
INSERT INTO plain VALUES (1, 'a', '2000-01-01'), (2, 'b', '2000-01-01'), (3, 'c', '2000-01-01'), (4, 'd', NULL);
SELECT * FROM architect.enable_updated_at('plain');
SELECT * FROM architect.enable_updated_at('plain');
BEGIN;
UPDATE plain SET name = 'A' WHERE id = 1;
UPDATE plain SET name = name WHERE id IN (2, 4);
UPDATE plain SET name = 'C', updated_at = '1999-09-09' WHERE id = 3;
INSERT INTO plain (id, name) VALUES (5, 'e');
INSERT INTO plain VALUES (6, 'f', '1999-09-09');
SELECT id, name, fresh(updated_at) FROM plain ORDER BY id;
COMMIT;
-- The column alone: the application's value stands.
UPDATE plain SET updated_at = '2001-01-01' WHERE id = 1;
SELECT updated_at = '2001-01-01' AS own_value FROM plain WHERE id = 1;
-- Other options change it; the clock's time then goes into every UPDATE.
SELECT * FROM architect.enable_updated_at('plain', only_if_changed => false, clock => 'statement');
BEGIN;
UPDATE plain SET name = name WHERE id = 2;
UPDATE plain SET updated_at = '2001-01-01' WHERE id = 3;
SELECT id, updated_at > now() - interval '1 minute' AS recent FROM plain WHERE id IN (2, 3) ORDER BY id;
COMMIT;
SELECT * FROM architect.updated_at_tables();
-- Undone: the default that was set is gone, the column is as it was.
SELECT * FROM architect.disable_updated_at('plain');
SELECT * FROM architect.disable_updated_at('plain');
SELECT column_name, data_type, is_nullable, column_default FROM information_schema.columns WHERE table_name = 'plain' AND table_schema = 'ua' ORDER BY 1;
SELECT count(*) AS triggers FROM pg_trigger WHERE tgrelid = 'plain'::regclass;
-- A default that was there stays.
ALTER TABLE plain ALTER updated_at SET DEFAULT '2000-01-01';
SELECT * FROM architect.enable_updated_at('plain');
SELECT action FROM architect.disable_updated_at('plain');
SELECT column_default FROM information_schema.columns WHERE table_name = 'plain' AND table_schema = 'ua' AND column_name = 'updated_at';

-- Clocks: within one transaction and one statement.
CREATE TABLE clocks (id int, name text);
INSERT INTO clocks SELECT g, '' FROM generate_series(1, 3) g;
SELECT * FROM architect.enable_updated_at('clocks', add_column => true, clock => 'wall');
BEGIN;
UPDATE clocks SET name = 'a' || pg_sleep(0.002);
SELECT count(DISTINCT updated_at) AS wall, min(updated_at) > now() AS after_start FROM clocks;
SELECT action FROM architect.enable_updated_at('clocks', clock => 'statement');
COMMIT;
BEGIN;
SELECT 1 AS something;
UPDATE clocks SET name = 'b' || pg_sleep(0.002);
SELECT count(DISTINCT updated_at) AS statement, min(updated_at) > now() AS after_start FROM clocks;
COMMIT;
SELECT column_default FROM information_schema.columns WHERE table_name = 'clocks' AND column_name = 'updated_at';
SELECT * FROM architect.enable_updated_at('clocks', clock => 'sun');
-- An added column is kept unless it is to go.
SELECT * FROM architect.disable_updated_at('clocks');
SELECT action FROM architect.enable_updated_at('clocks', 'changed', add_column => true);
SELECT * FROM architect.disable_updated_at('clocks', drop_column => true);
SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_name = 'clocks';

-- Types: timestamp in the session's time zone, as a cast gives it; fewer decimals; nothing else.
CREATE TABLE types (id int, n int, local timestamp, coarse timestamptz(0), coarse_local timestamp(2), wrong date, made timestamptz GENERATED ALWAYS AS ('2000-01-01 UTC'::timestamptz) STORED);
INSERT INTO types VALUES (1, 0);
SELECT action FROM architect.enable_updated_at('types', 'local');
BEGIN;
SET LOCAL TimeZone = 'Asia/Kolkata';
UPDATE types SET n = 1;
SELECT local = now()::timestamp AS as_cast FROM types;
SET LOCAL TimeZone = 'America/Caracas';
UPDATE types SET n = 2;
SELECT local = now()::timestamp AS as_cast FROM types;
COMMIT;
-- Another column takes its place, and the former one is as it was.
SELECT * FROM architect.enable_updated_at('types', 'coarse');
BEGIN; UPDATE types SET n = 3; SELECT coarse = now()::timestamptz(0) AS as_cast FROM types; COMMIT;
SELECT action FROM architect.enable_updated_at('types', 'coarse_local');
BEGIN; UPDATE types SET n = 4; SELECT coarse_local = now()::timestamp(2) AS as_cast FROM types; COMMIT;
SELECT column_name FROM information_schema.columns WHERE table_name = 'types' AND column_default IS NOT NULL;
SELECT * FROM architect.enable_updated_at('types', 'wrong');
SELECT * FROM architect.enable_updated_at('types', 'made');

-- Standard columns.
CREATE TABLE standard (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
INSERT INTO standard (name) VALUES ('old');
SELECT * FROM architect.add_standard_columns('standard');
SELECT * FROM architect.add_standard_columns('standard');
INSERT INTO standard (name) VALUES ('new');
SET architect.actor = 'alice@example.org';
INSERT INTO standard (name) VALUES ('newer');
BEGIN;
SELECT id, name, fresh(created_at), fresh(updated_at), created_by, updated_by, version FROM standard ORDER BY id;
UPDATE standard SET name = 'changed' WHERE id = 2;
-- Nothing can be forged, and what nothing changes stays.
UPDATE standard SET name = 'changed', created_at = '2000-01-01', created_by = 'x', updated_by = 'x', updated_at = '2000-01-01', version = 99 WHERE id = 3;
UPDATE standard SET name = name, created_at = '2000-01-01', created_by = 'x' WHERE id = 1;
SELECT id, name, fresh(created_at), fresh(updated_at), created_by, updated_by, version FROM standard ORDER BY id;
-- A version or an actor written alone count as a change, and are put right.
UPDATE standard SET version = 50, updated_by = 'x' WHERE id = 1;
-- updated_at alone is the application's, and counts too.
UPDATE standard SET updated_at = '2000-01-01' WHERE id = 2;
SELECT id, fresh(created_at), fresh(updated_at), created_by, updated_by, version FROM standard ORDER BY id;
SET LOCAL architect.actor = 'bob';
UPDATE standard SET name = 'by bob' WHERE id = 1;
SAVEPOINT s;
SET LOCAL architect.actor = 'carol';
UPDATE standard SET name = 'by carol' WHERE id = 2;
ROLLBACK TO s;
UPDATE standard SET name = 'by bob again' WHERE id = 3;
SELECT id, name, updated_by, version FROM standard ORDER BY id;
COMMIT;
RESET architect.actor;
UPDATE standard SET name = 'by the session' WHERE id = 1;
SELECT updated_by = session_user AS by_session, version FROM standard WHERE id = 1;
SELECT * FROM architect.disable_updated_at('standard');
UPDATE standard SET name = 'still counted' WHERE id = 1;
SELECT version FROM standard WHERE id = 1;
SELECT * FROM architect.remove_standard_columns('standard', drop_columns => true);
SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_name = 'standard';
-- Some of them, on columns that are there, of other types.
CREATE TABLE partly (id int, name text, version int, updated_by varchar(5), created_by int);
INSERT INTO partly VALUES (1, 'a', 2147483645, 'x', 7);
SELECT * FROM architect.add_standard_columns('partly', created_at => false, updated_at => false, created_by => false);
SET architect.actor = 'ann';
UPDATE partly SET name = 'b';
SELECT * FROM partly;
SET architect.actor = 'somebody';
UPDATE partly SET name = 'c';
SET architect.actor = 'ann';
UPDATE partly SET name = 'c';
UPDATE partly SET name = 'd';
RESET architect.actor;
SELECT * FROM architect.add_standard_columns('partly');
SELECT * FROM architect.add_standard_columns('partly', false, false, false, false, false);
SELECT * FROM architect.enable_updated_at('partly', 'version');
SELECT action FROM architect.add_standard_columns('partly', created_by => false);
SELECT * FROM architect.enable_updated_at('partly', 'created_at');
SELECT action FROM architect.remove_standard_columns('partly', drop_columns => true);
SELECT attname, atthasdef FROM pg_attribute WHERE attrelid = 'partly'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;

-- Partitioned: partitions there are, with other column orders, new ones, attached ones, moves.
CREATE TABLE parts (id int, gone int, name text, updated_at timestamptz, version int DEFAULT 1) PARTITION BY LIST (id);
CREATE TABLE parts_1 (version int, updated_at timestamptz, name text, id int);
ALTER TABLE parts DROP gone;
ALTER TABLE parts ATTACH PARTITION parts_1 FOR VALUES IN (1);
INSERT INTO parts (id, name) VALUES (1, 'one');
SELECT action FROM architect.enable_updated_at('parts_1');
SELECT * FROM architect.enable_updated_at('parts');
SELECT * FROM architect.add_standard_columns('parts', false, false, false, false);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2) PARTITION BY LIST (name);
CREATE TABLE parts_2x PARTITION OF parts_2 DEFAULT;
CREATE TABLE parts_3 (name text, extra int, id int, version int, updated_at timestamptz);
ALTER TABLE parts_3 DROP extra;
ALTER TABLE parts ATTACH PARTITION parts_3 FOR VALUES IN (3);
INSERT INTO parts (id, name, updated_at) VALUES (2, 'two', '2000-01-01'), (3, 'three', '2000-01-01');
BEGIN;
UPDATE parts SET name = upper(name);
SELECT tableoid::regclass, id, name, fresh(updated_at), version FROM parts ORDER BY id;
UPDATE parts SET name = 'same', updated_at = '2000-01-01';
UPDATE parts_3 SET name = name;
UPDATE parts SET id = 3 WHERE id = 1;
SELECT tableoid::regclass, id, name, fresh(updated_at), version FROM parts ORDER BY id, version;
COMMIT;
SELECT * FROM architect.enable_updated_at('parts_2');
SELECT * FROM architect.disable_updated_at('parts_2x');
SELECT * FROM architect.enable_updated_at('parts_1', 'nothing', add_column => true);
SELECT table_name, column_name, kept_as, status FROM architect.updated_at_tables() WHERE table_name ~ 'parts';
ALTER TABLE parts_2x DISABLE TRIGGER ALL;
SELECT table_name, column_name, kept_as, status FROM architect.updated_at_tables() WHERE table_name ~ 'parts';
SELECT * FROM architect.enable_updated_at('parts');
SELECT DISTINCT status FROM architect.updated_at_tables() WHERE table_name ~ 'parts';
ALTER TABLE parts RENAME updated_at TO touched;
BEGIN;
UPDATE parts SET name = 'renamed';
SELECT tableoid::regclass, fresh(touched), version FROM parts ORDER BY id, version;
COMMIT;
SELECT action FROM architect.remove_standard_columns('parts');
SELECT count(*) AS triggers FROM pg_trigger WHERE tgrelid IN (SELECT relid FROM pg_partition_tree('parts'));
SELECT attrelid::regclass, attname FROM pg_attribute WHERE attrelid IN (SELECT relid FROM pg_partition_tree('parts')) AND atthasdef ORDER BY 1, 2;

-- Generated and dropped columns, values stored out of line, rows older than a column.
CREATE TABLE odd (id int, twice int GENERATED ALWAYS AS (id * 2) STORED, dropped text, big text, updated_at timestamptz, doc json);
ALTER TABLE odd ALTER big SET STORAGE EXTERNAL;
INSERT INTO odd (id, dropped, big, doc) VALUES (1, 'x', repeat('x', 10000), '{"a": 1}'), (2, NULL, NULL, NULL);
ALTER TABLE odd DROP dropped;
ALTER TABLE odd ADD late int DEFAULT 7;
SELECT action FROM architect.enable_updated_at('odd');
BEGIN;
UPDATE odd SET id = id, big = big || '', doc = doc;
SELECT id, fresh(updated_at), twice, late FROM odd ORDER BY id;
UPDATE odd SET late = 7 WHERE id = 1;
SELECT id, fresh(updated_at), twice, late FROM odd ORDER BY id;
UPDATE odd SET big = repeat('y', 10000) WHERE id = 1;
UPDATE odd SET late = 8 WHERE id = 2;
SELECT id, fresh(updated_at), twice, late, length(big) FROM odd ORDER BY id;
COMMIT;
BEGIN; UPDATE odd SET id = 3 WHERE id = 2; SELECT id, fresh(updated_at), twice FROM odd ORDER BY id; COMMIT;
-- The same text in another form is no change; the same number with another scale is one.
CREATE TABLE forms (id int, body text, price numeric, updated_at timestamptz);
ALTER TABLE forms ALTER body SET STORAGE EXTENDED;
INSERT INTO forms VALUES (1, repeat('compressible ', 1000), 1.0, NULL);
ALTER TABLE forms ALTER body SET STORAGE EXTERNAL;
SELECT action FROM architect.enable_updated_at('forms');
UPDATE forms SET body = repeat('compressible ', 1000);
SELECT fresh(updated_at) FROM forms;
BEGIN; UPDATE forms SET price = 1.00; SELECT fresh(updated_at) FROM forms; COMMIT;

-- Ours is the last of the BEFORE triggers; one that comes later by name is noticed, and overtaken.
CREATE TABLE ordered (id int, name text, note text, updated_at timestamptz);
INSERT INTO ordered VALUES (1, 'a', '', NULL);
CREATE FUNCTION scribble() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.note := TG_NAME || ' saw ' || COALESCE(ua.fresh(NEW.updated_at), 'null');
    RETURN NEW;
END $$;
CREATE TRIGGER zzz_scribble BEFORE UPDATE ON ordered FOR EACH ROW EXECUTE FUNCTION scribble();
SELECT * FROM architect.enable_updated_at('ordered');
BEGIN; UPDATE ordered SET name = name; SELECT note, fresh(updated_at) FROM ordered; COMMIT;
CREATE TRIGGER "über" BEFORE INSERT OR UPDATE ON ordered FOR EACH ROW EXECUTE FUNCTION scribble();
SELECT trigger_name, status FROM architect.updated_at_tables() WHERE table_name = 'ua.ordered';
SELECT * FROM architect.enable_updated_at('ordered');
SELECT trigger_name, status FROM architect.updated_at_tables() WHERE table_name = 'ua.ordered';
-- One that suppresses the UPDATE: nothing of ours runs.
CREATE TRIGGER a_suppress BEFORE UPDATE ON ordered FOR EACH ROW WHEN (OLD.id = 1) EXECUTE FUNCTION suppress_redundant_updates_trigger();
UPDATE ordered SET note = note;
ALTER TABLE ordered DISABLE TRIGGER USER;
SELECT status FROM architect.updated_at_tables() WHERE table_name = 'ua.ordered';
SELECT action FROM architect.enable_updated_at('ordered');
ALTER TABLE ordered ENABLE ALWAYS TRIGGER "über~architect_stamp";
SELECT action FROM architect.enable_updated_at('ordered', clock => 'wall');
SELECT tgenabled FROM pg_trigger WHERE tgname = 'über~architect_stamp';

-- COPY and upsert.
CREATE TABLE paths (id int PRIMARY KEY, n int DEFAULT 0, updated_at timestamptz);
SELECT action FROM architect.enable_updated_at('paths');
BEGIN;
COPY paths (id) FROM stdin;
1
2
\.
COPY paths FROM stdin;
3	0	2000-01-01 00:00:00+00
4	0	\N
\.
SELECT id, fresh(updated_at) FROM paths ORDER BY id;
COMMIT;
BEGIN;
INSERT INTO paths (id, n) VALUES (1, 5), (3, 0), (5, 5) ON CONFLICT (id) DO UPDATE SET n = excluded.n;
WITH moved AS (UPDATE paths SET n = 9 WHERE id = 4 RETURNING id, updated_at) SELECT id, fresh(updated_at) FROM moved;
SELECT id, n, fresh(updated_at) FROM paths ORDER BY id;
COMMIT;

-- The table changes under a session that has the columns' places in mind.
CREATE TABLE altered (id int PRIMARY KEY, name text, updated_at timestamptz, version int);
INSERT INTO altered VALUES (1, 'a');
SELECT action FROM architect.enable_updated_at('altered');
SELECT action FROM architect.add_standard_columns('altered', false, true, false, false, true);
CREATE FUNCTION change() RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    UPDATE ua.altered SET name = name || '.' RETURNING name || ' ' || version INTO answer;
    RETURN answer;
END $$;
SELECT change();
ALTER TABLE altered ADD COLUMN another text DEFAULT 'x';
SELECT change();
ALTER TABLE altered RENAME version TO revision;
ALTER TABLE altered RENAME updated_at TO modified;
CREATE OR REPLACE FUNCTION change() RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    UPDATE ua.altered SET name = name || '.' RETURNING name || ' ' || revision || ' ' || ua.fresh(modified) INTO answer;
    RETURN answer;
END $$;
SELECT change();
-- A new column of the former name does not draw the trigger to it.
ALTER TABLE altered ADD COLUMN updated_at timestamptz;
SELECT change();
SELECT updated_at, column_name, kept_as, status FROM altered, architect.updated_at_tables() WHERE table_name = 'ua.altered';
ALTER TABLE altered ALTER modified TYPE timestamp, ALTER revision TYPE bigint;
BEGIN; SELECT change(); SELECT revision, modified = now()::timestamp AS local FROM altered; COMMIT;
ALTER TABLE altered ALTER revision TYPE text;
SELECT change();
SELECT column_name, status FROM architect.updated_at_tables() WHERE table_name = 'ua.altered';
ALTER TABLE altered ALTER revision TYPE int USING revision::int;
SELECT change();
ALTER TABLE altered DROP COLUMN revision;
UPDATE altered SET name = 'not now';
SELECT column_name, status FROM architect.updated_at_tables() WHERE table_name = 'ua.altered';
-- Enabling again forgets the column that is gone.
SELECT * FROM architect.enable_updated_at('altered', 'modified');
UPDATE altered SET name = 'now';
SELECT kept_as, column_name, status FROM architect.updated_at_tables() WHERE table_name = 'ua.altered';
-- The new name is in the trigger's arguments, so that a dump has it; a trigger that was disabled stays so.
-- The owner who renames needs no privilege of ours.
CREATE ROLE ua_owner;
GRANT USAGE, CREATE ON SCHEMA ua TO ua_owner;
ALTER TABLE altered OWNER TO ua_owner;
ALTER TABLE altered DISABLE TRIGGER ALL;
SET ROLE ua_owner;
ALTER TABLE altered RENAME modified TO "at last, 'changed'";
RESET ROLE;
SELECT tgenabled, pg_get_triggerdef(oid) ~ 'updated_at=at last, ''''changed' AS noted FROM pg_trigger WHERE tgrelid = 'altered'::regclass;
ALTER TABLE altered ENABLE TRIGGER ALL;
ALTER TABLE altered RENAME "at last, 'changed'" TO modified;
-- Renamed table and schema; dropped and made again: nothing is left of the first one.
ALTER TABLE altered RENAME TO renamed;
BEGIN; UPDATE renamed SET name = 'r'; SELECT modified = now()::timestamp AS kept FROM renamed; COMMIT;
DROP TABLE renamed;
CREATE TABLE renamed (updated_at timestamptz, name text);
INSERT INTO renamed VALUES ('2000-01-01', 'a');
UPDATE renamed SET name = 'b';
SELECT updated_at = '2000-01-01' AS untouched FROM renamed;
SELECT action FROM architect.enable_updated_at('renamed');
BEGIN; UPDATE renamed SET name = 'c'; SELECT fresh(updated_at) FROM renamed; COMMIT;

-- Inheritance: the trigger is the parent's own.
CREATE TABLE parent (id int, updated_at timestamptz);
CREATE TABLE child () INHERITS (parent);
SELECT * FROM architect.enable_updated_at('parent');

-- Names nobody should use.
CREATE TABLE "a""b'; drop" ("c""d'=; drop" timestamptz, "1,2" int);
INSERT INTO "a""b'; drop" VALUES (NULL, 1);
SELECT * FROM architect.enable_updated_at('"a""b''; drop"', 'c"d''=; drop');
BEGIN; UPDATE "a""b'; drop" SET "1,2" = 2; SELECT fresh("c""d'=; drop") FROM "a""b'; drop"; COMMIT;
SELECT table_name, column_name, status FROM architect.updated_at_tables() WHERE table_name ~ 'drop';
SELECT * FROM architect.disable_updated_at('"a""b''; drop"');
CREATE TABLE "äöüäöüäöüäöüäöüäöüäöüäöüäöüäöü" (n int);
INSERT INTO "äöüäöüäöüäöüäöüäöüäöüäöüäöüäöü" VALUES (1);
SELECT action FROM architect.enable_updated_at('"äöüäöüäöüäöüäöüäöüäöüäöüäöüäöü"', repeat('ß', 40), add_column => true);
BEGIN; UPDATE "äöüäöüäöüäöüäöüäöüäöüäöüäöüäöü" SET n = 2; SELECT bool_and(x.value::timestamptz = now()) FROM "äöüäöüäöüäöüäöüäöüäöüäöüäöüäöü" AS t, jsonb_each_text(to_jsonb(t)) AS x WHERE x.key ~ 'ß'; COMMIT;
SELECT length(column_name), status FROM architect.updated_at_tables() WHERE table_name ~ 'ö';
SELECT action, detail FROM architect.disable_updated_at('"äöüäöüäöüäöüäöüäöüäöüäöüäöüäöü"', true);

-- Refused, and nothing changed.
CREATE VIEW a_view AS SELECT * FROM plain;
CREATE MATERIALIZED VIEW a_matview AS SELECT * FROM plain;
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE a_foreign (id int, updated_at timestamptz) SERVER nowhere;
CREATE TEMPORARY TABLE a_temporary (id int, updated_at timestamptz);
CREATE TABLE bare (id int);
SELECT * FROM architect.enable_updated_at('bare');
SELECT * FROM architect.enable_updated_at('bare', 'ctid', add_column => true);
SELECT * FROM architect.enable_updated_at('bare', '', add_column => true);
SELECT * FROM architect.enable_updated_at('a_view');
SELECT * FROM architect.enable_updated_at('a_matview');
SELECT * FROM architect.enable_updated_at('a_foreign');
\set VERBOSITY sqlstate
SELECT * FROM architect.enable_updated_at('a_temporary');
\set VERBOSITY default
SELECT * FROM architect.enable_updated_at('pg_class');
SELECT * FROM architect.enable_updated_at('plain_pkey');
SELECT * FROM architect.enable_updated_at('nowhere');
SELECT * FROM architect.disable_updated_at('a_view');
SELECT * FROM architect.add_standard_columns('a_view');
CREATE ROLE ua_app;
CREATE ROLE ua_other;
GRANT USAGE, CREATE ON SCHEMA ua TO ua_app, ua_other;
SELECT count(*) > 0 AS granted FROM architect.grant_access('ua_app', 'operator');
SELECT count(*) > 0 AS granted FROM architect.grant_access('ua_other', 'operator');
SET ROLE ua_other;
SELECT * FROM architect.enable_updated_at('bare', add_column => true);
SELECT * FROM architect.disable_updated_at('forms');
SELECT * FROM architect.remove_standard_columns('forms');
-- The owner may, with the level operator.
SET ROLE ua_app;
CREATE TABLE mine (id int, updated_at timestamptz) PARTITION BY LIST (id);
SELECT action FROM architect.enable_updated_at('mine');
-- An owner who was given nothing uses what a superuser enabled, and can still make partitions.
RESET ROLE;
SELECT count(*) > 0 AS revoked FROM architect.revoke_access('ua_app');
SET ROLE ua_app;
SELECT * FROM architect.enable_updated_at('mine');
CREATE TABLE mine_1 PARTITION OF mine FOR VALUES IN (1, 2);
INSERT INTO mine VALUES (1);
BEGIN; UPDATE mine SET id = 2; SELECT id, ua.fresh(updated_at) FROM mine; COMMIT;
RESET ROLE;
SELECT table_name FROM architect.updated_at_tables() WHERE table_name ~ 'bare|a_view|a_foreign|a_matview';
SELECT count(*) AS columns FROM information_schema.columns WHERE table_name = 'bare';

-- The trigger function is for BEFORE UPDATE FOR EACH ROW only, and says so; one argument by hand is enough.
CREATE TRIGGER wrong AFTER UPDATE ON bare FOR EACH ROW EXECUTE FUNCTION architect.stamp_row('updated_at=id');
INSERT INTO bare VALUES (1);
UPDATE bare SET id = 2;
DROP TRIGGER wrong ON bare;
CREATE TRIGGER wrong BEFORE UPDATE ON bare FOR EACH ROW EXECUTE FUNCTION architect.stamp_row('nonsense');
UPDATE bare SET id = 2;
SELECT status FROM architect.updated_at_tables() WHERE table_name = 'ua.bare';
DROP TRIGGER wrong ON bare;
ALTER TABLE bare ADD at timestamptz;
CREATE TRIGGER right_one BEFORE UPDATE ON bare FOR EACH ROW EXECUTE FUNCTION architect.stamp_row('updated_at=at');
BEGIN; UPDATE bare SET id = 2; SELECT fresh(at) FROM bare; COMMIT;
SELECT column_name, clock, status FROM architect.updated_at_tables() WHERE table_name = 'ua.bare';

-- An error of another kind keeps all its fields.
CREATE TABLE checked (id int PRIMARY KEY, n int CONSTRAINT n_is_small CHECK (n < 10), updated_at timestamptz);
INSERT INTO checked VALUES (1, 1), (2, 2);
SELECT action FROM architect.enable_updated_at('checked');
DO $$
DECLARE
    statement text; name text; tab text; state text;
BEGIN
    FOREACH statement IN ARRAY ARRAY['UPDATE ua.checked SET n = 11 WHERE id = 1', 'UPDATE ua.checked SET id = 2 WHERE id = 1'] LOOP
        BEGIN
            EXECUTE statement;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS name = CONSTRAINT_NAME, tab = TABLE_NAME, state = RETURNED_SQLSTATE;
            RAISE WARNING '% % %', state, tab, name;
        END;
    END LOOP;
END $$;

-- Nothing grows with the rows: one plan after 100,000 of them.
CREATE TABLE many (id int, n int, updated_at timestamptz);
INSERT INTO many SELECT g, 0 FROM generate_series(1, 100000) g;
SELECT action FROM architect.enable_updated_at('many');
UPDATE many SET n = 1;
SELECT plans, (SELECT count(*) FROM many WHERE updated_at = (SELECT max(updated_at) FROM many)) AS rows FROM architect.updated_at_statistics();

-- Reading assigns no transaction id.
BEGIN;
SELECT count(*) > 5 AS listed FROM architect.updated_at_tables();
SELECT pg_current_xact_id_if_assigned() IS NULL AS none;
COMMIT;

-- Rows of every shape: the same updates with and without the trigger give the same rows, and the version
-- counts exactly those that changed something.
CREATE TABLE shapes (id int PRIMARY KEY, flag boolean, tiny "char", small smallint, name text, fixed char(3), updated_at timestamptz, price numeric, big bigint, tags text[], dropped int, uid uuid, version int NOT NULL DEFAULT 1, label name, ratio float8, late text);
ALTER TABLE shapes DROP dropped;
CREATE TABLE shapes_plain (LIKE shapes INCLUDING DEFAULTS);
SELECT action FROM architect.add_standard_columns('shapes', created_at => true, created_by => true, updated_by => true);
DO $$
DECLARE
    -- A value or null for each column, from the digits of a hash: the same in every run.
    kinds text[] := ARRAY['flag~(HASH % 2 = 0)', 'tiny~chr(97 + (HASH % 3)::int)::"char"', 'small~(HASH % 4)::int2', 'name~repeat(''n'', (HASH % 5)::int * (HASH % 60)::int)',
        'fixed~((HASH % 3)::text)', 'price~(HASH % 9)::numeric / 7', 'big~HASH', 'tags~ARRAY[(HASH % 3)::text, NULL]', 'uid~md5((HASH % 3)::text)::uuid',
        'label~(''l'' || HASH % 3)::name', 'ratio~(HASH % 3)::float8', 'late~repeat(''late'', (HASH % 3)::int * 600)'];
    kind text; assignment text; h bigint; statement text; step int; wrong int;
    before_row record; after_row record;
BEGIN
    FOR step IN 1..5 LOOP
        INSERT INTO ua.shapes (id) VALUES (step);
        INSERT INTO ua.shapes_plain (id) VALUES (step);
    END LOOP;
    FOR step IN 1..3000 LOOP
        h := ('x' || substr(md5(step::text), 1, 8))::bit(32)::bigint;
        assignment := '';
        FOR i IN 1..(h % 3 + 1)::int LOOP
            h := ('x' || substr(md5(step::text || i), 1, 8))::bit(32)::bigint;
            kind := kinds[h % 12 + 1];
            CONTINUE WHEN assignment ~ ('\m' || split_part(kind, '~', 1) || ' =');
            h := ('x' || substr(md5(i || step::text), 1, 8))::bit(32)::bigint;
            assignment := assignment || CASE WHEN assignment = '' THEN '' ELSE ', ' END || format('%I = %s', split_part(kind, '~', 1),
                CASE h % 5 WHEN 0 THEN 'NULL' WHEN 1 THEN quote_ident(split_part(kind, '~', 1)) ELSE replace(split_part(kind, '~', 2), 'HASH', h || '::bigint') END);
        END LOOP;
        statement := format('SET %s WHERE id = %s', assignment, h % 5 + 1);
        SELECT * INTO before_row FROM ua.shapes_plain WHERE id = h % 5 + 1;
        EXECUTE 'UPDATE ua.shapes_plain ' || statement;
        EXECUTE 'UPDATE ua.shapes ' || statement;
        SELECT * INTO after_row FROM ua.shapes_plain WHERE id = h % 5 + 1;
        IF before_row::text IS DISTINCT FROM after_row::text THEN
            UPDATE ua.shapes_plain SET version = version + 1 WHERE id = h % 5 + 1;
        END IF;
    END LOOP;
END $$;
SELECT count(*) AS compared, count(*) FILTER (WHERE to_jsonb(s) - '{updated_at,created_at,created_by,updated_by}'::text[] = to_jsonb(p) - '{updated_at}'::text[]) AS same,
       min(s.version) > 100 AS counted
  FROM shapes AS s JOIN shapes_plain AS p USING (id);

SELECT count(*) > 0 AS revoked FROM architect.revoke_access('ua_other');
DROP SCHEMA ua CASCADE;
DROP FOREIGN DATA WRAPPER nothing CASCADE;
DROP ROLE ua_app, ua_other, ua_owner;
SELECT count(*) AS left_over FROM architect.updated_at_tables();
