-- create_monthly_partitions and create_partitions: every kind of key and period, time zones, what is there
-- already, what is in the way, what new partitions take, hostile names.
SET client_min_messages = warning;
CREATE SCHEMA partition_create;
SET search_path = partition_create;
SET DateStyle = 'German, DMY';

-- Months are months of the zone that was said, in any session
SET TimeZone = 'America/New_York';
CREATE TABLE m (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, v text DEFAULT 'x' CHECK (v <> ''),
    n int GENERATED ALWAYS AS (length(v)) STORED, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE INDEX ON m (v);
SELECT partition_name, from_value, to_value, action FROM architect.create_monthly_partitions('m', since => '2026-02-10', until => '2026-04-01', timezone => 'Europe/Vienna', dry_run => true);
SELECT * FROM architect.create_monthly_partitions('m', since => '2026-02-10', until => '2026-04-01', timezone => 'Europe/Vienna');
SET TimeZone = 'Asia/Kolkata';
SELECT * FROM architect.create_monthly_partitions('m', since => '2026-03-01', until => '2026-05-01', timezone => 'Europe/Vienna');
SET TimeZone = 'UTC';
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid WHERE i.inhparent = 'm'::regclass ORDER BY 1;
SELECT a.attname, a.atttypid::regtype, a.attnotnull, a.attgenerated, pg_get_expr(d.adbin, d.adrelid) AS "default"
  FROM pg_attribute a LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum) WHERE a.attrelid = 'm_p2026_03'::regclass AND a.attnum > 0 ORDER BY a.attnum;
SELECT indexrelid::regclass, indisprimary, indisvalid FROM pg_index WHERE indrelid = 'm_p2026_03'::regclass ORDER BY 1::text;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'm_p2026_03'::regclass AND contype = 'c';
INSERT INTO m (at) VALUES ('2026-03-31 23:59:59.999999 Europe/Vienna'), ('2026-04-01 00:00 Europe/Vienna');
SELECT tableoid::regclass, id, v, n FROM m ORDER BY id;

-- Made in UTC, extended from a session elsewhere that names no zone: still UTC
CREATE TABLE z (at timestamptz) PARTITION BY RANGE (at);
SELECT count(*) FROM architect.create_monthly_partitions('z', since => '2025-06-01', until => '2026-06-01');
SET TimeZone = 'Europe/Vienna';
SELECT * FROM architect.create_monthly_partitions('z', since => '2026-05-01', until => '2026-07-01');
SET TimeZone = 'UTC';

-- Six months ahead of now, and one call more changes nothing
CREATE TABLE a (at date) PARTITION BY RANGE (at);
SELECT action, count(*) FROM architect.create_monthly_partitions('a') GROUP BY 1;
SELECT action, count(*) FROM architect.create_monthly_partitions('a', ahead => 7, back => 2) GROUP BY 1 ORDER BY 1;
INSERT INTO a VALUES (current_date), (current_date + 180), (current_date - 60);

-- Hours neither vanish nor double
CREATE TABLE h (at timestamptz) PARTITION BY RANGE (at);
SELECT * FROM architect.create_partitions('h', '1 hour', since => '2026-10-25 01:00', until => '2026-10-25 04:00', timezone => 'Europe/Vienna');
SELECT * FROM architect.create_partitions('h', '1 hour', since => '2026-03-29 01:00', until => '2026-03-29 04:00', timezone => 'Europe/Vienna');

-- Other periods and keys
CREATE TABLE w (at timestamp) PARTITION BY RANGE (at);
SELECT * FROM architect.create_partitions('w', '7 days', since => '2026-11-18', until => '2026-11-25');
CREATE TABLE q (d date, k int) PARTITION BY RANGE (d, k);
SELECT * FROM architect.create_partitions('q', '3 months', since => '2026-11-18', until => '2027-01-02');
SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'q_p2026_q4';
CREATE TABLE y (at date) PARTITION BY RANGE (at);
SELECT * FROM architect.create_partitions('y', '1 year', since => '2026-11-18', until => '2027-01-02');
CREATE TABLE s (id int) PARTITION BY RANGE (id);
SELECT * FROM architect.create_partitions('s', step => 1000, from_value => -500, to_value => 1500);
INSERT INTO s VALUES (999);
SELECT * FROM architect.create_partitions('s', step => 1000, ahead => 1);
SELECT count(*) FROM architect.create_partitions('s', step => 1000000000, from_value => 2000000000, to_value => 9000000000);
CREATE TABLE e (id bigint) PARTITION BY RANGE (id);
SELECT * FROM architect.create_partitions('e', '1 day', since => '2026-11-18', until => '2026-11-19', key_unit => 'epoch_ms', timezone => 'UTC');
SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'e_p2026_11_18';
CREATE TABLE u (id uuid) PARTITION BY RANGE (id);
SELECT * FROM architect.create_partitions('u', '1 day', since => '2026-11-18', until => '2026-11-19', timezone => 'UTC');
INSERT INTO u VALUES ('01a1ebf4-1000-7000-8000-000000000000');
SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'u_p2026_11_18';

-- Irregular partitions are gone on from where they end; gaps are filled; a rhythm is kept
CREATE TABLE r (at date) PARTITION BY RANGE (at);
CREATE TABLE odd PARTITION OF r FOR VALUES FROM ('2026-01-01') TO ('2026-02-10');
CREATE TABLE odder PARTITION OF r FOR VALUES FROM ('2026-03-05') TO ('2026-03-10');
SELECT * FROM architect.create_partitions('r', '1 month', since => '2026-01-01', until => '2026-05-01');
CREATE TABLE f (at date) PARTITION BY RANGE (at);
CREATE TABLE f1 PARTITION OF f FOR VALUES FROM ('2026-01-15') TO ('2026-02-15');
SELECT * FROM architect.create_partitions('f', '1 month', since => '2026-02-15', until => '2026-04-15');

-- What is in the way is told, and the others are made
CREATE VIEW r_p2026_06 AS SELECT 1;
SELECT * FROM architect.create_partitions('r', '1 month', since => '2026-06-01', until => '2026-08-01');
CREATE TABLE d (at date) PARTITION BY RANGE (at);
CREATE TABLE d_rest PARTITION OF d DEFAULT;
INSERT INTO d VALUES ('2026-02-02');
SELECT * FROM architect.create_partitions('d', '1 month', since => '2026-01-01', until => '2026-04-01');

-- What new partitions take
CREATE ROLE partition_create_owner; CREATE ROLE partition_create_reader;
GRANT CREATE, USAGE ON SCHEMA partition_create TO partition_create_owner;
CREATE TABLE o (at date NOT NULL, v text, UNIQUE (at)) PARTITION BY RANGE (at);
CREATE TABLE o1 PARTITION OF o FOR VALUES FROM ('2026-01-01') TO ('2026-02-01') WITH (fillfactor = 70, toast.autovacuum_enabled = off);
ALTER TABLE o1 REPLICA IDENTITY USING INDEX o1_at_key;
ALTER TABLE o OWNER TO partition_create_owner;
ALTER TABLE o1 OWNER TO partition_create_owner;
GRANT SELECT, INSERT ON o TO partition_create_reader;
GRANT UPDATE (v) ON o TO PUBLIC;
ALTER TABLE o ENABLE ROW LEVEL SECURITY;
SELECT action, detail FROM architect.create_partitions('o', '1 month', since => '2026-02-01', until => '2026-03-01', privileges => true);
SELECT relowner::regrole, reloptions, relreplident, relrowsecurity, (SELECT array_agg(a) FROM unnest(relacl) AS a WHERE a::text ~ 'reader') AS reader FROM pg_class WHERE relname = 'o_p2026_02';
SELECT t.reloptions FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.relname = 'o_p2026_02';
SELECT attacl FROM pg_attribute WHERE attrelid = 'o_p2026_02'::regclass AND attname = 'v';
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'o_p2026_02'::regclass AND indisreplident;
ALTER TABLE o REPLICA IDENTITY FULL;
SELECT action FROM architect.create_partitions('o', '1 month', since => '2026-03-01', until => '2026-04-01');
SELECT relreplident, relacl FROM pg_class WHERE relname = 'o_p2026_03';

-- A partition of a partition, and partitions that are partitioned
CREATE TABLE t (region text, at date, id int) PARTITION BY LIST (region);
CREATE TABLE t_eu PARTITION OF t FOR VALUES IN ('eu') PARTITION BY RANGE (at);
SELECT * FROM architect.create_monthly_partitions('t_eu', since => '2026-01-01', until => '2026-02-01');
CREATE TABLE x (at date, id int) PARTITION BY RANGE (at);
CREATE TABLE x_p2026_01 PARTITION OF x FOR VALUES FROM ('2026-01-01') TO ('2026-02-01') PARTITION BY HASH (id);
CREATE TABLE x_p2026_01_a PARTITION OF x_p2026_01 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE other PARTITION OF x_p2026_01 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
SELECT * FROM architect.create_monthly_partitions('x', since => '2026-02-01', until => '2026-03-01');
SELECT relid, parentrelid FROM pg_partition_tree('x') ORDER BY relid::text;
INSERT INTO x SELECT '2026-02-03', i FROM generate_series(1, 9) i;

-- Hostile names: quotes, 63 bytes of several bytes each, per cent signs; functions and operators in the path
CREATE SCHEMA "sch""ema %s'";
CREATE TABLE "sch""ema %s'"."t""a %s'; DROP TABLE m; --" ("k""ey %s" date NOT NULL, "w%s" text) PARTITION BY RANGE ("k""ey %s");
CREATE TABLE "sch""ema %s'"."äääääääääääääääääääääääääääääää" (at date) PARTITION BY RANGE (at);
CREATE ROLE "partition %s role";
GRANT SELECT ("w%s") ON "sch""ema %s'"."t""a %s'; DROP TABLE m; --" TO "partition %s role";
CREATE FUNCTION partition_create.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE FUNCTION partition_create.equals(oid, oid) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE OPERATOR partition_create.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = partition_create.equals);
SET search_path = partition_create, pg_catalog;
SELECT * FROM architect.create_monthly_partitions('"sch""ema %s''"."t""a %s''; DROP TABLE m; --"', since => '2026-01-01', until => '2026-02-01', privileges => true);
SELECT * FROM architect.create_monthly_partitions('"sch""ema %s''"."äääääääääääääääääääääääääääääää"', since => '2026-01-01', until => '2026-03-01');
SET search_path = partition_create;
SELECT count(*) FROM m;

-- Errors
\set VERBOSITY default
CREATE TABLE plain (at date);
CREATE TABLE l (v text) PARTITION BY LIST (v);
CREATE TABLE txt (v text) PARTITION BY RANGE (v);
SELECT * FROM architect.create_monthly_partitions('plain');
SELECT * FROM architect.create_monthly_partitions('l');
SELECT * FROM architect.create_monthly_partitions('txt');
SELECT * FROM architect.create_monthly_partitions('s');
SELECT * FROM architect.create_partitions('a', step => 5);
SELECT * FROM architect.create_partitions('a');
SELECT * FROM architect.create_partitions('a', '1 month 1 day');
SELECT * FROM architect.create_partitions('a', '6 hours');
SELECT * FROM architect.create_monthly_partitions('a', since => '2026-02-01', until => '2026-01-01');
SELECT * FROM architect.create_monthly_partitions('a', ahead => -1);
SELECT * FROM architect.create_monthly_partitions('m', timezone => 'Nowhere/Land');
GRANT USAGE ON SCHEMA architect TO partition_create_reader;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA architect TO partition_create_reader;
GRANT USAGE ON SCHEMA partition_create TO partition_create_reader;
SET ROLE partition_create_reader;
SELECT * FROM architect.create_monthly_partitions('o');
RESET ROLE;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA architect FROM partition_create_reader;
REVOKE ALL ON SCHEMA architect FROM partition_create_reader;

SET client_min_messages = error;
DROP SCHEMA "sch""ema %s'" CASCADE;
DROP SCHEMA partition_create CASCADE;
DROP ROLE partition_create_owner, partition_create_reader, "partition %s role";
