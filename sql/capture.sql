-- The trigger function of audit and change feed. It takes everything from the relation it fires on and
-- from the stored policy: no arguments to tamper with, no search_path, no privileges of the writer.
CREATE FUNCTION architect.capture() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'architect_capture';
REVOKE ALL ON FUNCTION architect.capture() FROM PUBLIC;
COMMENT ON FUNCTION architect.capture() IS
'Trigger function that records changes. Attached by enable_audit(); not to be attached by hand.';
