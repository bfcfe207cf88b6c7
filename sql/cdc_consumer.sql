-- Functions of consumers whose arguments or rows are not all of types Rust names, declared here and written
-- in Rust. Values are json and not jsonb: they leave as they are stored, which costs nothing, and keep what
-- jsonb does not (the sign of -0, a number's scale, the order of columns).
CREATE FUNCTION architect.create_consumer(consumer text, tables regclass[] DEFAULT NULL, topics text[] DEFAULT NULL,
                                          operations text[] DEFAULT '{insert,update,delete,truncate,event}',
                                          start text DEFAULT 'now', visibility_timeout interval DEFAULT '30 seconds',
                                          max_attempts integer DEFAULT NULL, max_lag_events bigint DEFAULT NULL,
                                          max_lag_bytes bigint DEFAULT NULL, max_lag interval DEFAULT NULL)
    RETURNS TABLE (consumer_name text, action text, detail text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'create_consumer_wrapper';

CREATE FUNCTION architect.poll_changes(consumer text, max integer DEFAULT 1000, wait interval DEFAULT '0',
                                       worker text DEFAULT NULL)
    RETURNS TABLE ("position" bigint, txid xid8, operation text, schema_name text, table_name text, row_key json,
                   old_values json, new_values json, changed_columns text[], actor text, correlation_id uuid,
                   context jsonb, recorded_at timestamptz, topic text, headers json, attempt integer)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'poll_changes_wrapper';

CREATE FUNCTION architect.poll_changes_json(consumer text, max integer DEFAULT 1000, wait interval DEFAULT '0',
                                            worker text DEFAULT NULL)
    RETURNS TABLE ("position" bigint, event json)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'poll_changes_json_wrapper';

CREATE FUNCTION architect.poll_changes_envelope(consumer text, max integer DEFAULT 1000, wait interval DEFAULT '0',
                                            worker text DEFAULT NULL)
    RETURNS TABLE ("position" bigint, event json)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'poll_changes_envelope_wrapper';
