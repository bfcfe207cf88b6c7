-- Functions whose rows are not all of built-in column types, declared here and written in Rust.
CREATE FUNCTION architect.audit_history(table_name regclass, key jsonb)
    RETURNS TABLE (changed_at timestamptz, operation text, row_key jsonb, changed_columns text[], old_values jsonb,
                   new_values jsonb, actor text, session_role text, set_role text, correlation_id uuid, context jsonb,
                   application_name text, client_addr inet, audit_id bigint, txid xid8, statement integer,
                   schema_name text, table_name_then text, partition_name text)
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED ROWS 20
    AS 'MODULE_PATHNAME', 'audit_history_wrapper';

CREATE FUNCTION architect.audit_history_by_name(schema_name text, table_name text, key jsonb)
    RETURNS TABLE (changed_at timestamptz, operation text, row_key jsonb, changed_columns text[], old_values jsonb,
                   new_values jsonb, actor text, session_role text, set_role text, correlation_id uuid, context jsonb,
                   application_name text, client_addr inet, audit_id bigint, txid xid8, statement integer,
                   schema_name_then text, table_name_then text, partition_name text)
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED ROWS 20
    AS 'MODULE_PATHNAME', 'audit_history_by_name_wrapper';

CREATE FUNCTION architect.audit_as_of(row_type anyelement, at timestamptz)
    RETURNS SETOF anyelement
    LANGUAGE c STABLE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'audit_as_of_wrapper';

CREATE FUNCTION architect.revert_changes(txid xid8 DEFAULT NULL, correlation_id uuid DEFAULT NULL,
                                         table_name regclass DEFAULT NULL, since timestamptz DEFAULT NULL,
                                         dry_run boolean DEFAULT true)
    RETURNS TABLE (audit_id bigint, changed_at timestamptz, relation text, row_key jsonb, action text, status text,
                   reason text, statement text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'revert_changes_wrapper';
