//! Where the statements that were run can be read: pg_stat_statements.

use crate::error::Result;
use crate::pg::spi;
use pgrx::pg_sys;
use std::ffi::CString;

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

/// The search_path that sessions of a role begin with here, where it is set for the role or the database: names in
/// its statements are most likely meant so. None where only the server's configuration says.
pub fn search_path_of(role: pg_sys::Oid) -> Result<Option<CString>> {
    // In the order in which a session takes them.
    let found = spi::read_now(
        "SELECT pg_catalog.substr(c.setting, 13)
           FROM pg_catalog.pg_db_role_setting AS s, pg_catalog.unnest(s.setconfig) AS c (setting)
          WHERE s.setrole OPERATOR(pg_catalog.=) ANY (ARRAY[$1, 0::pg_catalog.oid])
            AND (s.setdatabase OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR s.setdatabase OPERATOR(pg_catalog.=)
                 (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()))
            AND pg_catalog.starts_with(c.setting, 'search_path=')
          ORDER BY s.setrole OPERATOR(pg_catalog.=) 0::pg_catalog.oid, s.setdatabase OPERATOR(pg_catalog.=) 0::pg_catalog.oid LIMIT 1",
        &[role.into()],
        |row| row.get::<String>(1),
    )?;
    Ok(found.into_iter().flatten().next().and_then(|path| CString::new(path).ok()))
}
