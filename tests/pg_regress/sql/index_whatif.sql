-- Protects: what the planner is told of an index that is not there is what it would find if it were.
-- Every kind of index is planned for hypothetically, then created, and the two plans are compared: the same
-- plan, costs within one per cent, sizes within ten (of hash and GIN indexes of few pages: near).
-- The statistics are those of one ANALYZE: another sample would differ by more than that.
CREATE SCHEMA index_whatif;
SET search_path = index_whatif, architect, public;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE noise (x int);
CREATE TABLE t (
    id int PRIMARY KEY, dropped int, a int NOT NULL, b text, c timestamptz, d numeric(10, 2), e boolean, tags int[],
    doc jsonb, words tsvector, place point, span int4range);
ALTER TABLE t DROP COLUMN dropped;
INSERT INTO t SELECT i, i % 5000, 'name ' || i % 700, '2026-01-01'::timestamptz + i * interval '1 minute', i % 1000 / 7.0,
    i % 50 = 0, ARRAY[i % 100, i % 77], jsonb_build_object('k', i % 500, 'z', i), to_tsvector('simple', 'w' || i % 300 || ' v' || i % 200),
    point(i % 1000, i / 1000), int4range(i, i + 10)
  FROM generate_series(1, 60000) i;
VACUUM ANALYZE t;

-- What is compared: shape of the plan without its costs, then the costs.
CREATE FUNCTION compare(kind text, create_statement text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    hypo record; real_plan json; real_cost float8; predicted bigint; actual bigint; hypo_plan text; index_name text;
BEGIN
    SELECT * INTO hypo FROM architect.index_cost(query, ARRAY[create_statement]);
    SELECT regexp_replace(string_agg(l, E'\n'), 'hypothetical_', '', 'g') INTO hypo_plan FROM (
        SELECT regexp_replace(unnest(string_to_array(plan, E'\n')), '  \(cost=.*\)', '') AS l
          FROM architect.explain_with_indexes(query, ARRAY[create_statement]) WHERE version = 'after') s;
    EXECUTE create_statement;
    SELECT c.relname, pg_relation_size(c.oid) INTO index_name, actual FROM pg_class c ORDER BY c.oid DESC LIMIT 1;
    -- An expression's statistics come with the next ANALYZE.
    IF kind LIKE 'expression%' THEN ANALYZE t; END IF;
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO real_plan;
    real_cost := (real_plan->0->'Plan'->>'Total Cost')::float8;
    EXECUTE format('DROP INDEX %I', index_name);
    RETURN format('%s: %s; cost %s; size %s', kind,
        CASE WHEN hypo.indexes_after <> '{}' AND real_plan::text LIKE '%' || index_name || '%' THEN 'used by both'
             WHEN hypo.indexes_after = '{}' AND real_plan::text NOT LIKE '%' || index_name || '%' THEN 'used by neither'
             ELSE 'differs: ' || real_cost || hypo_plan END,
        -- An expression's figures come from two samples, ours and ANALYZE's.
        CASE WHEN abs(hypo.cost_after / real_cost - 1) < CASE WHEN kind LIKE 'expression%' THEN 0.25 ELSE 0.01 END THEN 'as predicted'
             WHEN abs(hypo.cost_after / real_cost - 1) < 0.25 THEN 'near'
             ELSE format('%s instead of %s', real_cost, hypo.cost_after) END,
        CASE WHEN abs(hypo.created_bytes::float8 / actual - 1) < 0.1 THEN 'as predicted'
             WHEN abs(hypo.created_bytes::float8 / actual - 1) < 0.3 THEN 'near'
             ELSE format('%s instead of %s', actual / 8192, hypo.created_bytes / 8192) END);
END $$;

SELECT compare(k, c, q) FROM (VALUES
    (1, 'btree', 'CREATE INDEX ON t (a)', 'SELECT * FROM t WHERE a = 5'),
    (2, 'range', 'CREATE INDEX ON t (c)', 'SELECT * FROM t WHERE c < ''2026-01-02'''),
    (3, 'two columns', 'CREATE INDEX ON t (a, c)', 'SELECT * FROM t WHERE a = 5 AND c > ''2026-01-15'''),
    (4, 'text', 'CREATE INDEX ON t (b)', 'SELECT * FROM t WHERE b = ''name 7'''),
    (5, 'numeric', 'CREATE INDEX ON t (d)', 'SELECT * FROM t WHERE d = 3'),
    (6, 'INCLUDE', 'CREATE INDEX ON t (a) INCLUDE (b)', 'SELECT a, b FROM t WHERE a < 50'),
    (7, 'index only', 'CREATE INDEX ON t (a, b)', 'SELECT a, b FROM t WHERE a = 50'),
    (8, 'DESC NULLS LAST', 'CREATE INDEX ON t (a, c DESC NULLS LAST)', 'SELECT * FROM t WHERE a = 5 ORDER BY c DESC NULLS LAST LIMIT 3'),
    (9, 'ORDER BY LIMIT', 'CREATE INDEX ON t (c)', 'SELECT * FROM t ORDER BY c LIMIT 10'),
    (10, 'text_pattern_ops', 'CREATE INDEX ON t (b text_pattern_ops)', 'SELECT * FROM t WHERE b LIKE ''name 69%'''),
    (11, 'partial', 'CREATE INDEX ON t (a) WHERE e', 'SELECT * FROM t WHERE a = 50 AND e'),
    (12, 'partial, not implied', 'CREATE INDEX ON t (a) WHERE e', 'SELECT * FROM t WHERE a = 50'),
    (13, 'hash', 'CREATE INDEX ON t USING hash (b)', 'SELECT * FROM t WHERE b = ''name 7'''),
    (14, 'BRIN', 'CREATE INDEX ON t USING brin (c)', 'SELECT * FROM t WHERE c < ''2026-01-03'''),
    (15, 'GIN array', 'CREATE INDEX ON t USING gin (tags)', 'SELECT * FROM t WHERE tags @> ''{3,5}'''),
    (16, 'GIN jsonb', 'CREATE INDEX ON t USING gin (doc jsonb_path_ops)', 'SELECT * FROM t WHERE doc @> ''{"k": 3}'''),
    (17, 'GIN text search', 'CREATE INDEX ON t USING gin (words)', 'SELECT * FROM t WHERE words @@ ''w3 & v3''::tsquery'),
    (18, 'GiST', 'CREATE INDEX ON t USING gist (place)', 'SELECT * FROM t WHERE place <@ box ''((1,1),(3,3))'''),
    (19, 'GiST order', 'CREATE INDEX ON t USING gist (place)', 'SELECT * FROM t ORDER BY place <-> point ''(1,1)'' LIMIT 2'),
    (20, 'SP-GiST', 'CREATE INDEX ON t USING spgist (place)', 'SELECT * FROM t WHERE place <@ box ''((1,1),(3,3))'''),
    (21, 'another place in the range table', 'CREATE INDEX ON t (a) WHERE e', 'SELECT * FROM noise, noise n2, t WHERE t.a = 50 AND t.e AND noise.x = t.id'),
    (22, 'of no use', 'CREATE INDEX ON t (b)', 'SELECT * FROM t WHERE d > 0'),
    (23, 'expression', 'CREATE INDEX ON t ((id % 90))', 'SELECT * FROM t WHERE id % 90 = 5')
) v (n, k, c, q) ORDER BY n;

-- Hidden indexes.
SELECT cost_before < cost_after AS dearer, indexes_before, indexes_after, dropped_bytes > 0 AS sized
  FROM index_cost('SELECT * FROM t WHERE id = 5', drop => ARRAY['t_pkey'::regclass]);

-- Partitions with columns in another order.
CREATE TABLE p (id int, at date, v int) PARTITION BY RANGE (at);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE p2 (v int, gone int, at date, id int);
ALTER TABLE p2 DROP COLUMN gone;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO p SELECT i, '2026-01-01'::date + i % 59, i % 1000 FROM generate_series(1, 40000) i;
ANALYZE p;
SELECT regexp_replace(plan, 'cost=[0-9.]+', 'cost=', 'g') FROM explain_with_indexes('SELECT id FROM p WHERE v = 7', ARRAY['CREATE INDEX pv ON p (v)']) WHERE version = 'after';

-- Real queries never see them, not even those that run while a plan is made.
CREATE FUNCTION asks() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN (SELECT max(a) FROM t WHERE a = 5); END';
SELECT indexes_after FROM index_cost('SELECT * FROM t WHERE a = asks()', ARRAY['CREATE INDEX ON t (a)']);
EXPLAIN (COSTS off) SELECT * FROM t WHERE a = 5;
CREATE FUNCTION asks_too() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN (SELECT 5 FROM architect.index_cost('SELECT * FROM t', ARRAY['CREATE INDEX ON t (b)'])); END$$;
SELECT count(*) FROM explain_with_indexes('SELECT * FROM t WHERE a = asks_too()', ARRAY['CREATE INDEX ON t (a)']) WHERE plan ~ 'hypothetical_t_a_idx';

-- Expressions whose values are arrays by another name.
CREATE DOMAIN pair AS int[];
CREATE TABLE pairs (a int, b int, c text);
INSERT INTO pairs SELECT g % 7, CASE WHEN g % 2 = 0 THEN 3 ELSE g % 11 END, (g % 2) || ' 3' FROM generate_series(1, 5000) AS g;
ANALYZE pairs;
SELECT indexes_after FROM index_cost('SELECT * FROM pairs WHERE (ARRAY[a, b])::pair = ARRAY[1, 3]', ARRAY['CREATE INDEX byname ON pairs (((ARRAY[a, b])::pair))']);
SELECT indexes_after FROM index_cost('SELECT * FROM pairs WHERE c::oidvector = ''1 4''::oidvector', ARRAY['CREATE INDEX byname ON pairs ((c::oidvector))']);

-- A parameter where none may stand, thousands of times: read in a few passes, and those can be interrupted.
SET statement_timeout = '30 s';
SELECT cost_after > 0 AS read FROM index_cost((SELECT 'SELECT now() IN (' || string_agg('date $' || i, ', ') || ') AND "date $1" = 1 FROM (SELECT 1 AS "date $1") AS x' FROM generate_series(1, 8000) AS i));
RESET statement_timeout;

-- What is refused.
SELECT index_cost('SELECT 1; SELECT 2');
SELECT index_cost('VACUUM');
SELECT index_cost('SELECT * FROM t', ARRAY['DROP INDEX t_pkey']);
SELECT index_cost('SELECT * FROM t', ARRAY['CREATE INDEX ON t (nothing)']);
SELECT index_cost('SELECT * FROM t', ARRAY['CREATE INDEX ON t USING gin (tags) INCLUDE (a)']);
SELECT index_cost('SELECT * FROM t', ARRAY['CREATE INDEX ON t ((now()))']);
SELECT index_cost('SELECT * FROM t', drop => ARRAY['t'::regclass]);
SELECT explain_with_indexes('SELECT 1', format => 'csv');

-- The caller's privileges hold.
CREATE ROLE index_whatif_reader;
GRANT USAGE ON SCHEMA index_whatif, architect TO index_whatif_reader;
GRANT EXECUTE ON FUNCTION index_cost, explain_with_indexes TO index_whatif_reader;
SET ROLE index_whatif_reader;
SELECT index_cost('SELECT * FROM index_whatif.t');
RESET ROLE;
REVOKE ALL ON SCHEMA architect FROM index_whatif_reader;
REVOKE ALL ON FUNCTION index_cost, explain_with_indexes FROM index_whatif_reader;

-- Nothing is written, so a read-only transaction will do, and no transaction id is assigned.
BEGIN READ ONLY;
SELECT indexes_after FROM index_cost('UPDATE t SET b = '''' WHERE a = 5', ARRAY['CREATE INDEX ON t (a)']);
SELECT pg_current_xact_id_if_assigned() IS NULL AS unassigned;
COMMIT;

SET client_min_messages = warning;
DROP SCHEMA index_whatif CASCADE;
DROP ROLE index_whatif_reader;
