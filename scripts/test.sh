#!/usr/bin/env bash
# Every test layer on one PostgreSQL. Each runs even when an earlier one failed; the last line is the sum.
source "$(dirname "$0")/lib/stage.sh"

scripts=$(cd "$(dirname "$0")" && pwd)
make_work_dir
counts=$DBA_WORK/counts
: >"$counts"

# layer NAME CMD...: a layer that ends without having counted anything has failed.
layer() {
  local name=$1 lines status=0
  shift
  lines=$(wc -l <"$counts")
  DBA_TALLY=$counts "$@" </dev/null || status=$?
  if ((status != 0)) && [[ $(wc -l <"$counts") == "$lines" ]]; then
    DBA_TALLY=$counts tally "$name" 0 1 || true
  fi
}

layer unit "$scripts/test-unit.sh"
layer installcheck "$scripts/installcheck.sh"
layer integration "$scripts/test-integration.sh"

echo
awk '{printf "%-24s %5d passed, %d failed\n", $1, $2, $3}' "$counts"
if [[ -n ${DBA_TALLY:-} ]]; then cat "$counts" >>"$DBA_TALLY"; fi
awk '{p += $2; f += $3} END {printf "%d passed, %d failed\n", p, f; exit f > 0}' "$counts"
