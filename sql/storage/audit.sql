-- Storage of the audit trail: created by the first enable_audit(), owned by the
-- extension's owner and not members of the extension, so that DROP EXTENSION
-- CASCADE, pg_dump | pg_restore and pg_upgrade keep every row.
--
-- Layout, and why (figures in bench/README.md):
--   * one narrow row a change; who and where from live in capture_context, once
--     per session and setting; names of table and columns in capture_relation
--     (sql/storage/capture.sql);
--   * the row image is json text, not jsonb: half the bytes for small values,
--     no tree to build, and it keeps what jsonb cannot (key order, duplicate
--     keys, -0). The view casts it to jsonb;
--   * an UPDATE stores {"column": [old, new]};
--   * history by key needs one btree on a four-byte hash that keeps
--     consecutive integer keys together; txid and changed_at grow with the
--     heap, so a BRIN serves them.

-- What is audited, and how: the policy of each table.
CREATE TABLE architect.audit_table (
    table_id           integer PRIMARY KEY DEFAULT pg_catalog.nextval('architect.capture_table_id_seq'),
    relid              oid NOT NULL,
    schema_name        text NOT NULL,
    table_name         text NOT NULL,
    enabled            boolean NOT NULL DEFAULT true,
    operations         text[] NOT NULL,
    image              text NOT NULL CHECK (image IN ('changed', 'full')),
    include_columns    text[],
    exclude_columns    text[],
    include_attnums    smallint[],
    exclude_attnums    smallint[],
    replicated         boolean NOT NULL DEFAULT false,
    require_context    boolean NOT NULL DEFAULT false,
    on_error           text NOT NULL CHECK (on_error IN ('degrade', 'fail')),
    enabled_at         timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    enabled_by         text NOT NULL,
    disabled_at        timestamptz,
    disabled_by        text
);
CREATE UNIQUE INDEX audit_table_name_key ON architect.audit_table (schema_name, table_name) WHERE enabled;
CREATE INDEX audit_table_relid_idx ON architect.audit_table (relid);

-- Schemas in which new tables are audited as they are created.
CREATE TABLE architect.audit_schema (
    schema_name        text PRIMARY KEY,
    schema_oid         oid NOT NULL,
    except_tables      text[] NOT NULL DEFAULT '{}',
    options            jsonb NOT NULL DEFAULT '{}',
    enabled_at         timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    enabled_by         text NOT NULL
);

-- The log itself. operation: I insert, U update (changed columns), F update
-- (full image), D delete, T truncate, K the same entry as the one with this
-- audit_id, findable by the key the row had before.
CREATE SEQUENCE architect.audit_id_seq INCREMENT BY 64;
CREATE TABLE architect.audit_entry (
    changed_at         timestamptz NOT NULL,
    audit_id           bigint NOT NULL,
    txid               xid8 NOT NULL,
    context_id         bigint NOT NULL,
    relation_id        integer NOT NULL,
    statement          integer NOT NULL,
    key_hash           integer NOT NULL,
    operation          "char" NOT NULL,
    row_key            text COLLATE "C",
    image              json
) PARTITION BY RANGE (changed_at);
CREATE INDEX audit_entry_key_idx ON architect.audit_entry (key_hash, relation_id);
-- PostgreSQL has no BRIN operator class for xid8; this one is made of its own functions and operators.
CREATE OPERATOR CLASS architect.xid8_minmax_ops FOR TYPE pg_catalog.xid8 USING brin AS
    OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
    FUNCTION 1 pg_catalog.brin_minmax_opcinfo(internal),
    FUNCTION 2 pg_catalog.brin_minmax_add_value(internal, internal, internal, internal),
    FUNCTION 3 pg_catalog.brin_minmax_consistent(internal, internal, internal),
    FUNCTION 4 pg_catalog.brin_minmax_union(internal, internal, internal);
CREATE INDEX audit_entry_time_idx ON architect.audit_entry USING brin (changed_at, txid architect.xid8_minmax_ops)
    WITH (pages_per_range = 32, autosummarize = on);
-- Never a refused row: what no month covers lands here until run_maintenance() moves it.
CREATE TABLE architect.audit_entry_default PARTITION OF architect.audit_entry DEFAULT USING heap;

-- How the log is kept: one row, beside its row of partition_policy, which says how long.
CREATE TABLE architect.audit_setting (
    one_row            boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    require_seal       boolean NOT NULL DEFAULT true,
    last_seal_id       bigint
);
INSERT INTO architect.audit_setting DEFAULT VALUES;

-- Seals: a chain of hashes over what was committed (src/audit/seal/). A seal covers the entries whose
-- transaction id is in from_txid .. to_txid, the end excluded, and whose id is at least from_audit_id; a
-- seal of kind retire says that the retention policy dropped what lay between two points in time, one of kind
-- redact on whose order a person's values were taken out.
CREATE TABLE architect.audit_seal (
    seal_id            bigint PRIMARY KEY,
    sealed_at          timestamptz NOT NULL,
    kind               text NOT NULL CHECK (kind IN ('seal', 'retire', 'redact')),
    era                integer NOT NULL,
    system_identifier  text NOT NULL,
    database_oid       oid NOT NULL,
    from_audit_id      bigint NOT NULL,
    to_audit_id        bigint NOT NULL,
    from_txid          xid8 NOT NULL,
    to_txid            xid8 NOT NULL,
    entries            bigint NOT NULL,
    first_chunk        bigint NOT NULL,
    chunks             bigint NOT NULL,
    retired_from       timestamptz,
    retired_to         timestamptz,
    detail             text NOT NULL,
    previous_hash      bytea NOT NULL,
    hash               bytea NOT NULL
);
-- Some thousand entries each: a hash over them, and in items a few bytes for each entry by which a
-- mismatch is pinned to it. A chunk that shares a dropped month with its neighbours is stored again under the
-- seal that says so; of several rows with one chunk_id the one of the latest seal counts.
CREATE TABLE architect.audit_seal_chunk (
    seal_id            bigint NOT NULL,
    chunk_id           bigint NOT NULL,
    entries            integer NOT NULL,
    last_txid          xid8 NOT NULL,
    last_audit_id      bigint NOT NULL,
    last_operation     "char" NOT NULL,
    first_at           timestamptz NOT NULL,
    last_at            timestamptz NOT NULL,
    hash               bytea NOT NULL,
    items              bytea,
    PRIMARY KEY (seal_id, chunk_id)
);
CREATE INDEX audit_seal_chunk_chunk_id_idx ON architect.audit_seal_chunk (chunk_id, seal_id);
CREATE INDEX audit_seal_chunk_time_idx ON architect.audit_seal_chunk USING brin (first_at, last_at) WITH (pages_per_range = 8);

CREATE VIEW architect.audit_log AS
SELECT e.audit_id,
       e.changed_at,
       e.txid,
       e.statement,
       r.relid AS table_oid,
       r.schema_name,
       r.table_name,
       r.partition_schema,
       r.partition_name,
       CASE e.operation WHEN 'I' THEN 'INSERT' WHEN 'D' THEN 'DELETE' WHEN 'T' THEN 'TRUNCATE' ELSE 'UPDATE' END AS operation,
       CASE WHEN e.row_key IS NULL THEN NULL
            WHEN pg_catalog.cardinality(r.key_columns) OPERATOR(pg_catalog.=) 1
            THEN pg_catalog.jsonb_build_object(r.key_columns[1], e.row_key::pg_catalog.jsonb)
            ELSE (SELECT pg_catalog.jsonb_object_agg(k.name, k.value)
                    FROM ROWS FROM (pg_catalog.unnest(r.key_columns),
                                    pg_catalog.jsonb_array_elements(e.row_key::pg_catalog.jsonb)) AS k(name, value))
       END AS row_key,
       CASE e.operation
            WHEN 'U' THEN (SELECT pg_catalog.jsonb_object_agg(c.key, c.value OPERATOR(pg_catalog.->) 0)
                             FROM pg_catalog.jsonb_each(e.image::pg_catalog.jsonb) AS c)
            WHEN 'F' THEN e.image::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'row'
            WHEN 'D' THEN e.image::pg_catalog.jsonb
       END AS old_values,
       CASE e.operation
            WHEN 'U' THEN (SELECT pg_catalog.jsonb_object_agg(c.key, c.value OPERATOR(pg_catalog.->) 1)
                             FROM pg_catalog.jsonb_each(e.image::pg_catalog.jsonb) AS c)
            WHEN 'F' THEN (e.image::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'row')
                          OPERATOR(pg_catalog.||)
                          (SELECT pg_catalog.jsonb_object_agg(c.key, c.value OPERATOR(pg_catalog.->) 1)
                             FROM pg_catalog.jsonb_each(e.image::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'changes') AS c)
            WHEN 'I' THEN e.image::pg_catalog.jsonb
       END AS new_values,
       CASE e.operation
            WHEN 'U' THEN ARRAY(SELECT c.key FROM pg_catalog.json_object_keys(e.image) AS c(key))
            WHEN 'F' THEN ARRAY(SELECT c.key FROM pg_catalog.json_object_keys(e.image OPERATOR(pg_catalog.->) 'changes') AS c(key))
       END AS changed_columns,
       c.session_role,
       c.set_role,
       c.current_role_name,
       c.actor,
       c.correlation_id,
       c.context,
       c.application_name,
       c.client_addr,
       c.backend_pid
  FROM architect.audit_entry AS e
  JOIN architect.capture_relation AS r ON r.relation_id OPERATOR(pg_catalog.=) e.relation_id
  LEFT JOIN architect.capture_context AS c ON c.context_id OPERATOR(pg_catalog.=) e.context_id
 WHERE e.operation OPERATOR(pg_catalog.<>) 'K';

REVOKE ALL ON architect.audit_table, architect.audit_schema, architect.audit_entry, architect.audit_entry_default,
    architect.audit_setting, architect.audit_seal, architect.audit_seal_chunk, architect.audit_log FROM PUBLIC;
REVOKE ALL ON SEQUENCE architect.audit_id_seq FROM PUBLIC;

COMMENT ON VIEW architect.audit_log IS 'Every recorded change: what, when, in which table and row, by whom, where from and why. One row a change; values as jsonb.';
COMMENT ON TABLE architect.audit_entry IS 'Storage behind audit_log, partitioned by month on changed_at. Written by the capture trigger only.';
COMMENT ON TABLE architect.audit_table IS 'Audited tables and how each is recorded. Change it through enable_audit and disable_audit.';
COMMENT ON TABLE architect.audit_schema IS 'Schemas whose new tables are audited as they are created.';
COMMENT ON TABLE architect.audit_setting IS 'Whether what is not sealed is kept. Change it through set_audit_retention.';
COMMENT ON TABLE architect.audit_seal IS 'The chain of hashes written by seal_audit_log.';
COMMENT ON TABLE architect.audit_seal_chunk IS 'Hashes of some thousand audit entries each, of which seals are made.';
