-- What bench/index.sh measures, as functions.
CREATE FUNCTION cost_of(text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || $1 INTO plan;
    RETURN (plan->0->'Plan'->>'Total Cost')::float8;
END $$;

-- Runs a statement for its entry in pg_stat_statements; how long that took.
CREATE FUNCTION run_once(text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    SET LOCAL pg_stat_statements.track = 'all';
    EXECUTE $1;
    RETURN round(extract(epoch FROM clock_timestamp() - began), 2);
END $$;

-- Each index alone, first hypothetically, then really.
CREATE FUNCTION accuracy() RETURNS TABLE (indexes bigint, mean_cost_error_percent numeric, size_error_median numeric, size_error_p90 numeric)
LANGUAGE plpgsql AS $$
DECLARE
    statement text; s record; built oid; predicted bigint; hypothetical float8[]; actual float8[];
BEGIN
    CREATE TEMP TABLE cost_error (e float8) ON COMMIT DROP;
    CREATE TEMP TABLE size_error (e float8) ON COMMIT DROP;
    FOREACH statement IN ARRAY ARRAY[
        'CREATE INDEX x ON lineitem (l_orderkey)', 'CREATE INDEX x ON lineitem (l_partkey)', 'CREATE INDEX x ON lineitem (l_suppkey)',
        'CREATE INDEX x ON lineitem (l_shipdate)', 'CREATE INDEX x ON lineitem (l_partkey, l_suppkey)',
        'CREATE INDEX x ON lineitem (l_shipdate) INCLUDE (l_quantity, l_extendedprice, l_discount)',
        'CREATE INDEX x ON lineitem (l_orderkey) WHERE l_commitdate < l_receiptdate', 'CREATE INDEX x ON lineitem (l_shipmode, l_receiptdate)',
        'CREATE INDEX x ON lineitem (l_extendedprice)', 'CREATE INDEX x ON orders (o_orderkey)', 'CREATE INDEX x ON orders (o_custkey)',
        'CREATE INDEX x ON orders (o_orderdate, o_orderkey) INCLUDE (o_custkey)', 'CREATE INDEX x ON orders (o_orderpriority)',
        'CREATE INDEX x ON customer (c_custkey)', 'CREATE INDEX x ON customer (c_nationkey, c_custkey)', 'CREATE INDEX x ON customer (c_phone)',
        'CREATE INDEX x ON part (p_size)', 'CREATE INDEX x ON part (p_type, p_size)', 'CREATE INDEX x ON part (p_name)',
        'CREATE INDEX x ON partsupp (ps_suppkey)', 'CREATE INDEX x ON partsupp (ps_partkey, ps_suppkey)', 'CREATE INDEX x ON supplier (s_name)'] LOOP
        SELECT array_agg(c.cost_after ORDER BY w.n), max(c.created_bytes) INTO hypothetical, predicted
          FROM workload w, architect.index_cost(w.q, ARRAY[statement]) c;
        EXECUTE statement;
        SELECT array_agg(cost_of(q) ORDER BY n) INTO actual FROM workload;
        INSERT INTO cost_error SELECT abs(h / a - 1) FROM unnest(hypothetical, actual) AS u (h, a);
        INSERT INTO size_error VALUES (abs(predicted / pg_relation_size('x')::float8 - 1));
        RAISE NOTICE '%: % pages predicted, % built', statement, predicted / 8192, pg_relation_size('x') / 8192;
        DROP INDEX x;
    END LOOP;
    RETURN QUERY SELECT (SELECT count(*) FROM size_error), (SELECT round(avg(e)::numeric * 100, 2) FROM cost_error),
        (SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY e)::numeric * 100, 2) FROM size_error),
        (SELECT round(percentile_cont(0.9) WITHIN GROUP (ORDER BY e)::numeric * 100, 2) FROM size_error);
END $$;

-- What is advised, in the order in which it is, and how long that took.
CREATE FUNCTION advise(budget text, texts text[], calls float8 DEFAULT 1, OUT statements text[], OUT seconds numeric, OUT predicted_percent numeric)
LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    SELECT array_agg(replace(a.statement, 'CONCURRENTLY ', '') ORDER BY a.rank), round((min(a.cost_after) / max(a.cost_before))::numeric * 100, 1)
      INTO statements, predicted_percent
      FROM architect.suggest_indexes(budget => advise.budget, workload => texts,
           weights => CASE WHEN texts IS NOT NULL THEN array_fill(calls, ARRAY[cardinality(texts)]) END, min_calls => 1, include_drops => false) a;
    seconds := round(extract(epoch FROM clock_timestamp() - began), 2);
END $$;

-- Builds indexes, costs the workload and, if asked, runs it; then everything is as before.
CREATE FUNCTION built(statements text[], run boolean, OUT indexes int, OUT real_mb numeric, OUT cost_percent numeric, OUT run_seconds numeric)
LANGUAGE plpgsql AS $$
DECLARE
    before float8; statement text; began timestamptz;
BEGIN
    SELECT sum(cost_of(q)) INTO before FROM workload;
    BEGIN
        FOREACH statement IN ARRAY statements LOOP
            EXECUTE statement;
        END LOOP;
        SELECT round(sum(pg_relation_size(i.indexrelid)) / 1e6, 1) INTO real_mb
          FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
         WHERE c.relnamespace = 'public'::regnamespace AND c.relname <> 'workload';
        SELECT round((sum(cost_of(q)) / before)::numeric * 100, 1) INTO cost_percent FROM workload;
        IF run THEN
            began := clock_timestamp();
            FOR statement IN SELECT q FROM workload ORDER BY n LOOP
                EXECUTE statement;
            END LOOP;
            run_seconds := round(extract(epoch FROM clock_timestamp() - began), 1);
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'ZZ001', MESSAGE = 'taken back';
    EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
        -- The indexes are gone with the subtransaction; variables are not.
        indexes := cardinality(statements);
    END;
END $$;
