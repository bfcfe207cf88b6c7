-- index_bloat: an index just built wastes nothing, whatever its kind of keys; one whose rows went does; estimate and
-- exact figures agree; what cannot be read is said, not guessed.
CREATE SCHEMA index_blt;
SET search_path = index_blt;
SET client_min_messages = warning;
CREATE TABLE grown (id int, few int, name text, amount numeric) WITH (autovacuum_enabled = off);
INSERT INTO grown SELECT g, g % 100, 'name ' || g, g * 1.5 FROM generate_series(1, 100000) AS g;
CREATE INDEX grown_id ON grown (id);
CREATE INDEX grown_few ON grown (few);
CREATE INDEX grown_name ON grown (name);
CREATE INDEX grown_name_few ON grown (lower(name), few);
CREATE INDEX grown_part ON grown (id) WHERE few = 1;
CREATE INDEX grown_fill ON grown (id) WITH (fillfactor = 50);
VACUUM ANALYZE grown;
SELECT index_name, wasted_percent < 15 AS fresh, method, fix FROM architect.index_bloat('0') WHERE table_name = 'index_blt.grown' ORDER BY index_name;
DELETE FROM grown WHERE id % 10 <> 0;
VACUUM ANALYZE grown;
SELECT index_name, wasted_percent > 60 AS bloated, fix FROM architect.index_bloat('16 kB') WHERE table_name = 'index_blt.grown' AND index_name IN ('index_blt.grown_id', 'index_blt.grown_name') ORDER BY index_name;
SELECT index_name FROM architect.index_bloat('1 GB');
SELECT count(*) FROM architect.index_bloat('0', exact => true);
CREATE EXTENSION pgstattuple SCHEMA index_blt;
SELECT e.index_name, e.method, abs(e.wasted_percent - i.wasted_percent) < 15 AS agree
  FROM architect.index_bloat('0', exact => true) AS e JOIN architect.index_bloat('0') AS i USING (index_name)
 WHERE e.table_name = 'index_blt.grown' AND e.index_name IN ('index_blt.grown_id', 'index_blt.grown_name') ORDER BY 1;
SELECT fix FROM architect.index_bloat('16 kB') WHERE table_name = 'index_blt.grown' AND fix IS NOT NULL ORDER BY 1 \gexec
SELECT index_name FROM architect.index_bloat('16 kB') WHERE table_name = 'index_blt.grown' AND fix IS NOT NULL;
SELECT architect.index_bloat('large');
CREATE ROLE index_blt_reader;
GRANT USAGE ON SCHEMA index_blt, architect TO index_blt_reader;
GRANT EXECUTE ON FUNCTION architect.index_bloat TO index_blt_reader;
GRANT SELECT (id) ON grown TO index_blt_reader;
SET ROLE index_blt_reader;
SELECT index_name, expected_bytes, method, reason, fix FROM architect.index_bloat('16 kB') WHERE index_name = 'index_blt.grown_id';
RESET ROLE;

-- Reading a table runs what its owner put into its indexes: with the owner's rights, and nobody else's.
GRANT CREATE ON SCHEMA index_blt TO index_blt_reader;
SET ROLE index_blt_reader;
CREATE TABLE theirs AS SELECT g AS a FROM generate_series(1, 3000) AS g;
CREATE FUNCTION spying(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
  IF current_user <> 'index_blt_reader' THEN RAISE WARNING 'run as %', current_user; END IF;
  PERFORM set_config('search_path', 'hostile', false);
  RETURN a; END$$;
CREATE INDEX theirs_spying ON theirs (spying(a), spying(1));
RESET ROLE;
SELECT method FROM architect.index_bloat('0') WHERE index_name = 'index_blt.theirs_spying';
SHOW search_path;
CREATE ROLE index_blt_other;
GRANT USAGE ON SCHEMA index_blt, architect TO index_blt_other;
GRANT EXECUTE ON FUNCTION architect.index_bloat TO index_blt_other;
GRANT SELECT ON theirs TO index_blt_other;
SET ROLE index_blt_other;
SELECT method, reason FROM architect.index_bloat('0') WHERE index_name = 'index_blt.theirs_spying';
RESET ROLE;
DROP OWNED BY index_blt_other;
DROP ROLE index_blt_other;
DROP OWNED BY index_blt_reader;
DROP ROLE index_blt_reader;
DROP SCHEMA index_blt CASCADE;
