-- What audit records of a value is the value: jsonb_populate_record gives every type back bit for bit,
-- whatever the settings of the session that wrote it; what jsonb itself cannot keep is listed here.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA audit_types;
SET search_path = audit_types;
SET DateStyle = 'ISO, YMD';
SET xmloption = content;

CREATE TYPE mood AS ENUM ('sad', 'o''k "so"', 'a,b', '');
CREATE TYPE pair AS (a numeric, "b ""q""" text[]);
CREATE TYPE shrunk AS (x int, gone text, y timestamptz);
CREATE TYPE deep AS (p pair, ps pair[], j json, m money, r numrange, s shrunk, f float8);
CREATE TYPE nothing AS ();
CREATE DOMAIN positive AS numeric(8,3) CHECK (VALUE > 0);
CREATE DOMAIN list AS int[] CHECK (cardinality(VALUE) < 5);
CREATE DOMAIN checked_pair AS pair CHECK ((VALUE).a IS DISTINCT FROM 13);
CREATE DOMAIN twice AS list;
CREATE TYPE float_range AS RANGE (subtype = float8);
CREATE DOMAIN span AS int4range;

-- One row a type; its values become the rows of one table with a column for each type.
CREATE TABLE sample (n int GENERATED ALWAYS AS IDENTITY, type text NOT NULL, vals text[] NOT NULL);
INSERT INTO sample (type, vals) VALUES
    ('boolean', '{t,f}'),
    ('int2', '{-32768,32767,0}'),
    ('int4', '{-2147483648,2147483647,0}'),
    ('int8', '{-9223372036854775808,9223372036854775807,0}'),
    ('float4', '{-0,NaN,Infinity,-Infinity,1e-45,3.4028235e38,0.1,16777217,1e-5,100000,0}'),
    ('float8', '{-0,NaN,Infinity,-Infinity,5e-324,1.7976931348623157e308,0.1,0.30000000000000004,1e16,1e15,123456789012345680,1e-5,0}'),
    ('numeric', '{1,1.0,1.00,-0.000,NaN,Infinity,-Infinity,1e100,1e-100,123456789012345678901234567890.123456789}'),
    ('numeric(10,2)', '{1,-99999999.99,NaN}'),
    ('money', '{0,-0.05,92233720368547758.07,-92233720368547758.08}'),
    ('oid', '{0,1259,4294967295}'),
    ('regclass', '{pg_catalog.pg_class,audit_types.sample,0,4000000000}'),
    ('regproc', '{pg_catalog.now,0}'),
    ('regprocedure', '{"pg_catalog.abs(int8)"}'),
    ('regoper', '{"pg_catalog.||/"}'),
    ('regoperator', '{"pg_catalog.+(int4,int4)"}'),
    ('regtype', '{"timestamp with time zone",audit_types.mood}'),
    ('regrole', '{pg_monitor}'),
    ('regnamespace', '{audit_types,pg_catalog}'),
    ('regconfig', '{english}'),
    ('regdictionary', '{simple}'),
    ('regcollation', '{"pg_catalog.\"C\""}'),
    ('text', ARRAY['', 'null', '"', '\', E'a\nb\tc\r\x01\x7f', 'NaN', 'é€😀', '{"a":1}', '[1]', ' ', '-0', '\u0000', repeat('x', 5000)]),
    ('varchar(5)', ARRAY['a', 'a    ', '', 'äöüßé']),
    ('char(5)', ARRAY['a', 'a "', '', 'äöüß']),
    ('"char"', ARRAY['a', '', '"', '\']),
    ('name', ARRAY['a', '', 'a"b''c', repeat('é', 31)]),
    ('bytea', ARRAY['', '\x00', '\x5c78', '\xdeadbeef0022']),
    ('date', '{infinity,-infinity,2000-01-01,0044-03-15 BC,4713-01-01 BC,5874897-12-31,0099-02-03,2024-02-29}'),
    ('time', '{00:00,24:00:00,12:34:56.789012}'),
    ('timetz', '{00:00+00,24:00:00-15:59,12:34:56.789012+05:45:10}'),
    ('timestamp', '{infinity,-infinity,2000-01-01 00:00,0044-03-15 12:00:00.000001 BC,294276-12-31 23:59:59.999999,4713-01-01 00:00:00 BC,0099-02-03 04:05}'),
    ('timestamptz', '{infinity,-infinity,2000-01-01 00:00+00,0044-03-15 12:00:00.000001+00 BC,294276-12-31 23:59:59.999999+00,1890-01-01 00:00+00,2024-10-27 01:30+00,2024-10-27 00:30+00}'),
    ('timestamp(0)', '{2000-01-01 00:00:00.6}'),
    ('interval', '{0,1 year 2 mons 3 days 04:05:06.789,-1 year +2 mons -3 days +04:05:06,1 day -00:00:00.000001,-1 mons 5 days -01:00,178000000 years,-178000000 years,-00:00:01,1 mon -1 day,-1 day,-24:00:00,30 days}'),
    ('interval day to second', '{3 days 04:05:06}'),
    ('uuid', '{00000000-0000-0000-0000-000000000000,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'),
    ('json', ARRAY['null', '1', '"a"', '[1, 2, {"a" : null}]', '{"b":1,"a":2}', '{"a":1,"a":2}', '1.0e2', '"\u00e9\ud83d\ude00"', ' [ ] ',
        '{"a":"\u0000"}', '"\ud800"', '1e999999', '-0', '1e-99999', '{"":{"":[]}}', '"{}"', '0.' || repeat('0', 9000) || '1e-9000']),
    ('jsonb', ARRAY['null', '1', '"a"', '[1, 2, {"a" : null}]', '{"b":1,"a":2}', '1.00', '"\u00e9\ud83d\ude00"', '[]', '{}', '"\""', '1e1000', '-0.0']),
    ('jsonpath', ARRAY['$', 'strict $."a b"[*] ? (@ > 1.50 && @.x starts with "y")']),
    ('bit(5)', '{00000,10101}'),
    ('varbit', ARRAY['', '1', '0101010101']),
    ('xml', ARRAY['', 'a <b c="d">é</b> &amp;', '<?xml version="1.0" standalone="yes"?><a/>', '<!-- c --><a/>']),
    ('tsvector', ARRAY['', $$'a b':1A,2 'c''d' 'e\\f':16383$$]),
    ('tsquery', ARRAY['', $$'a b':*A & !( 'c''d' | e <-> f ) <3> g$$]),
    ('point', ARRAY['(0,0)', '(-0,1e300)', '(NaN,Infinity)', '(0.1,0.30000000000000004)']),
    ('line', ARRAY['{1,-1,0.1}']),
    ('lseg', ARRAY['[(0,0),(0.1,1e-10)]']),
    ('box', ARRAY['(1,1),(0,0)']),
    ('path', ARRAY['[(0,0),(1,1)]', '((0,0),(1,1),(0.1,0))']),
    ('polygon', ARRAY['((0,0),(1,1),(0.1,0))']),
    ('circle', ARRAY['<(0.1,0),1e-300>']),
    ('inet', '{192.168.0.1/24,10.0.0.1,::1,2001:db8::1/64,::ffff:1.2.3.4}'),
    ('cidr', '{192.168.0.0/24,10.0.0.1/32,2001:db8::/64}'),
    ('macaddr', '{08:00:2b:01:02:03}'),
    ('macaddr8', '{08:00:2b:01:02:03:04:05}'),
    ('pg_lsn', '{0/0,FFFFFFFF/FFFFFFFF,16/B374D848}'),
    ('txid_snapshot', '{10:20:10\,14\,15}'),
    ('pg_snapshot', '{10:20:10\,14\,15,5:5:}'),
    ('xid', '{0,4294967295}'),
    ('cid', '{0,4294967295}'),
    ('xid8', '{0,18446744073709551615}'),
    ('tid', '{"(0,1)","(4294967295,65535)"}'),
    ('int2vector', ARRAY['', '1 -2 3']),
    ('oidvector', ARRAY['', '1 4294967295']),
    ('refcursor', ARRAY['', 'c"1']),
    ('aclitem', ARRAY['pg_monitor=r*w/pg_monitor', '=a/pg_monitor']),
    ('int4range', '{empty,"(,)","[1,5)","(,5)","[1,)"}'),
    ('int8range', '{empty,"[-9223372036854775808,5)"}'),
    ('numrange', '{empty,"(1.0,1.50]","[NaN,NaN]","[-Infinity,Infinity)"}'),
    ('tsrange', '{empty,"[2000-01-01,infinity]","(0044-03-15 BC,)"}'),
    ('tstzrange', '{empty,"[2000-01-01 00:00+00,2024-10-27 00:30:00.000001+00)","(,infinity)"}'),
    ('daterange', '{empty,"[2000-01-01,2000-02-03)","(-infinity,0044-03-15 BC)"}'),
    ('float_range', '{empty,"(0.1,0.30000000000000004]","[-0,NaN]"}'),
    ('int4multirange', ARRAY['{}', '{(,)}', '{[1,2),[4,6)}']),
    ('nummultirange', ARRAY['{}', '{[1.0,1.00],(2,3.50)}']),
    ('tstzmultirange', ARRAY['{}', '{[2000-01-01 00:00+00,2001-01-01 00:00+00),(2024-10-27 00:30+00,infinity]}']),
    ('datemultirange', ARRAY['{}', '{(,2000-01-01),[2024-02-29,2024-03-01)}']),
    ('float_multirange', ARRAY['{(0.1,0.30000000000000004]}']),
    ('mood', ARRAY['sad', 'o''k "so"', 'a,b', '']),
    ('pair', ARRAY['(,)', '(1.00,"{NULL,\"a \\\\ b\",\"\"}")', '(NaN,{})', '(1,"[0:1]={x,y}")']),
    ('shrunk', ARRAY['(1,gone,2000-01-01 00:00+00)', '(,,)']),
    ('deep', ARRAY['(,,,,,,)', $$("(1.0,{a})","{""(1.00,{x})"",NULL}","{""k"" : [1]}",-1.25,"[1.0,2.50]","(1,g,infinity)",-0)$$]),
    ('nothing', '{()}'),
    ('positive', '{1,12345.678}'),
    ('list', ARRAY['{}', '{1,NULL,3}', '[2:3]={1,2}', '{{1,2},{3,4}}']),
    ('twice', ARRAY['{}', '{1}']),
    ('checked_pair', ARRAY['(,)', '(1.00,{a})']),
    ('span', '{empty,"[1,5)"}');

-- For each type a column, one of its arrays, one of arrays with two dimensions or another lower bound.
CREATE FUNCTION make_tables() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    most int := (SELECT max(cardinality(vals)) FROM sample);
    cols text := (SELECT string_agg(format('c%s %s, a%1$s %2$s[]', n, type), ', ' ORDER BY n) FROM sample);
BEGIN
    EXECUTE format('CREATE TABLE every_type (id int PRIMARY KEY, %s)', cols);
    EXECUTE format('CREATE TABLE original (id int PRIMARY KEY, %s)', cols);
    FOR i IN 1 .. most + 1 LOOP
        EXECUTE (SELECT format('INSERT INTO original VALUES (%s, %s)', i, string_agg(
                     format('%s, %s',
                            COALESCE(quote_literal(vals[i]) || '::' || type, 'NULL'),
                            CASE i WHEN 1 THEN format('ARRAY[%s, NULL]::%s[]', items, type)
                                   WHEN 2 THEN format('ARRAY[[%1$s], [%1$s]]::%2$s[]', items, type)
                                   WHEN 3 THEN format('(''[0:%s]='' || ARRAY[%s]::%s[]::text)::%3$s[]', cardinality(vals) - 1, items, type)
                                   WHEN 4 THEN format('''{}''::%s[]', type)
                                   ELSE 'NULL' END), ', ' ORDER BY n))
                   FROM sample, LATERAL (SELECT string_agg(quote_literal(v) || '::' || type, ', ' ORDER BY o) AS items
                                           FROM unnest(vals) WITH ORDINALITY AS u(v, o)) AS l);
    END LOOP;
END $$;
SELECT make_tables();
ALTER TYPE shrunk DROP ATTRIBUTE gone;
SELECT count(*) > 10 AS rows_are_there, (SELECT count(*) > 80 FROM sample) AS many_types FROM original;

-- Which columns of which rows are not what they were, by the image of the value; a value whose text is
-- the same all the same is marked so.
CREATE FUNCTION lost(restored text, against text) RETURNS TABLE (type text, value text, becomes text) LANGUAGE plpgsql AS $$
DECLARE
    col record;
BEGIN
    FOR col IN SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS type FROM pg_attribute AS a
                WHERE a.attrelid = 'original'::regclass AND a.attnum > 0 ORDER BY a.attnum LOOP
        RETURN QUERY EXECUTE format(
            'SELECT %L, left(o.%I::text, 60), CASE WHEN o.%2$I::text = r.%2$I::text THEN ''(the same text)'' ELSE left((r.%2$I)::text, 60) END FROM (%s) AS o JOIN (%s) AS r USING (id)
              WHERE NOT pg_catalog.record_image_eq(ROW(o.%2$I), ROW(r.%2$I)) ORDER BY id',
            col.type, col.attname, against, restored);
    END LOOP;
END $$;

SELECT action FROM architect.enable_audit('every_type');
CREATE FUNCTION exercise() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    sets text := (SELECT string_agg(format('%I = n.%1$I', attname), ', ' ORDER BY attnum) FROM pg_attribute
                   WHERE attrelid = 'audit_types.every_type'::regclass AND attnum > 1);
BEGIN
    INSERT INTO audit_types.every_type SELECT * FROM audit_types.original;
    -- Every row gets the values of the one after it.
    EXECUTE format('UPDATE audit_types.every_type AS t SET %s FROM audit_types.original AS n WHERE n.id = t.id + 1', sets);
    DELETE FROM audit_types.every_type;
END $$;
-- The WAL path writes the same values: compared at the end.
ALTER TABLE every_type REPLICA IDENTITY FULL;
SELECT 'created' FROM pg_create_logical_replication_slot('audit_types', 'db_architect');
SELECT exercise();

-- What the log has of one operation, by key, without the numbers that differ from run to run.
CREATE VIEW recorded AS
    SELECT l.audit_id, l.operation, (l.row_key ->> 'id')::int AS id, l.old_values, l.new_values,
           e.image::text AS image, row_number() OVER (PARTITION BY l.operation, l.row_key ORDER BY l.audit_id) AS run
      FROM architect.audit_log AS l JOIN architect.audit_entry AS e USING (audit_id)
     WHERE l.schema_name = 'audit_types' AND l.table_name = 'every_type';
CREATE TABLE log AS TABLE recorded;
SELECT operation, count(*) = CASE operation WHEN 'UPDATE' THEN -1 ELSE 0 END + (SELECT count(*) FROM original) AS each_row_once
  FROM log GROUP BY operation ORDER BY operation;
SELECT count(*) AS invalid_json FROM log WHERE image::jsonb IS NULL;

-- What jsonb cannot keep, and nothing else, comes back different: of json the spelling, duplicate keys
-- and what jsonb refuses (it becomes a JSON string of the text); JSON null, which populates as SQL null;
-- of a composite value the bytes of attributes its type no longer has.
SET TimeZone = 'UTC';
CREATE FUNCTION lost_when(populate text, operation text, base text, against text) RETURNS TABLE (type text, value text, becomes text)
    LANGUAGE sql AS $$
    SELECT * FROM lost(format('SELECT r.* FROM log LEFT JOIN %s AS b USING (id), %s AS r WHERE operation = %L', base, populate, operation), against)
$$;
SELECT * FROM lost_when('jsonb_populate_record(NULL::original, new_values)', 'INSERT', 'original', 'SELECT * FROM original');
-- The image is stored as json, which keeps more.
SELECT * FROM lost_when('json_populate_record(NULL::original, image::json)', 'INSERT', 'original', 'SELECT * FROM original');

-- An UPDATE keeps old and new values of the columns that changed, a DELETE the whole row.
CREATE TABLE shifted AS SELECT r.* FROM original AS n, jsonb_populate_record(n, jsonb_build_object('id', n.id - 1)) AS r WHERE n.id > 1;
SELECT DISTINCT type, value FROM lost_when('jsonb_populate_record(b, new_values)', 'UPDATE', 'original', 'SELECT * FROM shifted') WHERE type <> 'json' ORDER BY 1, 2;
SELECT DISTINCT type, value FROM lost_when('jsonb_populate_record(b, old_values)', 'UPDATE', 'shifted', 'SELECT * FROM original AS o WHERE EXISTS (SELECT FROM shifted AS s WHERE s.id = o.id)') WHERE type <> 'json' ORDER BY 1, 2;
SELECT DISTINCT type, value FROM lost_when('jsonb_populate_record(NULL::original, old_values)', 'DELETE', 'original', 'SELECT * FROM shifted UNION ALL SELECT * FROM original WHERE id = (SELECT max(id) FROM original)') WHERE type <> 'json' ORDER BY 1, 2;

-- Settings of the writing session change nothing.
BEGIN;
SET LOCAL DateStyle = 'SQL, DMY';
SET LOCAL TimeZone = 'Asia/Kathmandu';
SET LOCAL IntervalStyle = 'sql_standard';
SET LOCAL bytea_output = 'escape';
SET LOCAL extra_float_digits = -15;
SET LOCAL xmlbinary = 'hex';
SET LOCAL xmloption = 'document';
SET LOCAL quote_all_identifiers = on;
SET LOCAL search_path = '';
SELECT audit_types.exercise();
COMMIT;
BEGIN;
SET LOCAL DateStyle = 'German';
SET LOCAL TimeZone = 'America/St_Johns';
SET LOCAL IntervalStyle = 'iso_8601';
SET LOCAL extra_float_digits = 3;
SELECT exercise();
COMMIT;
BEGIN;
SET LOCAL DateStyle = 'Postgres, MDY';
SET LOCAL IntervalStyle = 'postgres_verbose';
SET LOCAL TimeZone = '<+0530>-05:30';
SELECT exercise();
-- The session's own settings are as they were.
SELECT current_setting('DateStyle'), current_setting('IntervalStyle'), current_setting('TimeZone'),
       interval '-1 day', timestamptz '2000-01-01 00:00+00', '\x01'::bytea, 0.1::float8;
COMMIT;
SELECT r.run, count(*) AS rows, count(*) FILTER (WHERE r.image <> l.image) AS different
  FROM recorded AS r JOIN log AS l USING (operation, id) GROUP BY r.run ORDER BY r.run;

-- Settings of the reading session do not matter either.
BEGIN;
SET LOCAL DateStyle = 'SQL, DMY';
SET LOCAL IntervalStyle = 'sql_standard';
SET LOCAL TimeZone = 'Asia/Kathmandu';
SELECT DISTINCT type FROM lost_when('jsonb_populate_record(NULL::original, new_values)', 'INSERT', 'original', 'SELECT * FROM original') ORDER BY 1;
COMMIT;

-- SQL null and JSON null are told apart only by the type: both are null in jsonb.
SELECT count(*) AS rows, count(new_values -> format('c%s', n)) AS has_key,
       count(*) FILTER (WHERE new_values -> format('c%s', n) = 'null') AS null_values
  FROM log, sample WHERE type = 'json' AND operation = 'INSERT';

-- The output plugin writes the same text, whatever the settings of the session that decodes (but each event in one line).
SET DateStyle = 'German';
SET TimeZone = 'America/St_Johns';
SET IntervalStyle = 'iso_8601';
SET extra_float_digits = -5;
SET bytea_output = 'escape';
SET search_path = '';
CREATE TABLE audit_types.wal AS
    SELECT upper(event ->> 'operation') AS operation, (event -> 'key' ->> 'id')::int AS id, event -> 'new' AS new, event -> 'old' AS old,
           event -> 'changed' AS changed, row_number() OVER (PARTITION BY event ->> 'operation', event -> 'key' ->> 'id' ORDER BY n) AS run
      FROM (SELECT data::json, ordinality FROM pg_logical_slot_get_changes('audit_types', NULL, NULL, 'include-transaction', '0', 'tables', 'audit_types.every_type')
                   WITH ORDINALITY) AS t (event, n);
RESET ALL;
SET client_min_messages = warning;
SET search_path = audit_types;
SELECT r.operation, count(*) AS entries, count(w.id) AS events,
       count(*) FILTER (WHERE CASE r.operation
           WHEN 'INSERT' THEN w.new::text = replace(r.image, E'\n', ' ')
           WHEN 'DELETE' THEN w.old::text = replace(r.image, E'\n', ' ')
           WHEN 'UPDATE' THEN (SELECT jsonb_object_agg(c.name, jsonb_build_array(w.old -> c.name, w.new -> c.name)) FROM json_array_elements_text(w.changed) AS c (name))
                              = r.image::jsonb END) AS equal
  FROM recorded AS r LEFT JOIN wal AS w USING (operation, id, run) GROUP BY r.operation ORDER BY r.operation;
SELECT pg_drop_replication_slot('audit_types');

DROP SCHEMA audit_types CASCADE;
