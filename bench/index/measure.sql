-- What bench/index.sh measures, as functions.
CREATE FUNCTION cost_of(text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || $1 INTO plan;
    RETURN (plan->0->'Plan'->>'Total Cost')::float8;
END $$;

-- Runs a statement for its entry in pg_stat_statements, one row of it.
CREATE FUNCTION explain_only(text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL pg_stat_statements.track = 'all';
    EXECUTE $1;
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

-- Builds what is advised, costs the workload, and takes it away again.
CREATE FUNCTION advise_and_build(budget text) RETURNS TABLE (indexes bigint, seconds numeric, real_mb numeric, predicted_cost_percent numeric, real_cost_percent numeric)
LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz; before float8; after float8; predicted float8; made int := 0; statement text; size float8 := 0;
BEGIN
    SELECT sum(cost_of(q)) INTO before FROM workload;
    began := clock_timestamp();
    CREATE TEMP TABLE advice ON COMMIT DROP AS
        SELECT * FROM architect.suggest_indexes(budget => advise_and_build.budget, workload => ARRAY(SELECT q FROM workload ORDER BY n), include_drops => false);
    seconds := round(extract(epoch FROM clock_timestamp() - began), 2);
    SELECT min(cost_after) / max(cost_before) INTO predicted FROM advice;
    FOR statement IN SELECT replace(a.statement, 'CONCURRENTLY ', '') FROM advice a LOOP
        EXECUTE statement;
        made := made + 1;
    END LOOP;
    SELECT sum(pg_relation_size(i.indexrelid)) INTO size FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
     WHERE c.relnamespace = 'public'::regnamespace AND c.relname <> 'workload';
    SELECT sum(cost_of(q)) INTO after FROM workload;
    FOR statement IN SELECT a.undo FROM advice a LOOP
        EXECUTE replace(statement, 'CONCURRENTLY ', '');
    END LOOP;
    indexes := made; real_mb := round(size::numeric / 1e6, 1);
    predicted_cost_percent := round(predicted::numeric * 100, 1); real_cost_percent := round((after / before)::numeric * 100, 1);
    RETURN NEXT;
END $$;
