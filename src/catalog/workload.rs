//! Where the statements that were run can be read: pg_stat_statements.

use crate::error::Result;
use crate::pg::spi;

/// The view pg_stat_statements, by its name with schema, where it is installed in this database, loaded
/// and readable; none otherwise.
///
/// To be called within `security::with_safe_search_path`.
pub fn view() -> Result<Option<String>> {
    let found = spi::read_now(
        "SELECT format('%I.pg_stat_statements', n.nspname)
           FROM pg_extension AS e
           JOIN pg_namespace AS n ON n.oid = e.extnamespace
           JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'pg_stat_statements' AND c.relkind = 'v'
          WHERE e.extname = 'pg_stat_statements' AND has_table_privilege(c.oid, 'SELECT')
            AND has_schema_privilege(n.oid, 'USAGE')
            AND current_setting('pg_stat_statements.max', true) IS NOT NULL",
        &[],
        |row| row.get::<String>(1),
    )?;
    Ok(found.into_iter().flatten().next())
}
