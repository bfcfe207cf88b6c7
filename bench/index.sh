#!/usr/bin/env bash
# The index advisor on TPC-H: how exact it is about indexes that are not there, how many normalised statements it can
# analyse, and what the advised indexes are worth once built, beside a greedy search over HypoPG.
# usage: bench/index.sh [SCALE]; needs python3 with venv, network for PyPI (tpchgen-cli, duckdb==1.1.3 for the texts),
# HypoPG where it is installed. Queries 2, 17 and 20 are left out, as in Kossmann et al., VLDB 2020; no primary keys.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/../scripts/lib/cluster.sh"
scale=${1:-1}

start_bench_cluster main shared_preload_libraries=pg_stat_statements
tools=$DBA_WORK/tpch
mkdir -p "$tools/data"
python3 -m venv "$tools/venv"
"$tools/venv/bin/pip" install -q tpchgen-cli duckdb==1.1.3
"$tools/venv/bin/tpchgen-cli" -s "$scale" --output-dir="$tools/data" >/dev/null 2>&1
sql "$(cat "$(dirname "$0")/index/tpch.sql")"
for table in region nation part supplier partsupp customer orders lineitem; do
  sed 's/|$//' "$tools/data/$table.tbl" | psql_on main -qX -U postgres -d postgres -c "COPY $table FROM STDIN WITH (DELIMITER '|')"
done
"$tools/venv/bin/python" "$(dirname "$0")/index/queries.py" | psql_on main -qX -U postgres -d postgres -f -
sql "VACUUM (ANALYZE, FREEZE)" >/dev/null
sql "CREATE EXTENSION db_architect; CREATE EXTENSION pg_stat_statements" >/dev/null
sql "$(cat "$(dirname "$0")/index/measure.sql")"

note "accuracy: cost of the 19 statements and size, hypothetical against real, an index at a time"
sql "SELECT * FROM accuracy()"

note "coverage of the statements as pg_stat_statements keeps them"
sql "SELECT pg_stat_statements_reset()" >/dev/null
sql "SELECT explain_only(q) FROM workload ORDER BY n" >/dev/null
sql "SELECT outcome, statements FROM architect.workload_coverage() ORDER BY 2 DESC"

for budget in 195MB 330MB; do
  note "advice within $budget, then built: relative cost, size on disk, seconds to advise"
  sql "SELECT * FROM advise_and_build('$budget')"
done
