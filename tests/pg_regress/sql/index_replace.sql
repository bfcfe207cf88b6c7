-- Existing indexes in the advice: one that an advised index begins with, in the columns' order that lets it go; two that
-- become one; redundant ones; what a foreign key needs goes only where something takes over. Each CREATE and DROP with
-- its undo.
CREATE SCHEMA index_rpl;
SET search_path = index_rpl;
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE customer (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customer, region int, kind int,
    placed_at timestamptz NOT NULL, total numeric, note text, code text);
INSERT INTO customer SELECT g, 'n' || g FROM generate_series(1, 5000) AS g;
INSERT INTO orders SELECT i, i % 5000 + 1, i % 400, (i / 7) % 300, '2026-01-01'::timestamptz + i * interval '1 minute', i % 1000,
    repeat('x', 80), 'c' || i % 2000 FROM generate_series(1, 60000) AS i;
ANALYZE;
CREATE FUNCTION advice(texts text[], weights float8[]) RETURNS TABLE (action text, statement text, undo text, why text)
LANGUAGE sql AS $$
    SELECT s.action, s.statement, s.undo, substring(s.reason FROM 'begins as.*|stands in.*|.* serves what .*')
      FROM architect.suggest_indexes(workload => texts || 'INSERT INTO orders VALUES ($1, $2, $3, $4, $5, $6, $7, $8)'::text, weights => weights || 1e6::float8) AS s
     ORDER BY s.action, s.statement $$;

-- The index that serves a foreign key goes where the advised one serves it too, and only there.
CREATE INDEX orders_customer ON orders (customer_id);
SELECT * FROM advice('{SELECT * FROM orders WHERE customer_id = $1 ORDER BY placed_at DESC LIMIT 5}', '{1e5}');
SELECT * FROM advice('{SELECT * FROM orders WHERE region = $1}', '{1e5}');
DROP INDEX orders_customer;

-- Its columns after those of the existing index.
CREATE INDEX orders_kind ON orders (kind);
SELECT * FROM advice('{SELECT * FROM orders WHERE region = $1 AND kind = $2,SELECT * FROM orders WHERE kind = $1}', '{1e5,1e3}');
DROP INDEX orders_kind;

-- Two that become one.
CREATE INDEX orders_region_kind ON orders (region, kind);
CREATE INDEX orders_region_total ON orders (region) INCLUDE (total);
SELECT * FROM advice('{SELECT id FROM orders WHERE region = $1 AND kind = $2,SELECT total FROM orders WHERE region = $1}', '{100,100}');
DROP INDEX orders_region_kind, orders_region_total;

-- Redundant by one that is there: never both of a pair.
CREATE INDEX orders_region ON orders (region);
CREATE INDEX orders_region_2 ON orders (region);
CREATE INDEX orders_region_kind ON orders (region, kind);
SELECT * FROM advice('{SELECT * FROM orders WHERE region = $1 AND kind = $2,SELECT * FROM orders WHERE region = $1}', '{1e5,1e5}');

-- Of a partitioned table whose partitions have their columns in other orders.
CREATE TABLE event (id bigint, at date NOT NULL, kind int, who int, pad text) PARTITION BY RANGE (at);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE event_2 (pad text, who int, gone int, kind int, id bigint, at date NOT NULL);
ALTER TABLE event_2 DROP COLUMN gone;
ALTER TABLE event ATTACH PARTITION event_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO event SELECT g, '2026-01-01'::date + g % 59, g % 2000, g % 300, repeat('x', 60) FROM generate_series(1, 60000) AS g;
CREATE INDEX event_kind ON event (kind);
CREATE INDEX event_who ON event (who);
ANALYZE event;
SELECT action, statement, undo, substring(reason FROM 'begins as.*') AS why
  FROM architect.suggest_indexes(workload => '{SELECT * FROM event WHERE kind = $1 AND who = $2,SELECT * FROM event WHERE who = $1 AND at = $2,"INSERT INTO event VALUES ($1, $2, $3, $4, $5)"}', weights => '{1e5,1e4,1e5}')
 ORDER BY action, statement;
DROP SCHEMA index_rpl CASCADE;
