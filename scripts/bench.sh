#!/usr/bin/env bash
# Runs the executable scripts bench/*.sh one after the other. usage: scripts/bench.sh [NAME...]
# Such a script sources scripts/lib/cluster.sh and calls start_bench_cluster, or start_cluster with settings of its own;
# it can be run by itself too.
source "$(dirname "$0")/lib/stage.sh"

selected() {
  local file name
  for file in "$DBA_ROOT"/bench/*.sh; do
    [[ -x $file ]] || continue
    name=$(basename "$file" .sh)
    if (($# == 0)) || [[ " $* " == *" $name "* ]]; then printf '%s\n' "$file"; fi
  done
}

mapfile -t files < <(selected "$@")
((${#files[@]} > 0)) || { note "nothing to measure: bench/ has no executable script${1:+ named $*}"; exit 0; }
use_stage
failed=0
for file in "${files[@]}"; do
  note "$(basename "$file") on PostgreSQL $PG_MAJOR, $(nproc) CPUs, load $(cut -d ' ' -f 1 /proc/loadavg)"
  bash "$file" </dev/null || { warn "$(basename "$file") failed"; failed=1; }
done
exit "$failed"
