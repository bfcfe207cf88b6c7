#!/usr/bin/env bash
# On a subscriber, changes applied by logical replication are recorded for the tables that ask for it and
# for no other; on the publisher the log does not get in the way.
source "$(dirname "$0")/lib.sh"

start_cluster pub wal_level=logical
start_cluster sub wal_level=logical
for cluster in pub sub; do
  sql -c $cluster "CREATE TABLE with_it (id int PRIMARY KEY, a int, b text);
    CREATE TABLE without_it (id int PRIMARY KEY, a int);
    CREATE TABLE parted (id int, k int, a int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
    CREATE TABLE parted1 PARTITION OF parted FOR VALUES IN (1);
    CREATE TABLE parted2 PARTITION OF parted FOR VALUES IN (2);
    CREATE TABLE keyless (a int); ALTER TABLE keyless REPLICA IDENTITY FULL;
    CREATE EXTENSION db_architect"
done
use_cluster sub
# Other columns here, in another order.
sql "ALTER TABLE with_it DROP b; ALTER TABLE with_it ADD own int DEFAULT 7, ADD b text;
     SELECT action FROM architect.enable_audit('with_it', replicated => true);
     SELECT action FROM architect.enable_audit('without_it', replicated => false);
     SELECT action FROM architect.enable_audit('parted', replicated => true);
     SELECT action FROM architect.enable_audit('keyless', replicated => true)" >/dev/null 2>&1
sql -c pub "SELECT action FROM unnest('{with_it,without_it}'::regclass[]) AS t, architect.enable_audit(t)" >/dev/null
sql -c pub "INSERT INTO with_it VALUES (1, 1, 'before'); INSERT INTO without_it VALUES (1, 1); INSERT INTO parted VALUES (1, 1, 1);
            CREATE PUBLICATION p FOR TABLE with_it, without_it, parted, keyless"
sql "CREATE SUBSCRIPTION s CONNECTION '$(cluster_conninfo pub)' PUBLICATION p" >/dev/null 2>&1
wait_until "SELECT count(*) = 5 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel"
caught_up() { DBA_CLUSTER=pub wait_until "SELECT pg_current_wal_lsn() <= replay_lsn FROM pg_stat_replication WHERE application_name = 's'"; }

log="SELECT string_agg(concat_ws(' ', partition_name, operation, row_key, old_values, new_values), E'\n' ORDER BY audit_id) FROM architect.audit_log"
sql_is "the initial copy is recorded where it was asked for" "SELECT string_agg(concat_ws(' ', table_name, operation, row_key), ', ' ORDER BY table_name) FROM architect.audit_log" \
  'parted INSERT {"k": 1, "id": 1}, with_it INSERT {"id": 1}'
sql -c pub "BEGIN; INSERT INTO with_it VALUES (2, 2, 'x'); UPDATE with_it SET a = 3, b = repeat('y', 5) WHERE id = 2; UPDATE with_it SET id = 20 WHERE id = 2; COMMIT;
            UPDATE with_it SET a = a; BEGIN; DELETE FROM with_it; ROLLBACK; DELETE FROM with_it WHERE id = 1;
            INSERT INTO without_it VALUES (2, 2); UPDATE without_it SET a = 5; DELETE FROM without_it"
caught_up
sql_is "replicated changes are recorded as what they are" "$log WHERE table_name = 'with_it' AND audit_id > (SELECT min(audit_id) FROM architect.audit_log WHERE table_name = 'with_it')" \
'INSERT {"id": 2} {"a": 2, "b": "x", "id": 2, "own": 7}
UPDATE {"id": 2} {"a": 2, "b": "x"} {"a": 3, "b": "yyyyy"}
UPDATE {"id": 20} {"id": 2} {"id": 20}
DELETE {"id": 1} {"a": 1, "b": "before", "id": 1, "own": 7}'
sql_is "those of one transaction together" "SELECT count(DISTINCT txid) FROM architect.audit_log WHERE row_key ->> 'id' IN ('2', '20')" 1
sql_is "and not where it was not asked for" "SELECT count(*) FROM architect.audit_log WHERE table_name = 'without_it'" 0
sql_is "the entry says who applied it" "SELECT DISTINCT session_role, coalesce(host(client_addr), 'no client'), backend_pid IN (SELECT pid FROM pg_stat_subscription) FROM architect.audit_log WHERE row_key ->> 'id' = '20'" "postgres|no client|t"
sql "INSERT INTO without_it VALUES (50, 50); UPDATE with_it SET own = 8 WHERE id = 20"
sql_is "a change made here is recorded in both" "SELECT string_agg(table_name || operation, ',' ORDER BY audit_id) FROM architect.audit_log WHERE new_values ->> 'id' = '50' OR new_values ->> 'own' = '8'" "without_itINSERT,with_itUPDATE"

sql -c pub "INSERT INTO parted VALUES (2, 1, 1), (3, 2, 1); UPDATE parted SET k = 2 WHERE id = 1; UPDATE parted2 SET a = 5; INSERT INTO keyless VALUES (1), (2); UPDATE keyless SET a = 3 WHERE a = 1; DELETE FROM keyless"
caught_up
sql_is "partitions: rows that move, too" "$log WHERE table_name = 'parted' AND audit_id > (SELECT min(audit_id) FROM architect.audit_log WHERE table_name = 'parted')" \
'parted1 INSERT {"k": 1, "id": 2} {"a": 1, "k": 1, "id": 2}
parted2 INSERT {"k": 2, "id": 3} {"a": 1, "k": 2, "id": 3}
parted1 DELETE {"k": 1, "id": 1} {"a": 1, "k": 1, "id": 1}
parted2 INSERT {"k": 2, "id": 1} {"a": 1, "k": 2, "id": 1}
parted2 UPDATE {"k": 2, "id": 3} {"a": 1} {"a": 5}
parted2 UPDATE {"k": 2, "id": 1} {"a": 1} {"a": 5}'
sql_is "tables without a key" "$log WHERE table_name = 'keyless'" \
'INSERT {"a": 1}
INSERT {"a": 2}
UPDATE {"a": 1} {"a": 3}
DELETE {"a": 2}
DELETE {"a": 3}'
sql -c pub "TRUNCATE with_it, without_it, parted"
caught_up
sql_is "TRUNCATE: one entry a table" "SELECT string_agg(concat_ws(' ', table_name, partition_name), ', ' ORDER BY table_name, partition_name) FROM architect.audit_log WHERE operation = 'TRUNCATE'" "parted parted1, parted parted2, with_it"

# The policy can be changed while changes are being applied.
sql "SELECT action FROM architect.enable_audit('with_it', replicated => false); SELECT action FROM architect.enable_audit('without_it', replicated => true)" >/dev/null
sql -c pub "INSERT INTO with_it VALUES (100, 1, 'x'); INSERT INTO without_it VALUES (100, 1)"
caught_up
sql_is "a changed policy holds for the running worker" "SELECT string_agg(table_name, ',') FROM architect.audit_log WHERE new_values ->> 'id' = '100'" without_it
# A refused change stops the worker with our error, and goes on when the reason is gone.
sql "SELECT action FROM architect.enable_audit('without_it', replicated => true, require_context => true)" >/dev/null
sql -c pub "INSERT INTO without_it VALUES (101, 1)"
deadline=$((SECONDS + 60))
until grep -q 'table public.without_it may only be changed with a context' "$(cluster_log sub)" || ((SECONDS > deadline)); do sleep 0.2; done
like "a change that may not be made is in the server's log" "$(<"$(cluster_log sub)")" 'table public.without_it may only be changed with a context'
sql "SELECT action FROM architect.enable_audit('without_it', replicated => true)" >/dev/null
caught_up
sql_is "and goes through once it may" "SELECT count(*) FROM architect.audit_log WHERE new_values ->> 'id' = '101'" 1
use_cluster pub
sql_is "on the publisher everything is recorded once" \
  "SELECT count(*) = count(DISTINCT (txid, statement, row_key, operation, table_name)) FROM architect.audit_log" t
