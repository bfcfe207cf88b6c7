#!/usr/bin/env bash
# A consumer far behind: its backlog lies in a few dozen tables of the feed at most, a poll opens those it needs and
# retention those it can empty, and what a backlog has left goes away with it. Then many cycles of writing, polling and
# acknowledging: the feed stays as small as it was.
source "$(dirname "$0")/lib.sh"

start_cluster main autovacuum_naptime=1
sql "CREATE EXTENSION db_architect; CREATE TABLE t (id int PRIMARY KEY, v text)
     ; SELECT FROM architect.enable_cdc('t', notify => false); SELECT architect.create_consumer('slow')
     ; SELECT architect.set_cdc_retention(segment_bytes => 65536)" >/dev/null
tidy="CALL architect.run_maintenance()"

# 40 turns of a megabyte and more each; 65 kB would be one table each.
for turn in {1..40}; do
  printf '%s\n' "INSERT INTO t SELECT i, repeat('x', 400) FROM generate_series($turn * 1000, $turn * 1000 + 999) i;" "$tidy;"
done | psql_on main -q -v ON_ERROR_STOP=1 -f - >/dev/null
sql_is "a long backlog is in few tables" "SELECT count(*) BETWEEN 10 AND 40, sum(bytes) > 16000000 FROM architect.change_segment WHERE state = 'full'" "t|t"
sql_is "their bounds are known and follow one another" \
  "SELECT count(*), bool_and(first_position > before) FROM (SELECT first_position, lag(last_position) OVER (ORDER BY first_position) AS before
     FROM architect.change_segment WHERE state = 'full' AND last_position IS NOT NULL) s WHERE before IS NOT NULL" \
  "$(($(sql "SELECT count(*) FROM architect.change_segment WHERE state = 'full' AND last_position IS NOT NULL") - 1))|t"
sql_is "all of it counts as not read" "SELECT events, bytes > 16000000 FROM architect.consumer_lag()" "40000|t"

# What is far ahead may be locked as long as it likes: a poll does not open it. Nor does retention.
ahead=$(sql "SELECT 'architect.change_entry_' || segment_id FROM architect.change_segment WHERE state = 'full' ORDER BY first_position DESC OFFSET 1 LIMIT 1")
in_background holder "BEGIN; LOCK TABLE $ahead IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(30)"
wait_until "SELECT count(*) > 0 FROM pg_locks WHERE relation = '$ahead'::regclass AND mode = 'AccessExclusiveLock'"
sql_is "a poll opens the tables it needs, no others" "SET lock_timeout = '1s'; SELECT count(*) FROM architect.poll_changes('slow', 500)" 500
sql_is "so does an acknowledgement" \
  "SET lock_timeout = '1s'; SELECT architect.ack_changes('slow', (SELECT max(position) FROM architect.poll_changes('slow', 500)));
   SELECT architect.ack_changes('slow', (SELECT max(position) FROM architect.poll_changes('slow', 2000)))" "500
2000"
sql_is "what is read is let go, what is locked is left" \
  "SET lock_timeout = '1s'; $tidy; SELECT count(*) FILTER (WHERE action IN ('emptied', 'dropped')) > 0 FROM architect.maintenance_log()" t
ok "and a writer has nothing to do with it" sql "SET lock_timeout = '1s'; INSERT INTO t VALUES (0)"
sql "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = '$ahead'::regclass AND mode = 'AccessExclusiveLock'" >/dev/null
finished holder >/dev/null || true

# In order over all the tables, nothing missing; many are let go at once.
sql "CREATE TABLE got (n int GENERATED ALWAYS AS IDENTITY, position bigint, id int);
     DO \$\$ DECLARE last bigint; BEGIN LOOP
       INSERT INTO got (position, id) SELECT p.position, (p.row_key ->> 'id')::int FROM architect.poll_changes('slow', 7000) AS p;
       EXIT WHEN NOT FOUND;
       SELECT max(position) INTO last FROM got;
       PERFORM architect.ack_changes('slow', last);
       COMMIT;
     END LOOP; END \$\$"
sql_is "each event once, in order" \
  "SELECT count(*), count(DISTINCT id), bool_and(position > before) FROM (SELECT *, lag(position, 1, 0::bigint) OVER (ORDER BY n) AS before FROM got) g" \
  "37501|37501|t"
sql "$tidy"
sql_is "the feed is as small as at the beginning" "SELECT count(*) <= 5, sum(pg_total_relation_size(('architect.change_entry_' || segment_id)::regclass)) < 200000 FROM architect.change_segment" "t|t"

# For ever: after every hundred cycles the size is what it was after the first hundred.
cycles() {
  local i
  for i in {1..100}; do
    printf '%s\n' "INSERT INTO t SELECT i, 'x' FROM generate_series(100001, 100100) i;" \
      "UPDATE t SET v = 'y' WHERE id > 100000;" "DELETE FROM t WHERE id > 100000;" \
      "SELECT architect.ack_changes('slow', max(position)) FROM architect.poll_changes('slow', 300);"
    if ((i % 10 == 0)); then printf '%s\n' "$tidy;"; fi
  done | psql_on main -q -v ON_ERROR_STOP=1 -f - >/dev/null
}
# Everything of the feed, but for what maintenance says of itself.
size="SELECT (sum(pg_total_relation_size(c.oid)) / 1024)::int FROM pg_class c
       WHERE c.relnamespace = 'architect'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^(change|cdc|capture)_'"
cycles
first=$(sql "$size")
largest=0
for _ in 1 2 3 4; do
  cycles
  now=$(sql "$size")
  if ((now > largest)); then largest=$now; fi
done
is "$((5 * 30000)) changes later: ${first} kB, then at most $largest kB" "$((largest <= first + 512))" 1
sql_is "in as many tables" "SELECT count(*) <= 5 FROM architect.change_segment" t
