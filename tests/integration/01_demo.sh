#!/usr/bin/env bash
# The demonstration, which is the first thing a newcomer runs, runs to its end.
source "$(dirname "$0")/lib.sh"

use_stage
ok "every statement of the demonstration succeeds" "$DBA_ROOT/scripts/demo.sh"
