-- What is to be done about which tables: created by the first manage_partitions(), owned by the extension's
-- owner and not members of the extension, so that DROP EXTENSION CASCADE, pg_dump | pg_restore and
-- pg_upgrade keep every policy and every hold. Bounds are never stored: the catalogue has them.
CREATE TABLE architect.partition_policy (
    schema_name        text NOT NULL,
    table_name         text NOT NULL,
    -- Where relid and owner_oid mean something; elsewhere the names count.
    system_identifier  text NOT NULL,
    database_oid       oid NOT NULL,
    relid              oid NOT NULL,
    -- Whose policy it is: it is not followed for anybody else.
    owner_name         text NOT NULL,
    every              interval,
    step               bigint,
    anchor             bigint NOT NULL,
    key_unit           text,
    timezone           text NOT NULL,
    ahead              integer NOT NULL CHECK (ahead BETWEEN 0 AND 2000),
    keep               interval,
    keep_value         bigint,
    keep_action        text NOT NULL CHECK (keep_action IN ('detach', 'drop', 'archive')),
    archive_schema     text,
    archive_function   text,
    max_retired        integer NOT NULL CHECK (max_retired >= 0),
    privileges         boolean NOT NULL,
    analyze_parent     boolean NOT NULL,
    managed_at         timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    managed_by         text NOT NULL,
    PRIMARY KEY (schema_name, table_name),
    CHECK ((every IS NULL) <> (step IS NULL))
);

-- Partitions that must not be retired, whatever a policy says.
CREATE TABLE architect.partition_hold (
    schema_name        text NOT NULL,
    table_name         text NOT NULL,
    -- Where relid means something it counts, and not the name: a hold outlasts a rename.
    system_identifier  text NOT NULL,
    database_oid       oid NOT NULL,
    relid              oid NOT NULL,
    reason             text NOT NULL,
    held_at            timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    held_by            text NOT NULL,
    PRIMARY KEY (schema_name, table_name)
);
REVOKE ALL ON architect.partition_policy, architect.partition_hold FROM PUBLIC;
COMMENT ON TABLE architect.partition_policy IS 'How partitioned tables are kept. Change it through manage_partitions and unmanage_partitions.';
COMMENT ON TABLE architect.partition_hold IS 'Partitions no retention may touch. Change it through hold_partition and release_partition.';
