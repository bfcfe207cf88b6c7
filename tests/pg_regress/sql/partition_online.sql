-- Partitions detached, indexed, split, merged; a default partition promoted and drained: rows, keys,
-- indexes, foreign keys and privileges are the same before and after, and what cannot be done is refused
-- before anything is.
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE ROLE regress_part_owner;
CREATE SCHEMA regress_online AUTHORIZATION regress_part_owner;
SET ROLE regress_part_owner;
SET search_path = regress_online;
CREATE TABLE customer (id int PRIMARY KEY);
INSERT INTO customer SELECT generate_series(1, 20);
CREATE TABLE m (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz, "no""te" text, twice numeric GENERATED ALWAYS AS (length("no""te") * 2) STORED,
                customer int REFERENCES customer, code int, PRIMARY KEY (id, at), UNIQUE (code, at), CHECK (code > 0)) PARTITION BY RANGE (at);
CREATE TABLE m_old PARTITION OF m FOR VALUES FROM (MINVALUE) TO ('2026-05-01');
CREATE TABLE m_may PARTITION OF m FOR VALUES FROM ('2026-05-01') TO ('2026-06-01');
CREATE INDEX m_note ON m (lower("no""te")) WHERE code > 5;
GRANT SELECT ON m TO PUBLIC;
INSERT INTO m (at, "no""te", customer, code) SELECT '2026-01-15'::timestamptz + i * interval '3 hours', repeat('x', i % 7), i % 20 + 1, i FROM generate_series(1, 1000) AS i;
CREATE TABLE refers (id bigint, at timestamptz, FOREIGN KEY (id, at) REFERENCES m ON DELETE CASCADE);
INSERT INTO refers SELECT id, at FROM m WHERE id % 10 = 0;
CREATE VIEW before AS SELECT 1000 AS rows;
SELECT md5(string_agg(m::text, ',' ORDER BY id)) AS rows_before FROM m \gset
RESET ROLE;

-- Split.
\set VERBOSITY default
CALL architect.split_partition('m_may');
CALL architect.split_partition('customer');
\set VERBOSITY terse
CALL architect.split_partition('m_old', every => '1 minute');
CALL architect.split_partition('m_old', dry_run => true);
CALL architect.split_partition('m_old', batch => 100, pause => '0');
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bounds, pg_get_userbyid(c.relowner) AS owner, c.relacl IS NOT NULL AS granted,
       (SELECT count(*) FROM pg_index WHERE indrelid = c.oid) AS indexes, (SELECT count(*) FROM pg_constraint WHERE conrelid = c.oid AND contype = 'f') AS fkeys
  FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'm'::regclass ORDER BY 1;
SELECT tableoid::regclass, count(*) FROM m GROUP BY 1 ORDER BY (tableoid::regclass)::text COLLATE "C";
SELECT md5(string_agg(m::text, ',' ORDER BY id)) = :'rows_before' AS same_rows FROM m;
SELECT to_regclass('m_old') AS old_one;
SELECT kind, table_name, phase, rows_done, outcome FROM architect.partition_progress() LIMIT 1;
SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'refers'::regclass AND conparentid = 0;
SELECT relname FROM pg_class WHERE relname LIKE 'architect\_%' AND relnamespace = 'regress_online'::regnamespace;
SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid IN (SELECT relid FROM pg_partition_tree('m'));
DELETE FROM m WHERE id = 10;
SELECT count(*) FROM refers WHERE id = 10;
INSERT INTO m (at, code) VALUES ('2026-02-02', 77);
INSERT INTO m (at, code, customer) VALUES ('2026-02-02', 78, 999);

-- Merge.
CALL architect.merge_partitions(ARRAY['m_p2026_01', 'm_p2026_03']::regclass[]);
CALL architect.merge_partitions(ARRAY['m_p2026_01']::regclass[]);
CALL architect.merge_partitions(ARRAY['m_p2026_03', 'm_p2026_01', 'm_p2026_02']::regclass[], new_name => 'm_2026_q1', drop_source => false);
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bounds FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'm'::regclass ORDER BY 1;
SELECT count(*), count(DISTINCT id), (SELECT count(*) FROM m_p2026_01) AS kept FROM m;
CALL architect.merge_partitions(ARRAY['m_p_before', 'm_2026_q1']::regclass[]);
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bounds FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'm'::regclass ORDER BY 1;

-- What hangs on the partition alone stands in the way; so do rows that cannot be told apart.
CREATE VIEW of_may AS SELECT * FROM m_may;
CALL architect.split_partition('m_may', every => '1 day');
DROP VIEW of_may;
CREATE TABLE keyless (at date, v int) PARTITION BY RANGE (at);
CREATE TABLE keyless_1 PARTITION OF keyless FOR VALUES FROM ('2026-01-01') TO ('2026-03-01');
INSERT INTO keyless VALUES ('2026-01-02', 1);
CALL architect.split_partition('keyless_1');

-- An index on every partition, valid in the end; again is no work; what failed is cleared away.
CALL architect.create_partitioned_index('m', '(customer, at DESC) INCLUDE (code) WHERE customer > 3', index_name => 'm_by_customer');
CALL architect.create_partitioned_index('m', '(customer, at DESC) INCLUDE (code) WHERE customer > 3');
SELECT i.relname, x.indisvalid, (SELECT count(*) FROM pg_inherits WHERE inhparent = i.oid) AS parts FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = 'm'::regclass ORDER BY 1;
SELECT count(*) FROM pg_index WHERE NOT indisvalid;
INSERT INTO m (at, code) VALUES ('2026-05-20', 1), ('2026-05-20 01:00', 1);
CALL architect.create_partitioned_index('m', '(code, at, customer) NULLS NOT DISTINCT', is_unique => true, index_name => 'm_u');
SELECT relname FROM pg_class WHERE relname = 'm_u';
CREATE TABLE deep (id int, k int) PARTITION BY RANGE (k);
CREATE TABLE deep_1 PARTITION OF deep FOR VALUES FROM (0) TO (10) PARTITION BY LIST (id);
CREATE TABLE deep_1_1 PARTITION OF deep_1 FOR VALUES IN (1);
INSERT INTO deep VALUES (1, 1);
CREATE INDEX left_over ON deep_1_1 (k, id);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'left_over'::regclass;
CALL architect.create_partitioned_index('deep', '(k, id)');
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid::regclass::text LIKE 'deep%' ORDER BY (indexrelid::regclass)::text COLLATE "C";
CREATE TABLE dup (id int) PARTITION BY RANGE (id);
CREATE TABLE dup_1 PARTITION OF dup FOR VALUES FROM (0) TO (10);
INSERT INTO dup VALUES (1), (1);
CALL architect.create_partitioned_index('dup', '(id)', is_unique => true);
DELETE FROM dup WHERE ctid = '(0,1)';
CALL architect.create_partitioned_index('dup', '(id)', is_unique => true);
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid::regclass::text LIKE 'dup%' ORDER BY (indexrelid::regclass)::text COLLATE "C";
CALL architect.create_partitioned_index('m', '(id); DROP TABLE regress_online.refers');
CALL architect.create_partitioned_index('m', '(nonsense');
CALL architect.create_partitioned_index('customer', '(id)');

-- A default partition.
CREATE TABLE d (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE d_1 PARTITION OF d FOR VALUES FROM ('2020-01-01') TO ('2020-02-01');
CREATE TABLE d_rest PARTITION OF d DEFAULT;
CALL architect.promote_default('d');
INSERT INTO d SELECT i, '2019-03-05'::date + i FROM generate_series(1, 5) AS i;
INSERT INTO d SELECT i, '2020-02-05'::date + i FROM generate_series(1, 100) AS i;
CALL architect.promote_default('d');
CREATE TABLE d_9 PARTITION OF d FOR VALUES FROM ('2021-01-01') TO ('2021-02-01');
-- Five rows are moved; of the months after them none is small enough: they are promoted and split.
CALL architect.drain_default('d', 10, '0');
SELECT tableoid::regclass, count(*) FROM d GROUP BY 1 ORDER BY (tableoid::regclass)::text COLLATE "C";
SELECT count(*) FROM pg_inherits WHERE inhparent = 'd'::regclass;
CREATE TABLE alike (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE alike_rest PARTITION OF alike DEFAULT;
INSERT INTO alike SELECT i, '2020-02-05' FROM generate_series(1, 100) AS i;
CALL architect.drain_default('alike', batch => 10);
SELECT count(*) FROM alike_rest;
CREATE TABLE d_99 PARTITION OF d FOR VALUES FROM ('2022-01-01') TO ('2022-02-01');
INSERT INTO d SELECT i, '2021-02-05'::date + i FROM generate_series(1, 100) AS i;
CALL architect.promote_default('d', new_default => true);
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bounds FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'd'::regclass ORDER BY 1;
SELECT tableoid::regclass, count(*) FROM d GROUP BY 1 ORDER BY (tableoid::regclass)::text COLLATE "C";
INSERT INTO d VALUES (1, '2018-01-01'), (2, '2018-03-01'), (3, '2022-06-30');
CALL architect.drain_default('d', every => '1 year');
SELECT tableoid::regclass, count(*) FROM d GROUP BY 1 ORDER BY (tableoid::regclass)::text COLLATE "C";
SELECT conname FROM pg_constraint WHERE conname LIKE 'architect%';
-- Rows are not moved where deleting them would do something elsewhere.
CREATE TABLE d2 (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE d2_rest PARTITION OF d2 DEFAULT;
INSERT INTO d2 VALUES (1, '2020-03-05'), (2, '2020-04-05');
CREATE TABLE d2_refers (id int, at date);
INSERT INTO d2_refers SELECT * FROM d2;
\set VERBOSITY default
ALTER TABLE d2_refers ADD CONSTRAINT to_d2 FOREIGN KEY (id, at) REFERENCES d2 ON DELETE CASCADE;
CALL architect.drain_default('d2');
\set VERBOSITY terse
ALTER TABLE d2_refers DROP CONSTRAINT to_d2, ADD CONSTRAINT to_d2 FOREIGN KEY (id, at) REFERENCES d2 ON DELETE SET NULL;
CALL architect.drain_default('d2');
ALTER TABLE d2_refers DROP CONSTRAINT to_d2, ADD CONSTRAINT to_d2 FOREIGN KEY (id, at) REFERENCES d2_rest ON DELETE SET DEFAULT;
CALL architect.drain_default('d2');
ALTER TABLE d2_refers DROP CONSTRAINT to_d2, ADD CONSTRAINT to_d2 FOREIGN KEY (id, at) REFERENCES d2;
-- Versions name the constraint of the partition differently.
\set VERBOSITY sqlstate
CALL architect.drain_default('d2');
\set VERBOSITY terse
ALTER TABLE d2_refers DROP CONSTRAINT to_d2;
CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM d2_refers WHERE id = OLD.id; RETURN OLD; END';
CREATE TRIGGER gone BEFORE DELETE ON d2 FOR EACH ROW EXECUTE FUNCTION gone();
CALL architect.drain_default('d2');
SELECT count(*) AS rows, count(id) AS set FROM d2_refers;
SELECT count(*) FROM d2_rest;
DROP TRIGGER gone ON d2;
CALL architect.drain_default('d2');
SELECT tableoid::regclass, count(*) FROM d2 GROUP BY 1 ORDER BY (tableoid::regclass)::text COLLATE "C";

-- What a partition has for itself its successors have: how replicas tell rows apart, publications, the
-- index CLUSTER goes by, statistics targets of expressions.
CREATE TABLE published (id int NOT NULL, at date NOT NULL, note text) PARTITION BY RANGE (at);
CREATE TABLE published_old PARTITION OF published FOR VALUES FROM ('2026-01-01') TO ('2026-03-01');
CREATE UNIQUE INDEX published_id ON published (id, at);
CREATE INDEX published_note ON published (lower(note));
ALTER INDEX published_note ALTER COLUMN 1 SET STATISTICS 55;
ALTER TABLE published_old REPLICA IDENTITY USING INDEX published_old_id_at_idx;
ALTER TABLE published_old CLUSTER ON published_old_lower_idx;
INSERT INTO published SELECT i, '2026-01-01'::date + i, i FROM generate_series(0, 50) AS i;
SET client_min_messages = error;
CREATE PUBLICATION regress_online_pub FOR TABLE published_old;
SET client_min_messages = warning;
CALL architect.split_partition('published_old', every => '1 month', batch => 100, pause => '0');
SELECT tablename FROM pg_publication_tables WHERE pubname = 'regress_online_pub' ORDER BY 1;
SELECT c.relname, x.indexrelid::regclass, x.indisreplident, x.indisclustered, (SELECT max(a.attstattarget) FILTER (WHERE a.attstattarget > 0) FROM pg_attribute AS a WHERE a.attrelid = x.indexrelid) AS target
  FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid JOIN pg_index AS x ON x.indrelid = c.oid WHERE i.inhparent = 'published'::regclass ORDER BY c.relname, x.indisreplident;
UPDATE published SET note = 'changed' WHERE id < 3;
DROP PUBLICATION regress_online_pub;

-- Detach.
CALL architect.detach_partition('d_1');
CALL architect.detach_partition('d_1', concurrently => false);
CALL architect.detach_partition('d_1');
SELECT state, command, run_as::regrole <> current_user::regrole AS as_owner FROM architect.partition_job WHERE kind = 'detach' AND relation = 'd'::regclass;

RESET search_path;
DROP SCHEMA regress_online CASCADE;
DROP ROLE regress_part_owner;
