-- Values are written without PostgreSQL's output functions where the plugin knows better: character for character the
-- same must come out, for values at random, of every size, and for those at the ends of what a type holds.
\set VERBOSITY terse
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA wal_exact;
SET search_path = wal_exact;
SELECT 'created' FROM pg_create_logical_replication_slot('regress_wal_exact', 'db_architect');
CREATE TABLE v (id int PRIMARY KEY, n numeric, d date, ts timestamp, tz timestamptz, t time, tt timetz, f8 float8, f4 float4, j jsonb, u uuid, s text, b bytea, i2 int2, i4 int4, i8 int8);
SELECT setseed(0.42);
INSERT INTO v SELECT i, round(((random() - 0.5) * 10 ^ (random() * 60 - 20))::numeric * 10::numeric ^ (random() * 40)::int, (random() * 40)::int - 10),
       date '2000-01-01' + ((random() - 0.5) * 10 ^ (random() * 6))::int, timestamp '2000-01-01' + (random() - 0.5) * 10 ^ (random() * 9) * interval '1 minute',
       timestamptz '2000-01-01' + (random() - 0.5) * 10 ^ (random() * 9) * interval '1 second', time '00:00' + round(random() * 1e6) * interval '1 us' * 10 ^ (i % 6), NULL,
       (random() - 0.5) * 10 ^ (random() * 600 - 300), (random() - 0.5) * 10 ^ (random() * 60 - 30), NULL, md5(i::text)::uuid,
       (SELECT string_agg(chr(1 + (random() * 10 ^ (1 + (i + g) % 4))::int % 55000), '') FROM generate_series(1, i % 70) g), decode(repeat(md5(i::text), i % 5), 'hex'),
       (random() * 65535)::int - 32768, ((random() - 0.5) * 4e9)::bigint, (random() - 0.5) * 1.8e19
  FROM generate_series(1, 2000) i;
INSERT INTO v (id, n) SELECT 10000 + row_number() OVER (), x::numeric FROM unnest('{NaN, Infinity, -Infinity, 0, 0.000, -0.001, 10000, 9999.9999, 99999999, 1e131071, -1e-16383, 1e-4, 1e-5, 100000000.00001, 1e63, 1e64, 1e-64, 1e-63}'::text[]) x;
INSERT INTO v (id, d, ts, tz) SELECT 20000 + row_number() OVER (), x::date, x::timestamp, x::timestamptz FROM unnest('{infinity, -infinity, 4714-11-24 BC, 0001-01-01 BC, 0001-12-31 23:59:59.999999 BC, 0001-01-01, 9999-12-31 23:59:59.5, 10000-01-01, 294276-12-31 23:59:59.999999, 1999-12-31 23:59:59.999999, 2000-02-29}'::text[]) x;
INSERT INTO v (id, d) VALUES (30000, '5874897-12-31');
INSERT INTO v (id, t, tt) SELECT 40000 + row_number() OVER (), x::timetz::time, x::timetz FROM unnest('{00:00+00, 24:00:00-15:59:59, 12:34:56.789+05:30, 01:00:00.000001-07, 23:59:59.999999+14, 10:00:00.1-00:00:30}'::text[]) x;
INSERT INTO v (id, f8, f4) SELECT 50000 + row_number() OVER (), x::float8, x::float4 FROM unnest('{NaN, Infinity, -Infinity, 0, -0, 1, 0.1, 1e15, 1e16, 9999999999999998, 0.0001, 0.00001, 123456789012345680, 863.97955322265625, 16777217, 0.3, 100, 1e-37}'::text[]) x;
INSERT INTO v (id, f8) VALUES (60000, '5e-324'), (60001, '1.7976931348623157e308'), (60002, '9007199254740993');
INSERT INTO v (id, j) SELECT 70000 + i, jsonb_build_object('id', id, 'n', CASE WHEN n::text <> 'NaN' THEN n END, coalesce(s, 'empty'), jsonb_build_array(s, d, NULL, true, false, '[]'::jsonb, '{}'::jsonb, f8), '', jsonb_build_object('in', jsonb_build_array(i2, jsonb_build_object(md5(i::text), i8))))
  FROM (SELECT *, row_number() OVER () AS i FROM v WHERE id <= 500) AS v;
INSERT INTO v (id, j) VALUES (80000, 'null'), (80001, '"scalar"'), (80002, '-1.50e3'), (80003, '[]'), (80004, '{}'), (80005, '[[], {}, [[[]]], ""]'),
       (80006, (SELECT jsonb_object_agg(i::text, i) FROM generate_series(1, 1000) i)), (80007, (SELECT jsonb_agg(i::text || E'\b\f\n\u007f') FROM generate_series(1, 1000) i)),
       (80008, (repeat('[', 300) || repeat(']', 300))::jsonb);
-- By how many rows each column differs; the count of rows first.
SELECT count(*), count(*) FILTER (WHERE new ->> 'n' IS DISTINCT FROM n::text) AS n, count(*) FILTER (WHERE new ->> 'd' IS DISTINCT FROM to_json(d) #>> '{}') AS d,
       count(*) FILTER (WHERE new ->> 'ts' IS DISTINCT FROM to_json(ts) #>> '{}') AS ts, count(*) FILTER (WHERE new ->> 'tz' IS DISTINCT FROM to_json(tz) #>> '{}') AS tz,
       count(*) FILTER (WHERE new ->> 't' IS DISTINCT FROM t::text) AS t, count(*) FILTER (WHERE (new ->> 'tt')::timetz::text IS DISTINCT FROM tt::text) AS tt,
       count(*) FILTER (WHERE (new ->> 'f8')::float8::text IS DISTINCT FROM f8::text) AS f8, count(*) FILTER (WHERE (new ->> 'f4')::float4::text IS DISTINCT FROM f4::text) AS f4,
       count(*) FILTER (WHERE (new -> 'j')::text IS DISTINCT FROM coalesce(j::text, 'null')) AS j, count(*) FILTER (WHERE new ->> 'u' IS DISTINCT FROM u::text) AS u,
       count(*) FILTER (WHERE new ->> 's' IS DISTINCT FROM s) AS s, count(*) FILTER (WHERE new ->> 'b' IS DISTINCT FROM b::text) AS b,
       count(*) FILTER (WHERE new ->> 'i2' IS DISTINCT FROM i2::text) AS i2, count(*) FILTER (WHERE new ->> 'i4' IS DISTINCT FROM i4::text) AS i4, count(*) FILTER (WHERE new ->> 'i8' IS DISTINCT FROM i8::text) AS i8
  FROM v JOIN (SELECT data::json -> 'new' AS new FROM pg_logical_slot_get_changes('regress_wal_exact', NULL, NULL, 'include-transaction', 'off')) AS e ON (new ->> 'id')::int = id;
SELECT pg_drop_replication_slot('regress_wal_exact');
DROP SCHEMA wal_exact CASCADE;
