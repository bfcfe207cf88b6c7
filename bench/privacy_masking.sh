#!/usr/bin/env bash
# Masking beside the plain UPDATE that sets the same columns; encryptions a second; discovery over many columns. CPU time of
# the backend, in one run. usage: bench/privacy_masking.sh [ROWS] [ROUNDS] [TABLES]
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib/measure.sh"
rows=${1:-100000} rounds=${2:-3} tables=${3:-300}

start_bench_cluster main "architect.master_key_command=echo k1 $(printf '%064d' 7)"
sql "CREATE DATABASE bench"
psql_on main -q -U postgres -d bench -v rows="$rows" -v tables="$tables" -f - <<'SQL'
CREATE EXTENSION db_architect;
CREATE EXTENSION pgcrypto;
CREATE TABLE seed (id bigint PRIMARY KEY, a text, b text, c text, d text, e text, f text, g text);
INSERT INTO seed SELECT i, 'user' || i || '@example.org', 'Maria Garcia ' || i, '+49 30 ' || i, 'street ' || i, 'city ' || i, 'note ' || i, 'x' || i
  FROM generate_series(1, :rows) AS i;
CREATE TABLE plain (LIKE seed INCLUDING ALL);
CREATE TABLE masked (LIKE seed INCLUDING ALL);
SELECT format('CREATE TABLE t%s (id int, email text, b text, c text, name text, d date, phone text, x numeric, y text, z text)', i)
  FROM generate_series(1, :tables) AS i \gexec
SELECT format('INSERT INTO t%s SELECT i, ''u'' || i || ''@example.org'', ''b'', ''c'' || i, ''n'' || i, ''2020-01-01'', ''x'', i, ''y'', ''z'' FROM generate_series(1, 600) AS i', i)
  FROM generate_series(1, :tables) AS i \gexec
VACUUM ANALYZE;
CHECKPOINT;
SQL

open_session bench
fill() { run "TRUNCATE $1"; run "INSERT INTO $1 SELECT * FROM seed"; run "VACUUM $1"; }
constants='{"a": {"action": "constant", "params": {"value": "-"}}, "b": {"action": "constant", "params": {"value": "-"}}, "c": {"action": "constant", "params": {"value": "-"}}, "d": {"action": "constant", "params": {"value": "-"}}, "e": {"action": "constant", "params": {"value": "-"}}, "f": {"action": "constant", "params": {"value": "-"}}, "g": {"action": "constant", "params": {"value": "-"}}}'
pseudonyms='{"a": {"action": "pseudonym", "category": "email"}, "b": {"action": "pseudonym", "category": "person_name"}, "c": {"action": "pseudonym", "category": "phone"}, "d": "hash"}'
for ((round = 0; round < rounds; round++)); do
  fill plain
  measure plain7 "UPDATE plain SET a = '-', b = '-', c = '-', d = '-', e = '-', f = '-', g = '-'"
  fill masked
  measure mask7 "SELECT count(*) FROM architect.anonymize_table('masked', rules => '$constants')"
  fill masked
  measure rewrite7 "SELECT count(*) FROM architect.anonymize_table('masked', rules => '$constants', rewrite => true)"
  fill plain
  measure plain4 "UPDATE plain SET a = '-', b = '-', c = '-', d = '-'"
  fill masked
  measure mask4 "SELECT count(*) FROM architect.anonymize_table('masked', rules => '$pseudonyms')"
  fill masked
  measure rewrite4 "SELECT count(*) FROM architect.anonymize_table('masked', rules => '$pseudonyms', rewrite => true)"
  measure encrypt "SELECT count(architect.encrypt_pii(a, 'customer:1', 'public.seed.a')) FROM seed"
  measure encrypt_many "SELECT count(architect.encrypt_pii(a, 'customer:' || id % 1000, 'public.seed.a')) FROM seed"
  measure pgcrypto "SELECT count(pgp_sym_encrypt(a, 'secret')) FROM (SELECT a FROM seed LIMIT 1000) AS s"
  measure discover "SELECT count(*) FROM architect.discover_pii(time_budget => '1 minute')"
done
close_session

speed() { quotient "${BEST[$2]}" "${BEST[$1]}"; }
second() { awk -v n="$1" -v us="$2" 'BEGIN {printf "%d", n * 1e6 / us}'; }
printf '\n| what | beside | ratio of speeds |\n| --- | --- | --- |\n'
printf '| 7 columns by constants | plain UPDATE of them | %s |\n' "$(speed mask7 plain7)"
printf '| 3 pseudonyms and a hash | plain UPDATE of 4 columns | %s |\n' "$(speed mask4 plain4)"
printf '| the same 7, written anew | plain UPDATE of them | %s |\n' "$(speed rewrite7 plain7)"
printf '| the same 4, written anew | plain UPDATE of 4 columns | %s |\n' "$(speed rewrite4 plain4)"
printf '\n| what | a second and core |\n| --- | --- |\n'
printf '| encrypt_pii, one person | %s |\n' "$(second "$rows" "${BEST[encrypt]}")"
printf '| encrypt_pii, 1,000 persons | %s |\n' "$(second "$rows" "${BEST[encrypt_many]}")"
printf '| pgcrypto pgp_sym_encrypt | %s |\n' "$(second 1000 "${BEST[pgcrypto]}")"
printf '\n%s columns in %s tables of 600 rows discovered in %s s of CPU\n' $((tables * 10)) "$tables" \
  "$(awk -v us="${BEST[discover]}" 'BEGIN {printf "%.1f", us / 1e6}')"
