#!/usr/bin/env bash
# Names and values pass through UTF-8: a database of another encoding is refused when the extension is created, and in
# one that keeps any bytes a table with a name that is not UTF-8, rather than recorded under a name that is not its own.
source "$(dirname "$0")/lib.sh"

start_cluster main
for encoding in LATIN1 WIN1252 EUC_JP SQL_ASCII; do
  sql "CREATE DATABASE in_$encoding ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
done

for encoding in latin1 win1252 euc_jp; do
  fails_with "$encoding is refused" 0A000 -d "in_$encoding" "CREATE EXTENSION db_architect"
done
said=$(sql -d in_latin1 "CREATE EXTENSION db_architect" 2>&1 || true)
like "it is said which database it is" "$said" 'DETAIL:  The encoding of database in_latin1 is LATIN1'
like "and what to do" "$said" "HINT:  Dump the database and restore it into one made with ENCODING 'UTF8'"
is "nothing is left behind" "$(sql -d in_latin1 "SELECT count(*) FROM pg_namespace WHERE nspname = 'architect'")" 0

# SQL_ASCII. What is UTF-8 there is recorded as it is.
sql -d in_sql_ascii "CREATE EXTENSION db_architect; CREATE TABLE fine (id int PRIMARY KEY, \"wért\" text);
  SELECT count(*) FROM architect.enable_audit('fine'); INSERT INTO fine VALUES (1, 'é')" >/dev/null
is "names in UTF-8 are recorded" "$(sql -d in_sql_ascii "SELECT new_values FROM architect.audit_log")" '{"id": 1, "wért": "é"}'
# "w<e9>rt", LATIN1's e with an acute accent.
odd="convert_from('\\x77e97274'::bytea, 'SQL_ASCII')"
sql -d in_sql_ascii "DO \$do\$ BEGIN
    EXECUTE format('CREATE TABLE odd_column (id int PRIMARY KEY, %I text)', $odd);
    EXECUTE format('CREATE TABLE odd_later (id int PRIMARY KEY, a text, b text)');
    EXECUTE format('CREATE SCHEMA %I', $odd);
    EXECUTE format('CREATE TABLE %I.inside (id int PRIMARY KEY)', $odd);
    EXECUTE format('CREATE TABLE %I (id int PRIMARY KEY)', $odd);
  END \$do\$" >/dev/null
for what in audit cdc; do
  fails_with "$what of a column's name is refused" 0A000 -d in_sql_ascii "SELECT architect.enable_$what('odd_column')"
  fails_with "$what of a table's name is refused" 0A000 -d in_sql_ascii "SELECT architect.enable_$what($odd::regclass)"
  fails_with "$what of a schema's name is refused" 0A000 -d in_sql_ascii "SELECT architect.enable_$what((SELECT oid FROM pg_class WHERE relname = 'inside')::regclass)"
done
like "the name is given in a way that can be read" "$(sql -d in_sql_ascii "SELECT architect.enable_audit('odd_column')" 2>&1 || true)" 'The name is w\\xe9rt;'

# Renamed afterwards: columns that differ stay two, and writing goes on.
sql -d in_sql_ascii "SELECT count(*) FROM architect.enable_audit('odd_later');
  DO \$do\$ BEGIN
    EXECUTE format('ALTER TABLE odd_later RENAME a TO %I', $odd);
    EXECUTE format('ALTER TABLE odd_later RENAME b TO %I', convert_from('\\x77e87274'::bytea, 'SQL_ASCII'));
  END \$do\$; INSERT INTO odd_later VALUES (1, 'one', 'two')" >/dev/null
is "renamed later, no value is lost" "$(sql -d in_sql_ascii "SELECT new_values FROM architect.audit_log WHERE table_name = 'odd_later'")" '{"id": 1, "w\\xe8rt": "two", "w\\xe9rt": "one"}'

