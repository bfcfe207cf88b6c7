-- Protects the seal: whatever a superuser does to the log, its contexts or its seals is found, and
-- said to be where it is; and nothing is found where nothing was done.
-- In a database of its own, because it is about the whole log.
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_architect_seal;
\c regress_architect_seal
SET client_min_messages = warning;
CREATE EXTENSION db_architect;
SELECT * FROM architect.seal_audit_log();
SELECT * FROM architect.verify_audit_log();
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE other (id int PRIMARY KEY, v text);
SELECT action FROM architect.enable_audit('t');
SELECT action FROM architect.enable_audit('other');
SELECT * FROM architect.verify_audit_log();

-- Whatever else runs in this cluster may hold a seal back for a moment.
CREATE FUNCTION seal_now() RETURNS TABLE (seal_id bigint, entries bigint) LANGUAGE plpgsql AS $$
DECLARE
    sealed record;
BEGIN
    entries := 0;
    LOOP
        SELECT * INTO sealed FROM architect.seal_audit_log();
        seal_id := sealed.seal_id;
        entries := entries + sealed.entries;
        EXIT WHEN sealed.held_back_by IS NULL OR sealed.held_back_by = 'this transaction itself';
        PERFORM pg_sleep(0.05);
    END LOOP;
    RETURN NEXT;
END $$;

-- Two seals, the first of more than one chunk: 2,500 inserts, 3 changes of a key (two entries each).
INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 2500) i;
SET architect.actor = 'alice';
UPDATE t SET id = -id WHERE id <= 3;
SELECT entries FROM seal_now();
SELECT entries FROM seal_now();
SET architect.actor = 'bob';
INSERT INTO other VALUES (1, 'a'), (2, 'b');
DELETE FROM other WHERE id = 2;
SELECT entries FROM seal_now();
SELECT chunks, entries FROM architect.audit_seal ORDER BY seal_id;
SELECT severity, code, regexp_replace(detail, '; last seal [0-9a-f]{64}$', '; last seal ...') AS detail FROM architect.verify_audit_log();
-- The hash that was kept elsewhere, of any seal, in both spellings.
SELECT severity, code FROM architect.verify_audit_log((SELECT encode(hash, 'hex') FROM architect.audit_seal ORDER BY seal_id LIMIT 1));
SELECT severity, code FROM architect.verify_audit_log((SELECT hash::text FROM architect.audit_seal ORDER BY seal_id DESC LIMIT 1));
SELECT code FROM architect.verify_audit_log('not a hash');
-- Verifying assigns no transaction id; what is not sealed yet may still be anything.
INSERT INTO other VALUES (3, 'c');
BEGIN READ ONLY;
SELECT severity, regexp_replace(detail, '; last seal .*', '') AS detail FROM architect.verify_audit_log();
SELECT pg_current_xact_id_if_assigned();
COMMIT;

-- Findings with the row concerned instead of numbers that depend on what else used the sequence.
CREATE TABLE original AS SELECT *, tableoid::regclass::text AS partition_name FROM architect.audit_entry;
CREATE FUNCTION findings(expected text DEFAULT NULL)
RETURNS TABLE (severity text, code text, entry text, in_its_partition boolean, detail text) LANGUAGE sql AS $$
    SELECT v.severity, v.code, format('%s %s', o.operation, o.row_key), 'architect.' || v.partition_name = o.partition_name,
           regexp_replace(regexp_replace(v.detail, '\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ UTC', 'TIME', 'g'),
                          '(transaction|row|audit_id|to) \d+', '\1 N', 'g')
      FROM architect.verify_audit_log(expected) WITH ORDINALITY v
      LEFT JOIN LATERAL (SELECT * FROM original o WHERE o.audit_id = v.audit_id ORDER BY o.operation <> 'U' LIMIT 1) o ON true
     ORDER BY v.ordinality
$$;
SELECT severity, code FROM findings();
\set entry_1 '(SELECT audit_id FROM original WHERE row_key = \'1\' AND operation = \'I\' ORDER BY txid LIMIT 1)'
\set entry_1500 '(SELECT audit_id FROM original WHERE row_key = \'1500\')'

-- Every column of an entry.
BEGIN; UPDATE architect.audit_entry SET image = '{"id":1500,"v":"row 1"}' WHERE row_key = '1500'; SELECT * FROM findings(); ROLLBACK;
BEGIN; UPDATE architect.audit_entry SET image = NULL WHERE row_key = '1500'; SELECT code, entry FROM findings(); ROLLBACK;
BEGIN; UPDATE architect.audit_entry SET image = (image::text || ' ')::json WHERE row_key = '1500'; SELECT code, entry FROM findings(); ROLLBACK;
BEGIN; UPDATE architect.audit_entry SET row_key = '1501' WHERE row_key = '1500'; SELECT code, entry FROM findings(); ROLLBACK;
BEGIN; UPDATE architect.audit_entry SET key_hash = 0 WHERE row_key = '1500'; SELECT code, entry FROM findings(); ROLLBACK;
BEGIN; UPDATE architect.audit_entry SET statement = statement + 1 WHERE row_key = '1500'; SELECT code, entry FROM findings(); ROLLBACK;
BEGIN; UPDATE architect.audit_entry SET context_id = (SELECT max(context_id) FROM original) WHERE row_key = '1500'; SELECT code, entry FROM findings(); ROLLBACK;
BEGIN; UPDATE architect.audit_entry SET relation_id = (SELECT max(relation_id) FROM original) WHERE row_key = '1500'; SELECT code, entry FROM findings(); ROLLBACK;
BEGIN; UPDATE architect.audit_entry SET operation = 'D' WHERE row_key = '1500'; SELECT code, entry FROM findings(); ROLLBACK;
BEGIN; UPDATE architect.audit_entry SET txid = (txid::text::bigint - 1)::text::xid8 WHERE row_key = '1500'; SELECT code, entry FROM findings(); ROLLBACK;
BEGIN; UPDATE architect.audit_entry SET changed_at = changed_at - interval '1 microsecond' WHERE row_key = '1500'; SELECT * FROM findings(); ROLLBACK;
-- To another month, and so to another partition.
BEGIN; UPDATE architect.audit_entry SET changed_at = '2001-01-01' WHERE row_key = '1500'; SELECT code, entry, in_its_partition FROM findings(); ROLLBACK;
-- Two rows swapped.
BEGIN;
UPDATE architect.audit_entry SET audit_id = :entry_1 + :entry_1500 - audit_id WHERE audit_id IN (:entry_1, :entry_1500) AND operation = 'I';
SELECT code, entry FROM findings();
ROLLBACK;

-- Deletions: the first, the last sealed, one in the middle, one half of a change of a key, many.
BEGIN; DELETE FROM architect.audit_entry WHERE audit_id = :entry_1 AND operation = 'I'; SELECT * FROM findings(); ROLLBACK;
BEGIN; DELETE FROM architect.audit_entry WHERE row_key = '2' AND operation = 'D'; SELECT code, entry FROM findings(); ROLLBACK;
BEGIN; DELETE FROM architect.audit_entry WHERE row_key IN ('1024', '1025', '2000'); SELECT code, entry, detail FROM findings(); ROLLBACK;
BEGIN; DELETE FROM architect.audit_entry WHERE row_key = '1' AND operation = 'K'; SELECT code, entry FROM findings(); ROLLBACK;
BEGIN; DELETE FROM architect.audit_entry WHERE txid = (SELECT min(txid::text::bigint)::text::xid8 FROM original); SELECT code, entry, detail FROM findings(); ROLLBACK;
BEGIN; TRUNCATE architect.audit_entry; SELECT code, entry, detail FROM findings(); ROLLBACK;
SELECT partition_name FROM original LIMIT 1 \gset
BEGIN; DROP TABLE :partition_name; SELECT code, entry, in_its_partition, detail FROM findings(); ROLLBACK;
BEGIN; ALTER TABLE architect.audit_entry DETACH PARTITION :partition_name; SELECT code, entry FROM findings(); ROLLBACK;

-- Insertions: with an old transaction, a new audit_id or an old one, before the first and after the last.
\set copy 'INSERT INTO architect.audit_entry SELECT changed_at, audit_id + :add, txid, context_id, relation_id, statement, key_hash, operation, row_key, image FROM original WHERE row_key = '
\set add 100000
BEGIN; :copy '1500'; SELECT severity, code, in_its_partition, detail FROM findings(); ROLLBACK;
\set add 0
BEGIN; :copy '1500'; SELECT code, entry FROM findings(); ROLLBACK;
\set add -100000
BEGIN; :copy '1500'; SELECT code FROM findings(); ROLLBACK;
BEGIN; INSERT INTO architect.audit_entry SELECT changed_at, audit_id, '1', context_id, relation_id, statement, key_hash, operation, row_key, image FROM original WHERE row_key = '1500'; SELECT code, entry, detail FROM findings(); ROLLBACK;
-- Of a transaction that has not happened.
BEGIN; INSERT INTO architect.audit_entry SELECT changed_at, audit_id, '99999999999', context_id, relation_id, statement, key_hash, operation, row_key, image FROM original WHERE row_key = '1500'; SELECT code, entry, detail FROM findings(); ROLLBACK;
-- More than a chunk, or a report, can take.
BEGIN;
INSERT INTO architect.audit_entry SELECT changed_at, 100000 + i, txid, context_id, relation_id, statement, key_hash, operation, row_key, image FROM original, generate_series(1, 20000) i WHERE row_key = '1500';
SELECT code, count(*), max(substring(detail, '^\d+ findings')) FROM findings() GROUP BY code ORDER BY code;
ROLLBACK;

-- What entries refer to: who, and what.
BEGIN; UPDATE architect.capture_context SET actor = 'bob' WHERE actor = 'alice'; SELECT code, entry, detail FROM findings(); ROLLBACK;
BEGIN; UPDATE architect.capture_context SET client_addr = '10.0.0.1' WHERE actor = 'alice'; SELECT code, entry FROM findings(); ROLLBACK;
BEGIN; DELETE FROM architect.capture_context WHERE actor = 'alice'; SELECT code, entry, detail FROM findings(); ROLLBACK;
BEGIN; UPDATE architect.capture_relation SET table_name = 'another' WHERE table_name = 'other'; SELECT code, entry, detail FROM findings(); ROLLBACK;
BEGIN; DELETE FROM architect.capture_relation WHERE table_name = 'other'; SELECT code, entry FROM findings(); ROLLBACK;

-- The seals themselves.
BEGIN; DELETE FROM architect.audit_seal WHERE seal_id = (SELECT max(seal_id) FROM architect.audit_seal); SELECT code, detail FROM findings(); ROLLBACK;
BEGIN; DELETE FROM architect.audit_seal WHERE seal_id = 1; SELECT code, detail FROM findings(); ROLLBACK;
BEGIN; TRUNCATE architect.audit_seal, architect.audit_seal_chunk; SELECT code, detail FROM findings(); ROLLBACK;
BEGIN; UPDATE architect.audit_seal SET hash = sha256('') WHERE seal_id = 1; SELECT code, detail FROM findings(); ROLLBACK;
BEGIN; UPDATE architect.audit_seal SET to_txid = '4' WHERE seal_id = 1; SELECT DISTINCT code FROM findings() ORDER BY 1; ROLLBACK;
BEGIN; UPDATE architect.audit_seal_chunk SET hash = sha256('') WHERE chunk_id = 2; SELECT code, detail FROM findings(); ROLLBACK;
BEGIN; UPDATE architect.audit_seal_chunk SET items = '' WHERE chunk_id = 2; SELECT code, detail FROM findings(); ROLLBACK;
BEGIN; UPDATE architect.audit_seal_chunk SET items = NULL WHERE chunk_id = 2; UPDATE architect.audit_entry SET image = '{}' WHERE row_key = '1500'; SELECT code, detail FROM findings(); ROLLBACK;
BEGIN; DELETE FROM architect.audit_seal_chunk WHERE chunk_id = 2; SELECT code, detail FROM findings(); ROLLBACK;

-- Who removes the last seal with all its traces, or seals a changed log anew, is known by the hash kept elsewhere.
SELECT encode(hash, 'hex') AS kept FROM architect.audit_seal ORDER BY seal_id DESC LIMIT 1 \gset
BEGIN;
DELETE FROM architect.audit_seal_chunk WHERE seal_id = (SELECT max(seal_id) FROM architect.audit_seal);
DELETE FROM architect.audit_seal WHERE seal_id = (SELECT max(seal_id) FROM architect.audit_seal);
UPDATE architect.audit_setting SET last_seal_id = (SELECT max(seal_id) FROM architect.audit_seal);
SELECT severity, code FROM findings();
SELECT code, detail FROM findings(:'kept');
ROLLBACK;
TRUNCATE architect.audit_seal, architect.audit_seal_chunk;
UPDATE architect.audit_setting SET last_seal_id = NULL;
UPDATE architect.audit_entry SET image = '{"id":1500,"v":"row 1"}' WHERE row_key = '1500';
SELECT entries FROM seal_now();
SELECT severity, code FROM findings();
SELECT code, detail FROM findings(:'kept');

-- Who may.
CREATE ROLE regress_seal_reader;
SELECT count(*) > 0 AS granted FROM architect.grant_access('regress_seal_reader', 'reader');
SET ROLE regress_seal_reader;
SELECT severity, code FROM architect.verify_audit_log();
SELECT * FROM architect.seal_audit_log();
SELECT * FROM architect.audit_seal;
RESET ROLE;
REVOKE SELECT ON architect.audit_log FROM regress_seal_reader;
SET ROLE regress_seal_reader;
SELECT severity, code FROM architect.verify_audit_log();
RESET ROLE;
DROP OWNED BY regress_seal_reader;
\c :old_database
DROP DATABASE regress_architect_seal;
DROP ROLE regress_seal_reader;
