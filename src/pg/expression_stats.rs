//! What ANALYZE would know of an expression that no index has yet: a row of pg_statistic that is in no
//! catalogue, made from a sample of the table.

use super::memory::OwnedContext;
use super::{lookup, rows};
use crate::error::Result;
use pgrx::pg_sys;

/// Columns of pg_statistic, from zero, as `catalog/pg_statistic.h` numbers them.
mod column {
    pub const NULL_FRACTION: usize = 3;
    pub const WIDTH: usize = 4;
    pub const DISTINCT: usize = 5;
    pub const KIND: usize = 6;
    pub const OPERATOR: usize = 11;
    pub const COLLATION: usize = 16;
    pub const NUMBERS: usize = 21;
    pub const VALUES: usize = 26;
    pub const ALL: usize = 31;
}

/// Values kept as most common, and as bounds of the histogram: ANALYZE's default.
const TARGET: usize = 100;

pub struct ExpressionStats {
    tuple: pg_sys::HeapTuple,
    _memory: OwnedContext,
}

/// An expression of a table, as an index would have it.
pub struct Expression<'a> {
    pub relid: pg_sys::Oid,
    pub sql: &'a str,
    pub type_oid: pg_sys::Oid,
    pub collation: pg_sys::Oid,
    /// Different values, and rows, in the whole table.
    pub distinct: f64,
    pub rows: f64,
}

impl ExpressionStats {
    pub(super) fn tuple(&self) -> pg_sys::HeapTuple {
        self.tuple
    }

    /// Reads `percent` of the table's blocks, as the caller. None where the type has no order, or the
    /// sample no rows.
    pub fn read(of: &Expression, percent: f64) -> Result<Option<Self>> {
        // SAFETY: a look-up about an existing type; the entry lives as long as the session.
        let (equal, less) = unsafe {
            let wanted = pg_sys::TYPECACHE_EQ_OPR | pg_sys::TYPECACHE_LT_OPR;
            let entry = pg_sys::lookup_type_cache(of.type_oid, wanted as i32);
            ((*entry).eq_opr, (*entry).lt_opr)
        };
        if equal == pg_sys::InvalidOid || less == pg_sys::InvalidOid {
            return Ok(None);
        }
        let memory = OwnedContext::roomy(c"db_architect expression statistics");
        let mut tuple = std::ptr::null_mut();
        rows::each(&query(of, percent), &[], |fields| {
            let sampled = fields.get::<i64>(0).unwrap_or(0) as f64;
            if sampled == 0.0 {
                return Ok(());
            }
            let mut row = Row::default();
            row.set(column::NULL_FRACTION, fields.get::<f32>(1).unwrap_or(0.0).into_datum_now());
            row.set(column::WIDTH, pg_sys::Datum::from(fields.get::<i32>(2).unwrap_or(8)));
            // Many different values are told as a share of the rows, to grow with the table.
            let distinct =
                if of.distinct > 0.1 * of.rows { -(of.distinct / of.rows.max(1.0)) } else { of.distinct };
            row.set(column::DISTINCT, (distinct as f32).into_datum_now());
            let slots = [
                (pg_sys::STATISTIC_KIND_MCV, equal, 4, Some(3)),
                (pg_sys::STATISTIC_KIND_HISTOGRAM, less, usize::MAX, Some(5)),
                (pg_sys::STATISTIC_KIND_CORRELATION, less, 6, None),
            ];
            let mut slot = 0;
            for (kind, operator, numbers, values) in slots {
                let numbers = (numbers != usize::MAX).then(|| fields.value(numbers));
                let values = values.map(|i| fields.value(i));
                if numbers.is_some_and(|v| v.is_null()) || values.is_some_and(|v| v.is_null()) {
                    continue;
                }
                // SAFETY: an array, as the query makes it.
                if values.is_some_and(|v| unsafe { !is_list(v.datum, of.type_oid) }) {
                    continue;
                }
                row.set(column::KIND + slot, pg_sys::Datum::from(kind as i16));
                row.set(column::OPERATOR + slot, pg_sys::Datum::from(operator));
                row.set(column::COLLATION + slot, pg_sys::Datum::from(of.collation));
                if let Some(numbers) = numbers {
                    row.set(column::NUMBERS + slot, numbers.datum);
                }
                if let Some(values) = values {
                    row.set(column::VALUES + slot, values.datum);
                }
                slot += 1;
            }
            // SAFETY: as many values as pg_statistic has columns; the tuple is a copy of them all.
            tuple = memory.within(|| unsafe { row.form() });
            Ok(())
        })?;
        Ok((!tuple.is_null()).then_some(Self { tuple, _memory: memory }))
    }
}

/// Whether an array has its elements one after the other. Of values that are arrays themselves, domains over
/// arrays and oidvector among them, array_agg makes one array of more dimensions: not what the planner reads.
///
/// # Safety
/// The datum is an array.
unsafe fn is_list(datum: pg_sys::Datum, element: pg_sys::Oid) -> bool {
    // SAFETY: the caller's promise; the header of an array that is not compressed or short.
    unsafe {
        let array: *mut pg_sys::ArrayType = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast();
        (*array).ndim == 1 && (*array).elemtype == element
    }
}

/// One row: rows sampled, share of nulls, width, most common values and their shares, bounds of equal
/// shares of the others, correlation with the order of the table.
fn query(of: &Expression, percent: f64) -> String {
    let table = lookup::qualified_name(of.relid).unwrap_or_default();
    let sampled = if percent < 100.0 {
        format!(" TABLESAMPLE pg_catalog.system ({percent}) REPEATABLE (0)")
    } else {
        String::new()
    };
    let bounds: Vec<String> = (0..=TARGET).map(|i| format!("{}", i as f64 / TARGET as f64)).collect();
    format!(
        "WITH s AS MATERIALIZED (SELECT ({sql}) AS v, ctid AS place FROM ONLY {table} AS t{sampled}),
              n AS (SELECT pg_catalog.count(*) AS n, pg_catalog.count(v) AS present FROM s),
              f AS (SELECT v, pg_catalog.count(*) AS n FROM s WHERE v IS NOT NULL GROUP BY v),
              r AS (SELECT f.v, f.n, pg_catalog.row_number() OVER (ORDER BY f.n DESC, f.v) OPERATOR(pg_catalog.<=) {TARGET}
                               AND f.n::float8 OPERATOR(pg_catalog.>) (1.25::float8 OPERATOR(pg_catalog.*)
                                   pg_catalog.avg(f.n) OVER ()::float8) AS common FROM f),
              m AS (SELECT r.v, r.n FROM r WHERE r.common)
         SELECT n.n,
                (1 OPERATOR(pg_catalog.-) (n.present::float8 OPERATOR(pg_catalog./) NULLIF(n.n, 0)::float8))::float4,
                (SELECT pg_catalog.avg(pg_catalog.pg_column_size(v))::int4 FROM s),
                (SELECT pg_catalog.array_agg(m.v ORDER BY m.n DESC, m.v) FROM m),
                (SELECT pg_catalog.array_agg((m.n::float8 OPERATOR(pg_catalog./) n.n::float8)::float4 ORDER BY m.n DESC, m.v) FROM m),
                (SELECT pg_catalog.percentile_disc(ARRAY[{bounds}]::float8[]) WITHIN GROUP (ORDER BY r.v)
                   FROM r WHERE NOT r.common HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1),
                (SELECT ARRAY[pg_catalog.corr(r, o)::float4]
                   FROM (SELECT pg_catalog.rank() OVER (ORDER BY v) AS r, pg_catalog.row_number() OVER (ORDER BY place) AS o
                           FROM s WHERE v IS NOT NULL) AS c HAVING pg_catalog.corr(r, o) IS NOT NULL)
           FROM n",
        sql = of.sql,
        bounds = bounds.join(", "),
    )
}

trait Now {
    fn into_datum_now(self) -> pg_sys::Datum;
}

impl Now for f32 {
    /// A float4 is passed by value.
    fn into_datum_now(self) -> pg_sys::Datum {
        pg_sys::Datum::from(self.to_bits() as usize)
    }
}

struct Row {
    values: [pg_sys::Datum; column::ALL],
    nulls: [bool; column::ALL],
}

impl Default for Row {
    fn default() -> Self {
        let mut row = Self { values: [pg_sys::Datum::from(0); column::ALL], nulls: [false; column::ALL] };
        row.nulls[column::NUMBERS..].fill(true);
        row
    }
}

impl Row {
    fn set(&mut self, column: usize, value: pg_sys::Datum) {
        self.values[column] = value;
        self.nulls[column] = false;
    }

    /// # Safety
    /// Each value is of its column's type.
    unsafe fn form(&mut self) -> pg_sys::HeapTuple {
        // SAFETY: the catalogue is opened to read its descriptor, and closed.
        unsafe {
            let catalog = pg_sys::table_open(pg_sys::StatisticRelationId, pg_sys::AccessShareLock as i32);
            let tuple =
                pg_sys::heap_form_tuple((*catalog).rd_att, self.values.as_mut_ptr(), self.nulls.as_mut_ptr());
            pg_sys::table_close(catalog, pg_sys::AccessShareLock as i32);
            tuple
        }
    }
}
