-- The exact definitions of the reports, case by case: what serves a foreign key, what makes an index redundant, and
-- what no report may advise to drop because it enforces or serves something. Where a case looks like another, the name
-- of the table or index says what differs.
CREATE SCHEMA index_mx;
SET search_path = index_mx;
SET client_min_messages = warning;
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN word AS text;
CREATE TABLE parent (a int, b int, c int, t text, p positive, PRIMARY KEY (a, b), UNIQUE (a), UNIQUE (a, b, c), UNIQUE (t), UNIQUE (p));

-- Served: nothing is reported of these.
CREATE TABLE ok_three (x int, b int, c int, a int, FOREIGN KEY (a, b, c) REFERENCES parent (a, b, c));
CREATE INDEX ON ok_three (c, a, b, x);
CREATE TABLE ok_descending (a int REFERENCES parent (a));
CREATE INDEX ON ok_descending (a DESC NULLS LAST) WITH (fillfactor = 50);
CREATE TABLE ok_primary (a int REFERENCES parent (a), n int, PRIMARY KEY (a, n));
CREATE TABLE ok_unique_include (a int REFERENCES parent (a), n int, UNIQUE (a) INCLUDE (n));
CREATE TABLE ok_nullable (a int, b int, FOREIGN KEY (a, b) REFERENCES parent);
CREATE INDEX ON ok_nullable (b, a) WHERE a IS NOT NULL AND b IS NOT NULL;
CREATE TABLE ok_half_null (a int, b int, FOREIGN KEY (a, b) REFERENCES parent);
CREATE INDEX ON ok_half_null (a, b) WHERE b IS NOT NULL;
CREATE TABLE ok_either_null (a int, b int, FOREIGN KEY (a, b) REFERENCES parent);
CREATE INDEX ON ok_either_null (a, b) WHERE a IS NOT NULL OR b IS NOT NULL;
CREATE TABLE ok_domain (p positive REFERENCES parent (p), w word REFERENCES parent (t));
CREATE INDEX ON ok_domain (p) WHERE p IS NOT NULL;
CREATE INDEX ON ok_domain (w);
CREATE TABLE ok_plain_for_domain (p bigint REFERENCES parent (p), v varchar(9) REFERENCES parent (t));
CREATE INDEX ON ok_plain_for_domain (p);
CREATE INDEX ON ok_plain_for_domain (v varchar_ops);
CREATE TABLE ok_self (a int PRIMARY KEY, up int REFERENCES ok_self);
CREATE INDEX ON ok_self (up);
CREATE TABLE ok_second_of_two (a int REFERENCES parent (a));
CREATE INDEX ON ok_second_of_two (a) WHERE a > 5;
CREATE INDEX ON ok_second_of_two USING hash (a) WHERE a IS NOT NULL;
CREATE TABLE ok_range (r int4range PRIMARY KEY);
CREATE TABLE ok_gist (r int4range REFERENCES ok_range);
CREATE INDEX ON ok_gist USING gist (r);
-- An index of text_pattern_ops has plain equality too.
CREATE TABLE ok_domain_pattern (w word REFERENCES parent (t));
CREATE INDEX ON ok_domain_pattern (w text_pattern_ops);
-- Not served.
CREATE TABLE no_hash_pair (a int, b int, FOREIGN KEY (a, b) REFERENCES parent);
CREATE INDEX ON no_hash_pair USING hash (a);
CREATE TABLE no_wider_key (a int, b int, c int, FOREIGN KEY (a, b, c) REFERENCES parent (a, b, c));
CREATE INDEX ON no_wider_key (b, a);
CREATE TABLE no_gap (a int, b int, n int, FOREIGN KEY (a, b) REFERENCES parent);
CREATE INDEX ON no_gap (a, n, b);
CREATE TABLE no_two_singles (a int, b int, FOREIGN KEY (a, b) REFERENCES parent);
CREATE INDEX ON no_two_singles (a);
CREATE INDEX ON no_two_singles (b);
CREATE TABLE no_unique_half (a int UNIQUE, b int, FOREIGN KEY (a, b) REFERENCES parent);
CREATE TABLE no_expression_second (a int, b int, FOREIGN KEY (a, b) REFERENCES parent);
CREATE INDEX ON no_expression_second (a, (b + 0));
CREATE TABLE no_include (a int, b int, FOREIGN KEY (a, b) REFERENCES parent);
CREATE UNIQUE INDEX ON no_include (b) INCLUDE (a);
CREATE TABLE no_brin_pair (a int, b int, FOREIGN KEY (a, b) REFERENCES parent);
CREATE INDEX ON no_brin_pair USING brin (a, b);
CREATE TABLE no_gin (l int[] PRIMARY KEY);
CREATE TABLE no_gin_array (l int[] REFERENCES no_gin);
CREATE INDEX ON no_gin_array USING gin (l);
CREATE TABLE no_partial_value (a int REFERENCES parent (a));
CREATE INDEX ON no_partial_value (a) WHERE a IS NOT NULL AND a <> 0;
CREATE TABLE no_partial_null (a int REFERENCES parent (a));
CREATE INDEX ON no_partial_null (a) WHERE a IS NULL;
CREATE TABLE no_partial_other (a int REFERENCES parent (a), n int);
CREATE INDEX ON no_partial_other (a) WHERE a IS NOT NULL AND n IS NOT NULL;
CREATE TABLE no_collation (t text REFERENCES parent (t));
CREATE INDEX ON no_collation (t COLLATE "C");
CREATE TABLE no_self (a int, b int, up_b int, up_a int, PRIMARY KEY (a, b), FOREIGN KEY (up_a, up_b) REFERENCES no_self);
CREATE TABLE no_not_valid (a int);
ALTER TABLE no_not_valid ADD FOREIGN KEY (a) REFERENCES parent (a) NOT VALID;
CREATE TABLE no_same_set (a int, b int, c int, CONSTRAINT one FOREIGN KEY (a, b) REFERENCES parent, CONSTRAINT two FOREIGN KEY (b, a) REFERENCES parent);
SELECT table_name, constraint_names, finding FROM architect.unindexed_foreign_keys() WHERE table_name LIKE 'index_mx.%' ORDER BY table_name COLLATE "C";

-- Each fix makes its finding go.
SELECT fix FROM architect.unindexed_foreign_keys() WHERE table_name LIKE 'index_mx.%' \gexec
SELECT count(*) AS left FROM architect.unindexed_foreign_keys() WHERE table_name LIKE 'index_mx.%';

-- Partitions of partitions, with their columns in other orders: one row at the top; a key of one partition alone is
-- that partition's.
CREATE TABLE tree (a int, b int, d int, n int, FOREIGN KEY (a, b) REFERENCES parent) PARTITION BY LIST (d);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES IN (1) PARTITION BY LIST (n);
CREATE TABLE tree_1_1 (n int, gone int, b int, d int, a int);
ALTER TABLE tree_1_1 DROP COLUMN gone;
ALTER TABLE tree_1 ATTACH PARTITION tree_1_1 FOR VALUES IN (1);
CREATE TABLE tree_2 PARTITION OF tree FOR VALUES IN (2);
ALTER TABLE tree_2 ADD CONSTRAINT own FOREIGN KEY (n) REFERENCES parent (a);
SELECT table_name, constraint_names, column_names, finding FROM architect.unindexed_foreign_keys() WHERE table_name LIKE 'index_mx.tree%' ORDER BY 1;
CREATE INDEX ON tree_2 (b, a, n);
SELECT table_name, finding, fix FROM architect.unindexed_foreign_keys() WHERE table_name = 'index_mx.tree';
SELECT regexp_split_to_table(fix, '\n') FROM architect.unindexed_foreign_keys() WHERE table_name LIKE 'index_mx.tree%' ORDER BY table_name \gexec
SELECT count(*) AS left FROM architect.unindexed_foreign_keys() WHERE table_name LIKE 'index_mx.tree%';
SELECT count(*) AS invalid FROM architect.invalid_indexes() WHERE table_name LIKE 'index_mx.%';
DROP TABLE tree;

-- Redundant and not.
CREATE VIEW red AS SELECT index_name, kind, made_redundant_by AS by, verdict FROM architect.redundant_indexes(true)
 WHERE table_name LIKE 'index_mx.r%' ORDER BY index_name COLLATE "C";
CREATE TABLE r_differ (a int, b text, c int, d int, r int4range, EXCLUDE USING gist (r WITH &&));
CREATE INDEX ON r_differ USING gist (r, (r * r));
CREATE INDEX ON r_differ (a, b);
CREATE INDEX ON r_differ (a, b DESC);
CREATE INDEX ON r_differ (a NULLS FIRST, c);
CREATE UNIQUE INDEX ON r_differ (a, c);
CREATE UNIQUE INDEX ON r_differ (a, c, d);
CREATE INDEX ON r_differ (a, (c + 1));
CREATE INDEX ON r_differ (a, (c + 2));
CREATE INDEX ON r_differ ((lower(b) COLLATE "C"));
CREATE INDEX ON r_differ (lower(b) COLLATE "POSIX");
CREATE INDEX ON r_differ (d, c) WHERE a > 1;
CREATE INDEX ON r_differ (d) WHERE a > 1 AND c > 1;
CREATE INDEX ON r_differ (d) INCLUDE (b);
CREATE INDEX ON r_differ (d, a) INCLUDE (c);
CREATE INDEX ON r_differ USING hash (d);
CREATE INDEX ON r_differ USING brin (c, d);
SELECT * FROM red;
DROP TABLE r_differ;
CREATE TABLE r_same (id int PRIMARY KEY, a int, b text, c int, d int);
CREATE UNIQUE INDEX r_same_pk_twin ON r_same (id) INCLUDE (a);
CREATE INDEX r_same_pk_part ON r_same (id);
CREATE INDEX r_same_1 ON r_same (a, c);
CREATE INDEX r_same_2 ON r_same (a, c);
CREATE INDEX r_same_3 ON r_same (a, c, d);
CREATE INDEX r_same_4 ON r_same (a, c, d);
CREATE INDEX r_same_desc ON r_same (a DESC, c DESC);
CREATE INDEX r_same_mixed ON r_same (a DESC, c);
CREATE INDEX r_same_mixed_back ON r_same (a, c DESC, id);
CREATE INDEX r_same_expr ON r_same ((c + d)) WHERE a IS NULL;
CREATE INDEX r_same_expr_2 ON r_same ((c + d), a) WHERE (a IS NULL);
CREATE INDEX r_same_hash ON r_same USING hash (b);
CREATE INDEX r_same_hash_2 ON r_same USING hash (b);
CREATE UNIQUE INDEX r_same_unique ON r_same (d);
CREATE INDEX r_same_d ON r_same (d) INCLUDE (d);
SELECT * FROM red;
-- Never both of a pair: dropped all at once, each index still has one that does its work.
CREATE TABLE before AS SELECT index_name, made_redundant_by FROM architect.redundant_indexes() WHERE table_name = 'index_mx.r_same';
SELECT count(*) AS gone_too FROM before WHERE made_redundant_by IN (SELECT index_name FROM before);
DROP TABLE r_same, before;
CREATE MATERIALIZED VIEW r_view AS SELECT g AS a, g AS b FROM generate_series(1, 10) AS g;
CREATE UNIQUE INDEX r_view_a ON r_view (a);
CREATE INDEX r_view_a_again ON r_view (a);
SELECT * FROM red;
DROP MATERIALIZED VIEW r_view;
-- A tree of partitions: attached ones go with the top, which is one row; a twin of a partition alone is its own.
CREATE TABLE r_tree (a int, b int, d int, n int, UNIQUE (a, d, n)) PARTITION BY LIST (d);
CREATE TABLE r_tree_1 PARTITION OF r_tree FOR VALUES IN (1) PARTITION BY LIST (n);
CREATE TABLE r_tree_1_1 PARTITION OF r_tree_1 FOR VALUES IN (1);
CREATE TABLE r_tree_2 PARTITION OF r_tree FOR VALUES IN (2);
CREATE INDEX r_tree_b ON r_tree (b);
CREATE INDEX r_tree_b_again ON r_tree (b);
CREATE INDEX r_tree_a ON r_tree (a);
CREATE INDEX r_tree_1_1_own ON r_tree_1_1 (b, a);
CREATE INDEX r_tree_2_own ON r_tree_2 (b);
SELECT * FROM red;
DROP TABLE r_tree;

-- unused_indexes: what serves a foreign key stays while it is the only one that does; of two, one may go and then the
-- other may not; on one partition too; not for a key it only seems to serve.
CREATE VIEW unused AS SELECT index_name, verdict, reason FROM architect.unused_indexes('0', include_kept => true, ignore_standbys => true)
 WHERE table_name LIKE 'index_mx.u%' ORDER BY index_name COLLATE "C";
CREATE TABLE u_key (a int CONSTRAINT u_key_a REFERENCES parent (a), b int, n int, CONSTRAINT u_key_pair FOREIGN KEY (a, b) REFERENCES parent);
CREATE INDEX u_only_pair ON u_key (b, a);
CREATE INDEX u_second ON u_key (a, n);
CREATE INDEX u_third ON u_key (a);
CREATE INDEX u_partial ON u_key (a) WHERE n > 0;
CREATE INDEX u_none ON u_key (n);
CREATE INDEX u_brin ON u_key USING brin (a);
SELECT index_name, verdict FROM unused WHERE index_name NOT IN ('index_mx.u_second', 'index_mx.u_third');
SELECT array_agg(verdict ORDER BY verdict) AS one_of_two FROM unused WHERE index_name IN ('index_mx.u_second', 'index_mx.u_third');
SELECT fix FROM architect.unused_indexes('0', ignore_standbys => true) WHERE table_name = 'index_mx.u_key' \gexec
SELECT index_name IN ('index_mx.u_second', 'index_mx.u_third') AS of_two, verdict, reason FROM unused ORDER BY index_name;
SELECT count(*) AS unserved FROM architect.unindexed_foreign_keys() WHERE table_name = 'index_mx.u_key';
DROP TABLE u_key;
-- And it is the one that redundant_indexes() keeps: who follows both has one left.
CREATE TABLE u_both (a int REFERENCES parent (a), b int);
CREATE INDEX u_both_a_wide ON u_both (a, b);
CREATE INDEX u_both_b_narrow ON u_both (a);
SELECT index_name, verdict FROM unused;
SELECT index_name, made_redundant_by FROM architect.redundant_indexes() WHERE table_name = 'index_mx.u_both';
DROP TABLE u_both;
CREATE TABLE u_tree (a int REFERENCES parent (a), d int) PARTITION BY LIST (d);
CREATE TABLE u_tree_1 PARTITION OF u_tree FOR VALUES IN (1);
CREATE TABLE u_tree_2 PARTITION OF u_tree FOR VALUES IN (2);
CREATE INDEX u_tree_a ON u_tree (a);
CREATE INDEX u_tree_d ON u_tree (d, a);
CREATE INDEX u_tree_2_own ON u_tree_2 (a, d);
SELECT * FROM unused;
DROP TABLE u_tree;
-- Whatever its scans: constraints, uniqueness, what a key refers to, replica identity, clustering.
CREATE TABLE u_kept (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL, r int4range, UNIQUE (b), EXCLUDE USING gist (r WITH &&));
CREATE UNIQUE INDEX u_kept_ident ON u_kept (a, b);
ALTER TABLE u_kept REPLICA IDENTITY USING INDEX u_kept_ident;
CREATE INDEX u_kept_cluster ON u_kept (a);
ALTER TABLE u_kept CLUSTER ON u_kept_cluster;
CREATE UNIQUE INDEX u_kept_refers ON u_kept (a);
CREATE TABLE u_refers (a int REFERENCES u_kept (a));
SELECT * FROM unused;
-- Once it serves nothing any more it is like any other.
ALTER TABLE u_kept SET WITHOUT CLUSTER;
SELECT verdict FROM unused WHERE index_name = 'index_mx.u_kept_cluster';
DROP SCHEMA index_mx CASCADE;
