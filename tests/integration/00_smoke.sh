#!/usr/bin/env bash
# The extension installs, answers and leaves nothing behind when dropped.
source "$(dirname "$0")/lib.sh"

start_cluster main
ok "the extension can be created" sql "CREATE EXTENSION db_architect"
sql_is "its functions are in schema architect" \
  "SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'db_architect'" architect
sql_is "the library's version is the extension's" \
  "SELECT architect.architect_version() = extversion FROM pg_extension WHERE extname = 'db_architect'" t
fails_with "it cannot be created twice" 42710 "CREATE EXTENSION db_architect"
ok "the extension can be dropped" sql "DROP EXTENSION db_architect"
fails_with "its functions are gone" 42883 "SET search_path = architect; SELECT architect_version()"
ok "it can be created again" sql "DROP SCHEMA IF EXISTS architect CASCADE; CREATE EXTENSION db_architect"
