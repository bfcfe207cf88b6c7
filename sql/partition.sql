-- What maintenance of partitions did: a record of our own upkeep, so it goes with the extension and is not
-- dumped.
CREATE TABLE architect.partition_run (
    run_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at    timestamptz,
    failed         integer,
    run_by         text NOT NULL
);
CREATE TABLE architect.partition_action (
    run_id         bigint NOT NULL REFERENCES architect.partition_run ON DELETE CASCADE,
    action_id      bigint GENERATED ALWAYS AS IDENTITY,
    noted_at       timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    relid          oid,
    parent_name    text NOT NULL,
    object_name    text NOT NULL,
    action         text NOT NULL,
    detail         text NOT NULL,
    took_ms        bigint NOT NULL
);
CREATE INDEX partition_action_run_id_idx ON architect.partition_action (run_id);
-- Partitions on their way out: written before one is detached, so that an interruption between detaching
-- and what comes after leaves nothing behind.
CREATE TABLE architect.partition_retiring (
    relid             oid PRIMARY KEY,
    parent            oid NOT NULL,
    owner_oid         oid NOT NULL,
    schema_name       text NOT NULL,
    table_name        text NOT NULL,
    keep_action       text NOT NULL,
    archive_schema    text,
    archive_function  text,
    since             timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
REVOKE ALL ON architect.partition_run, architect.partition_action, architect.partition_retiring FROM PUBLIC;
COMMENT ON TABLE architect.partition_run IS 'Runs of maintain_partitions() and retain_partitions(). Read it through partition_log().';
COMMENT ON TABLE architect.partition_action IS 'What they did, refused and failed at. Read it through partition_log().';
COMMENT ON TABLE architect.partition_retiring IS 'Partitions being retired: detached, or about to be, and not yet dropped or archived.';
