-- Protects: erasing one person leaves what the logs say of others byte for byte: values are found as whole words, not within
-- others; short values and numbers are not looked for at large; a value that a namesake bears too is the namesake's; of an
-- entry, a context or a json document only the field goes that has the value.
\set VERBOSITY default
\pset format unaligned
\pset footer off
SET client_min_messages = warning;
CREATE SCHEMA club;
SET search_path = club;
CREATE TABLE member (id int PRIMARY KEY, nick text, name varchar(60), mail text, phone text, born date, code int);
CREATE TABLE note (id int PRIMARY KEY, body text, doc jsonb, raw json);
CREATE TABLE seat (mail text, room int, remark text, PRIMARY KEY (mail, room));
SELECT count(*) > 0 AS done FROM unnest('{member,note,seat}'::regclass[]) AS t, architect.enable_audit(t);
SELECT count(*) > 0 AS done FROM unnest('{member,note,seat}'::regclass[]) AS t, architect.enable_cdc(t);
SET architect.actor = 'ann@x.org';
SET architect.context = '{"page": "/members", "user": {"mail": "ann@x.org", "role": "guest"}}';
INSERT INTO member VALUES (1, 'Ann', 'Ann Archer', 'ann@x.org', '0151 2345678', '1990-05-17', 7);
SET architect.actor = 'joann@x.org';
SET architect.context = '{"page": "/members", "user": {"mail": "joann@x.org"}}';
INSERT INTO member VALUES
    (2, 'Anna', 'Joanne Archer', 'joann@x.org', '0151 23456789', '1990-05-17', 7),
    (3, 'ann', 'Ann Archers', 'ann@x.org.uk', '10151 2345678', '1990-05-17', 77),
    (4, 'Ann', 'ANN ARCHER', 'erased-ann', '', '1990-05-17', 7);
UPDATE member SET code = code + 1 WHERE id > 1;
INSERT INTO note VALUES
    (1, 'Annabel and Joanne met joann@x.org on 1990-05-17', '{"who": ["joann@x.org", "Ann"], "n": 7}', '{"a" : 1.50}'),
    (2, 'wrote to ann@x.org, twice', '{"who": ["ann@x.org", "Bob"], "n": 1.50, "ann@x.org": 1}', '{"mail": "ann\u0040x.org", "b" : 1.50}'),
    (3, 'call 0151-2345678 or 0151 2345678', NULL, '{"x": "{\"m\":\"ann\\u0040x.org\"}"}'),
    (4, 'met Ann Archer', NULL, NULL);
INSERT INTO seat VALUES ('ann@x.org', 7, 'window'), ('joann@x.org', 7, 'aisle');
RESET architect.actor;
RESET architect.context;
SELECT count(*) FROM architect.declare_subject('member', 'member', identity_columns => '{nick,name,mail,phone,born,code}');
SELECT count(*) > 0 AS sealed FROM architect.seal_audit_log();
-- An event that a consumer could not process, with the reason it gave.
SELECT action FROM architect.create_consumer('club_mails', tables => '{member,note}', operations => '{insert}', start => 'beginning', max_attempts => 1);
SELECT position AS hers FROM architect.poll_changes('club_mails') WHERE row_key ->> 'id' = '1' AND table_name = 'member' \gset
SELECT outcome FROM architect.nack_changes('club_mails', :hers, 'bounced: ann@x.org, user Ann');
-- Events of one statement share a row of the feed.
CREATE TEMP VIEW feed AS
    SELECT e.position, e.relation_id, e.row_key, e.image FROM architect.change_entry AS e WHERE e.operation <> 'P'
    UNION ALL
    SELECT e.position - e.key_hash + p.number, (p.event ->> 1)::int, (p.event -> 3)::text, p.event -> 2
      FROM architect.change_entry AS e, json_array_elements(e.image) WITH ORDINALITY AS p(event, number) WHERE e.operation = 'P';
CREATE TEMP TABLE before AS
    SELECT 'audit' AS log, e.audit_id AS id, r.table_name, e.row_key, e.image::text AS image FROM architect.audit_entry AS e
      JOIN architect.capture_relation AS r USING (relation_id) WHERE r.schema_name = 'club'
    UNION ALL
    SELECT 'feed', e.position, r.table_name, e.row_key, e.image::text FROM feed AS e
      JOIN architect.capture_relation AS r USING (relation_id) WHERE r.schema_name = 'club';
CREATE TEMP TABLE exports AS SELECT i, architect.export_subject('member', to_jsonb(i)) AS doc FROM generate_series(2, 4) AS i;
SELECT count(*) > 0 AS done FROM architect.erase_subject('member', '1', dry_run => false);
-- What is another's: the same bytes.
CREATE TEMP VIEW now AS
    SELECT 'audit' AS log, e.audit_id AS id, e.row_key, e.image::text AS image FROM architect.audit_entry AS e
    UNION ALL SELECT 'feed', e.position, e.row_key, e.image::text FROM feed AS e;
SELECT b.log, count(*) FILTER (WHERE (b.row_key, b.image) IS NOT DISTINCT FROM (n.row_key, n.image)) AS same, count(*)
  FROM before AS b JOIN now AS n USING (log, id)
 WHERE b.table_name = 'member' AND b.row_key <> '1' OR b.row_key = '1' AND b.table_name = 'note' GROUP BY 1 ORDER BY 1;
SELECT b.log, b.table_name, n.row_key, n.image FROM before AS b JOIN now AS n USING (log, id)
 WHERE (b.row_key, b.image) IS DISTINCT FROM (n.row_key, n.image) ORDER BY 1, b.id;
SELECT i, doc = architect.export_subject('member', to_jsonb(i)) AS same FROM exports ORDER BY 1;
SELECT DISTINCT actor, context FROM architect.audit_log WHERE schema_name = 'club' AND actor IS NOT NULL ORDER BY 1;
-- The name is a namesake's: where it stands, nobody can say whose.
SELECT image FROM now WHERE image LIKE '%met Ann Archer"%';
SELECT severity, code FROM architect.verify_audit_log() WHERE severity <> 'notice';
-- The dead letter has forgotten as well, and what goes back into the feed says nothing either.
SELECT reason, row_key FROM architect.dead_letters() WHERE consumer_name = 'club_mails';
SELECT max(position) AS last FROM architect.poll_changes('club_mails') \gset
SELECT architect.ack_changes('club_mails', :last) > 0 AS acknowledged;
SELECT architect.retry_dead_letter('club_mails', :hers) AS retried;
SELECT table_name, row_key, new_values FROM architect.poll_changes('club_mails');
SELECT count(*) FROM architect.cdc_dead_letter AS d WHERE d::text ~* 'ann archer"|ann@x.org"';
SELECT action FROM architect.drop_consumer('club_mails');
-- A row is not spared for beginning like one that erasing has left.
SELECT count(*) > 0 AS done FROM architect.erase_subject('member', '4', dry_run => false);
SELECT count(*) FROM now WHERE image LIKE '%erased-ann%';
SELECT count(*) FROM now WHERE image LIKE '%met Ann Archer"%';
SELECT count(*) > 0 AS done FROM unnest('{member,note,seat}'::regclass[]) AS t, architect.disable_audit(t);
SELECT count(*) > 0 AS done FROM unnest('{member,note,seat}'::regclass[]) AS t, architect.disable_cdc(t);
SELECT action FROM architect.undeclare_subject('member');
DROP SCHEMA club CASCADE;
