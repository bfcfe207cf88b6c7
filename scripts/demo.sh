#!/usr/bin/env bash
# What the extension does, shown on a private server that is gone afterwards.
# Each part is a function; show SQL prints it and its result, in the order of demo.sql.
source "$(dirname "$0")/lib/cluster.sh"

bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
if [[ ! -t 1 || -n ${NO_COLOR:-} ]]; then bold='' dim='' plain=''; fi

heading() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
explain() { printf '%s%s%s\n' "$dim" "$*" "$plain"; }

# show SQL: the statement as one would type it, then psql's table.
show() {
  printf '\n%s%s%s\n' "$bold" "$1" "$plain"
  printf '%s\n' "$1" | psql_on main -q -U postgres -d demo -P pager=off -f -
}

# run_file FILE: a SQL script, echoed with its results. psql reads it from stdin, so it may be anywhere.
run_file() { psql_on main -q -U postgres -d demo -P pager=off -v ECHO=queries -f - <"$1"; }

create_database() {
  heading "A private PostgreSQL $PG_MAJOR"
  tool_on main createdb demo
  run_file "$(dirname "$0")/demo.sql"
}

some_load() {
  heading "Three seconds of pgbench beside it"
  tool_on main pgbench -i -q -s 1 demo 2>/dev/null
  tool_on main pgbench -c 2 -T 3 demo 2>/dev/null | grep -E '^(tps|latency average|number of transactions)'
}

use_stage
started=$SECONDS
start_cluster main shared_buffers=128MB
create_database
some_load
heading "Done in $((SECONDS - started)) seconds; the server is stopped and removed"
