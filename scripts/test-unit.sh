#!/usr/bin/env bash
# Rust tests: plain #[test]s and #[pg_test]s inside a server. usage: scripts/test-unit.sh [NAME-FILTER]
source "$(dirname "$0")/lib/stage.sh"

# cargo-pgrx calls sudo to become another user. Root needs none, and sudo may be missing or ask for a terminal.
write_sudo_shim() {
  mkdir "$DBA_WORK/shim"
  cat >"$DBA_WORK/shim/sudo" <<'SHIM'
#!/bin/sh
if [ "$1" = "-u" ]; then user=$2; shift 2; exec runuser -u "$user" -- env -u RUST_BACKTRACE "$@"; fi
exec env "$@"
SHIM
  chmod 755 "$DBA_WORK/shim/sudo"
}

# The harness stops its server itself, unless it crashed.
stop_leftover_servers() {
  local pid
  for pid in "$DBA_WORK"/u/*/postmaster.pid; do
    if [[ -f $pid ]]; then as_server "$stage_bin/pg_ctl" -D "${pid%/*}" -s -m immediate stop || true; fi
  done
  # cargo-pgrx collects files below a path named after the server it installs into, and that one was only ours.
  rm -rf -- "$DBA_TARGET/debug/$DBA_EXTENSION-pg$PG_MAJOR$DBA_WORK"
}

unit_tests() {
  local -a runas=() features=(--no-default-features --features "pg$PG_MAJOR pg_test")
  # Compiled first and against the real server: the staged one is gone tomorrow, and cargo would build all again.
  cargo test --no-run --manifest-path "$DBA_ROOT/Cargo.toml" "${features[@]}" || return
  cargo build --lib --manifest-path "$DBA_ROOT/Cargo.toml" "${features[@]}" || return
  if is_root; then
    write_sudo_shim
    runas=(--runas "$DBA_SERVER_USER")
    PATH=$DBA_WORK/shim:$PATH
  fi
  cd "$DBA_ROOT" || exit
  USER=$(id -un) DBA_STAGED_PG_CONFIG=$stage_bin/pg_config \
    cargo_pgrx test "pg$PG_MAJOR" ${1:+"$1"} "${runas[@]}" --pgdata "$(server_dir u)" "${features[@]}" </dev/null
}

use_toolchain
make_work_dir
stage=$(make_stage unit)
stage_bin=$stage$("$PG_CONFIG" --bindir)
at_exit stop_leftover_servers
note "Rust tests on PostgreSQL $PG_MAJOR"

log=$DBA_WORK/unit.log
status=0
# The lock: the harness installs whatever library the target directory holds at that moment.
with_lock unit unit_tests "$@" 2>&1 | tee "$log" || status=$?
passed=$(sed -n 's/^test result: .* \([0-9][0-9]*\) passed.*/\1/p' "$log" | awk '{n += $1} END {print n + 0}')
failed=$(sed -n 's/^test result: .* \([0-9][0-9]*\) failed.*/\1/p' "$log" | awk '{n += $1} END {print n + 0}')
# A build that breaks, or a test binary that crashes, prints no result line.
if ((status != 0 && failed == 0)); then failed=1; fi
tally "unit-pg$PG_MAJOR" "$passed" "$failed"
