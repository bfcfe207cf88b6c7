-- The extension installs into its own schema and reports its version.
CREATE EXTENSION db_architect;
SELECT architect.architect_version() = extversion AS library_matches FROM pg_extension WHERE extname = 'db_architect';
