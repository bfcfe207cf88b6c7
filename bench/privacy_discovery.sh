#!/usr/bin/env bash
# Recall and precision of discover_pii() on labelled schemas (tests/fixtures/discover). usage: bench/privacy_discovery.sh
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib/measure.sh"

start_bench_cluster main
sql "CREATE EXTENSION db_architect"
printf '| schema | personal columns and paths | others | recall | precision |\n| --- | --- | --- | --- | --- |\n'
{
  echo "SET client_min_messages = warning; CREATE TEMP TABLE labels (schema_name text, table_name text, column_name text, json_path text);"
  cat "$DBA_ROOT"/tests/fixtures/discover/{erp_de,health_us,crm_saas,assur_fr,measure}.sql
} | psql_on main -qAtX -F ' | ' -v ON_ERROR_STOP=1 -U postgres -f - | sed 's/^/| /; s/$/ |/'
