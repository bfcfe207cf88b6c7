-- unindexed_foreign_keys: what covers a foreign key and what only looks as if it did. Each table is a case that
-- other tools get wrong: an index with the columns in another order, partial, not valid, of another collation or
-- operator class, hash, BRIN, with the column only included; a partitioned table reported once.
CREATE SCHEMA index_keys;
SET search_path = index_keys;
SET client_min_messages = warning;
CREATE TABLE parent (a int, b int, c text, PRIMARY KEY (a), UNIQUE (a, b), UNIQUE (c));
CREATE TABLE missing (id int PRIMARY KEY, a int REFERENCES parent);
CREATE TABLE covered (id int PRIMARY KEY, a int REFERENCES parent);
CREATE INDEX ON covered (a);
CREATE TABLE covered_longer (id int PRIMARY KEY, a int REFERENCES parent);
CREATE INDEX ON covered_longer (a, id);
CREATE TABLE covered_second (id int PRIMARY KEY, a int REFERENCES parent);
CREATE INDEX ON covered_second (id, a);
CREATE TABLE permuted (a int, b int, FOREIGN KEY (a, b) REFERENCES parent (a, b));
CREATE INDEX ON permuted (b, a);
CREATE TABLE half (a int, b int, FOREIGN KEY (a, b) REFERENCES parent (a, b));
CREATE INDEX ON half (b);
CREATE TABLE included (id int, a int, b int, FOREIGN KEY (a, b) REFERENCES parent (a, b));
CREATE INDEX ON included (a) INCLUDE (b);
CREATE INDEX ON included (id) INCLUDE (a, b);
CREATE TABLE not_null_index (a int REFERENCES parent);
CREATE INDEX ON not_null_index (a) WHERE a IS NOT NULL;
CREATE TABLE partial_index (a int REFERENCES parent, deleted boolean);
CREATE INDEX ON partial_index (a) WHERE NOT deleted;
CREATE TABLE other_not_null (a int REFERENCES parent, z int);
CREATE INDEX ON other_not_null (a) WHERE z IS NOT NULL;
CREATE TABLE hashed (a int REFERENCES parent);
CREATE INDEX ON hashed USING hash (a);
CREATE TABLE ranges (a int REFERENCES parent);
CREATE INDEX ON ranges USING brin (a);
CREATE TABLE collated (c text REFERENCES parent (c));
CREATE INDEX ON collated (c COLLATE "POSIX");
CREATE TABLE pattern (c text REFERENCES parent (c));
CREATE INDEX ON pattern (c text_pattern_ops);
CREATE TABLE expressed (a int REFERENCES parent);
CREATE INDEX ON expressed ((a + 0));
CREATE TABLE wide (a bigint REFERENCES parent);
CREATE INDEX ON wide (a);
CREATE TABLE two_keys (a int CONSTRAINT first_key REFERENCES parent, CONSTRAINT second_key FOREIGN KEY (a) REFERENCES covered (id));
CREATE TABLE broken (a int REFERENCES parent);
CREATE INDEX ON broken (a);
UPDATE pg_index SET indisvalid = false WHERE indrelid = 'broken'::regclass;
CREATE TABLE self (id int PRIMARY KEY, up int REFERENCES self ON DELETE CASCADE);
SELECT table_name, constraint_names, column_names, finding, priority, referenced_changes AS changes
  FROM architect.unindexed_foreign_keys() WHERE table_name LIKE 'index_keys.%' ORDER BY table_name COLLATE "C";
SELECT table_name, reason FROM architect.unindexed_foreign_keys()
 WHERE table_name IN ('index_keys.self', 'index_keys.half', 'index_keys.partial_index', 'index_keys.collated', 'index_keys.included') ORDER BY 1;
SELECT table_name, fix, undo FROM architect.unindexed_foreign_keys()
 WHERE table_name IN ('index_keys.missing', 'index_keys.half', 'index_keys.broken') ORDER BY 1;

-- A partitioned table: once, at the top; attached, or an index of its own on each partition, both cover it.
CREATE TABLE parted (a int REFERENCES parent, d date) PARTITION BY RANGE (d);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE parted_2 (d date, gone int, a int) ;
ALTER TABLE parted_2 DROP COLUMN gone;
ALTER TABLE parted ATTACH PARTITION parted_2 FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
SELECT table_name, finding, fix, undo FROM architect.unindexed_foreign_keys() WHERE table_name LIKE 'index_keys.parted%';
CREATE INDEX ON parted_2 (a);
SELECT table_name, finding, reason FROM architect.unindexed_foreign_keys() WHERE table_name LIKE 'index_keys.parted%';
CREATE INDEX ON parted_1 (a);
SELECT count(*) AS findings FROM architect.unindexed_foreign_keys() WHERE table_name LIKE 'index_keys.parted%';
DROP INDEX parted_1_a_idx, parted_2_a_idx;

-- The statements do what they say: run, nothing is left; undone, it is as before.
SELECT regexp_split_to_table(fix, '\n') FROM architect.unindexed_foreign_keys() WHERE table_name = 'index_keys.parted' \gexec
SELECT count(*) AS findings FROM architect.unindexed_foreign_keys() WHERE table_name LIKE 'index_keys.parted%';
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid IN ('parted'::regclass, 'parted_1'::regclass, 'parted_2'::regclass) ORDER BY 1;
SELECT finding FROM architect.invalid_indexes() WHERE index_name LIKE 'index_keys.parted%';

-- A key that references a partitioned table is one key.
CREATE TABLE target (id int, d date, PRIMARY KEY (id, d)) PARTITION BY RANGE (d);
CREATE TABLE target_1 PARTITION OF target FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE target_2 PARTITION OF target FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
CREATE TABLE pointing (id int, d date, FOREIGN KEY (id, d) REFERENCES target);
SELECT table_name, constraint_names, referenced_tables FROM architect.unindexed_foreign_keys() WHERE table_name = 'index_keys.pointing';

-- Only what the caller may see.
CREATE ROLE index_keys_reader;
GRANT USAGE ON SCHEMA index_keys, architect TO index_keys_reader;
GRANT EXECUTE ON FUNCTION architect.unindexed_foreign_keys() TO index_keys_reader;
SET ROLE index_keys_reader;
SELECT count(*) AS nothing FROM architect.unindexed_foreign_keys();
RESET ROLE;
GRANT SELECT (a) ON missing TO index_keys_reader;
SET ROLE index_keys_reader;
SELECT table_name FROM architect.unindexed_foreign_keys();
RESET ROLE;

-- Hostile names; names too long to have anything added.
CREATE TABLE "a""b'; drop" (id int PRIMARY KEY, "x""y'; --" int REFERENCES parent);
CREATE TABLE "ääääääääääääääääääääääääääääääx" (id int PRIMARY KEY, "öööööööööööööööööööööööööööööö" int REFERENCES parent);
SELECT fix, undo FROM architect.unindexed_foreign_keys() WHERE table_name LIKE '%drop%' OR table_name LIKE '%ä%' ORDER BY 1;
SELECT unnest(ARRAY[fix, undo]) FROM architect.unindexed_foreign_keys() WHERE table_name LIKE '%drop%' \gexec
DROP OWNED BY index_keys_reader;
DROP ROLE index_keys_reader;
UPDATE pg_index SET indisvalid = true WHERE indrelid = 'broken'::regclass;
DROP SCHEMA index_keys CASCADE;
