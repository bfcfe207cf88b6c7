-- Protects: erasing, exporting and proving on schemas made like those of well-known applications. A code forge: namespaces
-- and users that refer to each other, rows that hang on what goes along, polymorphic and json edges, a trigger's tsvector.
-- A hospital: keys of two columns over domains, a circle of three tables, composites, xml, macaddr, hostile triggers, values that must be
-- retained, documents that jsonb does not take. What access returns, erasing accounts for, row for row; nobody else's changes.
\set VERBOSITY default
\pset format unaligned
\pset footer off
SET client_min_messages = warning;
CREATE SCHEMA forge; SET search_path = forge;
CREATE TABLE namespaces (id bigserial PRIMARY KEY, path varchar(255) NOT NULL UNIQUE, owner_id bigint, parent_id bigint REFERENCES namespaces, description text);
CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email varchar(255) NOT NULL, username text NOT NULL UNIQUE CHECK (length(username) >= 2),
  namespace_id bigint NOT NULL REFERENCES namespaces, created_by_id bigint REFERENCES users ON DELETE SET NULL, preferences jsonb NOT NULL DEFAULT '{}', codes text[],
  search tsvector NOT NULL, mac macaddr NOT NULL DEFAULT '08:00:2b:01:02:03', state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'blocked')));
ALTER TABLE namespaces ADD FOREIGN KEY (owner_id) REFERENCES users ON DELETE CASCADE;
CREATE UNIQUE INDEX ON users (lower(email));
CREATE TABLE projects (id bigserial PRIMARY KEY, name text, namespace_id bigint NOT NULL REFERENCES namespaces ON DELETE CASCADE, creator_id bigint);
CREATE TABLE issues (id bigserial PRIMARY KEY, project_id bigint NOT NULL REFERENCES projects ON DELETE CASCADE, author_id bigint REFERENCES users, title text NOT NULL, words tsvector);
CREATE TABLE notes (id bigserial PRIMARY KEY, note text, noteable_type text, noteable_id bigint, author_id bigint);
CREATE TABLE reports (id bigserial PRIMARY KEY, reporter_id bigint REFERENCES users, user_id bigint REFERENCES users, message text, comment text);
CREATE TABLE hooks (id bigserial PRIMARY KEY, payload json);
INSERT INTO namespaces (path, description) SELECT 'user' || i, 'of SENT' || i || 'X' FROM generate_series(1, 6) AS i;
INSERT INTO users (email, username, namespace_id, preferences, codes, search) SELECT 'sent' || i || 'x@forge.example', 'sent' || i || 'x', i,
  jsonb_build_object('theme', 'SENT' || i || 'X'), ARRAY['SENT' || i || 'X'], to_tsvector('simple', 'sent' || i || 'x') FROM generate_series(1, 6) AS i;
UPDATE users SET created_by_id = id - 1 WHERE id > 1;
UPDATE namespaces SET owner_id = id;
INSERT INTO projects (name, namespace_id, creator_id) SELECT 'project SENT' || i || 'X', i, i FROM generate_series(1, 6) AS i;
INSERT INTO issues (project_id, author_id, title, words) SELECT 6, i, 'by SENT' || i || 'X', to_tsvector('simple', 'SENT' || i || 'X') FROM generate_series(1, 6) AS i;
INSERT INTO notes (note, noteable_type, noteable_id, author_id) SELECT 'note SENT' || i || 'X', 'Issue', i, i FROM generate_series(1, 6) AS i;
INSERT INTO notes (note, noteable_type, noteable_id, author_id) SELECT 'on SENT' || i || 'X', 'User', i, i % 6 + 1 FROM generate_series(1, 6) AS i;
INSERT INTO reports (reporter_id, user_id, message, comment) SELECT i, i % 6 + 1, 'about SENT' || i % 6 + 1 || 'X', 'by SENT' || i || 'X' FROM generate_series(1, 6) AS i;
INSERT INTO hooks (payload) SELECT json_build_object('user', json_build_object('id', i, 'email', 'sent' || i || 'x@forge.example')) FROM generate_series(1, 6) AS i;
SELECT count(*) FROM architect.declare_subject('user', 'users', identity_columns => '{email,username}');
SELECT count(*) FROM architect.declare_edge('user', 'users', '{namespace_id}', 'namespaces', direction => 'referred');
SELECT count(*) FROM architect.declare_edge('user', 'namespaces', '{parent_id}', 'namespaces', ownership => 'accessed', on_erase => 'detach');
SELECT count(*) FROM architect.declare_edge('user', 'issues', '{author_id}', 'users', on_erase => 'mask');
SELECT count(*) FROM architect.declare_edge('user', 'notes', '{author_id}', 'users', on_erase => 'mask');
SELECT count(*) FROM architect.declare_edge('user', 'notes', '{noteable_id}', 'users', ownership => 'co_owned', discriminator_column => 'noteable_type', discriminator_value => 'User', person_columns => '{note}');
SELECT count(*) FROM architect.declare_edge('user', 'reports', '{reporter_id}', 'users', ownership => 'co_owned', person_columns => '{comment}');
SELECT count(*) FROM architect.declare_edge('user', 'reports', '{user_id}', 'users', ownership => 'co_owned', person_columns => '{message}');
SELECT count(*) FROM architect.declare_edge('user', 'projects', '{creator_id}', 'users', ownership => 'accessed', on_erase => 'detach');
SELECT count(*) FROM architect.declare_edge('user', 'hooks', '{payload}', 'users', json_path => '{user,id}');
SELECT object_name, blocker FROM architect.plan_erasure('user', '3') WHERE action = 'blocked';
SELECT count(*) FROM architect.declare_column('users', 'state', 'state', 'constant', '{"value": "blocked"}');
CREATE TEMP TABLE before AS SELECT i, architect.export_subject('user', to_jsonb(i)) AS doc FROM unnest('{1,5}'::int[]) AS i;
SELECT e, p FROM (SELECT t ->> 'table' AS e, (t ->> 'count')::int AS n FROM jsonb_array_elements(architect.export_subject('user', '3') -> 'tables') AS t) AS e
  FULL JOIN (SELECT object_name AS p, sum(rows) AS n FROM architect.plan_erasure('user', '3') GROUP BY 1) AS p ON e = p WHERE e.n IS DISTINCT FROM p.n;
SELECT plan_hash FROM architect.plan_erasure('user', '3') LIMIT 1 \gset
-- Planning and exporting read, on a standby too.
BEGIN READ ONLY;
SELECT count(*) > 0 AS planned FROM architect.plan_erasure('user', '3');
SELECT count(*) FROM architect.export_subject('user', '3');
SELECT count(*) > 0 AS classes FROM architect.k_anonymity('users', '{state}', 9);
SELECT pg_current_xact_id_if_assigned() IS NULL AS none_assigned;
COMMIT;
SELECT object_name, action, columns, rows_affected, reason FROM architect.erase_subject('user', '3', expected_plan => :'plan_hash', dry_run => false);
SELECT query_to_xml(format('SELECT t FROM %s AS t WHERE t::text ~* ''sent3x''', c), true, true, '') AS left_over FROM unnest('{users,namespaces,projects,issues,notes,reports,hooks}'::regclass[]) AS c
 WHERE query_to_xml(format('SELECT t FROM %s AS t WHERE t::text ~* ''sent3x''', c), true, true, '')::text ~ '<row';
SELECT id, regexp_replace(username, '[0-9a-f]{32}', 'N') AS username, preferences, codes, search, mac, state FROM users WHERE id = 3;
SELECT i, doc = architect.export_subject('user', to_jsonb(i)) AS same FROM before ORDER BY 1;
SELECT sum(rows_affected) FROM architect.erase_subject('user', '3', dry_run => false);
SELECT action FROM architect.undeclare_subject('user');
SELECT action FROM architect.undeclare_column('users', 'state');
DROP TABLE before;
DROP SCHEMA forge CASCADE;

CREATE ROLE ward_owner;
CREATE SCHEMA ward AUTHORIZATION ward_owner; SET search_path = ward;
SET ROLE ward_owner;
CREATE DOMAIN mrn AS char(8) CHECK (VALUE ~ '^[A-Z0-9]{8}$');
CREATE DOMAIN phone AS text CHECK (VALUE ~ '^\+?[0-9 ]+$');
CREATE TYPE adr AS (street text, zip text);
CREATE TABLE clinic (code char(3) PRIMARY KEY, head_clinic char(3), head_mrn mrn);
CREATE TABLE patient (clinic char(3) NOT NULL REFERENCES clinic, mrn mrn NOT NULL, "Nach""name" varchar(50) NOT NULL, svnr text UNIQUE CHECK (svnr ~ '^[0-9]{10}$'), email text NOT NULL UNIQUE CHECK (email LIKE '%@%'),
  tel phone, home adr, doc xml, mother_clinic char(3), mother_mrn mrn, shown text GENERATED ALWAYS AS ('Mx ' || "Nach""name") STORED, note json,
  PRIMARY KEY (clinic, mrn), FOREIGN KEY (mother_clinic, mother_mrn) REFERENCES patient);
ALTER TABLE clinic ADD FOREIGN KEY (head_clinic, head_mrn) REFERENCES patient;
CREATE TABLE stay (id int PRIMARY KEY, clinic char(3) NOT NULL, mrn mrn NOT NULL, diagnosis text NOT NULL, previous int REFERENCES stay, first_at int, FOREIGN KEY (clinic, mrn) REFERENCES patient);
CREATE TABLE reading (stay int NOT NULL REFERENCES stay, at int NOT NULL, remark text, PRIMARY KEY (stay, at)) PARTITION BY HASH (stay);
CREATE TABLE reading_0 PARTITION OF reading FOR VALUES WITH (modulus 2, remainder 0);
CREATE TABLE reading_1 PARTITION OF reading FOR VALUES WITH (modulus 2, remainder 1);
ALTER TABLE stay ADD FOREIGN KEY (id, first_at) REFERENCES reading;
CREATE TABLE invoice (nr text PRIMARY KEY, stay int NOT NULL REFERENCES stay, printed text, at date NOT NULL);
CREATE FUNCTION evil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF current_user <> 'ward_owner' THEN RAISE EXCEPTION 'run as % with %', current_user, OLD; END IF;
  RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END; END $$;
CREATE TRIGGER e BEFORE UPDATE OR DELETE ON patient FOR EACH ROW EXECUTE FUNCTION evil();
CREATE TRIGGER e BEFORE UPDATE OR DELETE ON stay FOR EACH ROW EXECUTE FUNCTION evil();
INSERT INTO clinic VALUES ('AAA');
INSERT INTO patient (clinic, mrn, "Nach""name", svnr, email, tel, home, doc, note) SELECT 'AAA', 'MRN0000' || i, 'Sent' || i || 'x', lpad(i::text, 10, '1'), 'sent' || i || 'x@ward.example', '+43 1 ' || i,
  ROW('SENT' || i || 'X', 'z')::adr, ('<p>SENT' || i || 'X</p>')::xml, ('{"bad":"\ud800","n":1e400000,"deep":' || repeat('[', 300) || '"SENT' || i || 'X"' || repeat(']', 300) || '}')::json FROM generate_series(1, 4) AS i;
UPDATE patient SET note = (repeat('{"a":', 300) || '"SENT4X"' || repeat('}', 300))::json WHERE mrn = 'MRN00004';
RESET ROLE; ALTER TABLE patient DISABLE TRIGGER e; SET ROLE ward_owner;
UPDATE patient SET mother_clinic = 'AAA', mother_mrn = 'MRN00002' WHERE mrn = 'MRN00001';
RESET ROLE; ALTER TABLE patient ENABLE TRIGGER e; SET ROLE ward_owner;
UPDATE clinic SET head_clinic = 'AAA', head_mrn = 'MRN00002';
INSERT INTO stay SELECT i * 10 + n, 'AAA', 'MRN0000' || i, 'SENT' || i || 'X' FROM generate_series(1, 4) AS i, generate_series(1, 2) AS n;
INSERT INTO reading SELECT id, n, 'of ' || diagnosis FROM stay, generate_series(1, 2) AS n;
UPDATE stay SET first_at = 1, previous = CASE WHEN id % 10 = 2 THEN id - 1 END;
INSERT INTO invoice SELECT 'R' || id, id, diagnosis, '2025-02-01' FROM stay WHERE id % 10 = 1;
RESET ROLE;
SELECT count(*) FROM architect.declare_subject('patient', 'patient', identity_columns => '{email,svnr}');
SELECT count(*) FROM (VALUES ('stay', 'clinic,mrn', 'patient', 'owned', NULL), ('reading', 'stay', 'stay', 'owned', NULL), ('stay', 'previous', 'stay', 'owned', NULL), ('stay', 'id,first_at', 'reading', 'owned', NULL),
    ('patient', 'mother_clinic,mother_mrn', 'patient', 'accessed', 'detach'), ('clinic', 'head_clinic,head_mrn', 'patient', 'accessed', NULL), ('invoice', 'stay', 'stay', 'owned', 'mask')) AS v (t, c, r, o, e),
  architect.declare_edge('patient', t::regclass, string_to_array(c, ','), r::regclass, ownership => o, on_erase => e);
SELECT count(*) FROM architect.declare_column('invoice', 'printed', 'name', retention => '100 years', retention_from => 'at', purpose => 'tax', legal_basis => 'legal_obligation');
SELECT count(*) FROM architect.declare_column('patient', 'mrn', 'id', 'keep');
SELECT jsonb_path_query(doc, '$.tables[*] ? (@.table == "ward.patient").rows[*].note')::text ~ 'SENT4X' AS deep, doc::text ~ 'SENT3X' AS others FROM architect.export_subject('patient', '{"clinic": "AAA", "mrn": "MRN00004"}') AS doc;
SELECT left(jsonb_path_query(doc, '$.tables[*] ? (@.table == "ward.patient").rows[*].note')::text, 50) AS odd FROM architect.export_subject('patient', '{"clinic": "AAA", "mrn": "MRN00003"}') AS doc;
CREATE TEMP TABLE before AS SELECT i, architect.export_subject('patient', jsonb_build_object('clinic', 'AAA', 'mrn', 'MRN0000' || i)) AS doc FROM unnest('{3,4}'::int[]) AS i;
SELECT object_name, action, columns, rows_affected, reason, retained_until FROM architect.erase_subject('patient', '{"mrn": "MRN00002", "clinic": "AAA"}', dry_run => false);
SELECT c, query_to_xml(format('SELECT t FROM %s AS t WHERE t::text ~* ''sent2x''', c), true, true, '')::text ~ '<row' AS left_over FROM unnest('{patient,clinic,stay,reading,invoice}'::regclass[]) AS c;
SELECT i, doc = architect.export_subject('patient', jsonb_build_object('clinic', 'AAA', 'mrn', 'MRN0000' || i)) AS same FROM before ORDER BY 1;
SELECT sum(rows_affected) FROM architect.erase_subject('patient', '{"mrn": "MRN00002", "clinic": "AAA"}', dry_run => false);
SELECT action FROM architect.undeclare_subject('patient');
SELECT count(*) FROM architect.undeclare_column('invoice', 'printed') AS one, architect.undeclare_column('patient', 'mrn') AS other;
DELETE FROM architect.privacy_tombstone WHERE subject_type IN ('user', 'patient');
DROP SCHEMA ward CASCADE;
DROP ROLE ward_owner;
