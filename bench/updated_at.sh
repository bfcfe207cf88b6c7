#!/usr/bin/env bash
# What keeping updated_at costs a bulk UPDATE: CPU time of the backend above the same statement on a table without a trigger,
# next to contrib's moddatetime (C) and the usual PL/pgSQL trigger, in one run; also INSERT and COPY, which fire nothing.
# usage: bench/updated_at.sh [ROWS] [ROUNDS]
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib/measure.sh"
rows=${1:-20000} rounds=${2:-40}

setup() {
  sql "CREATE DATABASE bench"
  psql_on main -q -v ON_ERROR_STOP=1 -U postgres -d bench -v rows="$rows" -f - <<'SQL'
CREATE EXTENSION db_architect;
CREATE EXTENSION moddatetime;
CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.updated_at := now(); RETURN NEW; END';

-- Nine mixed columns, and forty.
CREATE TABLE narrow_plain (id bigint PRIMARY KEY, customer text, quantity int, created_at timestamptz, price numeric(10,2),
    active boolean, note text, status int, updated_at timestamptz DEFAULT now());
INSERT INTO narrow_plain SELECT i, 'customer ' || i, i % 7, now(), i * 1.5, i % 2 = 0, 'some note ' || i, 0, now()
  FROM generate_series(1, :rows) i;
SELECT format('CREATE TABLE wide_plain (id bigint PRIMARY KEY, quantity int, updated_at timestamptz DEFAULT now(), %s)',
    string_agg(format(CASE WHEN i % 2 = 0 THEN 'n%s int' ELSE 't%s text' END, i), ', ')) FROM generate_series(1, 37) i \gexec
SELECT format('INSERT INTO wide_plain SELECT g, g %% 7, now(), %s FROM generate_series(1, %s) g',
    string_agg(CASE WHEN i % 2 = 0 THEN 'g' ELSE '''value '' || g' END, ', '), :rows) FROM generate_series(1, 37) i \gexec
SELECT format('CREATE TABLE %1$s_%2$s (LIKE %1$s_plain INCLUDING ALL)', shape, kind)
  FROM (VALUES ('narrow'), ('wide')) AS s(shape), (VALUES ('ours'), ('always'), ('moddatetime'), ('plpgsql')) AS k(kind) \gexec
CREATE TABLE narrow_local_plain (LIKE narrow_plain INCLUDING ALL);
ALTER TABLE narrow_local_plain ALTER updated_at TYPE timestamp;
CREATE TABLE narrow_local_ours (LIKE narrow_local_plain INCLUDING ALL);
CREATE TABLE narrow_local_moddatetime (LIKE narrow_local_plain INCLUDING ALL);
CREATE TABLE narrow_standard_ours (LIKE narrow_plain INCLUDING ALL);
SELECT format('INSERT INTO %1$s SELECT * FROM %2$s_plain', relname, split_part(relname, '_', 1))
  FROM pg_class WHERE relkind = 'r' AND relname ~ '^(narrow|wide)_' AND relname !~ '^(narrow|wide)_plain$' \gexec
CREATE TABLE narrow_standard_plain (LIKE narrow_plain INCLUDING ALL);
ALTER TABLE narrow_standard_plain ADD created_by text, ADD updated_by text DEFAULT 'postgres', ADD version bigint DEFAULT 1;
INSERT INTO narrow_standard_plain SELECT *, 'postgres' FROM narrow_plain;

SELECT count(*) FROM architect.enable_updated_at('narrow_ours') \g /dev/null
SELECT count(*) FROM architect.enable_updated_at('wide_ours') \g /dev/null
SELECT count(*) FROM architect.enable_updated_at('narrow_local_ours') \g /dev/null
SELECT count(*) FROM architect.enable_updated_at('narrow_always', only_if_changed => false) \g /dev/null
SELECT count(*) FROM architect.enable_updated_at('wide_always', only_if_changed => false) \g /dev/null
SELECT count(*) FROM architect.add_standard_columns('narrow_standard_ours') \g /dev/null
SELECT format('CREATE TRIGGER keep BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION moddatetime(updated_at)', relname)
  FROM pg_class WHERE relkind = 'r' AND relname ~ '_moddatetime$' \gexec
SELECT format('CREATE TRIGGER keep BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION set_updated_at()', relname)
  FROM pg_class WHERE relkind = 'r' AND relname ~ '_plpgsql$' \gexec
VACUUM ANALYZE;
CHECKPOINT;
SQL
}

# in_turn NAME SQL-with-%T TABLE...: measures the statement on each table, round by round.
in_turn() {
  local name=$1 statement=$2 table round
  shift 2
  for ((round = 0; round < rounds; round++)); do
    for table in "$@"; do
      measure "$name.$table" "${statement//%T/$table}"
      run "VACUUM $table"
    done
  done
}

# row TITLE NAME SHAPE OURS
row() {
  local base=$2.$3_plain peer=$2.$3_moddatetime plpgsql=-
  if [[ -n ${BEST[$2.$3_plpgsql]:-} ]]; then plpgsql=$(per_row "$2.$3_plpgsql" "$base" "$rows"); fi
  if [[ -z ${BEST[$peer]:-} ]]; then
    printf '| %s | %s | - | %s | - |\n' "$1" "$(per_row "$2.$4" "$base" "$rows")" "$plpgsql"
    return
  fi
  printf '| %s | %s | %s | %s | %s |\n' "$1" "$(per_row "$2.$4" "$base" "$rows")" "$(per_row "$peer" "$base" "$rows")" \
    "$plpgsql" "$(ratio "$2.$4" "$peer" "$base")"
}

start_bench_cluster main
setup
open_session bench
in_turn update "UPDATE %T SET quantity = quantity + 1" narrow_plain narrow_ours narrow_always narrow_moddatetime narrow_plpgsql
in_turn same "UPDATE %T SET quantity = quantity" narrow_plain narrow_ours narrow_moddatetime
in_turn update "UPDATE %T SET quantity = quantity + 1" narrow_local_plain narrow_local_ours narrow_local_moddatetime
in_turn update "UPDATE %T SET quantity = quantity + 1" narrow_standard_plain narrow_standard_ours
in_turn update "UPDATE %T SET quantity = quantity + 1" wide_plain wide_ours wide_always wide_moddatetime wide_plpgsql
in_turn last "UPDATE %T SET t37 = t37 || '.'" wide_plain wide_ours wide_moddatetime
copied="SELECT id + 10000000, customer, quantity, created_at, price, active, note, status FROM narrow_plain WHERE id <= $rows"
for ((round = 0; round < rounds; round++)); do
  for table in narrow_plain narrow_ours narrow_moddatetime; do
    measure "insert.$table" "INSERT INTO $table $copied"
    run "DELETE FROM $table WHERE id > 10000000; VACUUM $table"
  done
done
close_session

printf 'Microseconds a row above the table without a trigger; %s rows, the best of %s rounds.\n\n' "$rows" "$rounds"
printf '| statement | updated_at | moddatetime | PL/pgSQL | ratio to moddatetime |\n| --- | --- | --- | --- | --- |\n'
row "UPDATE of one of 9 columns" update narrow narrow_ours
row "the same, only_if_changed => false" update narrow narrow_always
row "the same, updated_at of type timestamp" update narrow_local narrow_local_ours
row "the same, all five standard columns" update narrow_standard narrow_standard_ours
row "UPDATE that changes nothing" same narrow narrow_ours
row "UPDATE of the second of 40 columns" update wide wide_ours
row "the same, only_if_changed => false" update wide wide_always
row "UPDATE of the last of 40 columns" last wide wide_ours
row "INSERT" insert narrow narrow_ours
