#!/usr/bin/env bash
# A value too large for jsonb never breaks the application's write: it becomes a marker with length and
# hash, or an error where that was asked for; and whatever is stored, the log stays readable.
source "$(dirname "$0")/lib.sh"
free_memory() { awk '/^MemAvailable:/ {print int($2 / 1024)}' /proc/meminfo; }
free_disk() { df -Pm "${DBA_TMPDIR:-/tmp}" | awk 'END {print $4}'; }
skip_unless "less than 4 GB of memory are free" test "$(free_memory)" -gt 4000
# A full disk would stop the server in the middle and look like a fault of ours.
skip_unless "less than 5 GB of disk are free" test "$(free_disk)" -gt 5000

start_cluster main shared_buffers=64MB max_wal_size=512MB
sql "CREATE EXTENSION db_architect; CREATE TABLE big (id int PRIMARY KEY, n int, small text, b bytea, t text, x varbit, xs bytea[], a int[], j json, jb jsonb, h xml)"
for column in b t x xs a j jb h; do sql "ALTER TABLE big ALTER $column SET STORAGE EXTERNAL"; done
sql "SELECT action FROM architect.enable_audit('big')" >/dev/null
entry="SELECT %s FROM architect.audit_log ORDER BY audit_id DESC LIMIT 1"
# shellcheck disable=SC2059
last() { printf "$entry" "$1"; }
marker() { printf "new_values #>> '{%s,architect_omitted,bytes}', new_values #>> '{%s,architect_omitted,sha256}' = (SELECT encode(sha256(%s), 'hex') FROM big WHERE id = (row_key ->> 'id')::int)" "$1" "$1" "$2"; }

ok "140 MB of bytea are written" sql "INSERT INTO big (id, n, small, b) VALUES (1, 1, 'kept', convert_to(repeat('x', 140000000), 'UTF8'))"
sql_is "and recorded by length and hash" "$(last "$(marker b b), new_values ->> 'small'")" "140000000|t|kept"
ok "260 MB of text are written" sql "INSERT INTO big (id, n, small, t) VALUES (2, 1, 'kept', repeat('y', 260000000))"
sql_is "and recorded by length and hash" "$(last "$(marker t "convert_to(t, 'UTF8')"), new_values ->> 'small'")" "260000000|t|kept"
ok "an UPDATE of another column is written" sql "UPDATE big SET n = 2"
sql_is "and leaves them alone" "$(last "new_values, octet_length(new_values::text)")" '{"n": 2}|8'
ok "the large value is replaced" sql "UPDATE big SET t = t || 'z' WHERE id = 2"
sql_is "old and new are recorded by length" "$(last "old_values #>> '{t,architect_omitted,bytes}', new_values #>> '{t,architect_omitted,bytes}'")" "260000000|260000001"
ok "the row is deleted" sql "DELETE FROM big WHERE id = 2"
sql_is "and what is small in it recorded" "$(last "old_values ->> 'small', old_values #>> '{t,architect_omitted,bytes}'")" "kept|260000001"

# Values that fit each, but not together: the later one gives way, small ones never.
ok "two values of 130 MB in one row" sql "INSERT INTO big (id, n, small, b, t) VALUES (3, 3, 'kept', convert_to(repeat('x', 60000000), 'UTF8'), repeat('y', 150000000))"
sql_is "one is whole, the other a marker" "$(last "octet_length(new_values ->> 'b'), new_values #>> '{t,architect_omitted,bytes}', new_values ->> 'small', new_values ->> 'n'")" "120000002|150000000|kept|3"
ok "old and new of 130 MB" sql "UPDATE big SET t = repeat('z', 150000000) WHERE id = 3"
sql_is "the old one is whole, the new one is not" "$(last "octet_length(old_values ->> 't'), new_values #>> '{t,architect_omitted,bytes}'")" "150000000|150000000"
sql "DELETE FROM big"

# Values that take more room as jsonb, or as text, than they do in the table.
ok "an array of twenty million digits" sql "INSERT INTO big (id, small, a) VALUES (4, 'kept', array_fill(1, ARRAY[20000000]))"
sql_is "is a marker" "$(last "new_values #>> '{a,architect_omitted,bytes}' >= '80000000', new_values ->> 'small'")" "t|kept"
ok "ten million of them" sql "INSERT INTO big (id, small, a) VALUES (5, 'kept', array_fill(1, ARRAY[10000000]))"
sql_is "are readable" "$(last "jsonb_array_length(new_values -> 'a')")" 10000000
ok "json of forty million digits" sql "INSERT INTO big (id, small, j) VALUES (6, 'kept', ('[' || repeat('1,', 40000000) || '1]')::json)"
sql_is "is a marker" "$(last "new_values #>> '{j,architect_omitted,bytes}'")" 80000003
ok "json with twenty million strings" sql "INSERT INTO big (id, j) VALUES (7, ('[' || repeat('\"\",', 20000000) || '1]')::json)"
sql_is "is a marker" "$(last "new_values #>> '{j,architect_omitted,bytes}'")" 60000003
ok "json nested ten thousand deep, where the writer's stack allows it" sql "INSERT INTO big (id, j) VALUES (8, (repeat('[', 5000) || repeat(']', 5000))::json)"
sql_is "is text" "$(last "jsonb_typeof(new_values -> 'j'), octet_length(new_values ->> 'j')")" "string|10000"
ok "130 million bits" sql "INSERT INTO big (id, small, x) VALUES (9, 'kept', repeat('10', 65000000)::varbit)"
sql_is "are readable" "$(last "octet_length(new_values ->> 'x')")" 130000000
ok "400 million bits" sql "INSERT INTO big (id, small, x) SELECT 10, 'kept', x || x || x FROM big WHERE id = 9"
sql_is "are a marker" "$(last "new_values #>> '{x,architect_omitted,bytes}', new_values ->> 'small'")" "48750004|kept"
ok "an array of bytea with another lower bound" sql "INSERT INTO big (id, xs) VALUES (11, array_fill(convert_to(repeat('x', 30000000), 'UTF8'), ARRAY[6], ARRAY[0]))"
sql_is "is a marker" "$(last "new_values #>> '{xs,architect_omitted,bytes}' >= '180000000'")" t
ok "120 MB of control characters" sql "INSERT INTO big (id, t) VALUES (12, repeat(E'\\x01', 120000000))"
sql_is "are a marker" "$(last "new_values #>> '{t,architect_omitted,bytes}'")" 120000000
ok "jsonb of 200 MB" sql "INSERT INTO big (id, jb) VALUES (13, to_jsonb(ARRAY[repeat('x', 100000000), repeat('y', 100000000)]))"
sql_is "is readable" "$(last "octet_length(new_values -> 'jb' ->> 1)")" 100000000
ok "260 MB of xml" sql "INSERT INTO big (id, h) VALUES (14, repeat('x', 260000000)::xml)"
sql_is "are a marker" "$(last "new_values #>> '{h,architect_omitted,bytes}'")" 260000000
sql_is "every entry of the log is readable" "SELECT count(*) FROM architect.audit_entry WHERE jsonb_typeof(image::jsonb) = 'object'" "$(sql "SELECT count(*) FROM architect.audit_entry")"
sql "DELETE FROM big WHERE id <> 5"

# on_error => 'fail'
sql "CREATE TABLE strict (id int PRIMARY KEY, small text, b bytea, t text)"
sql "ALTER TABLE strict ALTER b SET STORAGE EXTERNAL; ALTER TABLE strict ALTER t SET STORAGE EXTERNAL; SELECT action FROM architect.enable_audit('strict', on_error => 'fail')" >/dev/null
fails_with "where it was asked for, a value too large is an error" 54000 "INSERT INTO strict VALUES (1, 'x', convert_to(repeat('x', 140000000), 'UTF8'))"
fails_like "that says which column of which table, and what to do" 'ERROR:.*"t".*DETAIL:.*strict.*HINT:' "INSERT INTO strict (id, t) VALUES (1, repeat('y', 260000000))"
sql_is "and leaves no trace" "SELECT (SELECT count(*) FROM strict), (SELECT count(*) FROM architect.audit_log WHERE table_name = 'strict')" "0|0"
ok "what fits is written" sql "INSERT INTO strict VALUES (1, 'x', convert_to(repeat('x', 100000000), 'UTF8'))"
sql_is "and recorded whole" "$(last "octet_length(new_values ->> 'b')")" 200000002
ok "excluding the column helps" sql "SELECT action FROM architect.enable_audit('strict', exclude => '{b,t}', on_error => 'fail'); UPDATE strict SET small = 'y', b = convert_to(repeat('x', 140000000), 'UTF8')"
sql_is "as the hint says" "$(last new_values)" '{"small": "y"}'
unlike "the server was never out of memory" "$(<"$(cluster_log main)")" 'out of memory|invalid memory alloc|was terminated'
