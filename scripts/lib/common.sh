# shellcheck shell=bash
# What every script here needs: messages, clean-up, privileges, a work directory, locks and counting.
# Source it; it changes no files until one of its functions is called.
set -euo pipefail

DBA_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck disable=SC2034  # used by the files that source this one
DBA_EXTENSION=db_architect
DBA_TARGET=${CARGO_TARGET_DIR:-$DBA_ROOT/target}
[[ $DBA_TARGET == /* ]] || DBA_TARGET=$DBA_ROOT/$DBA_TARGET
export CARGO_TARGET_DIR=$DBA_TARGET

# A caller's connection settings must never lead a test to the caller's own server.
unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGPASSWORD PGPASSFILE PGSERVICE PGSERVICEFILE PGOPTIONS PGDATA PGSSLMODE PGAPPNAME
# A backtrace asked for on the command line would end up in the DETAIL of every error the server sends.
unset RUST_BACKTRACE RUST_LIB_BACKTRACE
export PGCLIENTENCODING=UTF8

note() { printf '== %s\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [[ $(id -u) == 0 ]]; }

# --- clean-up -------------------------------------------------------------------------------------------------
# One EXIT trap for everything: hooks run last-in first-out and may raise DBA_EXIT_STATUS.
DBA_EXIT_HOOKS=()
DBA_EXIT_STATUS=0
DBA_MAIN_PID=$BASHPID

at_exit() { DBA_EXIT_HOOKS+=("$1"); }

run_exit_hooks() {
  DBA_EXIT_STATUS=$?
  # A subshell inherits nothing it should clean: only the shell that loaded this file owns the clusters.
  [[ $BASHPID == "$DBA_MAIN_PID" ]] || exit "$DBA_EXIT_STATUS"
  trap - EXIT
  trap '' INT TERM HUP
  set +e
  local i
  for ((i = ${#DBA_EXIT_HOOKS[@]} - 1; i >= 0; i--)); do "${DBA_EXIT_HOOKS[i]}"; done
  exit "$DBA_EXIT_STATUS"
}
trap run_exit_hooks EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# --- privileges -----------------------------------------------------------------------------------------------
# PostgreSQL refuses to run as root, so root hands the server to another account; anybody else runs it themselves.
server_user() {
  if ! is_root; then id -un
  elif id -u postgres >/dev/null 2>&1; then echo postgres
  else echo nobody; fi
}
DBA_SERVER_USER=$(server_user)

# as_server CMD...: runs CMD as the account that owns the clusters, from a directory that account can enter.
as_server() (
  cd "$DBA_WORK"
  if is_root; then exec runuser -u "$DBA_SERVER_USER" -- env HOME="$DBA_WORK" "$@"; fi
  exec "$@"
)

# as_admin CMD...: runs CMD as root, asking sudo only when needed.
as_admin() {
  if is_root; then "$@"; return; fi
  have sudo || die "this needs root: $* (no sudo here; run it as root once, then try again)"
  if [[ -t 0 ]]; then sudo "$@"; else sudo -n "$@"; fi
}

# --- the work directory ---------------------------------------------------------------------------------------
# Short, because a Unix socket's path may not pass about 100 bytes; one per process, so runs cannot meet.
DBA_WORK=
make_work_dir() {
  [[ -z $DBA_WORK ]] || return 0
  DBA_WORK=$(mktemp -d "${DBA_TMPDIR:-/tmp}/dba.XXXXXX")
  chmod 755 "$DBA_WORK"
}
remove_work_dir() {
  [[ -n $DBA_WORK && -d $DBA_WORK ]] || return 0
  if [[ -n ${DBA_KEEP:-} ]]; then note "kept: $DBA_WORK"; else rm -rf -- "$DBA_WORK"; fi
}
# Registered first, so run last: servers must be stopped while their files are still there.
at_exit remove_work_dir

# server_dir NAME: makes a directory below the work directory that the server's account owns, and prints it.
server_dir() {
  local dir=$DBA_WORK/$1
  mkdir -p "$dir"
  if is_root; then chown "$DBA_SERVER_USER" "$dir"; fi
  chmod 700 "$dir"
  printf '%s\n' "$dir"
}

# server_copy PATH: a copy of PATH the server's account can read, wherever the checkout lives; prints its path.
server_copy() {
  local copy
  copy=$(mktemp -d "$DBA_WORK/copy.XXXXXX")
  cp -R "$1" "$copy/"
  if is_root; then chown -R "$DBA_SERVER_USER" "$copy"; fi
  chmod -R u+rwX,go+rX "$copy"
  printf '%s/%s\n' "$copy" "$(basename "$1")"
}

# with_lock NAME CMD...: one at a time per target directory. CMD does not inherit the lock: a server it starts
# would otherwise hold it for ever.
with_lock() {
  local fd status=0 name=$1
  shift
  mkdir -p "$DBA_TARGET"
  exec {fd}>"$DBA_TARGET/.$name.lock"
  flock -n "$fd" || { note "waiting for another run ($name)"; flock "$fd"; }
  "$@" {fd}>&- || status=$?
  exec {fd}>&-
  return "$status"
}

# --- counting -------------------------------------------------------------------------------------------------
# tally LAYER PASSED FAILED: one line per test layer on stdout and, for a caller that sums, in the file $DBA_TALLY.
tally() {
  local layer=$1 passed=$2 failed=$3
  # A layer that ran nothing has not passed.
  if ((passed + failed == 0)); then failed=1; fi
  printf '== %s: %d passed, %d failed\n' "$layer" "$passed" "$failed"
  if [[ -n ${DBA_TALLY:-} ]]; then printf '%s %d %d\n' "$layer" "$passed" "$failed" >>"$DBA_TALLY"; fi
  ((failed == 0))
}
