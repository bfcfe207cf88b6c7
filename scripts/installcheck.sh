#!/usr/bin/env bash
# SQL tests: pg_regress over tests/pg_regress/sql and isolation specs over tests/isolation/specs, on a private cluster.
# usage: scripts/installcheck.sh [--accept] [NAME...]
#   NAME      only these tests (install.sql always runs first: it creates the extension)
#   --accept  copy what the tests printed over their expected files; read the diff before committing it
# A name ending in _pg17 runs on PostgreSQL 17 and newer only.
source "$(dirname "$0")/lib/cluster.sh"

accept=
wanted=()
for argument in "$@"; do
  if [[ $argument == --accept ]]; then accept=1; else wanted+=("$argument"); fi
done

is_wanted() {
  ((${#wanted[@]})) || return 0
  local name
  for name in "${wanted[@]}"; do [[ $1 != "$name" ]] || return 0; done
  return 1
}

runs_here() {
  if [[ $1 =~ _pg([0-9]+)$ ]]; then ((PG_MAJOR >= BASH_REMATCH[1])); fi
}

# tests_in DIR EXTENSION: names to run, alphabetical.
tests_in() {
  local file name
  for file in "$1"/*."$2"; do
    name=$(basename "$file" ".$2")
    if [[ -f $file && $name != install ]] && is_wanted "$name" && runs_here "$name"; then printf '%s\n' "$name"; fi
  done
}

# The drivers say "ok 1 - name" (16 and newer) or "test name ... ok".
count_passed() { grep -cE '^(ok +[0-9]|(test|    ) ?.*\.\.\. ok)' "$1" || true; }

# run_tests LAYER DRIVER DIR NAMES...; $options are further options of the driver.
run_tests() {
  local layer=$1 driver=$2 dir=$3 copy log passed
  shift 3
  copy=$(server_copy "$dir")
  log=$DBA_WORK/$layer.log
  note "$layer on PostgreSQL $PG_MAJOR: $# tests"
  if [[ -x $driver ]]; then
    (cd "$copy" && as_server_here "$driver" --bindir="$DBA_BIN" --inputdir="$copy" --outputdir="$copy" \
      --host="$(cluster_socket main)" --port="$DBA_PORT" --user=postgres --dbname="$database" --encoding=UTF8 "${options[@]}" "$@") </dev/null 2>&1 | tee "$log" || true
  else
    warn "$driver is missing" 2>&1 | tee "$log"
  fi
  if [[ -s $copy/regression.diffs ]]; then cat "$copy/regression.diffs"; fi
  keep_results "$copy" "$dir"
  passed=$(count_passed "$log")
  tally "$layer-pg$PG_MAJOR" "$passed" $(($# - passed)) || failures=1
}

# as_server goes to the work directory; the drivers want to be where their inputs are.
as_server_here() {
  local here=$PWD
  as_server sh -c 'cd "$1" && shift && exec "$@"' sh "$here" env PGUSER=postgres "$@"
}

keep_results() {
  local result
  mkdir -p "$2/results"
  cp "$1"/results/*.out "$2/results/" 2>/dev/null || return 0
  [[ -n $accept ]] || return 0
  mkdir -p "$2/expected"
  for result in "$1"/results/*.out; do
    if is_wanted "$(basename "$result" .out)"; then cp "$result" "$2/expected/"; fi
  done
}

failures=
database=contrib_regression
options=()
use_stage
start_cluster main max_prepared_transactions=10 wal_level=logical "$(plugin_setting)"
drivers=$(dirname "$("$PG_CONFIG" --pgxs)")/../test

mapfile -t regress < <(tests_in "$DBA_ROOT/tests/pg_regress/sql" sql)
mapfile -t isolation < <(tests_in "$DBA_ROOT/tests/isolation/specs" spec)
if [[ ${#wanted[@]} == 0 || ${#regress[@]} -gt 0 || " ${wanted[*]} " == *" install "* ]]; then
  run_tests regress "$drivers/regress/pg_regress" "$DBA_ROOT/tests/pg_regress" install "${regress[@]}"
fi
if ((${#isolation[@]} > 0)); then
  database=isolation_regression
  options=(--load-extension="$DBA_EXTENSION")
  run_tests isolation "$drivers/isolation/pg_isolation_regress" "$DBA_ROOT/tests/isolation" "${isolation[@]}"
elif ((${#wanted[@]} == 0)); then
  note "no isolation specs"
fi
if ((${#wanted[@]} > 0 && ${#regress[@]} + ${#isolation[@]} == 0)) && [[ " ${wanted[*]} " != *" install "* ]]; then die "no such test: ${wanted[*]}"; fi
[[ -z $failures ]]
