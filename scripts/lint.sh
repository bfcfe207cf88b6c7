#!/usr/bin/env bash
# Formatting, clippy with warnings as errors, and the shell scripts.
source "$(dirname "$0")/lib/toolchain.sh"

passed=0
failed=0
check() {
  local name=$1
  shift
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); warn "lint: $name failed"; fi
}

shell_scripts() {
  find "$DBA_ROOT/scripts" "$DBA_ROOT/tests" "$DBA_ROOT/bench" "$DBA_ROOT/.ci" -type f \
    \( -name '*.sh' -o -path '*/.ci/run' \) -not -path '*/results/*' 2>/dev/null | sort
}

shell_syntax() {
  local script status=0
  while read -r script; do bash -n "$script" || status=1; done < <(shell_scripts)
  return "$status"
}

shellcheck_all() { shell_scripts | xargs -d '\n' shellcheck --external-sources --severity=warning; }

cd "$DBA_ROOT" || exit
use_toolchain
check "cargo fmt" cargo fmt --check
check clippy cargo clippy --quiet --all-targets --no-default-features --features "pg$PG_MAJOR pg_test" -- -D warnings
check "comments on functions" scripts/comments --check
check "shell syntax" shell_syntax
if have shellcheck; then check shellcheck shellcheck_all; fi
tally lint "$passed" "$failed"
