-- review_advice: advice that was followed, by name or in substance, or not; what differs from the prediction; what the
-- caller may not see is not shown.
CREATE SCHEMA index_rev;
SET search_path = index_rev;
SET client_min_messages = warning;
CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int) WITH (autovacuum_enabled = off);
INSERT INTO t SELECT g, g, g, g FROM generate_series(1, 10000) AS g;
CREATE INDEX t_old ON t (c);
CREATE FUNCTION advise(action text, name text, columns text[], bytes bigint) RETURNS void LANGUAGE sql AS $$
INSERT INTO architect.advice_log (advised_to, advised_by, action, table_oid, schema_name, table_name, index_name, columns, method,
        statement, estimated_bytes, cost_before, cost_after, query_ids)
VALUES ('test', 'test', action, 'index_rev.t'::regclass, 'index_rev', 't', name, columns, 'btree', '', bytes, 100, 10, '{1}');
$$;
SELECT advise('CREATE', 't_a_idx', '{a}', 245760), advise('CREATE', 't_b_idx', '{b}', 24576), advise('CREATE', 't_a_b_idx', '{a,b}', 1),
       advise('DROP', 't_old', '{c}', NULL), advise('DROP', 't_gone', '{c}', NULL);
SELECT index_name, action, status, verdict FROM architect.review_advice() WHERE table_name = 'index_rev.t' ORDER BY index_name;
CREATE INDEX t_a_idx ON t (a);
CREATE INDEX another_name ON t (b);
DROP INDEX t_old;
SELECT index_name, action, status, predicted_bytes, actual_bytes, scans, verdict FROM architect.review_advice() WHERE table_name = 'index_rev.t' ORDER BY index_name;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_a_idx'::regclass;
SELECT index_name, status, verdict FROM architect.review_advice() WHERE index_name = 't_a_idx';
UPDATE pg_index SET indisvalid = true WHERE indexrelid = 't_a_idx'::regclass;
CREATE ROLE index_rev_reader;
SELECT count(*) > 0 AS granted FROM architect.grant_access('index_rev_reader');
SET ROLE index_rev_reader;
SELECT count(*) AS nothing FROM architect.review_advice() WHERE table_name LIKE 'index_rev.%';
SELECT count(*) FROM architect.index_usage WHERE index_name LIKE 'index_rev.%';
SELECT * FROM architect.advice_log;
SELECT * FROM architect.index_snapshot;
SELECT architect.import_snapshot('x', '{}');
RESET ROLE;
GRANT USAGE ON SCHEMA index_rev TO index_rev_reader;
GRANT SELECT ON t TO index_rev_reader;
SET ROLE index_rev_reader;
SELECT count(*) AS some FROM architect.review_advice() WHERE table_name LIKE 'index_rev.%';
SELECT index_name FROM architect.index_usage WHERE index_name LIKE 'index_rev.%' ORDER BY 1;
RESET ROLE;
SELECT count(*) > 0 AS revoked FROM architect.revoke_access('index_rev_reader');
DROP OWNED BY index_rev_reader;
DROP ROLE index_rev_reader;
DROP SCHEMA index_rev CASCADE;
SELECT count(*) AS of_tables_that_are_gone FROM architect.review_advice() WHERE table_name LIKE 'index_rev%';
DELETE FROM architect.advice_log WHERE schema_name = 'index_rev';
