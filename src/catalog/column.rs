//! Columns of a relation.

use crate::error::Result;
use crate::pg::spi;
use pgrx::pg_sys;

/// A column that is not dropped.
#[derive(Debug, Clone)]
pub struct Column {
    pub number: i16,
    pub name: String,
    pub type_oid: pg_sys::Oid,
    pub typmod: i32,
    pub generated: bool,
    pub identity: bool,
    /// The default as SQL, in the search_path of the caller.
    pub default: Option<String>,
}

/// A relation's columns, in order.
pub fn columns(relid: pg_sys::Oid) -> Result<Vec<Column>> {
    spi::read(
        "SELECT a.attnum, a.attname::pg_catalog.text, a.atttypid, a.atttypmod,
                a.attgenerated OPERATOR(pg_catalog.<>) '', a.attidentity OPERATOR(pg_catalog.<>) '',
                pg_catalog.pg_get_expr(d.adbin, d.adrelid)
           FROM pg_catalog.pg_attribute AS a
           LEFT JOIN pg_catalog.pg_attrdef AS d
             ON d.adrelid OPERATOR(pg_catalog.=) a.attrelid AND d.adnum OPERATOR(pg_catalog.=) a.attnum
          WHERE a.attrelid OPERATOR(pg_catalog.=) $1
            AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
          ORDER BY a.attnum",
        &[relid.into()],
        |row| {
            Ok(Column {
                number: row.get(1)?.unwrap_or_default(),
                name: row.get(2)?.unwrap_or_default(),
                type_oid: row.get(3)?.unwrap_or(pg_sys::InvalidOid),
                typmod: row.get(4)?.unwrap_or(-1),
                generated: row.get(5)?.unwrap_or_default(),
                identity: row.get(6)?.unwrap_or_default(),
                default: row.get(7)?,
            })
        },
    )
}
