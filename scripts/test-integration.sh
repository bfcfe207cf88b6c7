#!/usr/bin/env bash
# Integration tests: every tests/integration/NN_name.sh against one build. usage: scripts/test-integration.sh [NAME...]
# NAME may be the start of a file's name. What a passing test says is not shown unless VERBOSE is set.
source "$(dirname "$0")/lib/stage.sh"

selected() {
  local file name
  for file in "$DBA_ROOT"/tests/integration/[0-9]*.sh; do
    if (($# == 0)); then printf '%s\n' "$file"; continue; fi
    for name in "$@"; do
      name=${name##*/}
      if [[ ${file##*/} == "$name"* ]]; then printf '%s\n' "$file"; break; fi
    done
  done
}

use_stage
mapfile -t files < <(selected "$@")
((${#files[@]} > 0)) || die "no such test: $*"
note "integration tests on PostgreSQL $PG_MAJOR: ${#files[@]} files"
passed=0
failed=0
for file in "${files[@]}"; do
  name=$(basename "$file" .sh)
  log=$DBA_WORK/$name.log
  status=0
  started=$SECONDS
  timeout --kill-after=30 "${DBA_TEST_TIMEOUT:-900}" bash "$file" >"$log" 2>&1 </dev/null || status=$?
  good=$(grep -cE '^ok [0-9]' "$log" || true)
  bad=$(grep -cE '^not ok [0-9]' "$log" || true)
  if ((status != 0 && bad == 0)); then bad=1; fi
  skipped=$(sed -n 's/^# skipped: //p' "$log")
  # A file that checks nothing and does not say why has not passed.
  if ((good + bad == 0)) && [[ -z $skipped ]]; then bad=1; fi
  printf '%-40s %3d ok, %d not ok  %4ds%s\n' "$name" "$good" "$bad" $((SECONDS - started)) "${skipped:+  skipped: $skipped}"
  if ((bad > 0)) || [[ -n ${VERBOSE:-} ]]; then sed 's/^/    /' "$log"; fi
  if ((status == 124 || status == 137)); then warn "$name took longer than ${DBA_TEST_TIMEOUT:-900} seconds"; fi
  passed=$((passed + good))
  failed=$((failed + bad))
done
tally "integration-pg$PG_MAJOR" "$passed" "$failed"
