#!/usr/bin/env bash
# What others in the cluster do: long writers and prepared transactions of another database do not hold this one's feed
# back, those of this one do, and consumer_lag() says who; a consumer's role may be renamed; and (from PostgreSQL 17 on,
# where the queue can be made small) a full notification queue fails NOTIFY but no writer.
source "$(dirname "$0")/lib.sh"

settings=(max_prepared_transactions=10)
use_stage
if has_version 17; then settings+=(max_notify_queue_pages=64); fi
start_cluster main "${settings[@]}"
for database in here there; do
  sql "CREATE DATABASE $database"
  sql -d "$database" "CREATE EXTENSION db_architect; CREATE TABLE t (id int PRIMARY KEY, v text); SELECT FROM architect.enable_cdc('t'); SELECT architect.create_consumer('c')" >/dev/null
done

# There: a writer that stays open, and has looked at what it wrote, and one that is prepared.
in_background writer -d there "BEGIN; SET application_name = 'long writer'; INSERT INTO t VALUES (1); SELECT count(*) FROM architect.change_log; SELECT pg_sleep(600)"
wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'long writer' AND query LIKE '%pg_sleep%'"
sql -d there "BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'there'"
sql -d here "INSERT INTO t VALUES (1)"
is "writers of another database hold nothing back" "$(sql -d here "SELECT count(*) FROM architect.poll_changes('c')")" 1
is "and nobody is said to" "$(sql -d here "SELECT held_back_by FROM architect.consumer_lag()")" ""
is "those of this one do" "$(sql -d there "SELECT count(*) FROM architect.poll_changes('c')")" 0
like "the one that began first is named" "$(sql -d there "SELECT held_back_by FROM architect.consumer_lag()")" '^process [0-9]+ \(long writer\)$'
like "in the health too" "$(sql -d there "SELECT held_back_by FROM architect.cdc_health()")" 'long writer'
sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'long writer'" >/dev/null
finished writer >/dev/null || true
is "then the prepared one" "$(sql -d there "SELECT held_back_by FROM architect.consumer_lag()")" "prepared transaction 'there'"
sql -d there "COMMIT PREPARED 'there'"
is "then nobody" "$(sql -d there "SELECT held_back_by FROM architect.consumer_lag(); SELECT row_key FROM architect.poll_changes('c')")" '
{"id":2}'

# A role by any other name.
sql "CREATE ROLE reader LOGIN; CREATE ROLE other LOGIN"
sql -d here "GRANT USAGE ON SCHEMA architect TO reader, other; GRANT SELECT ON t TO reader; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA architect TO reader, other"
sql -d here "SET ROLE reader; SELECT architect.create_consumer('theirs', tables => '{t}')" >/dev/null
sql "ALTER ROLE reader RENAME TO renamed; ALTER ROLE other RENAME TO reader"
is "a consumer stays with its role when that is renamed" "$(sql -d here "SET ROLE renamed; SELECT count(*) FROM architect.poll_changes('theirs')")" 0
fails_like "and does not go to who takes the name" 'belongs to role "renamed"' -d here "SET ROLE reader; SELECT * FROM architect.poll_changes('theirs')"

if has_version 17; then
  # Writers notify as fast as they can while somebody listens and does not read on.
  in_background listener -d here "SET application_name = 'listener'; LISTEN data_changes; BEGIN; SELECT pg_sleep(600)"
  wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'listener' AND query LIKE '%pg_sleep%'"
  for writer in 1 2 3; do
    in_background "writer$writer" -d here "DO 'BEGIN FOR i IN 1..6000 LOOP INSERT INTO t VALUES ($writer * 100000 + i); COMMIT; END LOOP; END'"
  done
  for writer in 1 2 3; do ok "writer $writer never fails while notifications pile up" finished "writer$writer"; done
  is "they leave half of the queue to others" "$(sql -d here "SELECT pg_notification_queue_usage() BETWEEN 0.4 AND 0.75")" t
  # Others fill it.
  sql -d here "DO \$\$ BEGIN LOOP PERFORM pg_notify('noise', repeat('x', 7000)); COMMIT; END LOOP; END \$\$" >/dev/null 2>&1 || true
  fails_like "the queue is full" "too many notifications" -d here "NOTIFY noise, '$(printf 'x%.0s' {1..7000})'"
  ok "a writer does not notice" sql -d here "INSERT INTO t VALUES (5); UPDATE t SET v = 'x' WHERE id = 5"
  is "coverage and health do" "$(sql -d here "SELECT count(*) FROM architect.cdc_coverage() WHERE code = 'notification_queue_full'; SELECT detail LIKE '%notification queue%' FROM architect.cdc_health()")" "1
t"
  is "nothing is missing in the feed" "$(sql -d here "SELECT events FROM architect.consumer_lag() WHERE consumer_name = 'theirs'")" 18002
fi
