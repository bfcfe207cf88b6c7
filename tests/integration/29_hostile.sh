#!/usr/bin/env bash
# A transaction goes on writing while others vacuum, analyze and index the log's partitions, and sessions are ended in
# the middle of it: the server stays up and no entry is missing, in the tables or in their indexes.
source "$(dirname "$0")/lib.sh"

start_cluster main
sql "CREATE EXTENSION db_architect; CREATE TABLE t (id int PRIMARY KEY, a text); SELECT count(*) FROM architect.enable_audit('t'); INSERT INTO t VALUES (0)" >/dev/null
month=$(sql "SELECT tableoid::regclass FROM architect.audit_entry LIMIT 1")
started=$(sql "SELECT pg_postmaster_start_time()")
pid=$(postmaster_pid main)

# Rounds of statements in one transaction; temporary tables make the session forget and reuse memory of its caches.
writer() {
  printf '%s' "DO \$\$ BEGIN
    FOR i IN 1..$2 LOOP
      INSERT INTO t SELECT $1 + i * 10 + n, repeat('x', 200) FROM generate_series(0, 9) AS n;
      CREATE TEMP TABLE scratch (id int PRIMARY KEY, a text); DROP TABLE scratch;
      PERFORM pg_sleep(0.005);
    END LOOP; END \$\$"
}

in_background one "$(writer 1000 300)"
in_background two "$(writer 10000 300)"
wait_until "SELECT count(*) = 2 FROM pg_stat_activity WHERE query LIKE 'DO %' AND backend_xid IS NOT NULL"
for _ in 1 2 3 4 5 6; do
  sql "VACUUM (ANALYZE) $month"
  sql "SELECT brin_summarize_new_values(c.oid) FROM pg_class AS c JOIN pg_am AS a ON a.oid = c.relam JOIN pg_index AS i ON i.indexrelid = c.oid WHERE a.amname = 'brin' AND i.indrelid = '$month'::regclass" >/dev/null
done
ok "an index is made while transactions write" sql "CREATE INDEX CONCURRENTLY hostile_id_idx ON $month (audit_id)"
finished one >/dev/null && pass "the first writer went on" || fail "the first writer went on"
finished two >/dev/null && pass "the second writer went on" || fail "the second writer went on"
sql_is "every row has its entry" "SELECT count(*) FROM architect.audit_entry WHERE operation = 'I'" 6001
sql_is "the new index has every entry" \
  "SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM $month WHERE audit_id > 0" 6001
sql_is "the summaries cover every entry" \
  "SET enable_seqscan = off; SET enable_indexscan = off; SET enable_indexonlyscan = off; SELECT count(*) FROM $month WHERE changed_at BETWEEN '2000-01-01' AND '2100-01-01'" 6001

# Sessions that are ended while they record.
for round in 1 2 3 4 5 6; do
  in_background ended "$(writer $((round * 100000)) 2000)"
  wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'DO %' AND backend_xid IS NOT NULL"
  sql "SELECT pg_$([[ $((round % 2)) == 0 ]] && echo cancel || echo terminate)_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO %'" >/dev/null
  finished ended >/dev/null 2>&1 || true
done
sql_is "what they did is gone with its entries" "SELECT count(*) FROM architect.audit_entry WHERE operation = 'I'" 6001
is "the server was up all the time" "$(postmaster_pid main) $(sql "SELECT pg_postmaster_start_time()") $(grep -c 'terminated by signal' "$(cluster_log main)" || true)" "$pid $started 0"
