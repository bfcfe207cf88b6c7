-- Protects: what suggest_indexes() advises for small workloads whose right answer is known, what it never
-- advises, that it says what it could not analyse, and that no literal of a statement gets out.
CREATE SCHEMA index_advice;
SET search_path = index_advice, architect, public;
SET max_parallel_workers_per_gather = 0;
SET client_min_messages = warning;

CREATE TABLE customer (id int PRIMARY KEY, email text NOT NULL, country text NOT NULL, deleted_at timestamptz);
CREATE TABLE orders (
    id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customer, status text NOT NULL, placed_at timestamptz NOT NULL,
    total numeric(10, 2) NOT NULL, doc jsonb);
INSERT INTO customer SELECT i, 'user' || i || '@example.org', 'c' || i % 50, CASE WHEN i % 100 = 0 THEN now() END FROM generate_series(1, 20000) i;
INSERT INTO orders SELECT i, i % 20000 + 1, CASE WHEN i % 200 = 0 THEN 'open' ELSE 'closed' END,
    '2026-01-01'::timestamptz + i * interval '1 minute', i % 1000, jsonb_build_object('k', i % 5000) FROM generate_series(1, 60000) i;
ANALYZE customer, orders;

CREATE FUNCTION advice(texts text[], "limit" text DEFAULT '500MB') RETURNS TABLE (statement text, queries bigint[], helps boolean, method text)
LANGUAGE sql AS $$
    SELECT s.statement, s.query_ids, s.benefit_ms_per_day > 0 AND s.cost_after < s.cost_before, s.method
      FROM architect.suggest_indexes(budget => "limit", workload => texts, weights => array_fill(100000::float8, ARRAY[cardinality(texts)]), include_drops => false) s ORDER BY s.rank $$;

-- One column, equality.
SELECT * FROM advice(ARRAY['SELECT * FROM customer WHERE email = $1']);
-- Equality before range, whatever their order in the statement.
SELECT * FROM advice(ARRAY['SELECT * FROM orders WHERE placed_at > $1 AND customer_id = $2']);
-- The rows of an ORDER BY with a LIMIT, found in their order.
SELECT * FROM advice(ARRAY['SELECT * FROM orders WHERE customer_id = $1 ORDER BY placed_at DESC LIMIT 5']);
-- A join; the other side's key is there.
SELECT * FROM advice(ARRAY['SELECT o.* FROM customer c JOIN orders o ON o.customer_id = c.id WHERE c.id = $1']);
-- Nothing that is there already, though it were smaller when new: this key is full of holes.
CREATE TABLE hollow (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL, filler text DEFAULT repeat('x', 300));
CREATE INDEX hollow_a ON hollow (a) INCLUDE (b);
INSERT INTO hollow SELECT i, hashint4(i + 1), i % 3 FROM generate_series(1, 30000) i ORDER BY hashint4(i);
VACUUM ANALYZE hollow;
SELECT * FROM advice(ARRAY['SELECT * FROM hollow WHERE id BETWEEN 1000 AND 1100', 'SELECT b FROM hollow WHERE a BETWEEN $1 AND $1 + 100000000', 'SELECT a FROM hollow WHERE a BETWEEN $1 AND $1 + 100000000']);
DROP TABLE hollow;
-- Nor what a btree would refuse some day, and the row with it; a hash index takes values of any length.
CREATE TABLE page (id int PRIMARY KEY, url text NOT NULL);
INSERT INTO page SELECT i, (SELECT string_agg(md5(format('%s %s', i, j)), '') FROM generate_series(1, 20 + i % 50) j) FROM generate_series(1, 5000) i;
ANALYZE page;
SELECT * FROM advice(ARRAY['SELECT id FROM page WHERE url = $1', 'SELECT id FROM page ORDER BY url LIMIT 10']);
DROP TABLE page;
-- Soft deletion: few rows have it.
SELECT * FROM advice(ARRAY['SELECT id FROM customer WHERE deleted_at IS NOT NULL']);
-- A constant that few rows have and that pg_stats shows.
SELECT * FROM advice(ARRAY['SELECT id FROM orders WHERE status = ''open'' ORDER BY placed_at']);
-- One that is asked for once is not worth an index of its own; one that two statements ask for is.
SELECT count(*) > 0 AS partial FROM suggest_indexes(include_drops => false, workload => ARRAY['SELECT id FROM orders WHERE status = ''open'' ORDER BY placed_at'])
 WHERE statement LIKE '%WHERE (status = ''open''%';
SELECT count(*) > 0 AS partial FROM suggest_indexes(include_drops => false, workload => ARRAY['SELECT id FROM orders WHERE status = ''open'' ORDER BY placed_at',
    'SELECT id, total FROM orders WHERE status = ''open'' AND total > 990']) WHERE statement LIKE '%WHERE (status = ''open''%';
-- An expression.
SELECT * FROM advice(ARRAY['SELECT * FROM customer WHERE lower(email) = $1']);
-- jsonb.
SELECT * FROM advice(ARRAY['SELECT * FROM orders WHERE doc @> ''{"k": 7}''']);
-- Through a view and a subquery.
CREATE VIEW recent AS SELECT o.id AS order_id, o.customer_id AS who FROM orders o;
SELECT * FROM advice(ARRAY['SELECT * FROM (SELECT * FROM recent) r WHERE r.who = 17']);
-- An index that is there already; a statement no index helps; nothing to do.
SELECT * FROM advice(ARRAY['SELECT * FROM customer WHERE id = $1', 'SELECT sum(total) FROM orders']);
-- No room.
SELECT * FROM advice(ARRAY['SELECT * FROM customer WHERE email = $1'], '8kB');
-- A literal that pg_stats does not show stays in the statement.
SELECT count(*) FROM advice(ARRAY['SELECT id FROM customer WHERE email = ''secret@example.org'' AND country = ''c7''']) a WHERE a.statement LIKE '%secret%';
-- Partitions.
CREATE TABLE event (at date NOT NULL, kind int NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO event SELECT '2026-01-01'::date + i % 59, i % 3000, 'x' FROM generate_series(1, 30000) i;
ANALYZE event;
SELECT statement, caveats FROM suggest_indexes(workload => ARRAY['SELECT * FROM event WHERE kind = $1'], weights => '{100000}');

-- Statements as pg_stat_statements keeps them.
SELECT outcome, statements, query_ids FROM workload_coverage(workload => ARRAY[
    'SELECT * FROM orders WHERE placed_at >= date $1 AND placed_at < date $2 + interval $3',
    'SELECT * FROM orders WHERE total BETWEEN $1 - $2 AND $1 + $2',
    'SELECT $1 + $2, - $3, $4 || $5, extract($6 FROM placed_at) FROM orders',
    'SELECT sum(CASE WHEN status = $1 OR status <> $2 THEN $3 ELSE $4 END) FROM orders',
    'SELECT interval $1 month, timestamp $2, substring(status FROM $3 FOR $4) FROM orders LIMIT $5 OFFSET $6',
    'SELECT * FROM orders WHERE customer_id = ANY (ARRAY[$1, $2]) AND id IN ($3, $4) AND doc ->> $5 = $6',
    'SELECT * FROM orders WHERE customer_id = ANY ($1) AND (placed_at, id) > ($2, $3)',
    'INSERT INTO orders VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET total = excluded.total + $7',
    'UPDATE orders SET total = total * $1 WHERE id = $2',
    'WITH RECURSIVE r (n) AS (SELECT $1::int UNION ALL SELECT n + $2 FROM r WHERE n < $3) SELECT count(*) FROM r JOIN orders ON id = n',
    'SELECT * FROM no_such_table WHERE x = $1',
    'SELECT no_such_column FROM orders',
    'SELECT ''hidden literal''::int',
    'VACUUM orders',
    'SELECT * FROM orders WHERE (']) ORDER BY outcome;

-- Existing indexes: one that nothing uses and that updates pay for, one that enforces, one that serves a key.
CREATE INDEX orders_status ON orders (status, total);
CREATE UNIQUE INDEX customer_email ON customer (email);
CREATE INDEX orders_customer ON orders (customer_id);
SELECT action, table_name, columns, statement, undo, reason, confidence, caveats FROM suggest_indexes(
    workload => ARRAY['SELECT * FROM customer WHERE id = $1', 'UPDATE orders SET status = $1 WHERE id = $2', 'SELECT * FROM orders WHERE id = $1'],
    weights => ARRAY[1000, 100000, 1000]);

-- Of two indexes that serve a foreign key, neither used, one stays.
CREATE INDEX orders_customer_total ON orders (customer_id, total);
SELECT count(*) AS dropped FROM suggest_indexes(
    workload => ARRAY['UPDATE orders SET total = $1 WHERE id = $2', 'INSERT INTO orders VALUES ($1, $2, $3, $4, $5, $6)'], weights => ARRAY[100000, 100000])
 WHERE action = 'DROP' AND columns[1] = 'customer_id';
DROP INDEX orders_customer_total;

-- Advice is kept; the same once a day.
SELECT count(*) > 5 AS kept, count(*) = count(DISTINCT statement) AS once FROM advice_log WHERE schema_name = 'index_advice';

-- Columns of an answer. Writes are those the statistics system has heard of: a few.
SELECT FROM pg_stat_force_next_flush();
SELECT FROM pg_stat_reset_single_table_counters('index_advice.orders'::regclass);
UPDATE index_advice.orders SET total = total WHERE id = (SELECT min(id) FROM index_advice.orders);
SELECT FROM pg_stat_force_next_flush();
-- Since PostgreSQL 18 an index that begins with another column may do.
BEGIN;
DROP INDEX index_advice.orders_status;
SELECT rank, action, table_name, columns, method, size_bytes > 0 AS sized, query_count, round(benefit_share::numeric, 1) AS share,
       write_ms_per_day > 0 AS priced, wal_bytes_per_day > 0 AS wal, ends_hot_updates, priority, reason ~ '^1 statement gets cheaper; the workload''s time falls by ' AS said, undo, confidence, caveats
  FROM suggest_indexes(workload => ARRAY['SELECT id FROM orders WHERE total = $1'], weights => ARRAY[100000], include_drops => false);
ROLLBACK;

-- What is refused.
SELECT suggest_indexes(workload => '{}', weights => '{1}');
SELECT suggest_indexes(workload => ARRAY['SELECT 1'], weights => ARRAY['NaN'::float8]);
SELECT suggest_indexes(max_columns => 0, workload => '{}');
SELECT suggest_indexes(time_limit => '-1 s', workload => '{}');
SELECT suggest_indexes(budget => 'much', workload => '{}');
-- Other schemas only.
SELECT statement FROM suggest_indexes(schemas => '{public}', workload => ARRAY['SELECT * FROM orders WHERE total = $1']);

DROP SCHEMA index_advice CASCADE;
