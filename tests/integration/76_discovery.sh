#!/usr/bin/env bash
# What discover_pii() finds in seven schemas of different trades, languages and styles, labelled by hand, among many columns that
# are nobody's: nine in ten of the personal ones in each, and of what it names three in five or more are.
source "$(dirname "$0")/lib.sh"

start_cluster main
sql "CREATE EXTENSION db_architect" >/dev/null
figures=$({
  echo "SET client_min_messages = warning; CREATE TEMP TABLE labels (schema_name text, table_name text, column_name text, json_path text);"
  cat "$DBA_ROOT"/tests/fixtures/discover/{erp_de,health_us,crm_saas,assur_fr,shop,social,hotel_school,measure}.sql
} | psql_on main -qAtX -F ' ' -v ON_ERROR_STOP=1 -U postgres -f -)
note "$figures"
while read -r schema personal others recall precision; do
  is "$schema: recall $recall of $personal is 0.9 or more" "$(awk -v r="$recall" 'BEGIN {print (r >= 0.9)}')" 1
  is "$schema: precision $precision among $others others is 0.6 or more" "$(awk -v p="$precision" 'BEGIN {print (p >= 0.6)}')" 1
done <<<"$figures"
