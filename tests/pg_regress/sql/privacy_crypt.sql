-- Encrypted values: what opens where, what shredding and key rotation do, what nobody may read.
CREATE SCHEMA crypt_test;
SET search_path = crypt_test;
\set SHOW_CONTEXT never
\set VERBOSITY default

-- Without a master key: said once, clearly.
SELECT architect.encrypt_pii('ada@example.org', 'customer:1', 'crypt_test.customer.email');
SELECT * FROM architect.encryption_keys();
-- Nothing is left behind by the refusal.
SELECT to_regclass('architect.privacy_key');

-- A role cannot choose the key.
SET architect.master_key_command = 'echo mine 00';
SET architect.master_key_file = '/etc/hostname';

ALTER SYSTEM SET architect.master_key_command = 'echo k1 $(printf "%064d" 1)';
SELECT pg_reload_conf();
SELECT FROM pg_sleep(0.3);
\c
SET search_path = crypt_test;

CREATE TABLE customer (id int PRIMARY KEY, email bytea, email_index bytea);
INSERT INTO customer
SELECT i, architect.encrypt_pii('user' || i || '@example.org', 'customer:' || i, 'crypt_test.customer.email'),
       architect.blind_index('user' || i || '@example.org', 'crypt_test.customer.email')
  FROM generate_series(1, 3) AS i;
SELECT id, architect.decrypt_pii(email, 'crypt_test.customer.email'), octet_length(email), octet_length(email_index)
  FROM customer ORDER BY id;
-- Found by its blind index, and by no other column's.
SELECT id FROM customer WHERE email_index = architect.blind_index('user2@example.org', 'crypt_test.customer.email');
SELECT id FROM customer WHERE email_index = architect.blind_index('user2@example.org', 'crypt_test.customer.phone');
-- Two encryptions differ, lengths can be hidden, nulls stay null.
SELECT architect.encrypt_pii('x', 's', 'c') <> architect.encrypt_pii('x', 's', 'c') AS differ,
       octet_length(architect.encrypt_pii('x', 's', 'c', 64)) = octet_length(architect.encrypt_pii(repeat('x', 60), 's', 'c', 64)) AS same_length,
       architect.encrypt_pii(NULL, 's', 'c') IS NULL AS none;
SELECT architect.decrypt_pii(architect.encrypt_pii('', 's', 'c'), 'c') = '' AS empty,
       architect.decrypt_pii(architect.encrypt_pii('žluťoučký kůň 🐎', 's', 'c', 16), 'c') AS multibyte;

-- Neither in another column nor changed.
SELECT architect.decrypt_pii(email, 'crypt_test.customer.phone') FROM customer WHERE id = 1;
SELECT architect.decrypt_pii(set_byte(email, 30, get_byte(email, 30) # 1), 'crypt_test.customer.email') FROM customer WHERE id = 1;
SELECT architect.decrypt_pii('\x', 'c');
SELECT architect.decrypt_pii('\x01', 'c');
SELECT architect.decrypt_pii(decode(repeat('01', 60), 'hex'), 'c');
SELECT architect.encrypt_pii('x', '', 'c');
SELECT architect.encrypt_pii('x', 's', '');
SELECT architect.encrypt_pii('x', 's', 'c', 0);
SELECT architect.encrypt_pii('x', 's', 'c', 100000);
SELECT architect.blind_index('x', 'c', 7);
SELECT octet_length(architect.blind_index('x', 'c', 16));

-- A key made in a transaction that was rolled back is not used afterwards.
BEGIN;
SELECT architect.decrypt_pii(architect.encrypt_pii('x', 'rolled back', 'c'), 'c');
ROLLBACK;
SELECT architect.decrypt_pii(architect.encrypt_pii('y', 'rolled back', 'c'), 'c');
BEGIN;
SAVEPOINT a;
SELECT architect.encrypt_pii('x', 'savepoint', 'c') IS NOT NULL AS made;
ROLLBACK TO a;
CREATE TEMP TABLE kept AS SELECT architect.encrypt_pii('y', 'savepoint', 'c') AS value;
COMMIT;
\c
SELECT value IS NOT NULL FROM (SELECT architect.encrypt_pii('z', 'savepoint', 'c') AS value) AS s;
SET search_path = crypt_test;

-- Names of persons are not in the key table, and nobody but the owner reads it.
SELECT count(*) FROM architect.privacy_key WHERE encode(owner_hash, 'escape') LIKE '%customer%' OR encode(wrapped, 'escape') LIKE '%customer%';
CREATE ROLE crypt_reader;
GRANT USAGE ON SCHEMA architect TO crypt_reader;
SET ROLE crypt_reader;
SELECT * FROM architect.privacy_key;
SELECT architect.decrypt_pii('\x', 'c');
\set VERBOSITY sqlstate
SHOW architect.master_key_command;
\set VERBOSITY default
SELECT setting FROM pg_settings WHERE name LIKE 'architect.master_key%';
RESET ROLE;
-- Who may encrypt need not be able to read keys, nor to decrypt.
GRANT EXECUTE ON FUNCTION architect.encrypt_pii TO crypt_reader;
SET ROLE crypt_reader;
SELECT octet_length(architect.encrypt_pii('x', 'new one', 'c'));
RESET ROLE;
ANALYZE architect.privacy_key;
SELECT attname FROM pg_stats WHERE schemaname = 'architect' AND tablename = 'privacy_key' AND attname IN ('wrapped', 'owner_hash');

-- A row of the key table cannot take another's place.
BEGIN;
UPDATE architect.privacy_key AS k SET wrapped = o.wrapped
  FROM architect.privacy_key AS o
 WHERE k.key_id = (SELECT min(key_id) FROM architect.privacy_key WHERE kind = 'data')
   AND o.key_id = (SELECT max(key_id) FROM architect.privacy_key WHERE kind = 'data');
\set VERBOSITY sqlstate
SELECT architect.decrypt_pii(email, 'crypt_test.customer.email') FROM customer ORDER BY id LIMIT 1;
\set VERBOSITY default
ROLLBACK;

-- A new key for a person: what was encrypted before stays readable.
SELECT action, detail FROM architect.rotate_key('customer:1');
SELECT architect.decrypt_pii(email, 'crypt_test.customer.email') FROM customer WHERE id = 1;
INSERT INTO customer VALUES (10, architect.encrypt_pii('again@example.org', 'customer:1', 'crypt_test.customer.email'));
SELECT kind, master_key, keys, shredded FROM architect.encryption_keys();

-- A new master key; afterwards the old one is not needed.
ALTER SYSTEM SET architect.master_key_command = 'echo k1 $(printf "%064d" 1); echo k2 $(printf "%064d" 2)';
SELECT pg_reload_conf();
SELECT FROM pg_sleep(0.3);
\c
SET search_path = crypt_test;
SELECT * FROM architect.rotate_key();
SELECT * FROM architect.rotate_key();
ALTER SYSTEM SET architect.master_key_command = 'echo k2 $(printf "%064d" 2)';
SELECT pg_reload_conf();
SELECT FROM pg_sleep(0.3);
\c
SET search_path = crypt_test;
SELECT id, architect.decrypt_pii(email, 'crypt_test.customer.email') FROM customer ORDER BY id;
SELECT id FROM customer WHERE email_index = architect.blind_index('user2@example.org', 'crypt_test.customer.email');

-- Shredded: gone in every row, the others stay; a new value gets a new key.
SELECT * FROM architect.shred_subject('customer:1');
SELECT * FROM architect.shred_subject('customer:1');
SELECT * FROM architect.shred_subject('nobody');
SELECT id, architect.decrypt_pii(email, 'crypt_test.customer.email') FROM customer ORDER BY id;
UPDATE customer SET email = architect.encrypt_pii('new@example.org', 'customer:1', 'crypt_test.customer.email') WHERE id = 10;
SELECT id, architect.decrypt_pii(email, 'crypt_test.customer.email') FROM customer ORDER BY id;
SELECT architect.decrypt_pii(email, 'crypt_test.customer.email') IS NULL AS erased FROM customer WHERE id = 1;

-- The wrong master key of the right name, none, a broken one.
ALTER SYSTEM SET architect.master_key_command = 'echo k2 $(printf "%064d" 3)';
SELECT pg_reload_conf();
SELECT FROM pg_sleep(0.3);
\c
SELECT architect.decrypt_pii(email, 'crypt_test.customer.email') FROM crypt_test.customer WHERE id = 2;
ALTER SYSTEM SET architect.master_key_command = 'echo k2 secret';
SELECT pg_reload_conf();
SELECT FROM pg_sleep(0.3);
\c
SELECT architect.encrypt_pii('x', 'somebody', 'c');
ALTER SYSTEM SET architect.master_key_command = 'exit 3';
SELECT pg_reload_conf();
SELECT FROM pg_sleep(0.3);
\c
SELECT architect.encrypt_pii('x', 'somebody', 'c');
ALTER SYSTEM SET architect.master_key_file = '/nowhere/at/all';
SELECT pg_reload_conf();
SELECT FROM pg_sleep(0.3);
\c
SELECT architect.encrypt_pii('x', 'somebody', 'c');
ALTER SYSTEM RESET architect.master_key_command;
SELECT pg_reload_conf();
SELECT FROM pg_sleep(0.3);
\c
SELECT architect.encrypt_pii('x', 'somebody', 'c');
ALTER SYSTEM RESET architect.master_key_file;
SELECT pg_reload_conf();

DROP TABLE architect.privacy_key;
DROP SCHEMA crypt_test CASCADE;
REVOKE ALL ON FUNCTION architect.encrypt_pii FROM crypt_reader;
REVOKE USAGE ON SCHEMA architect FROM crypt_reader;
DROP ROLE crypt_reader;
