#!/usr/bin/env bash
# Protects: the master key is read from a file that only the server can read, and is nowhere else: not in dumps, settings,
# statistics or logs; values survive a dump and restore; a standby decrypts.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
start_cluster main log_statement=all log_min_duration_statement=0
keys=$(cluster_dir main)/keys
secret=$(printf 'c0ffee%058d' 1)
printf '# ours\nfirst %s\n' "$secret" | as_server tee "$keys" >/dev/null
as_server chmod 644 "$keys"
configure_cluster main "architect.master_key_file=$keys"
restart_cluster main
sql "CREATE EXTENSION db_architect"
fails_with "a file that others can read is refused" F0000 "SELECT architect.encrypt_pii('x', 's', 'c')"
fails_like "and said so" "open to others" "SELECT architect.encrypt_pii('x', 's', 'c')"
as_server chmod 600 "$keys"
ok "one that only the server can read is used" sql "CREATE TABLE t AS SELECT i, architect.encrypt_pii('value ' || i, 'person:' || i % 10, 'public.t.v') AS v FROM generate_series(1, 100) AS i"
sql_is "what was encrypted is decrypted" "SELECT count(*) FROM t WHERE architect.decrypt_pii(v, 'public.t.v') = 'value ' || i" 100

dump=$(tool_on main pg_dump postgres)
unlike "the key is not in a dump" "$dump" "c0ffee"
unlike "nor are values" "$dump" "value 7"
unlike "nor in the server's log" "$(cat "$(cluster_log main)")" "c0ffee"
sql_is "nor in any setting" "SELECT count(*) FROM pg_settings WHERE setting LIKE '%c0ffee%'" 0
sql_is "nor in statistics" "SELECT count(*) FROM (SELECT FROM pg_stats WHERE tablename = 'privacy_key' AND (most_common_vals::text || histogram_bounds::text) IS NOT NULL AND attname IN ('wrapped', 'owner_hash')) AS s" 0

tool_on main createdb restored
printf '%s\n' "$dump" | psql_on main -q -d restored -f - >/dev/null
is "values are read in a restored database" "$(sql -d restored "SELECT count(*) FROM t WHERE architect.decrypt_pii(v, 'public.t.v') = 'value ' || i")" 100

# A changed file is read without a restart; both names open what they wrapped.
printf 'second %s\n' "$(printf '%064d' 2)" | as_server tee -a "$keys" >/dev/null
sql_is "data keys are wrapped anew" "SELECT action || ' ' || (detail ~ '^1[0-9] ')::text FROM architect.rotate_key()" "rewrapped true"
printf 'second %s\n' "$(printf '%064d' 2)" | as_server tee "$keys" >/dev/null
sql_is "the first key is not needed any more" "SELECT count(*) FROM t WHERE architect.decrypt_pii(v, 'public.t.v') = 'value ' || i" 100

start_standby standby main "architect.master_key_file=$keys"
wait_for_replay main standby
is "a standby decrypts" "$(sql -c standby "SELECT count(*) FROM t WHERE architect.decrypt_pii(v, 'public.t.v') = 'value ' || i")" 100
is "and encrypts under keys that are there" "$(sql -c standby "SELECT architect.decrypt_pii(architect.encrypt_pii('x', 'person:1', 'c'), 'c')")" x

# One session shreds what another has used.
mkfifo "$DBA_WORK/in"
psql_on main -qAtX <"$DBA_WORK/in" >"$DBA_WORK/out" 2>&1 &
exec 9>"$DBA_WORK/in"
echo "SELECT architect.decrypt_pii(v, 'public.t.v') FROM t WHERE i = 3;" >&9
for _ in $(seq 100); do [[ -s $DBA_WORK/out ]] && break; sleep 0.1; done
sql "SELECT FROM architect.shred_subject('person:3')"
printf '%s\n' "SELECT COALESCE(architect.decrypt_pii(v, 'public.t.v'), 'gone') FROM t WHERE i = 3;" '\q' >&9
exec 9>&-
wait $! 2>/dev/null || true
is "a key shredded elsewhere is forgotten" "$(tr '\n' ' ' <"$DBA_WORK/out")" "value 3 gone "
sql_is "the others stay" "SELECT count(*) FROM t WHERE architect.decrypt_pii(v, 'public.t.v') = 'value ' || i" 90
