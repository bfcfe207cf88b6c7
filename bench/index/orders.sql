-- pgbench's tables and a shop's: mostly writes, with indexes that somebody once made. The right answer is a few indexes,
-- and to drop those that only cost.
CREATE TABLE shop_order (
    id bigint PRIMARY KEY, customer_id int NOT NULL, status text NOT NULL, placed_at timestamptz NOT NULL, updated_at timestamptz NOT NULL,
    total numeric(10, 2) NOT NULL, note text);
INSERT INTO shop_order SELECT i, i % 5000, CASE WHEN i % 100 = 0 THEN 'open' ELSE 'done' END,
    '2026-01-01'::timestamptz + i * interval '10 s', now(), i % 1000, md5(i::text) FROM generate_series(1, 200000) i;
-- Written by every update; no statement asks for them.
CREATE INDEX shop_order_status ON shop_order (status);
CREATE INDEX shop_order_updated ON shop_order (updated_at);
-- The beginning of another.
CREATE INDEX shop_order_customer ON shop_order (customer_id);
CREATE INDEX shop_order_customer_placed ON shop_order (customer_id, placed_at);
CREATE TABLE shop_event (id bigserial PRIMARY KEY, order_id bigint NOT NULL, what text NOT NULL, at timestamptz NOT NULL DEFAULT now());
INSERT INTO shop_event (order_id, what) SELECT i % 200000, 'made' FROM generate_series(1, 200000) i;
VACUUM ANALYZE shop_order, shop_event;
