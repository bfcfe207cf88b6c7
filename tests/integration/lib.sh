# shellcheck shell=bash
# For tests/integration/NN_name.sh: a test is a script that sources this file, starts the clusters it wants and checks.
#
#   source "$(dirname "$0")/lib.sh"
#   start_cluster main
#   sql "CREATE EXTENSION db_architect"
#   is "rows arrive" "$(sql "SELECT count(*) FROM t")" 3
#   fails_with "an unknown table is refused" 42P01 "SELECT * FROM nowhere"
#
# Run one with `bash tests/integration/NN_name.sh` or all with `make test-integration`. Clusters, psql wrappers and
# waiting are in scripts/lib/cluster.sh. A script that ends early, by an error or a signal, counts as a failure.
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/cluster.sh"

TEST_PASSED=0
TEST_FAILED=0
TEST_SKIPPED=
at_exit finish_test
set -E
trap remember_error ERR

# The line of the test itself, not of the helper that noticed.
remember_error() {
  local i
  for ((i = 1; i < ${#BASH_SOURCE[@]}; i++)); do
    if [[ ${BASH_SOURCE[i]} == "$0" ]]; then
      TEST_LAST_ERROR="line ${BASH_LINENO[i - 1]}: $(sed -n "${BASH_LINENO[i - 1]}p" "$0")"
      return
    fi
  done
}

diag() { printf '%s\n' "$*" | sed 's/^/#   /'; }
pass() { TEST_PASSED=$((TEST_PASSED + 1)); printf 'ok %d - %s\n' $((TEST_PASSED + TEST_FAILED)) "$1"; }
# fail NAME [WHY]: never ends the script, so that one run shows everything that is wrong.
fail() {
  TEST_FAILED=$((TEST_FAILED + 1))
  printf 'not ok %d - %s\n' $((TEST_PASSED + TEST_FAILED)) "$1"
  if (($# > 1)); then diag "${@:2}"; fi
}

# ok NAME CMD...: CMD succeeds.
ok() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then pass "$name"; else fail "$name" "failed: $*" "$output"; fi
}

# fails NAME CMD...: CMD does not succeed.
fails() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then fail "$name" "succeeded: $*" "$output"; else pass "$name"; fi
}

# is NAME GOT WANTED
is() {
  if [[ $2 == "$3" ]]; then pass "$1"; else fail "$1" "got:    $2" "wanted: $3"; fi
}

# isnt NAME GOT UNWANTED
isnt() {
  if [[ $2 != "$3" ]]; then pass "$1"; else fail "$1" "got what was not wanted: $2"; fi
}

# like NAME GOT REGEX (extended)
like() {
  if [[ $2 =~ $3 ]]; then pass "$1"; else fail "$1" "got: $2" "does not match: $3"; fi
}

unlike() {
  if [[ $2 =~ $3 ]]; then fail "$1" "got: $2" "matches: $3"; else pass "$1"; fi
}

# sql_is NAME SQL WANTED
sql_is() {
  local got
  if got=$(sql "$2" 2>&1); then is "$1" "$got" "$3"; else fail "$1" "$got"; fi
}

# fails_with NAME SQLSTATE [sql's options] SQL
fails_with() {
  local name=$1 state=$2 output
  shift 2
  if output=$(sql -v VERBOSITY=sqlstate "$@" 2>&1); then
    fail "$name" "succeeded: ${*: -1}" "$output"
  elif [[ $output =~ (ERROR|FATAL):\ \ $state ]]; then
    pass "$name"
  else
    fail "$name" "wanted SQLSTATE $state, got: $output"
  fi
}

# fails_like NAME REGEX [sql's options] SQL: the error, with its DETAIL and HINT, matches.
fails_like() {
  local name=$1 regex=$2 output
  shift 2
  if output=$(sql "$@" 2>&1); then fail "$name" "succeeded: ${*: -1}" "$output"; else like "$name" "$output" "$regex"; fi
}

# skip_unless WHY CMD...: leaves the script, without a failure, when CMD does not succeed here.
skip_unless() {
  local why=$1
  shift
  # Built here, where a failure is seen, and not inside a silenced condition.
  use_stage
  if "$@" >/dev/null 2>&1; then return 0; fi
  TEST_SKIPPED=$why
  exit 0
}

# For skip_unless: is an extension available on the server, is the server new enough?
has_extension() { [[ -f $DBA_SHARE/extension/$1.control ]]; }
has_version() { ((PG_MAJOR >= $1)); }

# in_background NAME [sql's options] SQL: another session at the same time; finished NAME waits for it, prints what it
# said (errors too) and returns its status.
in_background() {
  local name=$1
  shift
  rm -f "$DBA_WORK/background.$name.status"
  {
    local status=0
    sql "$@" >"$DBA_WORK/background.$name" 2>&1 </dev/null || status=$?
    echo "$status" >"$DBA_WORK/background.$name.status"
  } &
}
# By its file and not by wait, so that $(finished NAME) works too.
finished() {
  until [[ -s $DBA_WORK/background.$1.status ]]; do sleep 0.05; done
  cat "$DBA_WORK/background.$1"
  return "$(<"$DBA_WORK/background.$1.status")"
}

finish_test() {
  if ((DBA_EXIT_STATUS != 0)); then
    fail "the script runs to its end" "ended with status $DBA_EXIT_STATUS after ${TEST_LAST_ERROR:-an exit}"
  fi
  if [[ -n $TEST_SKIPPED ]]; then printf '# skipped: %s\n' "$TEST_SKIPPED"; fi
  printf '# %d passed, %d failed\n' "$TEST_PASSED" "$TEST_FAILED"
  if ((TEST_FAILED > 0)); then DBA_EXIT_STATUS=1; fi
}
