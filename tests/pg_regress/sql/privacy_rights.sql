-- Protects: a person is the same however the key is spelled, in holds, requests and tombstones; holds outlive what they
-- were declared for; only owners of the persons' table and the privacy officer decide about requests, only the officer and
-- the extension's owner about the rules; data keys that were shredded are shredded again after a restore.
\set VERBOSITY default
\pset format unaligned
\pset footer off
SET client_min_messages = warning;
CREATE ROLE regress_owner; CREATE ROLE regress_clerk; CREATE ROLE regress_dpo; CREATE ROLE regress_dpo_member;
GRANT regress_dpo TO regress_dpo_member;
SELECT count(*) > 0 AS granted FROM unnest('{regress_owner,regress_clerk,regress_dpo_member}'::text[]) AS r, architect.grant_access(r, 'admin');
CREATE SCHEMA tax;
GRANT USAGE ON SCHEMA tax TO regress_owner, regress_clerk, regress_dpo_member;
SET search_path = tax;
CREATE TABLE payer (no numeric(12,2), code char(6), name text, since date, PRIMARY KEY (no, code));
ALTER TABLE payer OWNER TO regress_owner;
INSERT INTO payer VALUES (7, 'ab', 'Ann Archer', '1990-01-01'), (8.5, 'cd', 'Bob Baker', '1990-01-01');
SELECT action FROM architect.declare_subject('payer', 'payer', identity_columns => '{name}');
SELECT action FROM architect.declare_column('payer', 'name', 'name', retention => '10 years', retention_from => 'since');

-- 7 and 7.00 are one person, 'ab' and 'ab    ' as well; a hold says so whichever way it was spelled.
SELECT count(DISTINCT plan_hash) FROM unnest(ARRAY['{"no": 7, "code": "ab"}', '{"no": "7.00", "code": "ab    "}', '{"no": 7.0, "code": "ab "}']::jsonb[]) AS k,
    architect.plan_erasure('payer', k);
-- What the column would cut or round is nobody.
SELECT object_name, rows FROM unnest(ARRAY['{"no": 7.001, "code": "ab"}', '{"no": 7, "code": "abxxxxxxx"}']::jsonb[]) AS k, architect.plan_erasure('payer', k);
SELECT architect.place_hold('claim', 'payer', '{"no": 7, "code": "ab"}') AS hold \gset
SELECT object_name, rows FROM architect.retention_due();
CALL architect.retention_run(dry_run => false);
SELECT no, name FROM payer ORDER BY no;
SELECT action FROM architect.plan_erasure('payer', '{"no": "7.00", "code": "ab"}');
-- A hold keeps what it was placed on: the type cannot be taken back, nor be given to other rows.
\set VERBOSITY terse
SELECT architect.undeclare_subject('payer');
SELECT architect.declare_subject('payer', 'payer', '{code,no}');
\set VERBOSITY default
-- Were it gone all the same, nothing of the rows would go.
DELETE FROM architect.privacy_subject WHERE subject_type = 'payer';
SELECT object_name, rows FROM architect.retention_due();
SELECT action FROM architect.declare_subject('payer', 'payer', identity_columns => '{name}');
SELECT architect.lift_hold(:hold);

-- A tombstone finds the row that comes back with an old backup.
SELECT count(*) > 0 AS done FROM architect.erase_subject('payer', '{"no": 7, "code": "ab"}', dry_run => false);
INSERT INTO payer VALUES (7, 'ab', 'Ann Archer', '1990-01-01');
SELECT subject_type, action FROM architect.reapply_tombstones(dry_run => false) WHERE subject_type = 'payer';
SELECT no FROM payer;

-- Requests and rules: EXECUTE alone decides nothing.
SELECT architect.open_request('erase', 'payer', '{"no": 8.5, "code": "cd"}') AS request \gset
SET ROLE regress_clerk;
SELECT architect.approve_request(:request, 'x');
SELECT architect.extend_request(:request, 'x');
SELECT architect.close_request(:request);
SELECT architect.set_privacy_rules(four_eyes => false);
SELECT architect.set_privacy_rules(officer => 'regress_clerk');
RESET ROLE;
SELECT architect.set_privacy_rules(officer => 'nobody_at_all');
SELECT architect.set_privacy_rules(four_eyes => true, officer => 'regress_dpo');
SET ROLE regress_dpo_member;
SELECT architect.set_privacy_rules(officer => 'regress_dpo_member');
SELECT architect.set_privacy_rules(backup_retention => '30 days');
SELECT architect.extend_request(:request, 'complex');
RESET ROLE;
SET ROLE regress_owner;
SELECT plan_hash AS plan FROM architect.plan_erasure('payer', '{"no": 8.5, "code": "cd"}') LIMIT 1 \gset
RESET ROLE;
SET SESSION AUTHORIZATION regress_dpo_member;
SELECT architect.approve_request(:request, :'plan');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_owner;
SELECT action, rows_affected FROM architect.erase_subject('payer', '{"no": 8.5, "code": "cd"}', dry_run => false, request_id => :request);
RESET SESSION AUTHORIZATION;
SELECT status, approved_by, decided_by FROM architect.privacy_requests() WHERE request_id = :request;
SELECT kind, before ->> 'officer' AS before, after ->> 'officer' AS after, decided_by FROM architect.privacy_decisions() WHERE kind = 'setting' ORDER BY decided_at DESC LIMIT 2;
SELECT architect.set_privacy_rules(four_eyes => false, officer => '');

-- A shredded key that comes back.
ALTER SYSTEM SET architect.master_key_command = 'echo k1 $(printf "%064d" 1)';
SELECT pg_reload_conf();
SELECT FROM pg_sleep(0.3);
\c
\pset format unaligned
\pset footer off
SET client_min_messages = warning;
CREATE TABLE tax.secret AS SELECT architect.encrypt_pii('4711', 'payer:1', 'tax.secret.v') AS v;
CREATE TEMP TABLE backup AS SELECT * FROM architect.privacy_key;
SELECT action FROM architect.shred_subject('payer:1');
UPDATE architect.privacy_key AS k SET wrapped = b.wrapped, shredded_at = NULL, shredded_by = NULL FROM backup AS b WHERE b.key_id = k.key_id AND k.wrapped IS NULL;
\c
\pset format unaligned
\pset footer off
SELECT architect.decrypt_pii(v, 'tax.secret.v') FROM tax.secret;
SELECT subject_type, action, detail FROM architect.reapply_tombstones() WHERE subject_type = '(data key)';
SELECT subject_type, action, detail FROM architect.reapply_tombstones(dry_run => false) WHERE subject_type = '(data key)';
SELECT subject_type, action, detail FROM architect.reapply_tombstones(dry_run => false) WHERE subject_type = '(data key)';
\set VERBOSITY terse
SELECT architect.decrypt_pii(v, 'tax.secret.v') FROM tax.secret;
-- A key made afterwards for the same name is another's.
SELECT architect.decrypt_pii(architect.encrypt_pii('new', 'payer:1', 'tax.secret.v'), 'tax.secret.v');
SELECT count(*) FROM architect.reapply_tombstones(dry_run => false) WHERE subject_type = '(data key)';
ALTER SYSTEM RESET architect.master_key_command;
SELECT pg_reload_conf();
SELECT action FROM architect.undeclare_subject('payer');
SET client_min_messages = warning;
DROP SCHEMA tax CASCADE;
SELECT count(*) > 0 AS revoked FROM unnest('{regress_owner,regress_clerk,regress_dpo_member}'::text[]) AS r, architect.revoke_access(r);
DROP ROLE regress_owner, regress_clerk, regress_dpo, regress_dpo_member;
