-- Runs last. Functions are for those who are given them: see "Privileges" in README.md.
DO $$
DECLARE
    routine pg_catalog.regprocedure;
BEGIN
    FOR routine IN
        SELECT d.objid::pg_catalog.regprocedure
          FROM pg_catalog.pg_depend AS d
          JOIN pg_catalog.pg_extension AS e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
         WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
           AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
           AND d.deptype OPERATOR(pg_catalog.=) 'e'
           AND e.extname OPERATOR(pg_catalog.=) 'db_architect'
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', routine);
    END LOOP;
END
$$;

-- The one exception: trigger functions. CREATE TABLE ... PARTITION OF copies the trigger and asks whether the role that makes
-- the partition may execute its function; the owner of a table that somebody else enabled must stay able
-- to make partitions. Called otherwise it does nothing, and without USAGE on the schema nobody can name it.
GRANT EXECUTE ON FUNCTION architect.capture(), architect.stamp_row() TO PUBLIC;
-- They answer only within a masking, to statements that run as the owner of the masked table.
GRANT EXECUTE ON FUNCTION architect.mask_text(bigint, integer, text), architect.mask_integer(bigint, integer, bigint) TO PUBLIC;

-- The docstrings of the functions, so that \df+ is a manual: written by scripts/comments.
-- BEGIN generated comments
COMMENT ON ROUTINE architect.abort_partition_operation IS
'Gives up a conversion, split, merge or drain that has not come to its point of no return, and takes back what it
has prepared.

Arguments: table_name; deadline; lock_timeout.
Errors: 25001 inside a transaction block or a function; 42704 nothing is under way; 55000 it can only be
brought to its end; 42501 not the owner.
Lock: ACCESS EXCLUSIVE on the table for a moment. Privilege: ownership of the table.';
COMMENT ON ROUTINE architect.accept_discovery IS
'Declares what discover_pii() found, as declare_column() would.

Arguments: finding_ids (null: every finding of at least min_confidence); min_confidence.
Returns one row for each: finding_id, object_name, action (declared, changed, exists, or refused with the
reason in detail).
Errors: 42704 no such finding; 55000 nothing was ever discovered. Lock: none. Privilege: ownership of the
tables; others are refused.';
COMMENT ON ROUTINE architect.ack_changes IS
'Acknowledges the events of a batch up to a position: they are not handed out again.

Arguments: consumer; position, of an event that poll_changes returned: this and the earlier ones of its
batch are done. From any session. In the transaction that holds what the events led to in this
database, it makes for exactly once.
Returns how many events were acknowledged; 0 where they had been already.
Errors: 42704 no such consumer; 22023 the position was not handed out; 55000 lost, or of another
cluster. Lock: the batch''s row. Privilege: EXECUTE, as a member of the role the consumer belongs to;
else 42501.';
COMMENT ON ROUTINE architect.add_standard_columns IS
'Adds the usual columns to a table where they are missing, and keeps them: created_at, updated_at
(timestamptz), created_by, updated_by (text: architect.actor, else the session''s role) and version
(bigint, one more with each change).

Arguments: table_name; for each column whether to have it (false leaves a column alone, it does not
take it away); clock and only_if_changed as in enable_updated_at. A column of that name that is there
is used as it is; the types of enable_updated_at, text or varchar, and integer or bigint are accepted.
INSERT takes what the statement says, else the columns'' defaults. UPDATE can neither change
created_at and created_by nor choose version and updated_by. Existing rows get the time of this call
as updated_at and 1 as version; who and when they were created by is not known and stays null.
Returns and errors as enable_updated_at.
Lock: as enable_updated_at. Adding the columns rewrites nothing. Privilege: ownership of the table.';
COMMENT ON ROUTINE architect.advance_idle_slots IS
'Keeps the slots of a quiet database moving. A consumer that confirms only what it was sent keeps WAL
from being removed while other databases write: for slots of output plugin db_architect in this
database that are being read, a heartbeat goes into the WAL, which the consumer gets and confirms.

Arguments: unread, also move slots that nobody reads to the end of the WAL, but only over WAL that has
nothing for them: no change of any table and no message of this database. All of it is decoded to
find out, which takes as long as reading it would; and a consumer that comes meanwhile is told that
the slot is in use.
Returns one row for each slot: heartbeat, advanced, kept (changes are waiting) or skipped.
Errors: 55000 on a standby. Lock: none. Privilege: EXECUTE; with unread, of the role attribute REPLICATION.';
COMMENT ON ROUTINE architect.advise_partitioning IS
'Which tables would gain from being partitioned, by which column and how, and why.

Arguments: table_name, one table whatever its size; min_size in bytes, 10 GB by default.
Returns one row for each table and its best key, the most urgent first: period; bytes; score; reasons,
from its size, growth, the order its rows lie in, the deletes and predicates pg_stat_statements has seen,
where it is installed; obstacles; next_sql, to see the steps. Only columns that say when are considered.
Statistics are those the role may see: run ANALYZE first.
Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.analyze_slow_queries IS
'What makes the slowest statements slow, from what their plans really do.

Arguments: min_mean, from which mean time a statement is slow; top, how many of those to look at, by total
time, and as many fast ones that are called often for a row or two.
Returns one row for each finding, the statement with the greatest total time first. finding:
missing_index (tried with the planner), sequential_scan of a big table, function_on_indexed_column,
implicit_cast, leading_wildcard, pattern_without_index, large_result without LIMIT, offset_pagination, n_plus_one, row_estimate,
stale_statistics, spill of sorts and hashes, jit, planning_time, cache_misses, wal_volume; none, or
not_analyzed with the reason. priority; detail; recommendation, a statement or what to change. Figures
of the statement: mean and total time, calls, rows and bytes of temporary files and WAL a call, percent
of pages found in cache, percent of time spent planning (where pg_stat_statements.track_planning is on).
Statements are known by query_id, that of pg_stat_statements: no text, constant or parameter is shown.
Plans are made without parameter values, in the caller''s search_path, now: an index made since shows.
Errors: 55000 no pg_stat_statements. Lock: ACCESS SHARE on the statements'' tables until the transaction
ends (ROW EXCLUSIVE where a statement would change them). Nothing is executed; no transaction id is
assigned. Privilege: EXECUTE, and the rights of a role that ran the statement, as which
it is planned: others are not_analyzed.';
COMMENT ON ROUTINE architect.anonymize_table IS
'Replaces what a table''s columns hold by what was declared for them, for good, in one transaction.

Statements run as the table''s owner under restrictions, in every partition. Results of hash, pseudonym,
partial, generalise, noise and shuffle are pseudonymised, still personal data; null, constant and random
ones are anonymised. Pseudonyms are the same for the same value in every column of the same domain
(params {"domain"}, else the column a foreign key leads to, else the category) and differ for different ones;
shuffle moves values between the table''s rows. The rows as they were stay in dead tuples until VACUUM, and in backups.
Arguments: table_name; columns to mask (null: every declared one); rules for this once, over the declared
ones: {"column": "action"} or {"column": {"action", "params", "category"}}; dry_run, whether only to say what
would be done; keep_logs, whether to mask although the audit log or the change feed keep the values as they were;
rewrite, whether to write the table anew: faster, no triggers fire and no old rows are left in its files, but nobody
can use it meanwhile (where a view or the like is in the way it is masked by updates, and a NOTICE says so).
Returns one row for each rule: table_name, column_name, action, status (planned, masked, refused) and
detail; and one with the number of rows. If any rule is refused nothing is masked.
Errors: 42501 not the owner; 55000 nothing is declared, or a log has the values; 22023 invalid rules; what constraints of the table
refuse, without values. Lock: ROW EXCLUSIVE and row locks; ACCESS EXCLUSIVE with rewrite; ACCESS EXCLUSIVE where a foreign key within the
table is masked on both sides. Privilege: ownership of the table.';
COMMENT ON ROUTINE architect.approve_request IS
'Approves an erasure: the plan with this hash, for this request. Where four eyes are required another role must have
done so before erase_subject does anything.

Arguments: request_id; plan_hash, from plan_erasure. Errors: 42501 neither the owner of the persons'' table nor the privacy
officer; 42704 no such open request.
Lock: the request. Privilege: EXECUTE, and the rights of the owner of the persons'' table or of the privacy officer.';
COMMENT ON ROUTINE architect.architect_version IS
'The version of the loaded library, as in db_architect.control.';
COMMENT ON ROUTINE architect.audit_as_of IS
'The rows of a table as they were at a time, in its present row type.

Arguments: row_type, a null of the table''s row type, as in NULL::schema.orders, of a table, a
partitioned table or a partition; at, the time. A change counts from the wall clock time of its
statement (changed_at), not of its commit; what is not committed does not count.
Columns are followed across renames. Columns added since are null, dropped ones are not shown, and
a value recorded under another type is read as the present one (null, with a warning, if it cannot
be). Excluded columns show their present value, null where the row is gone. Virtual generated
columns are null in rows that have changed since. Rows truncated since are put together from the
log; a warning says when the log may not have them all. A partition attached or detached since is
counted as it is now.
Errors: 55000 not audited, no key, not every operation is recorded, or recorded without a key since;
22023 before auditing began, with the earliest time in DETAIL; 42809 not a table''s row type; 42501
no right to read the table or the log.
Lock: ACCESS SHARE. Privilege: SELECT on the table, whose row-level security applies to rows that
are there now and not to rows in the log, and on architect.audit_log. Assigns no transaction id;
works on a standby.';
COMMENT ON ROUTINE architect.audit_coverage IS
'Says of every audited table whether all its changes are still recorded, and what to do if not.

Returns one row for each table that is covered, and one for each finding otherwise: table_name,
partition_name, status (covered, warning, gap), code, detail, and fix, a statement to run. Gaps are
changes that are not recorded: trigger_missing, trigger_disabled, trigger_replica_only,
truncate_not_recorded, table_missing, child_not_audited. Warnings: no_key, key_dropped,
column_missing, log_writable, unlogged_table, event_trigger_missing, restored_elsewhere,
new_table_not_audited.
Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.audit_history IS
'The life of one row, oldest change first, with who made each.

Arguments: table_name, a table or partition; key, a JSON object of the key columns, as in
''{"id": 5}'' (the value alone where the key is one column), other members ignored. Values are read as
their columns'' types: 5 and "5", or any spelling of a timestamp, find the row. After columns were
renamed or the primary key was moved to other columns, the present and the former names both work.
Returns one row for each change as in architect.audit_log: changed_at, operation, row_key,
changed_columns, old_values, new_values, who, audit_id, txid, statement, and the table''s name at the
time. A row whose key was changed is followed to its former and later keys; a TRUNCATE that ended
the row is shown.
Errors: 55000 the table was never audited or has no key; 22023 a key column is missing; 42501 no
right to read the log; an invalid value as its type reports it.
Lock: ACCESS SHARE. Privilege: SELECT on architect.audit_log. Assigns no transaction id; works on a
standby.';
COMMENT ON ROUTINE architect.audit_history_by_name IS
'The life of one row of a table by the name the table has or had: for one that was dropped.

Arguments: schema_name and table_name, of a table or partition, as recorded at any time; key as for
audit_history. Of a table that is gone the types are not known any more: numbers and strings of the
same digits are tried both, other values must be spelled as in architect.audit_log.
Returns, errors, privilege: as for audit_history.';
COMMENT ON ROUTINE architect.blind_index IS
'A keyed hash of a value by which an encrypted column can be searched for it.

HMAC-SHA-256 under a key of the column''s own, truncated. Store it in a column beside the encrypted one
and index that. Equal values have equal hashes: how often a value occurs is seen. Fewer bits make
several values share a hash, which hides more; compare decrypted values too then. Pseudonymised, still
personal data.
Arguments: value, as it will be searched for (fold case and spaces yourself); column_name, a label as
for encrypt_pii; bits, 8 to 256 in steps of 8.
Returns bits / 8 bytes. Null for null. Errors: 22023 invalid bits or empty label; 55000 and F0000 as
encrypt_pii. Lock: none. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.capture_statistics IS
'What the capture trigger remembers in this session: none of it grows with the rows recorded.

Returns one row: relations with a plan, contexts, bytes of row buffers.
Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.cdc_coverage IS
'Says of every captured table whether all its changes still reach the feed, and what to do if not.

Returns one row for each table that is covered, and one for each finding otherwise: table_name,
partition_name, status (covered, warning, gap), code, detail, and fix, a statement to run. Gaps are
changes that are not captured: trigger_missing, trigger_disabled, trigger_replica_only,
trigger_origin_only, truncate_not_recorded, table_missing, child_not_captured, segment_missing where
none is left. Warnings: no_key, key_dropped, key_deferrable, trigger_before_capture (events of a row may
be in another order than its changes), column_missing, log_writable, unlogged_table,
event_trigger_missing, restored_elsewhere, new_table_not_captured, notification_queue_full.
Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.cdc_health IS
'The change feed''s health in one row, for monitoring.

Returns: status (ok, warning, critical); detail, what to look at; consumers, lost (of which lost or
restored elsewhere); max_events and max_behind, of the consumer furthest behind; feed_bytes and
feed_tables; held_back_by, as in consumer_lag(); retention_held_by, the consumer the feed is kept for;
dead_letters; notification_queue_usage, from 0 to 1.
Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.cdc_slots IS
'The cluster''s replication slots, how far behind they are and what to do before the disk fills.

Returns one row for each slot, of other output plugins and of standbys too, as any slot can fill the
disk: whether it is read and by which pid; lag_bytes, WAL its consumer has not confirmed;
retained_bytes, WAL kept for it; wal_status and safe_wal_size as in pg_replication_slots (bytes until
WAL it needs may go); max_keep_bytes, max_slot_wal_keep_size, null without a limit; and advice.
Lock: none. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.close_request IS
'Ends a request that erase_subject does not end: done, or refused with the reason.

Arguments: request_id; status: done or refused; refusal_reason, with refused.
Errors: 22023 invalid status, or no reason; 42501 as approve_request; 42704 no such open request. Lock: the request.
Privilege: as approve_request.';
COMMENT ON ROUTINE architect.consumer_lag IS
'How far each consumer is behind, and why.

Returns one row for each consumer: consumer_name; state (active, snapshot: still reading the rows that
were there at the start, lost, restored: its position is of another cluster, ownerless: the role it belongs to was dropped); position, up to which it
has acknowledged everything; horizon, up to which the feed is decided and can be read; events (those it
wants and has not acknowledged, counted up to a million), bytes (of the feed after its position, about),
behind (since the first of those events was recorded); batches and in_flight, batches and events that
workers have; aside, events that wait for a worker or a retry; dead_letters; held_back_by, the process or
prepared transaction that wrote to the feed longest ago and is still open; holds_back_retention,
whether this is the consumer the feed is kept for.
Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.convert_to_partitioned IS
'Makes an existing table partitioned by range, while it is read and written. It becomes the first
partition, called <name>_p_history, of a partitioned table that takes its name and everything that hangs
on it: identity and sequences, defaults, generated columns, indexes and constraints under their names,
comments, statistics, privileges, row-level security and policies, triggers, rules, publications,
replica identity, foreign keys both ways and to itself, views, materialized views with their rows, rules,
policies and functions that use it; what audit, change feed and updated_at do with it.

Arguments: table_name; key, the column to partition by; every, the period of partitions to come, of time
keys; step, the same of numbers; unit, what an integer key counts: epoch_s, epoch_ms, epoch_us; timezone,
in which periods begin, by default the session''s; ahead, how many partitions to make; headroom, how many
periods after the current one the first partition still takes: the conversion must be done by then;
widen_key, whether to add the key to a primary key or unique constraint that lacks it, which a
partitioned table requires and lets equal values of the former key recur; incoming_keys, keep or drop
foreign keys to the table; dry_run, which shows every step with its locks and all that is in the
way; deadline; lock_timeout, how long one attempt at a lock may hold up others.
Rows whose key is not below the first partition''s upper bound are refused from the first step on.
After a crash, or past the deadline, another call goes on; abort_partition_operation() gives up. When
cancelled before the exchange it takes back what it had prepared.
Errors: 25001 inside a transaction block or a function; 55000 something is in the way, all of it in
DETAIL; 23514 rows lie outside; 55P03 a lock was not to be had by the deadline; 42501 not the owner.
Lock: ACCESS EXCLUSIVE on the table for a moment when the constraint is added and for the exchange,
which reads no row; on tables with foreign keys to it and views that read it then too. Scans run under
SHARE UPDATE EXCLUSIVE.
Privilege: ownership of the table, and of what has to be made anew.';
COMMENT ON ROUTINE architect.coverage IS
'What reaches persons and nobody has decided about: foreign keys, columns that can hold text in tables of theirs,
declarations whose tables or columns are gone; and, as warnings, references that no index serves.

Arguments: subject_type (null: all). Returns one row for each.
Errors: 42704 no such subject type. Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.coverage_assert IS
'Fails where coverage() finds a gap: for a test that runs with each change of the schema.

Arguments: subject_type (null: all). Errors: 55000 with what nobody has decided about; 42704 no such subject type.
Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.create_consumer IS
'Makes a named consumer of the change feed: a position in it that moves on as events are acknowledged.

Arguments: consumer, its name; tables, captured tables (null: all, those enabled later too); topics, of
emit_event() (null: all where tables is null, otherwise none); operations, any of insert, update,
delete, truncate, event; start, ''now'' (changes not committed yet), ''beginning'' (all the feed still
has) or ''snapshot'' (the rows that are there as read events, then every change after them);
visibility_timeout, how long a worker may keep a batch before another gets it; max_attempts, after how
many of them an event becomes a dead letter (null: never); max_lag_events, max_lag_bytes, max_lag:
how far it may fall behind before run_maintenance() stops keeping the feed for it (null: without end).
Returns one row: created, exists or changed. A consumer that is there keeps its position.
Errors: 55000 a table is not captured; 42710 it exists and wants other tables, topics or operations;
22023 invalid value; 42501 no right to read the tables. Lock: none on tables. Privilege: EXECUTE, and SELECT
on the tables, whose row-level security must not apply to the caller, or on architect.change_log where tables
is null; events of topics take no more than EXECUTE. The consumer belongs to the current role: its members,
and those of the extension''s owner, may use it.';
COMMENT ON ROUTINE architect.create_monthly_partitions IS
'Makes a table''s monthly partitions: the current month''s, those of the coming months and, if asked for,
of past ones. Safe to call again at any time: what is there stays as it is.

Arguments: parent, a table partitioned by range whose key''s leading column is a date, timestamp,
timestamptz or uuid (version 7); ahead and back, how many months after and before the current one;
since and until, wall clock times in timezone, instead of back and ahead: every month that has a part
in it (until itself excluded), also called "from" and "to", in double quotes; timezone, in which months begin and end: by default the session''s, or UTC
if the partitions there are fit that and not the session''s; say it wherever sessions differ; privileges, whether new partitions get the parent''s privileges (not
needed to use them through the parent); dry_run, to see the SQL.
Returns one row for each month: created; exists; exists_irregular, held by partitions with other
bounds; conflict, with the object in the way; failed, with the reason, also a WARNING; with dry_run
would create, with the SQL. A month partly held gets partitions for the rest of it. A month after a gap
gets the gap''s partitions too. Names are like table_p2026_11.
Errors: 42501 not the owner; 42809 not partitioned by range, or by a key without months; 22023 an
argument out of range; 55P03 the parent was locked by others for ten seconds.
Lock: none if there is nothing to do. SHARE UPDATE EXCLUSIVE on the parent, until the transaction ends:
readers and writers go on. SHARE ROW EXCLUSIVE on tables its foreign keys refer to, ACCESS EXCLUSIVE on
a default partition. Waits 200 ms at a time. Privilege: ownership of the parent, and what its owner
needs to create a table in its schema: partitions are made as the owner.';
COMMENT ON ROUTINE architect.create_partitioned_index IS
'Creates an index on a partitioned table and all its partitions, which go on being written.

Arguments: parent, the partitioned table; definition, what follows the table''s name in CREATE INDEX, such
as ''(customer_id, placed_at DESC) INCLUDE (total) WHERE paid'' or ''USING gin (tags)'', where functions and
operator classes outside pg_catalog are written with their schema; index_name; is_unique; deadline;
lock_timeout, how long one attempt at a lock may hold up others.
The index is made on the partitioned table alone, concurrently on each partition by a background worker,
and attached. Indexes of the same definition that are there are used, invalid ones left by an attempt
that failed are dropped: calling it again goes on.
Errors: 25001 inside a transaction block or a function; 42809 not a partitioned table; 22023 not the
definition of one index; 23505 rows that are not unique; 57014 not done by the deadline; 42501 not the owner.
Lock: SHARE on the partitioned table for a moment; SHARE UPDATE EXCLUSIVE on one partition after the
other; ACCESS EXCLUSIVE on a partition''s new index for a moment. Privilege: ownership of the table.';
COMMENT ON ROUTINE architect.create_partitions IS
'Makes a table''s partitions of any period.

Arguments: parent; every, an interval of months, of days or of hours, such as ''1 day'', ''7 days'' (from
Monday), ''3 months'', ''1 year'', ''6 hours'', for keys that say when; or step, for integer keys; ahead and
back, how many after and before the current one: where now lies, or the highest row of an integer key;
since and until (or "from" and "to"), wall clock times in timezone, or from_value and to_value, numbers, instead; key_unit,
for integer keys that count seconds (epoch_s), milliseconds (epoch_ms) or microseconds (epoch_us) since
1970; timezone, privileges and dry_run as in create_monthly_partitions. Where the last partition is a
whole period that begins elsewhere, on Sunday or on the 15th, it is gone on like that. Hours are real
ones: a day of 25 has 25.
Returns and errors as create_monthly_partitions. Lock and privilege: the same.';
COMMENT ON ROUTINE architect.dead_letters IS
'The events a consumer could not process.

Arguments: consumer, or null for all.
Returns one row each: consumer_name, position, attempts, reason, dead_at, is_retried (it has been given
back and waits to be handed out), operation, schema_name, table_name, row_key and image as the feed
keeps them. Privilege: EXECUTE; of consumers that belong to a role the caller is a member of.';
COMMENT ON ROUTINE architect.declare_column IS
'Says what a column, or a path within a json column, holds of persons, and what happens to it.

Arguments: table_name, column_name; category, as ''email'' or ''name''; action: keep, null, constant, random,
hash, pseudonym, partial, generalise, noise, shuffle, or delete_row (rows go, they are not masked); params of
the action, values only: constant {"value"}, partial {"prefix", "suffix", "mask"}, generalise {"unit": "year"},
{"step"} or {"bits"}, noise {"ratio"}, {"amount"} or {"interval"}, hash and pseudonym {"domain"}; json_path
within the column; identifier_class: direct, quasi, sensitive, credential or none; purpose; legal_basis:
consent, contract, legal_obligation, vital_interests, public_task or legitimate_interests; retention, how long
the value must be kept, counted from the column retention_from; recipients.
Results of hash, pseudonym, partial, generalise, noise and shuffle are pseudonymised, still personal data:
erasing puts null, a constant or a random value in place of hash, pseudonym, noise and shuffle.
Returns one row: declared, changed or exists.
Errors: 42501 not the owner; 42703 no such column; 22023 invalid action, parameter or legal basis.
Lock: none. Privilege: ownership of the table.';
COMMENT ON ROUTINE architect.declare_edge IS
'Says how rows of a table belong to a person: a decision about a foreign key, or a reference that no foreign
key states.

Arguments: subject_type; table_name and columns, which refer; references_table and references_columns
(null: its primary key); ownership: owned (the person''s rows), co_owned (another person''s too: masked while
somebody else is left), accessed (somebody else''s rows that name the person) or ignore; on_erase: delete, mask,
detach (the reference is emptied) or keep, by default what fits the ownership; json_path, where columns is one
json column that holds the key; discriminator_column and discriminator_value, for references that say in
another column what they refer to; person_columns, those of the table that hold this person''s data, where rows
stay (null: all declared ones of a co-owned row, none of an accessed one); direction: referring, or referred where the person''s row (in table_name)
refers to rows it owns (in references_table), as a customer''s to its address.
Returns one row: declared, changed or exists.
Errors: 42704 no such subject type; 42501 not the owner of both tables; 42703 no such column; 22023.
Lock: none. Privilege: ownership of both tables.';
COMMENT ON ROUTINE architect.declare_subject IS
'Says whose data a database keeps: the table with one row for each person of a kind.

Arguments: subject_type, a name of your choosing, as ''customer''; table_name; key_columns (null: the
primary key); identity_columns, those whose values identify the person wherever they turn up, as e-mail
address and name: erasing looks for them in the logs, and verify_erasure everywhere; on_erase, whether the
person''s own row is deleted or masked.
Returns one row: declared, changed or exists. Who decided it and when is kept in
architect.privacy_decision.
Errors: 42501 not the owner; 42703 no such column; 22023 the key does not tell rows apart.
Lock: none. Privilege: ownership of the table.';
COMMENT ON ROUTINE architect.decrypt_pii IS
'Decrypts what encrypt_pii() made.

Arguments: value; column_name, the label it was encrypted with.
Returns the text; null for null, and where the person''s key was shredded.
Errors: 22023 the value was changed, belongs to another column or is no encrypted value; 55000 and
F0000 as encrypt_pii. Lock: none. Privilege: EXECUTE: grant it to those who may read the values.
Assigns no transaction id.';
COMMENT ON ROUTINE architect.detach_partition IS
'Takes a partition off its partitioned table, which goes on being read and written.

Arguments: child, the partition; concurrently, whether without a strong lock on the table, which is
done by a background worker and waits for the transactions that use the table; deadline, how long to
try; lock_timeout, how long one attempt at a lock may hold up others.
A detach that was interrupted before its end, here or elsewhere, is brought to its end. The table
that is left keeps its rows, and as a constraint the bounds it had.
Errors: 25001 inside a transaction block or a function; 42809 not a partition; 42501 not the owner;
55000 concurrently while there is a default partition; 55P03 or 57014 not done by the deadline;
23503 rows of other tables refer to the partition''s; 53000 no background worker to be had, with the
command to run by hand.
Lock: SHARE UPDATE EXCLUSIVE on the table; ACCESS EXCLUSIVE on the partition once nobody uses it through
the table. With concurrently => false ACCESS EXCLUSIVE on the table, for a moment.
Privilege: ownership of the partitioned table.';
COMMENT ON ROUTINE architect.disable_audit IS
'Stops recording a table''s changes. What was recorded stays in architect.audit_log.

Returns one row: disabled, or skipped where the table was not audited.
Errors: 42501 not the owner. Lock: SHARE ROW EXCLUSIVE on the table and its partitions, ACCESS
EXCLUSIVE while the triggers are dropped. Privilege: ownership of the table.';
COMMENT ON ROUTINE architect.disable_audit_schema IS
'Stops auditing every table of a schema, and picking up tables created in it later.

Returns one row for each table: disabled, skipped, or refused with the reason.
Errors: 3F000 no such schema. Lock and privilege as for disable_audit.';
COMMENT ON ROUTINE architect.disable_cdc IS
'Stops capturing a table''s changes. Events that are in the feed stay for their consumers.

Returns one row: disabled, or skipped where the table was not captured.
Errors: 42501 not the owner. Lock: SHARE ROW EXCLUSIVE on the table and its partitions, ACCESS
EXCLUSIVE while triggers are dropped. Privilege: ownership of the table.';
COMMENT ON ROUTINE architect.disable_cdc_schema IS
'Stops capturing every table of a schema, and picking up tables created in it later.

Returns one row for each table: disabled, skipped, or refused with the reason.
Errors: 3F000 no such schema. Lock and privilege as for disable_cdc.';
COMMENT ON ROUTINE architect.disable_updated_at IS
'Stops keeping a table''s updated_at column, and undoes what enable_updated_at did.

Arguments: table_name; drop_column, whether a column that enable_updated_at added is dropped. By
default it stays, with its values and default. A default that was set on a column found without one
is dropped. Other columns kept by add_standard_columns are kept on.
Returns one row for each column and table concerned: disabled, kept, dropped, or skipped where
nothing was enabled.
Errors: 42501 not the owner; 2BP01 a column to drop that other objects depend on.
Lock: ACCESS EXCLUSIVE on the table and its partitions; none if there is nothing to do. Privilege:
ownership of the table.';
COMMENT ON ROUTINE architect.discard_dead_letter IS
'Lets dead letters go for good.

Arguments: consumer; position, of one of them, or null for all that are not being retried.
Returns how many. Errors: 42704 no such consumer. Privilege: EXECUTE, as a member of the role the consumer
belongs to; else 42501.';
COMMENT ON ROUTINE architect.discover_pii IS
'Finds columns, and paths within json columns, that hold personal data.

Judges names of tables and columns in several languages, types, sampled values (with the check digits of
cards, IBANs and national identifiers) and neighbouring columns. Prints and keeps no values. Tables are read
as their owner, under restrictions, so that nothing attached to them runs as the caller; a table the caller
may not read, or that the time does not suffice for, is judged by names and says so.
Arguments: schemas (null: all but the system''s); sample_rows of each table; time_budget, after which no more
tables are read; min_confidence, between 0 and 1, of what is returned.
Returns one row for each finding: finding_id for accept_discovery (null in a read-only transaction),
schema_name, table_name, column_name, json_path ([] stands for the elements of an array), category,
confidence, evidence and proposed_action. Findings are proposals: a person decides.
Errors: 22023 sample_rows, time_budget or min_confidence out of range. Lock: ACCESS SHARE on each table.
Privilege: EXECUTE, and SELECT on the tables.';
COMMENT ON ROUTINE architect.drain_default IS
'Moves the rows of a default partition into partitions made for them, a period in a transaction, so that
nobody sees a row missing.

Arguments: parent; batch, the most rows to move at once, as nobody reads or writes the table meanwhile;
pause, between two periods or batches; every, step, unit, timezone as in promote_default(); deadline;
lock_timeout. Where a period has more rows than batch, the default partition is promoted as
promote_default() does, a new one made, and what was promoted split as by split_partition(), with the same
batch and pause: a call of split_partition() goes on with that if it is interrupted.
Errors: 25001 inside a transaction block or a function; 54000 more rows in a period than batch, and others
on the far side of other partitions; 42P07 a partition''s name is taken; 42501 not the owner; those of
split_partition().
Lock: ACCESS EXCLUSIVE on table and default partition while the rows of one period are moved and what
is left is read. Privilege: ownership of the table.';
COMMENT ON ROUTINE architect.drop_consumer IS
'Drops a consumer with its batches and dead letters. The feed is no longer kept for it.

Returns one row: dropped. Errors: 42704 no such consumer. Lock: waits for polls of it under way.
Privilege: EXECUTE, as a member of the role it belongs to; else 42501.';
COMMENT ON ROUTINE architect.emit_event IS
'Puts an event of the application''s own into the change feed, as part of the transaction: consumers get
it if and only if the transaction commits, in order with other events of the same key.

Arguments: topic; key, events of one key are delivered in the order they were emitted (null: all of
those without one are); payload; headers, a JSON object; channel whose listeners the commit wakes
(null: none).
Returns the event''s position in the feed.
Errors: 22023 no topic, headers that are not an object, or a channel name that is too long; 55000 the
feed cannot be written to. Lock: none. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.emit_wal_event IS
'Writes an event into the WAL, as part of the transaction, for readers of the WAL feed (output plugin
db_architect); no table holds it, and the trigger feed does not have it: that is emit_event().

Arguments: topic, what kind of event it is; key, what it is about, for readers that keep order by key;
payload and headers, as JSON.
Returns its place in the WAL. Readers get it when the transaction commits, in its order among the
transaction''s changes.
Errors: 22023 no topic. Lock: none. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.enable_audit IS
'Records every change of a table''s rows in architect.audit_log, from the next statement on.

Arguments: table_name; operations to record; columns to record (null: all) or columns to exclude;
image, ''changed'' (an UPDATE records key and changed columns, old and new) or ''full'' (the whole row);
replicated, whether changes applied by logical replication are recorded too; require_context,
whether a change without architect.actor or architect.correlation_id is refused; on_error, ''degrade''
(a value too large for jsonb, some 250 MB, is recorded as length and SHA-256) or ''fail'' (the
statement fails).
Returns one row for each table: enabled, exists, changed, repaired or merged. A second call with
other options changes the policy.
Errors: 42809 not an ordinary or partitioned table, or temporary; 42501 not the owner, or a system
catalog; 42703 no such column; 22023 invalid option.
Lock: SHARE ROW EXCLUSIVE on the table and its partitions. Privilege: ownership of the table.';
COMMENT ON ROUTINE architect.enable_audit_schema IS
'Audits every ordinary and partitioned table of a schema, as enable_audit does.

Arguments: schema_name; except_tables, names of tables to leave out; new_tables, whether tables
created in the schema later are audited as they are created; the rest as for enable_audit, where
columns and exclude apply to those tables that have such columns.
Returns one row for each table: enabled, exists, changed, repaired, excepted, or refused with the
reason.
Errors: 3F000 no such schema; 42704 no such table in except_tables; 42501 new_tables without owning
the schema; 22023 invalid option. Lock: SHARE ROW EXCLUSIVE on each table, kept to the end of the
transaction. Privilege: ownership of the tables.';
COMMENT ON ROUTINE architect.enable_cdc IS
'Puts every change of a table''s rows into the change feed, from the next statement on.

Arguments: table_name; operations to capture; columns to capture (null: all) or columns to exclude;
mask, an object of columns and what stands in for their values: "null", "constant" ("***") or "hash"
(SHA-256 of the value as JSON); when, a condition on OLD and NEW as in the WHEN clause of a trigger,
which it becomes: only changes for which it holds are captured (TRUNCATE always is); key, columns that
identify a row in place of the primary key; image, ''full'' (an UPDATE carries the whole row as it was
and what changed) or ''changed'' (key and changed columns, old and new); replicated, whether changes
applied by logical replication are captured too; notify, whether a commit wakes listeners of channel,
with the newest position as the payload.
Returns one row for each table: enabled, exists, changed, repaired or merged. A second call with other
options changes the policy.
Errors: 42809 not an ordinary or partitioned table, or temporary; 42501 not the owner, or a system
catalog; 42703 no such column; 22023 invalid option; 22004 null for one that has another default; as CREATE TRIGGER for a condition that does not
fit, 42P17 where it mentions OLD for an insert or NEW for a delete.
Lock: SHARE ROW EXCLUSIVE on the table and its partitions. Privilege: ownership of the table.';
COMMENT ON ROUTINE architect.enable_cdc_schema IS
'Captures every ordinary and partitioned table of a schema, as enable_cdc does.

Arguments: schema_name; except_tables, names of tables to leave out; new_tables, whether tables
created in the schema later are captured as they are created; the rest as for enable_cdc, where
columns, exclude and mask apply to those tables that have such columns. A condition and a key are one
table''s own: call enable_cdc for it.
Returns one row for each table: enabled, exists, changed, repaired, excepted, or refused with the
reason.
Errors: 3F000 no such schema; 42704 no such table in except_tables; 42501 new_tables without owning
the schema; 22023 invalid option. Lock: SHARE ROW EXCLUSIVE on each table, kept to the end of the
transaction. Privilege: ownership of the tables.';
COMMENT ON ROUTINE architect.enable_updated_at IS
'Keeps a column of a table at the time of each row''s last change, by a trigger that fires after every
other BEFORE trigger.

Arguments: table_name, an ordinary or partitioned table; column_name, a timestamptz or timestamp
column (a timestamp gets the time in the session''s time zone); add_column, whether to add the column
where the table has none of that name, as timestamptz NOT NULL; clock, ''transaction'' (now()),
''statement'' or ''wall''; only_if_changed, whether an UPDATE that changes no value leaves the column
alone. An UPDATE that sets the column itself and nothing else keeps the value it set if
only_if_changed is true; otherwise the clock''s time replaces whatever the UPDATE set. On INSERT the
column''s default counts: where there is none, it is set to the clock''s function.
Returns one row for each column and table concerned: added, default set, enabled, exists, changed,
repaired, merged or skipped. A second call with other options changes them.
Errors: 42703 no such column; 42804 a column of another type; 42809 not an ordinary or partitioned
table, a temporary table, a generated column; 42501 not the owner, or a system catalog; 22023 invalid
clock.
Lock: SHARE ROW EXCLUSIVE on the table and its partitions; ACCESS EXCLUSIVE for a moment if a column
or a default is added; none if there is nothing to do. Privilege: ownership of the table.';
COMMENT ON ROUTINE architect.encrypt_pii IS
'Encrypts a value under the key of the person it is about.

AES-256-GCM-SIV (RFC 8452) with a random nonce: two encryptions of one value differ. The result is
bound to the column''s label and opens in no other; after a rename go on passing the former label. The
key is made with the person''s first value, stored wrapped under the master key of
architect.master_key_file or architect.master_key_command, and gone after shred_subject(). The result
is pseudonymised, still personal data, until then.
Arguments: value; subject, who it is about, as you always name them (''customer:42''); column_name, the
label, by convention ''schema.table.column''; pad_to, a length in bytes whose multiples the value is
padded to, so that ciphertexts do not tell lengths (1: no padding). Pass value and subject as
parameters: a literal in the statement''s text is in logs and statistics.
Returns version, key number, nonce and ciphertext: 38 bytes more than the value. Null for null.
Errors: 55000 no master key is configured; F0000 the master key cannot be read; 22023 a label or
subject is empty, or pad_to is not between 1 and 65536. Lock: none. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.encryption_keys IS
'How many keys there are and which master keys are still needed.

Returns one row for each kind of key and master key: kind (data, index, lookup), master_key, its name,
keys, shredded, oldest and newest. Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.erase_subject IS
'Erases a person: everywhere the graph leads to, and in the audit log, in this one transaction.

Arguments: subject_type and key as for plan_erasure; request_id, the request this answers (null: a new one);
expected_plan, the plan_hash that was approved: when the plan is another by now, nothing happens (null: the
plan as it is now, unless the request has an approved one); dry_run, true
unless told otherwise; allow_scans as for plan_erasure.
Rows that refer go before what they refer to. Rows that another person owns too are masked. Rows that must be
retained, or that others refer to, stay with their values masked, and are reported. Nothing of what goes is
recorded again by the audit trigger. A second run finds nothing to do and changes nothing.
Each statement runs as the owner of its table in a restricted context; messages of failing statements are withheld.
Returns the plan''s rows with the number of rows affected, what was taken out of logs, and the request''s number.
Errors: 55000 the plan has changed, or something stands in the way; 42501 four eyes.
Lock: ROW EXCLUSIVE on the tables, and the person''s rows. Privilege: the rights of the tables'' owners.';
COMMENT ON ROUTINE architect.erasure_certificate IS
'What was done about an erasure, without personal data: steps and counts from the deletion log, what is retained and
until when, what the last verify_erasure found, and the hash that the deletion log ends with.

Arguments: request_id. Errors: 42704 no such request; 55000 nothing was erased for it.
Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.explain_with_indexes IS
'EXPLAIN of a query as things are and as they would be with other indexes, which are not created or
dropped.

Arguments: query, one SELECT, INSERT, UPDATE, DELETE or MERGE statement, parameters ($1) allowed;
create (a reserved word: "create" => where it is named), CREATE INDEX statements of any access method, also
partial, on expressions, or on partitioned tables; drop, existing indexes to plan without; format, ''text'',
''json'', ''yaml'' or ''xml''.
Returns two rows, before and after: version, startup_cost and total_cost in the planner''s units, plan.
A hypothetical index has the name its statement gives, or one that starts with hypothetical_.
Errors: 22023 not a statement that is planned, not a CREATE INDEX statement, invalid format; 42809 not
an index; 42501 no privilege on a table; what PostgreSQL itself says of a wrong statement.
Lock: ACCESS SHARE on the tables of the query and of the indexes (ROW EXCLUSIVE on a table the query
would change) until the transaction ends. Nothing is executed or written, no transaction id assigned;
works on a standby. Privilege: what the query needs.';
COMMENT ON ROUTINE architect.export_subject IS
'What the database holds of a person, as JSON: the rows that erasing accounts for.

Arguments: subject_type and key as for plan_erasure; scope: access (everything, GDPR Art. 15) or portability (what
the person provided by consent or for a contract, Art. 20: columns declared with that legal basis, in the
person''s own rows); redact_third_parties, whether what rows say of other persons is left out; allow_scans.
Returns one document: tables with their rows in the order of their keys. Nothing in it depends on when it is made.
Errors: as plan_erasure; 22023 invalid scope; 55000 something cannot be read.
Lock: ACCESS SHARE on the tables. Privilege: the rights of the tables'' owners, as whom they are read.
Assigns no transaction id.';
COMMENT ON ROUTINE architect.export_tombstones IS
'Tombstones with the secret they were made with, to be kept outside the database and its backups: restoring a backup
loses those made since.

Who has this document can find out whether a key he guesses was erased: keep it as safe as a backup.
Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.extend_request IS
'Gives a request two months more (Art. 12(3)), once, with the reason the person was told.

Arguments: request_id; because. Errors: 42501 as approve_request; 42704 no such open request, or it was extended before.
Lock: the request. Privilege: as approve_request.';
COMMENT ON ROUTINE architect.grant_access IS
'Lets a role use db_architect.

Arguments: role_name; level: reader (reads architect.audit_log and the reports), operator (also
switches audit and updated_at on and off for tables it owns, and reverts changes it may make) or
admin (all functions, among them maintenance and seals). No level lets a role write to the log.
Returns one row for each privilege granted.
Errors: 42704 no such role; 22023 no such level; 42501 not allowed to grant.
Lock: none. Privilege: of the extension''s owner, or a superuser.';
COMMENT ON ROUTINE architect.hold_partition IS
'Puts a partition on hold: no retention touches it until it is released.

Arguments: partition; reason, for those who ask later. Returns one row: held, changed or exists.
Errors: 42501 not the owner; 42809 not a table; 42P01 it has just been dropped. Lock: ROW SHARE on the
partition, to the end of the transaction: retention waits for it. Privilege: ownership of the partition.';
COMMENT ON ROUTINE architect.import_pg_partman IS
'Takes over tables that pg_partman keeps: its configuration becomes a policy, and what differs is told.
Nothing of pg_partman''s is changed.

Arguments: parent, one table, by default all in part_config; timezone, in which periods begin, the
session''s by default, or UTC if the partitions are fit that; dry_run, true by default, only tells.
Returns rows: would manage, managed, changed or exists; differs, one for each difference; to do, how to
have pg_partman leave the table alone; refused, with the reason.
Errors: 55000 pg_partman is not installed. Lock: none on the tables. Privilege: SELECT on part_config,
and ownership of the tables.';
COMMENT ON ROUTINE architect.import_snapshot IS
'Keeps a standby''s counters, so that an index used there is not taken for unused.

Arguments: node_name, what the standby is called, the same each time; figures, the result of
statistics_figures() on the standby.
Returns one row as take_snapshot(), none where figures of that time or later are there already.
Errors: 22023 figures of another cluster or database, or of a server that is not a standby.
Lock: none. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.import_tombstones IS
'Adds tombstones that export_tombstones returned, after a restore; then call reapply_tombstones.

Returns how many are new. Errors: 22023 another document; 55000 they are of another database.
Lock: none. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.index_bloat IS
'Btree indexes that are larger than they would be if they were built now.

Arguments: min_size, below which an index is not looked at; exact, whether to read every page of the
indexes with pgstattuple instead of estimating from a sample of their tables'' rows.
Returns one row for each index, the most wasteful first: size_bytes, expected_bytes after a rebuild,
wasted_bytes and wasted_percent; method, ''sample of the table'' or ''pgstattuple'', or ''none'' where the
caller may not read the table, or reading it would run functions of an owner whose rights the caller does
not have, if that is no superuser; reason; fix, where 40 percent or more are wasted: less is what splits of
pages leave in any index that grows. A sample is right within some percent where it can tell how often
keys repeat.
Errors: 55000 exact figures without pgstattuple; 22023 not a size.
Lock: ACCESS SHARE on each table and index looked at; those held exclusively by others are left out.
Privilege: EXECUTE, and SELECT on the tables and their owners'' rights, with which they are read, or for exact figures EXECUTE on pgstatindex.';
COMMENT ON ROUTINE architect.index_cost IS
'What a query would cost with other indexes, in numbers: explain_with_indexes without the plans.

Arguments: query, create and drop as in explain_with_indexes.
Returns one row: cost_before and cost_after, total costs in the planner''s units; rows_before and
rows_after, estimated; indexes_before and indexes_after, names of the indexes in the plans;
created_bytes, estimated size of the indexes to create; dropped_bytes, of those to drop, measured.
Errors, lock and privilege as explain_with_indexes.';
COMMENT ON ROUTINE architect.index_usage IS
'How much each index is used, and over what time that is known. The view index_usage is its answer for
30 days.

Arguments: evidence, how far to look back. Without snapshots figures reach back to the last reset of
statistics and no further; with them (take_snapshot) to the snapshot before that time.
Returns one row for each index, the least used first; a partitioned table''s index stands for those of
its partitions. method; enforces, what else it is for than queries; scans, entries read and rows fetched
in that time on this server, standby_scans on standbys whose figures were imported; scans_per_day, of
all; category: UNUSED (no scan), RARELY_USED (less than one a day), OCCASIONALLY_USED (less than 100 a
day) or FREQUENTLY_USED; evidence_since and evidence_days, the time the scans were counted in; last_used,
a time since when no use is known (exact on PostgreSQL 16 and newer); size_bytes; basis, what the
figures rest on.
Lock: none; sizes are those of the last VACUUM where somebody holds the index exclusively. Privilege:
EXECUTE; shows indexes of tables the caller may read, all of them to members of pg_read_all_stats.';
COMMENT ON ROUTINE architect.invalid_indexes IS
'Indexes that PostgreSQL does not use because they are not valid.

Returns: finding, building (some session holds the table as one that builds an index does: no fix yet),
failed (CREATE INDEX CONCURRENTLY did not finish; the fix builds it anew), leftover (another index does
its work; the fix drops it) or incomplete (the index of a partitioned table, some of whose partitions
have none attached; the fix makes and attaches them); reason; fix and undo.
Lock and privilege: as index_usage().';
COMMENT ON ROUTINE architect.k_anonymity IS
'Groups of rows that are too few to hide in: the classes of equal values of some columns with fewer than k rows.

A table is k-anonymous for these columns where nothing is returned (Sweeney, 2002).
Arguments: table_name; columns, those by which rows could be told (null: the declared ones of identifier_class
quasi); k.
Returns one row for each class below k, the smallest first: class (column and value as jsonb) and rows. The
values are shown: the caller may read them.
Errors: 42501 without SELECT on the table; 42703 no such column; 42809 a view; 22023 k below 1 or no columns.
Lock: ACCESS SHARE. Privilege: EXECUTE, SELECT on the columns. Reads as the owner for who has its rights. Assigns no transaction id.';
COMMENT ON ROUTINE architect.l_diversity IS
'Classes in which a sensitive column has too few different values to hide anybody''s.

A table is (distinct) l-diverse for these columns where nothing is returned (Machanavajjhala et al., 2007).
Arguments: table_name; columns as for k_anonymity; sensitive, the column whose values must vary; l.
Returns one row for each class below l: class, rows, distinct_values.
Errors, lock and privilege: as k_anonymity.';
COMMENT ON ROUTINE architect.lift_hold IS
'Takes back place_hold.

Arguments: hold_id. Errors: 42501 not the owner of the table; 42704 no such hold.
Lock: the hold. Privilege: EXECUTE, and the rights that place_hold needs.';
COMMENT ON ROUTINE architect.maintain_partitions IS
'Does for every managed table what its policy says: makes partitions ahead, retires those past keeping,
finishes interrupted detaches, gathers the parent''s planner statistics. To be called by a scheduler,
hourly or nightly; run_maintenance() calls it too.

Arguments: parent, one managed table only; deadline, what is not begun by then is left to the next
call; lock_timeout, how long one attempt at a lock may hold up others. Each step commits on its own; a
table that fails is a WARNING and stops no other. Tables the role has no rights to are refused. Every
action and refusal is a row of partition_log(); partition_plan() says beforehand what would be done.
Errors: 25001 inside a transaction block or a function; 55000 parent is not managed.
Lock: SHARE UPDATE EXCLUSIVE on parents, which holds up neither readers nor writers; ACCESS EXCLUSIVE for
moments on default partitions and on what is retired. Privilege: EXECUTE, and the rights of the tables''
owners: it works as each table''s owner.';
COMMENT ON ROUTINE architect.maintenance_log IS
'What the last runs of run_maintenance() did, the latest first.

Arguments: runs, how many runs to show.
Returns one row for each thing done, skipped or failed. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.maintenance_status IS
'Whether the upkeep is alive.

Arguments: expected_every, how often a run should finish.
Returns one row: when the last run started and when one last finished, how many steps failed in it,
whether none finished within twice the expected time, and the pg_cron schedule, where pg_cron is
installed in this database and schedule_maintenance() was called. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.manage_partitions IS
'Has maintain_partitions() keep a table''s partitions: made ahead, retired when they are past keeping.
Adopts any table partitioned by range, whoever made its partitions and however irregular: bounds are
read from the catalogue and gone on from where they end.

Arguments: parent; every and step, key_unit, timezone as in create_partitions, the time zone is kept
with the policy; ahead, how many periods after the current one, by default half a year of months, a month
of days, three days of hours, 8 steps; keep, an interval, or keep_value for keys that are numbers: what
ended longer ago is retired, by its bound in the catalogue; null keeps everything; keep_action, detach
(the table stays, outside), drop, or archive: moved to archive_schema, or handed to archive_function, a
function of one regclass called as the table''s owner once the partition is detached; max_retired, how
many partitions one run may retire; privileges, whether new partitions get the parent''s; analyze_parent,
whether the parent''s planner statistics, which autovacuum never gathers, are kept fresh.
Returns one row: managed, changed or exists, with what was found; rows warning of what maintenance
cannot or will not do. Nothing is made or retired before the next maintain_partitions().
Errors: 42501 not the owner, or not of the function; 42809, 22023 as create_partitions; 3F000 no such
schema; 42883 no such function. Lock: none on the table. Privilege: ownership of the parent.';
COMMENT ON ROUTINE architect.mask_database IS
'Masks every declared table, or some, in batches that commit: for copies of a database that others will
work with.

As anonymize_table, but resumable: after an error, a cancel or a crash the next call with the same tables goes on
where the last one was. Foreign keys whose columns get pseudonyms are dropped first, and made and
checked again last. mask_progress() shows how far it is. Nobody else should write meanwhile: rows written
behind the masking''s back are masked only if they land where it has not been.
Arguments: tables (null: all that are declared); batch_pages, pages of 8 kB in a transaction; pause between
two transactions; dry_run, whether only to say, as NOTICEs, what would be done; keep_logs, whether to mask although the
audit log or the change feed keep the values as they were; rewrite, whether to write tables anew, each in one transaction,
as anonymize_table does.
Errors: 25001 inside a transaction block or a function; 55000 a rule is refused, a log has the values, or another
masking was begun;
55006 another masking is under way; 42501 not the owner of a table.
Lock: ROW EXCLUSIVE on each table and row locks, a batch long; ACCESS EXCLUSIVE for foreign keys, briefly at
the start and for their check at the end. Privilege: EXECUTE, ownership of the tables.';
COMMENT ON ROUTINE architect.mask_integer IS
'The pseudonym of a whole number; as mask_text. Errors: 42501. Not to be called by hand.';
COMMENT ON ROUTINE architect.mask_progress IS
'How far maskings by mask_database() are.

Returns one row for each table of each run, the latest first: run_id, table_name, status (running, done),
pages_done, pages, rows_masked, started_at and finished_at. Lock: none. Privilege: EXECUTE. Assigns no
transaction id.';
COMMENT ON ROUTINE architect.mask_text IS
'The pseudonym of a text; called by the statements of anonymize_table() and mask_database() only, with
a number that only they know. Errors: 42501 otherwise. Not to be called by hand.';
COMMENT ON ROUTINE architect.masked_view IS
'Makes a view of a table with the declared masks, and lets a role read it.

The view belongs to the table''s owner and is a security barrier: who reads it runs no function of
theirs on unmasked values. Columns with action null, constant, partial, generalise or keep are shown so; those with
another action are null, because a key must not stand in a view and a random value is not stable. The role''s own
rights on the table are not touched: revoke them.
Arguments: table_name; role_name to grant SELECT to (null: nobody yet); view_name, in the table''s schema (null:
the table''s name and _masked).
Returns one row: object_name, action (created, replaced), detail with the role.
Errors: 42501 not the owner; 42704 no such role; 55000 nothing is declared for the table; 42P07 another kind of
relation has the name. Lock: ACCESS EXCLUSIVE on the view. Privilege: ownership of the table, CREATE on
its schema.';
COMMENT ON ROUTINE architect.merge_partitions IS
'Merges partitions that follow each other into one, while they are read and written.

Arguments: children, the partitions; new_name, of the one they become; batch, pause, drop_source,
dry_run, deadline and lock_timeout as in split_partition(), and everything else as there.';
COMMENT ON ROUTINE architect.nack_changes IS
'Gives one event of a batch back: it could not be processed.

Arguments: consumer; position, of that event; reason, of which the first 1,000 bytes are kept with it; delay, how long until it is handed
out again. After the consumer''s max_attempts it becomes a dead letter instead. Later events of its row
key leave the batch with it, so that they stay behind it: poll again for what is left.
Returns one row for each event that left the batch: position, outcome (retry, held, dead_letter); none
where it is in no batch any more.
Errors, privilege: as for ack_changes; 22004 a null argument other than reason.';
COMMENT ON ROUTINE architect.note_ddl IS
'Event trigger function behind architect_ddl: records new tables of audited and captured schemas,
completes new partitions, follows renames. What fails is a warning, never an error of the command.';
COMMENT ON ROUTINE architect.note_updated_at_ddl IS
'Event trigger function behind architect_updated_at_ddl: writes a renamed column''s new name into the
trigger that keeps it, and warns of a trigger that would fire after it. What fails is a warning, never
an error of the command.';
COMMENT ON ROUTINE architect.open_request IS
'Notes what a person asked for. It is due a month after it was received (GDPR Art. 12(3)).

Arguments: kind: access, erase, restrict, rectify, portability or object; subject_type and key as for plan_erasure
(kept as a hash); received_at (null: now).
Returns the request''s number. Errors: 22023 invalid kind or key; 42704 no such subject type.
Lock: none. Privilege: EXECUTE, and the rights of the owner of the person''s table.';
COMMENT ON ROUTINE architect.partition_health IS
'What is wrong with partitioned tables, or will be, and what to do about it.

Arguments: parent, one table, managed or not; by default all that are managed.
Returns one row for each finding: severity error, warning or info; code: NO_PARTITION_NOW, RUNWAY_SHORT,
KEY_RUNS_OUT, GAP, OVERLAP, OPEN_END, MISALIGNED_BOUNDS, TIME_ZONE_MISMATCH, ROWS_IN_DEFAULT,
DEFAULT_PARTITION, PROOF_LEFT_OVER, PENDING_DETACH, NAME_COLLISION, MISSING_INDEX, INVALID_INDEX,
OWNER_DRIFT, OWNER_CHANGED, PRIVILEGE_DRIFT, STALE_STATISTICS, FOREIGN_KEY_BLOCKS_RETENTION,
RETENTION_BEHIND, SCHEDULE_MISSING, SCHEDULE_FAILING, LAST_RUN_FAILED, TABLE_GONE, POLICY_INVALID,
UNMANAGED; detail; fix_sql. No row: all is well.
What needs the rights of a table''s owner (whether a default partition is empty, what is past keeping) is
looked at where the role has them.
Errors: 42809 not partitioned by range. Lock: ACCESS SHARE. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.partition_holds IS
'The partitions on hold.

Returns one row for each. Lock: none. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.partition_list IS
'The partitions of a table, or of all managed ones, in order.

Returns one row for each: from_value and to_value as the policy''s time zone shows them, null where open;
bytes with indexes and TOAST; rows_estimate as the planner believes, null where it does not know;
is_default; detach_pending; on_hold, why it is not retired.
Errors: 42809 not partitioned by range. Lock: ACCESS SHARE. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.partition_log IS
'What maintenance of partitions did, refused and failed at, the latest first.

Arguments: parent, one table only; runs, how many runs to show.
Returns one row for each action: created, dropped, detached, archived, finalized, analyzed, finished; and
conflict, held, kept (the audit log''s months that are not sealed), deferred, refused, failed, with the
reason; duration_ms. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.partition_plan IS
'What maintain_partitions() would do now.

Arguments: parent, one managed table; by default all the role has the rights of.
Returns one row for each step: steps of one transaction_group are done in one transaction; lock_mode and
locks, the strongest lock and on what; bytes_read, how much is read while it is held. conflict, held and
deferred are steps that will not be taken, with the reason.
Errors: 42501 not the owner; 55000 not managed. Lock: none but ACCESS SHARE. Privilege: ownership.';
COMMENT ON ROUTINE architect.partition_policies IS
'The tables that are managed, and how.

Returns one row for each: status ok, or why its policy is not followed. Lock: none. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.partition_progress IS
'Conversions, splits, merges and drains: those under way first, then the last that ended.

Returns one row each: kind, table as it was called, phase, rows done of how many (an estimate), when it
began, moved on last and ended, and how. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.place_hold IS
'Keeps a person, or the rows of a table, from being erased: a claim, an investigation (Art. 17(3)(e), 18).

Arguments: reason; subject_type and key of a person, or table_name; hold_until (null: until it is lifted);
legal_reference. A hold on a person blocks erasing it; one on a table keeps the rows as they are.
Returns the hold''s number. Errors: 22023 neither or both of person and table; 42704 no such subject type.
Lock: none. Privilege: EXECUTE, and the rights of the table''s owner.';
COMMENT ON ROUTINE architect.plan_erasure IS
'What erasing a person would do, step by step, without doing it.

Arguments: subject_type; key, the person''s key as a JSON object of the key columns, or its value where it is one
column; allow_scans, whether tables of more than 100,000 rows may be read from end to end where no index
finds the person''s rows.
Returns one row for each step, in the order they are done: the table; the action: delete, mask (rows stay, values
go), detach (the reference goes), keep, or blocked with the reason in blocker; columns that change; rows, counted;
why rows stay and until when; and plan_hash, the same in each row, to be given to erase_subject.
Errors: 42704 no such subject type; 22023 not a key; 55000 what was declared is not there any more.
Lock: ACCESS SHARE on the tables. Privilege: the rights of the tables'' owners, as whom they are read.
Assigns no transaction id.';
COMMENT ON ROUTINE architect.poll_changes IS
'Hands out a batch of events in the order of the feed.

Arguments: consumer; max, how many events at most; wait, how long to wait for some if there are none;
worker, a name for who asks: without one it is this session, which is wrong behind a transaction pooler.
A worker that has not acknowledged its batch gets it again. Other workers get other events: all of one
row key go to one worker at a time and in order. A batch whose session has ended, or that was held for
longer than the consumer''s visibility_timeout, goes to the next worker that asks.
Returns one row an event: position, txid, operation (insert, update, delete, truncate, event, read),
schema_name, table_name, row_key, old_values, new_values, changed_columns, actor, correlation_id,
context, recorded_at, topic and headers (of emit_event(), whose payload is new_values), attempt.
What this does is undone by a rollback: then the batch comes again. Until the transaction ends other
workers'' polls wait, so with several workers let it be a transaction of its own.
Errors: 42704 no such consumer; 55000 the consumer is lost or belongs to another cluster: call
reset_consumer; 22023 invalid max or wait; 22004 null for one of them. Privilege: EXECUTE, as a member of the role the consumer
belongs to; else 42501.';
COMMENT ON ROUTINE architect.poll_changes_envelope IS
'The same as poll_changes, each event in the envelope Debezium uses, for sinks that know it.

Arguments, errors, privilege: as for poll_changes.
Returns one row an event: position, to be acknowledged, and event: key, before, after, source (version,
connector, name, db, schema, table, ts_ms, snapshot, txId, position), op (c, u, d, t, r or m), ts_ms,
transaction (id, total_order, data_collection_order: the latter two count within the batch).';
COMMENT ON ROUTINE architect.poll_changes_json IS
'The same as poll_changes, each event as one JSON document in the shape the WAL feed has too.

Arguments, errors, privilege: as for poll_changes.
Returns one row an event: position, to be acknowledged, and event: position, txid, operation, schema,
table, key, old, new, changed, masked, actor, correlation_id, context, recorded_at; for emit_event()
topic, key, payload and headers; attempt from the second on. What does not apply is left out.';
COMMENT ON ROUTINE architect.privacy_columns IS
'The columns that were declared, and what happens to them.

Returns one row for each column or path within a json column.
Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.privacy_decisions IS
'Who decided what about personal data, the latest first.

Returns one row for each declaration made, changed or taken back, with what was declared before and after.
Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.privacy_edges IS
'The references that were declared.

Arguments: subject_type (null: all). Returns one row for each edge.
Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.privacy_requests IS
'What persons asked for, the most urgent first.

Arguments: overdue_only, whether only requests past their date are shown.
Returns one row for each request. Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.privacy_subjects IS
'The kinds of persons that were declared.

Returns one row for each. Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.promote_default IS
'Makes a default partition that rows have gathered in a proper range partition, without moving a row.

Arguments: parent, the partitioned table; every, the period whose boundaries are used, of time keys, step,
of numbers, by default the policy''s or the last partition''s; unit, what an integer key counts: epoch_s, epoch_ms, epoch_us; timezone; new_default, whether
to make a new, empty default partition; deadline; lock_timeout, how long one attempt at a lock may hold
up others. A constraint that all rows lie in one range is checked beside readers and writers; then the
partition is detached, renamed and attached for that range in one short transaction. Rows that come
meanwhile must be in the range, which ends a period after now or where the next partition begins.
Errors: 25001 inside a transaction block or a function; 55000 rows on both sides of other partitions;
42P07 the new name is taken; 23514 rows without a key; 42501 not the owner.
Lock: ACCESS EXCLUSIVE on table and default partition for a moment; SHARE UPDATE EXCLUSIVE on the
default partition while it is read. Privilege: ownership of the table.';
COMMENT ON ROUTINE architect.reapply_tombstones IS
'Erases again whoever was erased before and is there: after an older backup was restored.

Arguments: dry_run, true unless told otherwise.
Data keys that shred_subject() threw away and that came back are thrown away again, under type (data key).
Returns one row for each person found, without saying who: to be erased, erased, or blocked with the reason; one for a
type that is not declared any more; one for data keys. A person some of whose rows are retained is found each time;
erasing it again changes nothing.
Errors: 42501 not the owner of the persons'' table. Lock: reads every row of the persons'' tables; as erase_subject.
Privilege: the rights of the tables'' owners.';
COMMENT ON ROUTINE architect.redundant_indexes IS
'Indexes that another index of the same table makes redundant.

Arguments: include_kept, whether to show also those that must stay.
An index is redundant by another of the same kind that is valid, has the same predicate, has its columns
(or expressions) first, with the same operator classes, their options and collations, in the same order
or all in the opposite one, and has its included columns; of GIN and BRIN, that has its columns anywhere.
A unique one is redundant only by one that is unique in the same columns, as soon and with the same view
of nulls.
Returns: kind, duplicate, reversed, prefix or subset; made_redundant_by, an index that stays; scans
since statistics began; verdict ''drop'', with the statement that drops it and the one that makes it
again, or ''keep'', where it enforces a constraint or serves a foreign key, replica identity, clustering or
an extension; reason. A partitioned table''s index stands for those of its partitions.
Lock and privilege: as index_usage().';
COMMENT ON ROUTINE architect.release_partition IS
'Ends a hold.

Returns one row: released, or skipped if there was none.
Errors: 42501 not the owner. Lock: none. Privilege: ownership of the partition.';
COMMENT ON ROUTINE architect.remove_standard_columns IS
'Stops keeping every column of a table that add_standard_columns or enable_updated_at keeps.

Arguments: table_name; drop_columns, whether the columns that were added are dropped. By default they
stay, with their values and defaults.
Returns, errors, lock and privilege as disable_updated_at.';
COMMENT ON ROUTINE architect.reset_consumer IS
'Puts a consumer at another position, forgetting its batches: after it was lost, or after the database
was restored elsewhere. Dead letters stay.

Arguments: consumer; start, ''now'', ''beginning'' or ''snapshot'', as for create_consumer.
Returns one row: reset. Errors: 42704 no such consumer; 22023 invalid start. Lock: waits for polls of it
under way. Privilege: EXECUTE, as a member of the role it belongs to; else 42501.';
COMMENT ON ROUTINE architect.retain_partitions IS
'Retires a table''s partitions that are past keeping, whether it is managed or not.

Arguments: parent; keep, an interval, or keep_value for a key that is a number: partitions whose upper
bound in the catalogue is that far back are retired; action, archive_schema, archive_function as keep_action
and these in manage_partitions; max_partitions, at most so many at once; dry_run, true by default, only tells; deadline;
lock_timeout; key_unit and timezone as in create_partitions, for tables that are not managed. Partitions
on hold stay, as do the default one and the one that holds the present.
Tells as NOTICEs what would be, or was, done; what was done is in partition_log() too.
Errors: 25001 inside a transaction block or a function; 42501 not the owner; 22023 nothing given to
keep. Lock: SHARE UPDATE EXCLUSIVE on the parent (ACCESS EXCLUSIVE, waited for 200 ms at a time, where
there is a default partition); ACCESS EXCLUSIVE on each partition once it is detached. Privilege:
ownership of the parent.';
COMMENT ON ROUTINE architect.retention_due IS
'Values that need not be retained any more and are still there: what retention_run would do.

Returns one row for each declared column with retention and retention_from: the action (mask, or delete where the
column''s action is delete_row) and the number of rows past their time.
Errors: 55000 what was declared is not there any more. Lock: ACCESS SHARE on the tables, which are read.
Tables of others are left out with a NOTICE, as are those that a hold keeps: on the table, on one that loses rows with
it, or on a person of a type whose rows the table has. In the persons'' own table only the held persons'' rows stay.
Privilege: the rights of the tables'' owners.';
COMMENT ON ROUTINE architect.retention_run IS
'Masks or deletes what need not be retained any more, in batches that commit; to be called by a scheduler.

Arguments: dry_run, true unless told otherwise: only says what it would do. What is done is in data_deletion_log.
Errors: 25001 inside a transaction block or a function. What fails for one column is a WARNING and does not stop
the others.
What retention_due leaves out is left alone; holds are looked at again in each batch.
Lock: ROW EXCLUSIVE on the tables, and nobody places a hold during a batch; rows locked by others are left to the next run.
Privilege: EXECUTE, and the rights of the tables'' owners.';
COMMENT ON ROUTINE architect.retry_dead_letter IS
'Hands dead letters out again.

Arguments: consumer; position, of one of them, or null for all.
Returns how many. Errors: 42704 no such consumer. Privilege: EXECUTE, as a member of the role the consumer
belongs to; else 42501.';
COMMENT ON ROUTINE architect.revert_changes IS
'Undoes recorded changes: of one transaction, of one correlation id, or of one table since a time.

Arguments: txid, or correlation_id, or table_name and since (changes at or after it); dry_run, whether
only to say what would be done. A txid is looked for among entries of this cluster: after a restore
into another, those of before are found by correlation_id or time.
Returns one row for each entry, latest first, which is the order of undoing: audit_id, changed_at,
relation, row_key, action (INSERT, UPDATE, DELETE, or NONE where nothing need be done for it),
status (planned, applied, refused), reason, statement (with literals, for reading). Changes of one
row are undone together where that is possible: reason names the entry with which.
Refused, with the reason: rows changed since by an entry that is not among those to undo, rows that
are not as the last change left them, rows that others refer to which stay, TRUNCATE, values that
were too large to record, entries without a key, tables whose audit was interrupted. The rest is
undone; look at the dry run first. Columns that were not recorded take their defaults in rows that
come back, which reason says. Any error undoes all of it.
Triggers, checks of foreign keys and deferrable constraints fire once all rows are written. The
changes made are recorded like any others.
Errors: 22023 not exactly one choice; 42501 no right to read the log or to change a table; 55000 a
trigger or policy kept a row from being changed; whatever constraints report.
Lock: ROW EXCLUSIVE on the tables and a lock on each row, ACCESS SHARE in a dry run. Privilege: SELECT
on architect.audit_log; on the tables SELECT, what the action needs, and SELECT on tables that refer
to rows to be deleted; row-level security applies. A dry run assigns no transaction id.';
COMMENT ON ROUTINE architect.review_advice IS
'What became of the advice in advice_log: what was built or dropped, and whether it turned out as
predicted.

Returns one row for each advice, the latest first: status built (by the name advised, or an index of the
same columns), invalid, not_built, dropped or not_dropped; predicted_bytes and actual_bytes; scans since
the advice, as index_usage() counts them; before_ms and after_ms, mean time of the statements it was to
help, until the last snapshot without the index and since the first one with it: both need snapshots
(take_snapshot) and pg_stat_statements; verdict in a sentence. Advice about tables that are gone is left
out.
Lock and privilege: as index_usage().';
COMMENT ON ROUTINE architect.revoke_access IS
'Takes from a role what grant_access gave it, at any level.

Returns one row for each privilege revoked.
Errors: 42704 no such role; 42501 not allowed to revoke.
Lock: none. Privilege: of the extension''s owner, or a superuser.';
COMMENT ON ROUTINE architect.ropa IS
'The record of processing activities (GDPR Art. 30) as far as it follows from what was declared: for each purpose
the kinds of persons, categories of data, legal basis, recipients and time limits.

Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.rotate_key IS
'Renews keys.

Without a subject, wraps every data key that is wrapped under an older master key anew under the
latest one: the last line of the key file. Values need not be touched; afterwards the older master key
can be removed from the file. With a subject, gives the person a new key for what is encrypted from
now on; what was encrypted before stays readable until it is encrypted again or shredded.
Returns one row: object_name, action (rewrapped, renewed) and detail.
Errors: 55000 and F0000 as encrypt_pii; XX001 a key does not open with the master key it names.
Lock: row locks on the keys. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.run_maintenance IS
'Does the upkeep of everything db_architect keeps; to be called by a scheduler, nightly, or by hand.

Steps: note after a restore which cluster this is; make the audit log''s coming months; move rows
out of its default partition; summarize its block range indexes; seal it, where sealing is in use;
drop the months past set_audit_retention() and contexts nothing refers to any more. Each step
commits on its own, and one that fails is a WARNING and does not stop the others. What they did is
in maintenance_log().
Errors: 25001 inside a transaction block or a function; 55006 while another run is in progress.
Lock: each step waits two seconds at most for a lock, a few times, and otherwise leaves its work to
the next run. Privilege: EXECUTE; it works as the extension''s owner.';
COMMENT ON ROUTINE architect.schedule_maintenance IS
'Has pg_cron call run_maintenance() in this database, as the current role. Where pg_cron works in another
database of the cluster it is registered there, by a background worker, as the current role.

Arguments: schedule, in cron''s notation, by pg_cron''s time zone. A second call changes the schedule.
Returns one row: scheduled, changed or exists. Errors: 55000 pg_cron is not installed; 22023 an invalid
schedule; 42501 the role may not use pg_cron; 53000 no background worker. Registered in another database it
stays registered if the calling transaction is rolled back. Privilege: EXECUTE, and what pg_cron asks for.';
COMMENT ON ROUTINE architect.seal_audit_log IS
'Seals what has been committed to the audit log since the last seal: hashes it and chains the hash to
the seal before. Keep the hash where nobody who could change the log can reach it.

Returns one row: the last seal''s number, how many entries were sealed now (0: there was nothing new,
and the last seal stays), its hash, and who keeps newer entries from being sealed: the oldest open
transaction or prepared transaction, in any database, or null.
Errors: 55000 there is no audit log; 55P03 the seals are being written by another session.
Lock: nothing that stops readers or writers of the log. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.set_audit_months_ahead IS
'Says how many months after the current one run_maintenance() makes partitions of the audit log for.

Arguments: months, 0 to 120. Three is the default.
Returns one row: changed or exists. Errors: 22023 out of range. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.set_audit_retention IS
'Says how long the audit log is kept. run_maintenance() then drops whole months, in UTC, that ended
longer ago than that; never the current one.

Arguments: keep, an interval of at least a day, or null to keep everything; action, ''drop'' or
''detach'' (the month becomes a table of its own, audit_entry_p2026_01, outside of the log);
require_seal, whether a log that has seals keeps a month until all of it is sealed.
Returns one row: changed or exists. Nothing is dropped before the next run_maintenance().
Errors: 22023 invalid value. Lock: none on the log. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.set_cdc_retention IS
'Says when the feed''s current table is changed for an empty one, and how long events are kept while
there is no consumer. What every consumer has acknowledged is let go a table at a time.

Arguments: segment_bytes, how large the table may get (64 kB at least; null leaves it as it is), 64 MB by
default; segment_age, how old, one hour by default; keep_unread, a day by default.
Returns one row: changed or exists. Nothing is let go before the next run_maintenance() or
acknowledgement. Errors: 22023 invalid value. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.set_privacy_rules IS
'House rules: whether erasing needs another role''s approval, how long backups are kept, and who the privacy officer is.

Arguments: four_eyes, backup_retention, officer: a role, whose members may decide about requests and change these rules
without owning a table (null: as it is; of officer, an empty name: nobody). Each change is kept in privacy_decisions().
Errors: 42501 neither the privacy officer nor the extension''s owner; 42704 no such role; 55000 nothing was declared yet.
Lock: none. Privilege: EXECUTE, and the rights of the privacy officer or of the owner of the extension; the latter
only may name the officer.';
COMMENT ON ROUTINE architect.set_wal_context IS
'Writes into the WAL who acts and for which request, as the settings architect.actor,
architect.correlation_id and architect.context say: readers of the WAL feed get it with every later
change of the transaction. The trigger feed and audit need no such call.

Returns its place in the WAL. With none of the settings set, later changes have no context again.
Errors: 22023 a setting that is not a uuid or not JSON. Lock: none. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.shred_subject IS
'Erases a person''s encrypted values everywhere at once, by throwing their keys away.

Every copy becomes unreadable when the transaction commits: in tables, logs, replicas and, unless an
older dump of architect.privacy_key is restored, backups: for that day a tombstone is kept, which
reapply_tombstones() goes by. The row of the key stays, without the key, and says when and by whom.
Arguments: subject, as it was passed to encrypt_pii().
Returns one row: object_name, action (shredded, or skipped where there was no key) and detail.
Errors: 22023 empty subject; 55000 and F0000 as encrypt_pii. Lock: row locks on the keys.
Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.split_partition IS
'Splits a partition into several, by period, while it is read and written.

Arguments: child, the partition; every, the new partitions'' period, of time keys; step, of numbers; unit,
what an integer key counts: epoch_s, epoch_ms, epoch_us; timezone, in which periods begin, by default
the session''s; batch, about how many rows to copy in one transaction; pause, between two of them;
drop_source, whether to drop the old partition in the end, else it is left detached; dry_run, which
shows the new partitions; deadline; lock_timeout, how long one attempt at a lock may hold up others.
The rows are copied: it takes room for another copy. Rows that change meanwhile are noted by a trigger
and copied again; TRUNCATE of the partition is refused meanwhile. partition_progress() shows how far it
is. After a crash, or past the deadline, another call goes on; abort_partition_operation() gives up.
Errors: 25001 inside a transaction block or a function; 42809 not a partition by range, or a partitioned
one; 55000 no key to tell rows apart, a name that is taken, a big default partition, something that
hangs on the partition alone; 55P03 a lock was not to be had by the deadline; 42501 not the owner.
Lock: SHARE ROW EXCLUSIVE on the partition for a moment at the beginning; ACCESS EXCLUSIVE on table and
partition, and on tables that refer to it, for the exchange, which copies only the last few changes.
None that anybody waits for during the copy. Privilege: ownership of the partitioned table.';
COMMENT ON ROUTINE architect.statistics_figures IS
'The present counters of indexes as a document, to be taken from a standby to its primary.

Returns jsonb: when it was taken, since when the counters count, of which cluster and database, and of
each index its number, name and counters; nothing of any row or statement.
Lock: none. Privilege: EXECUTE; shows indexes of tables the caller may read, all of them to members of
pg_read_all_stats. Works on a standby.';
COMMENT ON ROUTINE architect.subject_graph IS
'Which tables hold rows of a kind of person, and how they hang together.

Arguments: subject_type. Returns one row for each reference: depth from the person''s own table, the reference,
ownership (undecided where nobody has said), what happens on erasing, where it comes from (foreign key or
declared), the foreign key''s delete rule, whether an index finds the rows, and the number of the circle the
table is in, where it refers back to itself.
Errors: 42704 no such subject type; 55000 what was declared is not there any more.
Lock: none. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.suggest_indexes IS
'The set of indexes that is worth most to a workload, and the existing ones that cost more than they
serve. PostgreSQL''s planner is asked, in process, what it would do with each; nothing is created or
dropped.

Arguments: budget, size that all new indexes may have together (''500MB''); max_columns, key columns of an
index at most; min_calls, statements run less often are left out; time_limit, after which the best answer
found so far is given; schemas, whose tables to advise on (null: all); workload, statements to advise for
instead of those in pg_stat_statements, parameters ($1) allowed; weights, how often a day each of those
is run (default: once), their time being guessed from their cost; include_drops, whether existing indexes
are judged too.
Returns one row for each action, the most valuable first, each given those above it: rank; action, CREATE
or DROP; table_name; columns, keys and included ones; method; statement, to be run outside a transaction;
size_bytes, estimated; query_ids, statements it makes cheaper (of a DROP: dearer) by a per cent or more,
by their queryid or place in workload; query_count; cost_before and cost_after, of the whole workload in
ms a day, upkeep of the indexes advised included; benefit_ms_per_day; benefit_share of the workload''s
time; write_ms_per_day and wal_bytes_per_day, what writes pay for it (a DROP saves it); ends_hot_updates,
whether updates that touch no index now would touch it; priority, high (a tenth of the workload), medium
(a fiftieth) or low; reason; undo, the opposite statement; confidence and caveats. Advice is kept in
advice_log where the server can be written to.
Errors: 55000 pg_stat_statements is not there and no workload given; 22023 invalid argument. A statement
that cannot be analysed is left out: workload_coverage() says why.
Lock: ACCESS SHARE on the tables of the workload (ROW EXCLUSIVE on those its statements change) until the
transaction ends. Privilege: EXECUTE; a statement of
pg_stat_statements is analysed as a role that ran it and whose rights the caller has (others are left out),
a given one as the caller, on the caller''s search_path: planning runs functions.';
COMMENT ON ROUTINE architect.take_snapshot IS
'Keeps the counters of all indexes, and of the statements that take the most time, so that the use of an
index is known over a stated time and survives a reset of statistics. run_maintenance() does it too.

Returns one row: node, ''primary''; taken_at; stats_since, since when the counters count; indexes looked
at; changed, how many of them were not as they were at the last snapshot and took a row; statements
kept. Figures are kept for 400 days.
Errors: 25006 on a standby. Lock: none. Privilege: EXECUTE; it reads as the extension''s owner.';
COMMENT ON ROUTINE architect.undeclare_column IS
'Takes back declare_column.

Returns one row: undeclared or skipped. Errors: 42501 not the owner. Lock: none. Privilege: ownership of
the table.';
COMMENT ON ROUTINE architect.undeclare_edge IS
'Takes back declare_edge.

Arguments: edge_id, as privacy_edges() shows it. Returns one row: undeclared or skipped.
Errors: 42501 not the owner. Lock: none. Privilege: ownership of the table that refers.';
COMMENT ON ROUTINE architect.undeclare_subject IS
'Takes back declare_subject, with the edges declared for it. What was declared of columns stays.

Returns one row: undeclared or skipped. Errors: 42704 no such subject type; 42501 not the owner.
Lock: none. Privilege: ownership of the table.';
COMMENT ON ROUTINE architect.unindexed_foreign_keys IS
'Foreign keys that no index of the referencing table serves: each delete of a referenced row, and each
update of its key, reads that table whole, holding its locks meanwhile.

A key is served by an index that is valid, that begins with the key''s columns in any order, compares
with the key''s operators and collations, and is not partial (or only by what holds wherever the columns
are not null). Included columns, BRIN, and hash indexes for several columns do not serve it.
Returns one row for each set of columns: constraint_names, the keys of these columns; finding: missing,
covered_partially (an index begins with some of the columns), partial_index, invalid_index,
other_operators, not_first, or some_partitions_missing; priority HIGH where the table is large and
referenced rows are deleted, LOW where it is small; table_bytes; referenced_changes, rows of the
referenced tables deleted or updated since statistics began; reason; fix and undo. A partitioned table''s
key is reported once, with the statements for each partition.
Lock: none. Privilege: EXECUTE; shows tables the caller may read, all of them to members of
pg_read_all_stats.';
COMMENT ON ROUTINE architect.unmanage_partitions IS
'Has maintenance leave a table alone. Its partitions stay as they are.

Returns one row: unmanaged, or skipped if it was not managed.
Errors: 42501 not the owner; 42809 the audit log is always managed. Lock: none. Privilege: ownership of
the parent.';
COMMENT ON ROUTINE architect.unschedule_maintenance IS
'Has pg_cron call run_maintenance() in this database no more, wherever pg_cron works.

Returns one row: unscheduled or skipped.
Errors: 55000 pg_cron is not installed. Privilege: EXECUTE, and what pg_cron asks for.';
COMMENT ON ROUTINE architect.unused_indexes IS
'Indexes that no query has used for a stated time, on this server and on its standbys.

Arguments: unused_for, how long; include_kept, whether to show also those that must stay;
ignore_standbys, whether to judge by this server alone although standbys are connected.
Returns: verdict ''drop'', with the statement that drops the index and the one that makes it again;
''wait'', where no scan was seen but not long enough, or not on all connected standbys; ''keep'', where it
enforces or serves something: a constraint, uniqueness, a foreign key, replica identity, clustering, an
extension; reason; evidence_since and evidence_days, how long it was observed. A partitioned table''s
index stands for those of its partitions. An index that is not valid is in invalid_indexes().
Lock and privilege: as index_usage().';
COMMENT ON ROUTINE architect.updated_at_statistics IS
'What the updated_at trigger remembers in this session: none of it grows with the rows updated.

Returns one row: triggers with a plan of their columns.
Lock: none. Privilege: EXECUTE. Assigns no transaction id.';
COMMENT ON ROUTINE architect.updated_at_tables IS
'What is enabled where: one row for each column that a trigger of ours keeps.

Returns: table_name; column_name, as it is called now; kept_as, what for (created_at, updated_at,
created_by, updated_by, version); clock; only_if_changed; trigger_name; status, ''ok'' or what is wrong
and what to do about it. Partitions are not listed apart from their table.
Lock: none. Privilege: EXECUTE. Reads the catalogue only, assigns no transaction id.';
COMMENT ON ROUTINE architect.verify_audit_log IS
'Finds what was changed in the audit log, or in its seals, since it was sealed: entries edited,
deleted or inserted, contexts (who and why) and relations (names) edited or deleted, seals edited or
deleted.

Arguments: expected_hash, the hash of an earlier seal that was kept elsewhere. Without it a chain that was
made anew, or cut off at its end with care, cannot be told from the true one.
Returns one row for each finding, a thousand at most, with where it is, and a last row that sums up:
severity ok or failed. Months dropped by the retention policy are no findings.
Errors: 22023 not a hash; 42501 without SELECT on architect.audit_log; 55000 there is no audit log or no
seal. Lock: ACCESS SHARE on the log, until the transaction ends: retention waits for it, writers do not.
Works on a standby. Privilege: EXECUTE, and SELECT on architect.audit_log.';
COMMENT ON ROUTINE architect.verify_deletion_log IS
'Whether the deletion log is what was written: each entry hashes to what it says and follows the one before.

Arguments: expected_hash, a hash kept elsewhere that must be in the chain.
Returns one row for each finding, and a summary: ok or failed, with the number of entries and the last hash.
Lock: none. Privilege: EXECUTE.';
COMMENT ON ROUTINE architect.verify_erasure IS
'Where the values that identified an erased person still are: every text, json, number, array, bytea and tsvector
column of every table and materialized view, our logs among them, planner statistics, large objects, statement
texts; and what ages out: dead rows, write-ahead log, replication slots, backups.

Arguments: request_id, as erase_subject returned it. The values are not known any more, only hashes of them: every
word and run of words is hashed and compared. What is spelled or cut differently is not found.
Returns one row for each place: status clear, present, retained (with reason), pending (until something overwrites
it), not searched or outside; how to clear it; and the earliest time it is gone, where that is known. The result
is kept with the request, for its certificate.
Errors: 42501 not the owner of the person''s table; 42704 no such request. Lock: ACCESS SHARE on one table after the other; reads everything.
Privilege: the rights of the tables'' owners; tables of others are not searched.';
COMMENT ON ROUTINE architect.workload_coverage IS
'How much of the workload suggest_indexes() can advise on, and why it cannot on the rest.

Arguments: min_calls and workload as in suggest_indexes.
Returns one row for each outcome, the one with most time first: outcome, ''analysed'' or why statements
could not be; statements, how many; calls; total_ms, measured (null where a workload is given);
share_of_time (of a given workload: of the statements); query_ids, up to 100 of them.
Errors and privilege as suggest_indexes. Lock: ACCESS SHARE on the tables of the workload (ROW EXCLUSIVE
on those its statements change) until the transaction ends.';
-- END generated comments
