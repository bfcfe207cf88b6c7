-- Runs first: names and values pass through UTF-8. SQL_ASCII keeps whatever bytes it is given, so it may pass.
DO $$
DECLARE
    encoding CONSTANT pg_catalog.text := pg_catalog.getdatabaseencoding();
BEGIN
    IF encoding OPERATOR(pg_catalog.<>) ALL (ARRAY['UTF8', 'SQL_ASCII']) THEN
        RAISE feature_not_supported USING
            MESSAGE = 'db_architect works in databases whose encoding is UTF8',
            DETAIL = pg_catalog.format('The encoding of database %I is %s.', pg_catalog.current_database(), encoding),
            HINT = 'Dump the database and restore it into one made with ENCODING ''UTF8'' TEMPLATE template0. '
                   'The output plugin db_architect needs no CREATE EXTENSION and works in any encoding.';
    END IF;
END
$$;

-- The schema may exist already (after a restore, or because another role made it): its
-- owner could replace what is in it, so only the installer's own, or a superuser's, will do.
DO $$
DECLARE
    owner_name pg_catalog.name;
    trusted    pg_catalog.bool;
BEGIN
    SELECT r.rolname, r.rolsuper OR r.rolname OPERATOR(pg_catalog.=) CURRENT_USER INTO owner_name, trusted
      FROM pg_catalog.pg_namespace AS n
      JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) n.nspowner
     WHERE n.nspname OPERATOR(pg_catalog.=) 'architect';
    IF NOT trusted THEN
        RAISE insufficient_privilege USING
            MESSAGE = 'schema "architect" belongs to a role that must not own this extension''s objects',
            DETAIL = pg_catalog.format('The schema belongs to %I.', owner_name),
            HINT = 'Drop the schema or ALTER SCHEMA architect OWNER TO CURRENT_USER after checking what is in it.';
    END IF;
END
$$;

-- Nothing for PUBLIC: neither the schema nor, below, any function.
REVOKE ALL ON SCHEMA architect FROM PUBLIC;
