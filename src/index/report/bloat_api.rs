//! The SQL function about sizes.

use crate::index::report::bloat;
use crate::pg::security;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Btree indexes that are larger than they would be if they were built now.
///
/// Arguments: min_size, below which an index is not looked at; exact, whether to read every page of the
/// indexes with pgstattuple instead of estimating from a sample of their tables' rows.
/// Returns one row for each index, the most wasteful first: size_bytes, expected_bytes after a rebuild,
/// wasted_bytes and wasted_percent; method, 'sample of the table' or 'pgstattuple', or 'none' where the
/// caller may not read the table, or reading it would run functions of an owner whose rights the caller does
/// not have, if that is no superuser; reason; fix, where 40 percent or more are wasted: less is what splits of
/// pages leave in any index that grows. A sample is right within some percent where it can tell how often
/// keys repeat.
/// Errors: 55000 exact figures without pgstattuple; 22023 not a size.
/// Lock: ACCESS SHARE on each table and index looked at; those held exclusively by others are left out.
/// Privilege: EXECUTE, and SELECT on the tables and their owners' rights, with which they are read, or for exact figures EXECUTE on pgstatindex.
#[pg_extern(volatile)]
fn index_bloat(
    min_size: default!(&str, "'10 MB'"),
    exact: default!(bool, "false"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(table_name, String),
            name!(index_name, String),
            name!(size_bytes, i64),
            name!(expected_bytes, Option<i64>),
            name!(wasted_bytes, Option<i64>),
            name!(wasted_percent, Option<f64>),
            name!(method, String),
            name!(reason, String),
            name!(fix, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let found = security::with_safe_search_path(|| bloat::findings(min_size, exact))?;
    Ok(TableIterator::new(found.into_iter().map(|f| {
        let (wasted, percent) = (f.wasted(), f.percent());
        (f.table, f.index, f.size, f.expected, wasted, percent, f.method.to_owned(), f.reason, f.fix)
    })))
}
