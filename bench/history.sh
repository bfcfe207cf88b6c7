#!/usr/bin/env bash
# History of one row among many log rows. usage: bench/history.sh [ROWS]   (default 10 million; ROWS=... works too)
# Prints milliseconds first (caches of the server dropped by a restart; those of the system stay) and warm, for a row of
# 20 changes, for a hot row of ten thousand, and for one whose key changed, with the plan that finds them.
source "$(dirname "$0")/../scripts/lib/cluster.sh"
rows=${1:-${ROWS:-10000000}}
start_bench_cluster main
psql_on main -q -o /dev/null -f - <<SQL
CREATE EXTENSION db_architect;
CREATE TABLE account (id bigint PRIMARY KEY, name text, balance numeric);
CREATE TABLE entry (id bigint PRIMARY KEY, account bigint, amount numeric);
CREATE TABLE session (id uuid PRIMARY KEY, seen timestamptz);
SELECT architect.enable_audit(t) FROM unnest('{account,entry,session}'::regclass[]) AS t;
INSERT INTO account VALUES (1, 'x', 0);
-- One real entry each, to be copied: keys and images then are what the trigger writes.
INSERT INTO entry VALUES (1, 1, 0);
INSERT INTO session VALUES ('00000000-0000-0000-0000-000000000001', now());
UPDATE account SET balance = 1;
SQL
note "filling the log with $rows rows"
# Hashes as the trigger computes them for integer keys; see src/capture/key.rs.
psql_on main -q -o /dev/null -f - <<SQL
CREATE FUNCTION pg_temp.hash(table_id int, key bigint) RETURNS int LANGUAGE sql IMMUTABLE AS
\$\$ SELECT (((table_id * 2654435761 + key) + 2147483648) % 4294967296 - 2147483648)::int \$\$;
SELECT CASE WHEN e.key_hash <> pg_temp.hash(r.table_id, 1) THEN 1 / (r.table_id - r.table_id) END AS hash_is_the_triggers
  FROM architect.audit_entry e JOIN architect.capture_relation r USING (relation_id) WHERE r.table_name = 'account';
-- Every table gets its share; of account's changes one in fifty is of the hot row 42, until that has ten thousand.
INSERT INTO architect.audit_entry (changed_at, audit_id, txid, context_id, relation_id, statement, key_hash, operation, row_key, image)
SELECT now() - interval '20 days' + n * interval '1 ms', 1000000 + n, '1000', 1, r.relation_id, 0,
       pg_temp.hash(r.table_id, k.key), 'U', k.key::text,
       CASE n % 2 WHEN 0 THEN format('{"balance":[%s,%s]}', n, n + 1) ELSE format('{"amount":[%s,%s]}', n, n + 1) END::json
  FROM generate_series(1, $rows) AS n
  JOIN architect.capture_relation r ON r.table_name = CASE n % 2 WHEN 0 THEN 'account' ELSE 'entry' END
 CROSS JOIN LATERAL (SELECT CASE WHEN n % 50 = 0 AND n / 50 <= 10000 THEN 42 ELSE 1000 + n % ($rows / 20) END AS key) AS k;
UPDATE account SET id = 2000 WHERE id = 1;
ANALYZE architect.audit_entry;
SQL
note "$(sql "SELECT count(*) || ' log rows, ' || (SELECT pg_size_pretty(sum(pg_total_relation_size(p.relid))) || ' of which indexes ' ||
  pg_size_pretty(sum(pg_indexes_size(p.relid))) FROM pg_partition_tree('architect.audit_entry') AS p) FROM architect.audit_entry")"

# milliseconds NAME KEY: first after a restart, then the best of five in a session that has asked before.
milliseconds() {
  local name=$1 question="SELECT count(*) FROM architect.audit_history('account', '$2');" first warm
  restart_cluster main
  first=$(printf '%s\n' '\timing on' "$question" | psql_on main -qAt -f -)
  warm=$(printf '%s\n' '\timing on' "$question" "$question" "$question" "$question" "$question" "$question" | psql_on main -qAt -f - |
    awk '/^Time/ {print $2}' | tail -n +2 | sort -n | head -1)
  printf '%-24s %6s changes   first %9s ms   warm %9s ms\n' "$name" "${first%%$'\n'*}" "$(awk '/^Time/ {print $2}' <<<"$first")" "$warm"
}
milliseconds "a row of some changes" '{"id": 5000}'
milliseconds "the hot row" '{"id": 42}'
milliseconds "a row whose key changed" '{"id": 1}'
milliseconds "no such row" '{"id": 7}'

note "the plan that finds the entries of one key"
psql_on main -qAt -f - <<SQL
EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, SUMMARY OFF)
SELECT * FROM architect.audit_entry e
 WHERE e.key_hash = (SELECT key_hash FROM architect.audit_entry WHERE row_key = '5000' AND image::text LIKE '{"balance%' LIMIT 1)
   AND e.relation_id = ANY (ARRAY(SELECT relation_id FROM architect.capture_relation WHERE table_name = 'account'))
   AND e.row_key = '5000';
SQL
