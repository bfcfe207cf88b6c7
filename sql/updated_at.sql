-- The trigger function of updated_at and the standard columns. What it does stands in its arguments:
-- dumped and restored with the table, copied to new partitions.
CREATE FUNCTION architect.stamp_row() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'architect_stamp_row';
COMMENT ON FUNCTION architect.stamp_row() IS
'Trigger function that keeps updated_at, updated_by, version, created_at and created_by. Attached by enable_updated_at() and add_standard_columns().';
