-- Arguments nobody should give, and a role that goes: an error says what is wrong with which, and nothing is kept
-- for a consumer whose role was dropped without being named.
CREATE SCHEMA arguments;
SET search_path = arguments, architect;
CREATE TABLE t (id int PRIMARY KEY, v text);
SELECT count(*) FROM enable_cdc('t', notify => false);
SELECT status, detail FROM cdc_health();
SELECT count(*) FROM create_consumer('c', max_attempts => 1);
CREATE FUNCTION says(call text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
    EXECUTE 'SELECT count(*) FROM architect.' || call;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM; END $$;
SELECT call, says(call) FROM unnest('{
    poll_changes(NULL), "poll_changes(''c'', NULL)", "poll_changes(''c'', wait => NULL)", "poll_changes(''c'', worker => NULL)",
    poll_changes_json(NULL), poll_changes_envelope(NULL), "poll_changes(''c'', 0)", "poll_changes(''c'', 2000000000)",
    "poll_changes(''c'', wait => ''-1 s'')", "poll_changes('''')",
    create_consumer(NULL), "create_consumer(''n'', start => ''soon'')", "create_consumer(''n'', tables => ''{0}'')",
    "create_consumer(''n'', operations => ''{read}'')", "create_consumer(''n'', max_lag => ''-1 day'')",
    "ack_changes(''c'', -5)", "ack_changes(''c'', 9000000000000000000)", "nack_changes(NULL, 1)", "nack_changes(''c'', NULL)",
    "nack_changes(''c'', 1, delay => NULL)", retry_dead_letter(NULL), discard_dead_letter(NULL), dead_letters(NULL),
    enable_cdc(NULL), "enable_cdc(''t'', operations => NULL)", "enable_cdc(''t'', exclude => NULL)", "enable_cdc(''t'', mask => NULL)",
    "enable_cdc(''t'', image => NULL)", "enable_cdc(''t'', replicated => NULL)", "enable_cdc(''t'', notify => NULL)",
    "enable_cdc(''t'', channel => NULL)", "enable_cdc(''t'', columns => ''{}'')", "enable_cdc(''t'', operations => ''{}'')",
    enable_cdc_schema(NULL), "enable_cdc_schema(''arguments'', except_tables => NULL)", "enable_cdc_schema(''arguments'', new_tables => NULL)",
    emit_event(NULL), "emit_event(''x'', headers => ''[]'')", set_cdc_retention(segment_bytes => 1)}'::text[]) WITH ORDINALITY AS c (call, n) ORDER BY n;

-- A reason is cut where a character ends.
INSERT INTO t VALUES (1, 'x');
SELECT position AS p FROM poll_changes('c') \gset
SELECT outcome FROM nack_changes('c', :p, 'x' || repeat('ä', 5000));
SELECT octet_length(reason), left(reason, 3) AS begins, right(reason, 1) AS ends FROM dead_letters('c');
SELECT count(*) FROM drop_consumer('c');

-- The role of a consumer is dropped.
CREATE ROLE regress_cdc_gone;
GRANT USAGE ON SCHEMA architect, arguments TO regress_cdc_gone;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA architect TO regress_cdc_gone;
GRANT SELECT ON t TO regress_cdc_gone;
SET ROLE regress_cdc_gone;
SELECT count(*) FROM create_consumer('theirs', tables => '{t}');
RESET ROLE;
INSERT INTO t VALUES (2, 'x');
SET client_min_messages = warning;
DROP OWNED BY regress_cdc_gone;
DROP ROLE regress_cdc_gone;
SELECT consumer_name, state, holds_back_retention FROM consumer_lag();
SELECT status, detail, retention_held_by FROM cdc_health();
SELECT row_key FROM poll_changes('theirs');
SELECT action FROM drop_consumer('theirs');
SELECT status, detail, retention_held_by FROM cdc_health();

SELECT count(*) FROM disable_cdc('t');
\set VERBOSITY terse
DROP SCHEMA arguments CASCADE;
