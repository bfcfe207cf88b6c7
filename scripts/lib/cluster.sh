# shellcheck shell=bash
# Throw-away clusters: as many as a script likes, each by a name of its own, all gone when the script ends.
#
#   source scripts/lib/cluster.sh
#   start_cluster main                                    # 'main' is the one sql and psql_on talk to by default
#   start_cluster sub wal_level=logical max_prepared_transactions=10
#   sql "SELECT 1"                                        # unaligned, tuples only; each statement its own transaction
#   sql -c sub -d other -U alice "SELECT current_user"    # another cluster, database, role
#   crash_cluster main; restart_cluster main
#
# Clusters listen on a Unix socket in a directory of their own and on nothing else, so ports cannot clash.
# The superuser is 'postgres' whoever runs the server. fsync is off unless --fsync is given.
# shellcheck source-path=SCRIPTDIR source=stage.sh
declare -F use_stage >/dev/null || source "$(dirname "${BASH_SOURCE[0]}")/stage.sh"

DBA_PORT=5432
declare -A DBA_CLUSTERS=()         # name -> directory
declare -A DBA_CRASHED=()          # name -> shared memory left behind by a kill -9
DBA_CLUSTER=main                   # what sql and psql_on use when no cluster is named
DBA_DATABASE=postgres
at_exit stop_all_clusters

cluster_dir() { [[ -n ${DBA_CLUSTERS[$1]:-} ]] || die "no cluster '$1'"; printf '%s\n' "${DBA_CLUSTERS[$1]}"; }
cluster_data() { printf '%s/data\n' "$(cluster_dir "$1")"; }
cluster_socket() { cluster_dir "$1"; }
cluster_log() { printf '%s/log\n' "$(cluster_dir "$1")"; }
# cluster_conninfo NAME [DB]: for subscriptions, foreign servers, dblink, clients.
cluster_conninfo() { printf 'host=%s port=%s user=postgres dbname=%s\n' "$(cluster_dir "$1")" "$DBA_PORT" "${2:-$DBA_DATABASE}"; }
use_cluster() { cluster_dir "$1" >/dev/null; DBA_CLUSTER=$1; }

# start_cluster NAME [--fsync] [--initdb=ARG]... [setting=value]...
start_cluster() {
  use_stage
  local name=$1 dir fsync=off
  local -a initdb_args=() settings=()
  shift
  while (($#)); do
    case $1 in
      --fsync) fsync=on ;;
      --initdb=*) initdb_args+=("${1#--initdb=}") ;;
      *=*) settings+=("$1") ;;
      *) die "start_cluster: $1 is neither an option nor setting=value" ;;
    esac
    shift
  done
  [[ -z ${DBA_CLUSTERS[$name]:-} ]] || die "start_cluster: '$name' exists already"
  dir=$(server_dir "$name")
  DBA_CLUSTERS[$name]=$dir
  as_server env LC_ALL=C "$DBA_BIN/initdb" -D "$dir/data" -U postgres -A trust --no-locale --encoding=UTF8 --no-sync --no-instructions \
    "${initdb_args[@]}" >"$DBA_WORK/initdb.$name.log" 2>&1 || { cat "$DBA_WORK/initdb.$name.log" >&2; die "initdb failed for '$name'"; }
  configure_cluster "$name" "fsync=$fsync" "log_line_prefix=%m [%p] %q%u@%d " "max_connections=50" \
    "shared_buffers=32MB" "timezone=UTC" "log_timezone=UTC" "${settings[@]}"
  start_again "$name"
}

# start_bench_cluster NAME [--fsync] [setting=value]...: quiet enough to compare CPU time: everything in memory, nothing in
# the background. Given settings win.
start_bench_cluster() {
  local name=$1
  shift
  start_cluster "$name" shared_buffers=512MB maintenance_work_mem=128MB max_wal_size=8GB checkpoint_timeout=1h \
    checkpoint_completion_target=0.9 autovacuum=off jit=off "$@"
}

# plugin_setting: what a server that names its output plugins needs to accept ours; nothing for an older one, which
# would not know the setting. Takes a stage: use_stage.
plugin_setting() {
  if as_server "$DBA_BIN/postgres" --describe-config | grep '^output_plugin_libraries' >/dev/null; then
    printf 'output_plugin_libraries=pgoutput, test_decoding, wal2json, %s\n' "$DBA_EXTENSION"
  else
    printf 'wal_level=logical\n'
  fi
}

# start_standby NAME PRIMARY [setting=value]...: a streaming hot standby of a running cluster.
start_standby() {
  local name=$1 primary=$2 dir
  shift 2
  dir=$(server_dir "$name")
  DBA_CLUSTERS[$name]=$dir
  as_server "$DBA_BIN/pg_basebackup" -d "$(cluster_conninfo "$primary")" -D "$dir/data" -R -X stream -c fast --no-sync ||
    die "pg_basebackup failed for '$name'"
  configure_cluster "$name" hot_standby=on "$@"
  start_again "$name"
}

# configure_cluster NAME setting=value...: takes effect at the next start (or reload, for settings that can).
configure_cluster() {
  local name=$1 dir setting
  dir=$(cluster_dir "$name")
  shift
  {
    printf "unix_socket_directories = '%s'\nlisten_addresses = ''\nport = %s\n" "$dir" "$DBA_PORT"
    for setting in "$@"; do printf "%s = '%s'\n" "${setting%%=*}" "${setting#*=}"; done
  } | as_server tee -a "$dir/data/postgresql.conf" >/dev/null
}

# pg_ctl's server must not keep this script's output open, or a caller's pipe would never end.
start_again() {
  local name=$1 dir
  dir=$(cluster_dir "$name")
  as_server env LC_ALL=C "$DBA_BIN/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 120 -s start </dev/null >/dev/null 2>&1 || {
    tail -n 40 "$dir/log" >&2
    die "cluster '$name' does not start"
  }
  clear_after_crash "$name"
}

# What a killed server leaves in shared memory and no later start clears away.
clear_after_crash() {
  local left=${DBA_CRASHED[$1]:-}
  [[ -n $left ]] || return 0
  as_server ipcrm -m "${left%% *}" 2>/dev/null || true
  # shellcheck disable=SC2086  # a list of paths without blanks
  rm -f -- ${left#* }
  unset "DBA_CRASHED[$1]"
}

# stop_cluster NAME [smart|fast|immediate]
stop_cluster() {
  local dir
  dir=$(cluster_dir "$1")
  as_server "$DBA_BIN/pg_ctl" -D "$dir/data" -w -t 120 -s -m "${2:-fast}" stop
}

restart_cluster() {
  if cluster_is_up "$1"; then stop_cluster "$1"; fi
  start_again "$1"
}

reload_cluster() { as_server "$DBA_BIN/pg_ctl" -D "$(cluster_data "$1")" -s reload; }

postmaster_pid() { head -n 1 "$(cluster_data "$1")/postmaster.pid" 2>/dev/null; }
# A process that nobody has waited for yet (a container may lack an init that does) is dead all the same.
is_alive() { [[ -n ${1:-} && -r /proc/$1/status && $(awk '/^State:/ {print $2}' "/proc/$1/status" 2>/dev/null) == [!ZX] ]]; }
cluster_is_up() { is_alive "$(postmaster_pid "$1")"; }

# Children by /proc, because ps may be missing.
children_of() {
  local status
  for status in /proc/[0-9]*/status; do
    awk -v parent="$1" '/^Pid:/ {pid = $2} /^PPid:/ && $2 == parent {print pid}' "$status" 2>/dev/null || true
  done
}

# crash_cluster NAME: kill -9 of the postmaster and all its children, as if power had gone (less the disk cache).
crash_cluster() {
  local name=$1 data postmaster children pid
  data=$(cluster_data "$name")
  postmaster=$(postmaster_pid "$name")
  [[ -n $postmaster ]] || die "crash_cluster: '$name' is not running"
  # Stopped first, so that it forks no more children while we look for them.
  as_server kill -STOP "$postmaster"
  children=$(children_of "$postmaster")
  DBA_CRASHED[$name]="$(awk 'NR == 7 {print $2}' "$data/postmaster.pid") $(for pid in $postmaster $children; do
    sed -n 's,.* \(/dev/shm/PostgreSQL[^ ]*\).*,\1,p' "/proc/$pid/maps" 2>/dev/null || true
  done | sort -u | tr '\n' ' ')"
  for pid in $postmaster $children; do as_server kill -KILL "$pid" 2>/dev/null || true; done
  for pid in $postmaster $children; do
    while is_alive "$pid"; do sleep 0.05; done
  done
  # PostgreSQL takes an unwaited-for process for a running postmaster and would refuse to start.
  if [[ -d /proc/$postmaster ]]; then rm -f -- "$data/postmaster.pid" "$(cluster_socket "$name")/.s.PGSQL.$DBA_PORT.lock"; fi
}

stop_all_clusters() {
  local name
  for name in "${!DBA_CLUSTERS[@]}"; do
    if [[ ${DBA_EXIT_STATUS:-0} != 0 && -n ${DBA_SHOW_LOGS:-} ]]; then
      note "the last lines of the log of cluster '$name'"
      tail -n 60 "${DBA_CLUSTERS[$name]}/log" >&2
    fi
    if [[ -n ${DBA_CRASHED[$name]:-} ]]; then
      clear_after_crash "$name"
    elif cluster_is_up "$name"; then
      stop_cluster "$name" immediate || warn "cluster '$name' does not stop"
    fi
  done
  DBA_CLUSTERS=()
}

# psql_on CLUSTER ARGS...: psql as the server's account. Files are best given on stdin: the checkout may be unreadable
# to that account.
psql_on() {
  local cluster=$1
  shift
  tool_on "$cluster" psql -X -v ON_ERROR_STOP=1 "$@"
}

# tool_on CLUSTER PROGRAM ARGS...: any client program (pgbench, pg_dump, createdb, ...) as the server's account.
tool_on() {
  local cluster=$1 program=$2
  shift 2
  as_server env PGHOST="$(cluster_dir "$cluster")" PGPORT="$DBA_PORT" PGUSER=postgres PGDATABASE="$DBA_DATABASE" \
    "$DBA_BIN/$program" "$@"
}

# sql [-c CLUSTER] [-d DATABASE] [-U ROLE] [-v NAME=VALUE] SQL: values only, '|' between columns.
sql() {
  local cluster=$DBA_CLUSTER database=$DBA_DATABASE role=postgres option OPTIND=1 OPTARG
  local -a vars=()
  while getopts c:d:U:v: option; do
    case $option in
      c) cluster=$OPTARG ;;
      d) database=$OPTARG ;;
      U) role=$OPTARG ;;
      v) vars+=(-v "$OPTARG") ;;
      *) die "sql: unknown option" ;;
    esac
  done
  shift $((OPTIND - 1))
  # From stdin and not by -c: every statement is its own transaction, as a client would send it.
  printf '%s\n' "$1" | psql_on "$cluster" -qAt -U "$role" -d "$database" "${vars[@]}" -f -
}

# wait_until SQL [SECONDS]: until SQL (on the current cluster) answers t.
wait_until() {
  local deadline=$((SECONDS + ${2:-60}))
  until [[ $(sql "$1" 2>/dev/null) == t ]]; do
    ((SECONDS < deadline)) || { warn "gave up waiting for: $1"; return 1; }
    sleep 0.1
  done
}

# wait_for_replay PRIMARY STANDBY: until the standby has replayed what the primary has written.
wait_for_replay() {
  local lsn
  lsn=$(sql -c "$1" "SELECT pg_current_wal_flush_lsn()")
  DBA_CLUSTER=$2 wait_until "SELECT pg_last_wal_replay_lsn() >= '$lsn'"
}
