#!/usr/bin/env bash
# A second PostgreSQL as a logical subscriber (built-in pgoutput): what it applies is audited, captured and decoded there
# like anybody's changes, where that is asked for; and a change that came from the publisher can be told from one made there.
source "$(dirname "$0")/lib.sh"

use_stage
start_cluster pub wal_level=logical
start_cluster sub wal_level=logical "$(plugin_setting)"
for cluster in pub sub; do
  sql -c $cluster "CREATE TABLE t (id int PRIMARY KEY, a text, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
    CREATE TABLE quiet (id int PRIMARY KEY, a text)"
done
use_cluster sub
sql "CREATE EXTENSION db_architect; SELECT action FROM architect.enable_audit('t', replicated => true);
     SELECT action FROM architect.enable_cdc('t', replicated => true); SELECT action FROM architect.enable_cdc('quiet');
     SELECT FROM pg_create_logical_replication_slot('feed', 'db_architect'); SELECT FROM pg_create_logical_replication_slot('local', 'db_architect')" >/dev/null
sql -c pub "CREATE PUBLICATION p FOR TABLE t, quiet"
sql "CREATE SUBSCRIPTION s CONNECTION '$(cluster_conninfo pub)' PUBLICATION p" >/dev/null 2>&1
wait_until "SELECT count(*) = 2 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel"
caught_up() { DBA_CLUSTER=pub wait_until "SELECT pg_current_wal_lsn() <= replay_lsn FROM pg_stat_replication WHERE application_name = 's'"; }

sql -c pub "BEGIN; INSERT INTO t VALUES (1, 'a', repeat('x', 3000)), (2, 'b', NULL); UPDATE t SET a = 'c' WHERE id = 1; COMMIT;
            UPDATE t SET id = 3 WHERE id = 2; DELETE FROM t WHERE id = 3; INSERT INTO quiet VALUES (1, 'q'); BEGIN; INSERT INTO t VALUES (9); ROLLBACK"
caught_up
sql "INSERT INTO t VALUES (100, 'here'); INSERT INTO quiet VALUES (100, 'here')"
changes="INSERT 1,INSERT 2,UPDATE 1,UPDATE 3,DELETE 3,INSERT 100"
sql_is "the audit has them" "SELECT string_agg(operation || ' ' || (row_key ->> 'id'), ',' ORDER BY audit_id) FROM architect.audit_log WHERE table_name = 't'" "$changes"
sql_is "and so has the feed, in the order they were applied" \
  "SELECT string_agg(upper(operation) || ' ' || (row_key ->> 'id'), ',' ORDER BY position) FROM architect.change_log WHERE table_name = 't'" "$changes"
sql_is "a table that did not ask for replicated changes has its own only" "SELECT string_agg(row_key ->> 'id', ',') FROM architect.change_log WHERE table_name = 'quiet'" 100
sql_is "the WAL feed has them without a trigger, with their origin" \
  "SELECT string_agg(concat_ws(' ', upper(j ->> 'operation'), j -> 'key' ->> 'id', CASE WHEN j ->> 'origin' LIKE 'pg_%' THEN 'from afar' END), ',' ORDER BY n)
     FROM (SELECT data::json AS j, ordinality AS n FROM pg_logical_slot_get_changes('feed', NULL, NULL, 'tables', 'public.*', 'include-transaction', '0') WITH ORDINALITY) AS l" \
  "INSERT 1 from afar,INSERT 2 from afar,UPDATE 1 from afar,UPDATE 3 from afar,DELETE 3 from afar,INSERT 1 from afar,INSERT 100,INSERT 100"
sql_is "or only those made here, so that two servers can feed each other" \
  "SELECT count(*) FROM pg_logical_slot_get_changes('local', NULL, NULL, 'tables', 'public.*', 'include-transaction', '0', 'origin', 'none')" 2
sql -c pub "UPDATE t SET a = 'toast untouched' WHERE id = 1"
caught_up
# Changes are applied without waiting for the disk, and decoded from there.
wait_until "SELECT count(*) = 1 FROM pg_logical_slot_peek_changes('feed', NULL, NULL, 'tables', 'public.t', 'include-transaction', '0')"
sql_is "what the publisher did not send is not made up" \
  "SELECT data::json -> 'new', data::json -> 'unchanged_toast' FROM pg_logical_slot_get_changes('feed', NULL, NULL, 'tables', 'public.t', 'include-transaction', '0')" \
  '{"id":1,"a":"toast untouched"}|["big"]'
sql_is "and not lost" "SELECT length(big) FROM t WHERE id = 1" 3000
