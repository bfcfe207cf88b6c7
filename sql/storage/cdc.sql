-- Storage of the change feed: created by the first enable_cdc(), emit_event() or consumer, owned by the
-- extension's owner and not members of the extension, so that DROP EXTENSION CASCADE, pg_dump |
-- pg_restore and pg_upgrade keep every row. What it shares with the audit trail: sql/storage/capture.sql.
--
-- Layout, and why:
--   * the feed is a few plain tables used in turn: one is written to, the ones before it wait for their
--     consumers and are then emptied by TRUNCATE. Nothing is ever deleted row by row, so nothing bloats;
--   * they inherit from change_entry, which is empty itself: reading it reads them all in the order of
--     position, and one more is made without touching what readers and writers use;
--   * one btree on position, whose insertions all go to its last page;
--   * the image is json text, as the audit log's.

-- What is captured, and how: the policy of each table.
CREATE TABLE architect.cdc_table (
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
    mask_columns       text[] NOT NULL DEFAULT '{}',
    mask_attnums       smallint[] NOT NULL DEFAULT '{}',
    mask_actions       text[] NOT NULL DEFAULT '{}',
    key_columns        text[],              -- in place of the primary key
    key_attnums        smallint[],
    condition          text,                -- as given; what decides is the WHEN clause of the table's own triggers
    notify             boolean NOT NULL DEFAULT true,
    channel            text NOT NULL DEFAULT 'data_changes',
    enabled_at         timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    enabled_by         text NOT NULL,
    disabled_at        timestamptz,
    disabled_by        text
);
CREATE UNIQUE INDEX cdc_table_name_key ON architect.cdc_table (schema_name, table_name) WHERE enabled;
CREATE INDEX cdc_table_relid_idx ON architect.cdc_table (relid);

-- Schemas in which new tables are captured as they are created.
CREATE TABLE architect.cdc_schema (
    schema_name        text PRIMARY KEY,
    schema_oid         oid NOT NULL,
    except_tables      text[] NOT NULL DEFAULT '{}',
    options            jsonb NOT NULL DEFAULT '{}',
    enabled_at         timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    enabled_by         text NOT NULL
);

-- The order of the feed. A statement takes one block of positions, or several statements of a transaction do, once they
-- hold all their row locks: who gets them after that has a higher block. What is at or below a position is decided once no transaction
-- holds a lock that says it may still write there (src/capture/position.rs).
CREATE SEQUENCE architect.change_position_seq INCREMENT BY 4096;

-- operation: I insert, U update (changed columns), F update (full image), D delete, T truncate, E an event
-- of emit_event(), whose relation_id is 0 and whose image is {"topic","key","payload","headers"}.
-- former_key_hash: of the key the row had before, where an update changed it.
-- P: several events of one transaction, of which this is the position of the last, the others' being those just
-- before; key_hash is their number, and the image [[operation, relation_id, image, row key, former_key_hash], ...],
-- without what an event does not have at its end. The operation is followed by the microseconds the event was recorded
-- later than the first, if it was.
CREATE TABLE architect.change_entry (
    position           bigint NOT NULL,
    txid               xid8 NOT NULL,
    recorded_at        timestamptz NOT NULL,
    context_id         bigint NOT NULL,
    relation_id        integer NOT NULL,
    key_hash           integer NOT NULL,
    former_key_hash    integer,
    operation          "char" NOT NULL,
    row_key            text COLLATE "C",
    image              json
);
CREATE INDEX change_entry_position_idx ON architect.change_entry (position);

-- Which table of the feed is written to. A writer reads this once, and again when it hears of a change:
-- who changes it announces that by an invalidation of change_segment's relcache entry. A writer that has
-- not heard yet may still add to a table that just became full: who empties one looks at what is in it
-- under ACCESS EXCLUSIVE.
CREATE TABLE architect.change_segment (
    segment_id         integer PRIMARY KEY,
    state              text NOT NULL CHECK (state IN ('current', 'full', 'free')),
    since              timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    -- What a full one holds, once nobody can write to it any more: readers open it only where they need it.
    first_position     bigint,
    last_position      bigint,
    oldest_at          timestamptz,
    newest_at          timestamptz,
    bytes              bigint
);
CREATE UNIQUE INDEX change_segment_current_key ON architect.change_segment (state) WHERE state = 'current';

CREATE VIEW architect.change_log AS
SELECT e.position,
       e.txid,
       e.recorded_at,
       CASE e.operation WHEN 'I' THEN 'insert' WHEN 'D' THEN 'delete' WHEN 'T' THEN 'truncate' WHEN 'E' THEN 'event' ELSE 'update' END AS operation,
       r.schema_name,
       r.table_name,
       r.partition_schema,
       r.partition_name,
       CASE e.operation WHEN 'E' THEN e.image OPERATOR(pg_catalog.->>) 'topic' END AS topic,
       CASE WHEN e.row_key IS NULL THEN NULL
            WHEN e.operation OPERATOR(pg_catalog.=) 'E' THEN e.row_key::pg_catalog.jsonb
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
                          (SELECT COALESCE(pg_catalog.jsonb_object_agg(c.key, c.value OPERATOR(pg_catalog.->) 1), '{}')
                             FROM pg_catalog.jsonb_each(e.image::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'changes') AS c)
            WHEN 'I' THEN e.image::pg_catalog.jsonb
            WHEN 'E' THEN e.image::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'payload'
       END AS new_values,
       CASE e.operation
            WHEN 'U' THEN ARRAY(SELECT c.key FROM pg_catalog.json_object_keys(e.image) AS c(key))
            WHEN 'F' THEN ARRAY(SELECT c.key FROM pg_catalog.json_object_keys(e.image OPERATOR(pg_catalog.->) 'changes') AS c(key))
       END AS changed_columns,
       NULLIF(r.masked_columns, '{}') AS masked_columns,
       CASE e.operation WHEN 'E' THEN (e.image OPERATOR(pg_catalog.->) 'headers')::pg_catalog.jsonb END AS headers,
       c.session_role,
       c.set_role,
       c.current_role_name,
       c.actor,
       c.correlation_id,
       c.context,
       c.application_name,
       c.client_addr,
       c.backend_pid
  FROM (SELECT a.position, a.txid, a.recorded_at, a.context_id, a.relation_id, a.operation, a.row_key, a.image
          FROM architect.change_entry AS a
         WHERE a.operation OPERATOR(pg_catalog.<>) 'P'
        UNION ALL
        SELECT a.position OPERATOR(pg_catalog.-) a.key_hash OPERATOR(pg_catalog.+) p.number, a.txid,
               a.recorded_at OPERATOR(pg_catalog.+) COALESCE(NULLIF(pg_catalog.substr(p.event OPERATOR(pg_catalog.->>) 0, 2), '')::pg_catalog.int8
                   OPERATOR(pg_catalog.*) interval '1 microsecond', interval '0'),
               a.context_id,
               (p.event OPERATOR(pg_catalog.->>) 1)::pg_catalog.int4,
               (p.event OPERATOR(pg_catalog.->>) 0)::pg_catalog."char",
               (p.event OPERATOR(pg_catalog.->) 3)::pg_catalog.text,
               p.event OPERATOR(pg_catalog.->) 2
          FROM architect.change_entry AS a,
               pg_catalog.json_array_elements(a.image) WITH ORDINALITY AS p(event, number)
         WHERE a.operation OPERATOR(pg_catalog.=) 'P') AS e
  LEFT JOIN architect.capture_relation AS r ON r.relation_id OPERATOR(pg_catalog.=) e.relation_id
  LEFT JOIN architect.capture_context AS c ON c.context_id OPERATOR(pg_catalog.=) e.context_id;

REVOKE ALL ON architect.cdc_table, architect.cdc_schema, architect.change_entry, architect.change_segment,
    architect.change_log FROM PUBLIC;
REVOKE ALL ON SEQUENCE architect.change_position_seq FROM PUBLIC;

COMMENT ON VIEW architect.change_log IS 'Events of the change feed that are still kept, in readable form. Consumers poll; this is for people.';
COMMENT ON TABLE architect.change_entry IS 'Storage behind change_log: empty itself, read with the tables that inherit from it. Written by the capture trigger and emit_event() only.';
COMMENT ON TABLE architect.change_segment IS 'Which table of the feed is written to, which wait for consumers, which are empty.';
COMMENT ON TABLE architect.cdc_table IS 'Captured tables and how each is recorded. Change it through enable_cdc and disable_cdc.';
COMMENT ON TABLE architect.cdc_schema IS 'Schemas whose new tables are captured as they are created.';
