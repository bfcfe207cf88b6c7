#!/usr/bin/env bash
# Type-checks the crate against every PostgreSQL 14 to 18 whose headers are here. usage: scripts/check-versions.sh [MAJOR...]
source "$(dirname "$0")/lib/toolchain.sh"

check_version() (
  unset PG_CONFIG
  PG_CONFIG=$(find_pg_config "$1")
  use_toolchain
  cd "$DBA_ROOT" || exit
  note "checking against PostgreSQL $PG_MAJOR ($PG_CONFIG)"
  cargo check --quiet --no-default-features --features "pg$PG_MAJOR"
)

find_cargo
passed=0
failed=0
missing=()
for major in "${@:-14 15 16 17 18}"; do
  for version in $major; do
    if ! (unset PG_CONFIG && find_pg_config "$version") >/dev/null; then missing+=("$version")
    elif check_version "$version"; then passed=$((passed + 1))
    else failed=$((failed + 1)); fi
  done
done
if ((${#missing[@]} > 0)); then note "not here, not checked: PostgreSQL ${missing[*]}"; fi
tally check-versions "$passed" "$failed"
