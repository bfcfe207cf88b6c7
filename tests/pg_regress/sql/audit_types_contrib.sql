-- Types of contrib extensions are recorded exactly, where those extensions are installed.
SET client_min_messages = warning;
SELECT count(*) < 3 AS missing FROM pg_available_extensions WHERE name IN ('hstore', 'citext', 'ltree') \gset
\if :missing
\quit
\endif
CREATE SCHEMA audit_contrib;
SET search_path = audit_contrib;
CREATE EXTENSION hstore SCHEMA audit_contrib;
CREATE EXTENSION citext SCHEMA audit_contrib;
CREATE EXTENSION ltree SCHEMA audit_contrib;
CREATE DOMAIN labels AS hstore;
CREATE TYPE both_of AS (h hstore, c citext[]);
CREATE TABLE t (id citext PRIMARY KEY, h hstore, hs hstore[], l ltree, q lquery, x ltxtquery, ls ltree[], d labels, c both_of);
CREATE TABLE original (LIKE t);
INSERT INTO original VALUES
    ('A', '"a b"=>"c\"d", e=>NULL, "NULL"=>"", ""=>"\\"', ARRAY['a=>1'::hstore, NULL, ''], 'Top.Science.x_1', '*.x*@%.!y|z{1,2}', 'a & !b*', '{a.b,NULL,""}', 'x=>y',
     ('a=>"1,2"', '{Ab,"",NULL}')),
    ('b', '', '{}', '', '*', 'a', '[0:1]={a,b}', '', (NULL, '[5:5]={X}')),
    ('ß', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT action FROM architect.enable_audit('t');
BEGIN;
SET LOCAL search_path = '';
INSERT INTO audit_contrib.t SELECT * FROM audit_contrib.original;
UPDATE audit_contrib.t SET h = audit_contrib.hstore('k', 'v'), id = 'a' WHERE id OPERATOR(audit_contrib.=) 'A';
COMMIT;
SELECT row_key, new_values FROM architect.audit_log WHERE schema_name = 'audit_contrib' AND operation = 'INSERT' ORDER BY audit_id;
SELECT row_key, changed_columns, old_values, new_values FROM architect.audit_log WHERE schema_name = 'audit_contrib' AND operation = 'UPDATE';
SELECT count(*) AS rows, count(*) FILTER (WHERE o *= r) AS identical
  FROM architect.audit_log AS l, jsonb_populate_record(NULL::original, l.new_values) AS r JOIN original AS o USING (id)
 WHERE l.schema_name = 'audit_contrib' AND operation = 'INSERT';
DROP SCHEMA audit_contrib CASCADE;
