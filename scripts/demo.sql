CREATE EXTENSION db_architect;
SELECT extname AS extension, extversion AS version, architect.architect_version() AS library
  FROM pg_extension WHERE extname = 'db_architect';
