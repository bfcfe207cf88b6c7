-- updated_at under MERGE (PostgreSQL 15 and newer): each row by what was done to it.
SET client_min_messages = warning;
CREATE SCHEMA uam;
CREATE TABLE uam.target (id int PRIMARY KEY, n int);
INSERT INTO uam.target VALUES (1, 1), (2, 2), (3, 3);
SELECT action FROM architect.add_standard_columns('uam.target', created_by => false, updated_by => false);
BEGIN;
MERGE INTO uam.target AS t USING (VALUES (1, 1), (2, 20), (3, NULL), (4, 4)) AS s(id, n) ON t.id = s.id
 WHEN MATCHED AND s.n IS NULL THEN DELETE
 WHEN MATCHED THEN UPDATE SET n = s.n
 WHEN NOT MATCHED THEN INSERT (id, n) VALUES (s.id, s.n);
SELECT id, n, updated_at = now() AS updated_now, created_at = now() AS created_now, version FROM uam.target ORDER BY id;
COMMIT;
DROP SCHEMA uam CASCADE;
