-- What the index advisor remembers: figures of the statistics system, from time to time, and its advice.
-- It is about this database on this cluster, so it goes with the extension and is not dumped.

-- Each time figures were taken or imported. Node is 'primary' for those taken here.
CREATE TABLE architect.statistics_snapshot (
    snapshot_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node           text NOT NULL,
    taken_at       timestamptz NOT NULL,
    stats_since    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    UNIQUE (node, taken_at)
);
-- An index's counters, in the snapshots that found them other than the one before: an index that is not
-- used takes one row, not one a night.
CREATE TABLE architect.index_snapshot (
    snapshot_id    bigint NOT NULL REFERENCES architect.statistics_snapshot ON DELETE CASCADE,
    index_oid      oid NOT NULL,
    table_oid      oid NOT NULL,
    index_name     text NOT NULL,
    definition     uuid NOT NULL,
    scans          bigint NOT NULL,
    tuples_read    bigint NOT NULL,
    tuples_fetched bigint NOT NULL,
    last_scan      timestamptz,
    PRIMARY KEY (snapshot_id, index_oid)
);
CREATE INDEX index_snapshot_index_oid_idx ON architect.index_snapshot (index_oid, snapshot_id DESC);
-- Statements' counters, by their number alone: texts are not kept.
CREATE TABLE architect.statement_snapshot (
    snapshot_id    bigint NOT NULL REFERENCES architect.statistics_snapshot ON DELETE CASCADE,
    query_id       bigint NOT NULL,
    calls          bigint NOT NULL,
    total_ms       float8 NOT NULL,
    PRIMARY KEY (snapshot_id, query_id)
);

-- What was advised, and on what grounds.
CREATE TABLE architect.advice_log (
    advice_id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    advised_at          timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    -- The role it was made as, whose privileges and search_path it saw; and who was logged in.
    advised_to          text NOT NULL,
    advised_by          text NOT NULL,
    action              text NOT NULL CHECK (action IN ('CREATE', 'DROP')),
    table_oid           oid NOT NULL,
    schema_name         text NOT NULL,
    table_name          text NOT NULL,
    index_name          text NOT NULL,
    columns             text[] NOT NULL,
    method              text NOT NULL,
    statement           text NOT NULL,
    undo                text,
    estimated_bytes     bigint,
    cost_before         float8,
    cost_after          float8,
    benefit_ms_per_day  float8,
    write_ms_per_day    float8,
    query_ids           bigint[] NOT NULL DEFAULT '{}',
    -- What those statements take, in milliseconds a day, before and after; costs are of the whole workload.
    helped_before       float8,
    helped_after        float8
);
REVOKE ALL ON architect.statistics_snapshot, architect.index_snapshot, architect.statement_snapshot,
    architect.advice_log FROM PUBLIC;
COMMENT ON TABLE architect.statistics_snapshot IS 'When take_snapshot() and import_snapshot() kept figures, and since when these count.';
COMMENT ON TABLE architect.index_snapshot IS 'Counters of indexes at each snapshot that found them changed. Read them through index_usage.';
COMMENT ON TABLE architect.statement_snapshot IS 'Counters of the statements that take most time, at each snapshot. Read them through review_advice().';
COMMENT ON TABLE architect.advice_log IS 'What the index advisor advised. review_advice() says what became of it.';
