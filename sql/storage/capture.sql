-- What the audit trail and the change feed share: created by whichever is enabled first, owned by the
-- extension's owner and not members of the extension, so that DROP EXTENSION CASCADE, pg_dump |
-- pg_restore and pg_upgrade keep every row.

-- Which cluster and database the object identifiers below belong to. After a
-- restore elsewhere they mean nothing and tables are matched by name until
-- run_maintenance() has looked them up again.
CREATE TABLE architect.capture_origin (
    origin_id          integer PRIMARY KEY,
    system_identifier  text NOT NULL,
    database_oid       oid NOT NULL,
    since              timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- Numbers of policies, audit_table's and cdc_table's alike: an entry's table is known by its number alone.
CREATE SEQUENCE architect.capture_table_id_seq AS integer;

-- What a table (or the partition that held the row) looked like: one row per
-- name, set of columns and key it has had. Entries point here.
CREATE SEQUENCE architect.capture_relation_id_seq AS integer;
CREATE TABLE architect.capture_relation (
    relation_id        integer PRIMARY KEY DEFAULT pg_catalog.nextval('architect.capture_relation_id_seq'),
    table_id           integer NOT NULL,     -- of audit_table or cdc_table
    relid              oid NOT NULL,
    seen_at            timestamptz NOT NULL,
    schema_name        text NOT NULL,
    table_name         text NOT NULL,
    partition_schema   text,
    partition_name     text,
    columns            text[] NOT NULL,     -- by attribute number; '' where dropped
    key_columns        text[] NOT NULL,     -- in key order; empty without a key
    masked_columns     text[] NOT NULL      -- whose values are not in the entries, or hashed
);
ALTER SEQUENCE architect.capture_relation_id_seq OWNED BY architect.capture_relation.relation_id;
CREATE INDEX capture_relation_relid_idx ON architect.capture_relation (relid);
CREATE INDEX capture_relation_table_id_idx ON architect.capture_relation (table_id);

-- Who, where from and why: shared by all changes a session makes with the same
-- settings, at most a month long.
CREATE SEQUENCE architect.capture_context_id_seq INCREMENT BY 16;
CREATE TABLE architect.capture_context (
    context_id         bigint PRIMARY KEY,
    recorded_at        timestamptz NOT NULL,
    session_role       text NOT NULL,
    set_role           text NOT NULL,
    current_role_name  text NOT NULL,
    actor              text,
    correlation_id     uuid,
    context            jsonb,
    application_name   text,
    client_addr        inet,
    backend_pid        integer NOT NULL
);
CREATE INDEX capture_context_correlation_id_idx ON architect.capture_context (correlation_id);

REVOKE ALL ON architect.capture_origin, architect.capture_relation, architect.capture_context FROM PUBLIC;
REVOKE ALL ON SEQUENCE architect.capture_table_id_seq, architect.capture_relation_id_seq, architect.capture_context_id_seq FROM PUBLIC;

COMMENT ON TABLE architect.capture_origin IS 'The clusters and databases the audit log and the change feed were written in.';
COMMENT ON TABLE architect.capture_relation IS 'Names, columns and key an audited or captured table or partition has had.';
COMMENT ON TABLE architect.capture_context IS 'Who, where from and why, shared by the entries of a session.';
