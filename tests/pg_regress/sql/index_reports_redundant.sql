-- redundant_indexes, unused_indexes, invalid_indexes: what is redundant and what only looks alike (an operator class,
-- a collation, an order, a predicate, an expression, uniqueness, included columns, another kind of index); what is
-- never advised to be dropped; partitioned tables once, at the top.
CREATE SCHEMA index_red;
SET search_path = index_red;
SET client_min_messages = warning;
CREATE VIEW red AS SELECT index_name, kind, made_redundant_by AS by, verdict, reason FROM architect.redundant_indexes(true)
 WHERE table_name LIKE 'index_red.%' ORDER BY index_name COLLATE "C";

-- Not redundant: each differs from the others in one thing.
CREATE TABLE differ (id int, a int, b text, c int, d timestamptz, j jsonb);
CREATE INDEX ON differ (b);
CREATE INDEX ON differ (b text_pattern_ops);
CREATE INDEX ON differ (b COLLATE "POSIX");
CREATE INDEX ON differ (lower(b));
CREATE INDEX ON differ (upper(b));
CREATE INDEX ON differ (b) WHERE c > 1;
CREATE INDEX ON differ (b) WHERE c > 2;
CREATE INDEX ON differ USING hash (b);
CREATE INDEX ON differ (b DESC NULLS LAST);
CREATE INDEX ON differ (a, c);
CREATE INDEX ON differ (c, a);
CREATE UNIQUE INDEX ON differ (a);
CREATE INDEX ON differ (c) INCLUDE (d);
CREATE INDEX ON differ (c DESC NULLS LAST, d);
CREATE INDEX ON differ USING gin (j);
CREATE INDEX ON differ USING gin (j jsonb_path_ops);
CREATE INDEX ON differ USING brin (d);
CREATE INDEX ON differ USING brin (d) WITH (pages_per_range = 8);
SELECT * FROM red;

-- Redundant.
CREATE TABLE same (id int PRIMARY KEY, a int, b int, c int, t text, arr int[], UNIQUE (a, b));
CREATE INDEX same_id ON same (id);
CREATE INDEX same_a ON same (a);
CREATE INDEX same_b1 ON same (b);
CREATE INDEX same_b2 ON same (b);
CREATE INDEX same_b3 ON same (b) WITH (fillfactor = 70);
CREATE INDEX same_c ON same (c);
CREATE INDEX same_c_desc ON same (c DESC NULLS FIRST);
CREATE INDEX same_expr ON same (lower(t));
CREATE INDEX same_expr_c ON same (lower(t), c);
CREATE INDEX same_part ON same (c) WHERE b > 1 AND a > 2;
CREATE INDEX same_part2 ON same (c, id) WHERE a > 2 AND b > 1;
CREATE INDEX same_incl ON same (a, c) INCLUDE (b);
CREATE INDEX same_incl2 ON same (a, c, b);
CREATE INDEX same_gin ON same USING gin (arr);
CREATE INDEX same_gin2 ON same USING gin (arr);
SELECT * FROM red;
SELECT fix, undo FROM architect.redundant_indexes() WHERE table_name = 'index_red.same' ORDER BY 1;
-- Dropped as advised nothing redundant is left, and made again as said all is.
CREATE TABLE undo AS SELECT undo, index_name FROM architect.redundant_indexes() WHERE table_name = 'index_red.same';
SELECT fix FROM architect.redundant_indexes() WHERE table_name = 'index_red.same' \gexec
SELECT * FROM red;
SELECT undo FROM undo ORDER BY index_name DESC \gexec
SELECT count(*) = (SELECT count(*) FROM undo) AS all_again FROM architect.redundant_indexes() WHERE table_name = 'index_red.same';
DROP TABLE same, undo;

-- What enforces or serves stays.
CREATE TABLE kept (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL);
ALTER TABLE kept ADD UNIQUE (id);
CREATE UNIQUE INDEX kept_a ON kept (a);
CREATE UNIQUE INDEX kept_a2 ON kept (a);
CREATE INDEX kept_b ON kept (b);
CREATE INDEX kept_b_id ON kept (b, id);
ALTER TABLE kept CLUSTER ON kept_b;
CREATE UNIQUE INDEX kept_ident ON kept (b, a);
ALTER TABLE kept REPLICA IDENTITY USING INDEX kept_ident;
CREATE TABLE refers (a int REFERENCES kept (a), n int);
CREATE INDEX refers_a ON refers (a);
SELECT * FROM red;
SELECT index_name, verdict, reason FROM architect.unused_indexes('0', include_kept => true, ignore_standbys => true)
 WHERE table_name LIKE 'index_red.kept' OR table_name = 'index_red.refers' ORDER BY index_name;
DROP TABLE refers, kept;

-- Deferrable, nulls not distinct.
CREATE TABLE strict (a int, b int);
ALTER TABLE strict ADD CONSTRAINT strict_deferrable UNIQUE (a) DEFERRABLE;
CREATE UNIQUE INDEX strict_now ON strict (a);
SELECT * FROM red WHERE index_name LIKE '%strict%';
DROP TABLE strict;

-- Partitioned: at the top, once; one of a single partition by itself.
CREATE TABLE parted (id int, d date, a int) PARTITION BY RANGE (d);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
CREATE INDEX parted_a ON parted (a);
CREATE INDEX parted_a_d ON parted (a, d);
CREATE INDEX parted_1_own ON parted_1 (a);
SELECT * FROM red;
SELECT index_name, fix, undo FROM architect.redundant_indexes() WHERE table_name LIKE 'index_red.parted%' ORDER BY 1;
SELECT index_name, verdict, fix FROM architect.unused_indexes('0', ignore_standbys => true) WHERE table_name LIKE 'index_red.parted%' ORDER BY 1;
SELECT index_name FROM architect.index_usage WHERE table_name LIKE 'index_red.parted%' ORDER BY 1;

-- Not valid: of a partitioned table without an index on each partition, left over, failed.
CREATE INDEX parted_id ON ONLY parted (id) WHERE a > 5;
SELECT index_name, finding, reason, fix, undo FROM architect.invalid_indexes() WHERE table_name LIKE 'index_red.%';
SELECT regexp_split_to_table(fix, '\n') FROM architect.invalid_indexes() WHERE index_name = 'index_red.parted_id' \gexec
SELECT count(*) AS invalid FROM architect.invalid_indexes() WHERE table_name LIKE 'index_red.%';
CREATE TABLE doubled (a int, b int);
INSERT INTO doubled VALUES (1, 1), (1, 1);
CREATE UNIQUE INDEX CONCURRENTLY doubled_a ON doubled (a);
CREATE INDEX doubled_b ON doubled (b);
CREATE INDEX doubled_b_ccnew ON doubled (b);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'doubled_b_ccnew'::regclass;
SELECT index_name, finding, reason, fix, undo FROM architect.invalid_indexes() WHERE table_name LIKE 'index_red.%' ORDER BY 1;
-- An index that is not valid makes nothing redundant and is not called unused.
SELECT * FROM red WHERE index_name LIKE '%doubled%';
SELECT count(*) AS unused FROM architect.unused_indexes('0', ignore_standbys => true) WHERE index_name IN ('index_red.doubled_a', 'index_red.doubled_b_ccnew');
DELETE FROM doubled WHERE ctid = '(0,2)';
SELECT fix FROM architect.invalid_indexes() WHERE table_name LIKE 'index_red.%' ORDER BY 1 \gexec
SELECT count(*) AS invalid FROM architect.invalid_indexes() WHERE table_name LIKE 'index_red.%';

-- Hostile names.
CREATE TABLE "t' ON ONLY ""x" (a int, b int);
CREATE INDEX "i' ON ONLY ""x; --" ON "t' ON ONLY ""x" (a);
CREATE INDEX "i2" ON "t' ON ONLY ""x" (a, b);
SELECT fix, undo FROM architect.redundant_indexes() WHERE table_name LIKE '%ONLY%';
SELECT unnest(ARRAY[fix, undo]) FROM architect.redundant_indexes() WHERE table_name LIKE '%ONLY%' \gexec

-- No report assigns a transaction id.
BEGIN;
SELECT count(*) >= 0 AS read FROM architect.index_usage;
SELECT count(*) >= 0 AS read FROM architect.unused_indexes(), architect.redundant_indexes(), architect.invalid_indexes();
SELECT count(*) >= 0 AS read FROM architect.unindexed_foreign_keys(), architect.statistics_figures();
SELECT pg_current_xact_id_if_assigned() IS NULL AS none_assigned;
COMMIT;
DROP SCHEMA index_red CASCADE;
