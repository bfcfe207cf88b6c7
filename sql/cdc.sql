-- jsonb goes through as its own text, which the generated declaration has no type for.
CREATE FUNCTION architect.emit_event(topic text, key text DEFAULT NULL, payload jsonb DEFAULT NULL,
                                     headers jsonb DEFAULT NULL, channel text DEFAULT 'data_changes')
    RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME', 'emit_event_wrapper';
REVOKE ALL ON FUNCTION architect.emit_event(text, text, jsonb, jsonb, text) FROM PUBLIC;
