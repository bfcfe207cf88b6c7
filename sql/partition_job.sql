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

-- Work on a table that takes many transactions: where it stands, to show and to go on from.
CREATE TABLE architect.partition_operation (
    operation_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind           text NOT NULL CHECK (kind IN ('convert', 'split', 'merge', 'drain')),
    relation       oid NOT NULL,
    relation_name  text NOT NULL,
    settings       jsonb NOT NULL,
    phase          text NOT NULL,
    rows_done      bigint NOT NULL DEFAULT 0,
    rows_total     bigint,
    requested_by   text NOT NULL,
    started_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    updated_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at    timestamptz,
    outcome        text
);
CREATE UNIQUE INDEX partition_operation_unfinished ON architect.partition_operation (relation) WHERE finished_at IS NULL;
REVOKE ALL ON architect.partition_operation FROM PUBLIC;
COMMENT ON TABLE architect.partition_operation IS
'Conversions, splits and other long work on partitions. Read it through partition_progress().';

-- Notes the keys of rows that change while their partition is split or merged. Its arguments say where;
-- it writes only to a table that belongs to whom the partition belongs to.
CREATE FUNCTION architect.note_changed_key() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'architect_note_changed_key';
REVOKE ALL ON FUNCTION architect.note_changed_key() FROM PUBLIC;
COMMENT ON FUNCTION architect.note_changed_key() IS
'Trigger function that notes keys of changed rows. Attached by split_partition() and merge_partitions(); not to be attached by hand.';
