-- Commands that must be at the top level, on their way to a background worker: what to do to which
-- relations, never SQL text to run. The worker renders the command from the catalogue and runs it as the
-- table's owner. OIDs mean nothing after a restore, so this goes with the extension and is not dumped.
CREATE TABLE architect.partition_job (
    job_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind           text NOT NULL CHECK (kind IN ('detach', 'finalize_detach', 'create_index', 'drop_index')),
    relation       oid NOT NULL,
    other          oid,
    key_columns    smallint[],
    new_name       name,
    run_as         oid NOT NULL,
    requested_by   text NOT NULL,
    state          text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed')),
    queued_at      timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    started_at     timestamptz,
    finished_at    timestamptz,
    worker_pid     integer,
    command        text,
    sqlstate       text,
    message        text,
    detail         text,
    hint           text
);
CREATE INDEX partition_job_unfinished ON architect.partition_job (job_id) WHERE finished_at IS NULL;
REVOKE ALL ON architect.partition_job FROM PUBLIC;
COMMENT ON TABLE architect.partition_job IS
'Commands run by a background worker because they cannot run in a function: DETACH PARTITION CONCURRENTLY, CREATE INDEX CONCURRENTLY. Written by procedures, never by hand.';
