# shellcheck shell=bash
# CPU time of one backend, statement by statement; alternatives take turns and the best of the rounds counts, so that
# what else the machine does disturbs all of them alike. Needs a running cluster 'main'.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/cluster.sh"

SESSION_PID=
# open_session DATABASE: a psql session on which `run` runs statements.
open_session() {
  coproc SESSION { psql_on main -qAtX -U postgres -d "$1" 2>&1; }
  SESSION_IN=${SESSION[1]} SESSION_OUT=${SESSION[0]}
  printf '%s\n' "\\set ON_ERROR_STOP 1" "SET synchronous_commit = off;" "SELECT pg_backend_pid();" >&"$SESSION_IN"
  read -r SESSION_PID <&"$SESSION_OUT"
}
close_session() {
  printf '\\q\n' >&"$SESSION_IN" || true
  wait "$SESSION_PID" 2>/dev/null || true
  sleep 0.2
}

# run SQL: runs it on the session, waits for the end; prints nothing.
run() {
  local line
  printf "%s;\nSELECT 'done';\n" "$1" >&"$SESSION_IN"
  while read -r line <&"$SESSION_OUT"; do
    [[ $line == done ]] && return 0
    [[ $line == *ERROR:* || $line == *FATAL:* ]] && die "$line"
  done
  die "the session ended while it ran: $1"
}

# Microseconds of CPU the session's backend has used (its own scheduler account, not the clock's ticks).
cpu_us() { awk '{printf "%d\n", $1 / 1000}' "/proc/$SESSION_PID/schedstat"; }

declare -A BEST=()
# measure KEY SQL: CPU time of the statement; BEST[KEY] keeps the least seen.
measure() {
  local before after spent
  before=$(cpu_us)
  run "$2"
  after=$(cpu_us)
  spent=$((after - before))
  if [[ -z ${BEST[$1]:-} ]] || ((spent < BEST[$1])); then BEST[$1]=$spent; fi
}

# per_row KEY BASE ROWS: microseconds a row above the base.
per_row() { awk -v a="${BEST[$1]}" -v b="${BEST[$2]}" -v n="$3" 'BEGIN {printf "%.2f", (a - b) / n}'; }
# ratio KEY PEER BASE: overhead of one over that of the other.
ratio() {
  awk -v a="${BEST[$1]}" -v p="${BEST[$2]}" -v b="${BEST[$3]}" 'BEGIN {printf "%.2f", (p > b) ? (a - b) / (p - b) : 0}'
}
quotient() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.2f", (b > 0) ? a / b : 0}'; }
