//! A sample of whole blocks of a table, of each value its size and a hash: what the size of an index
//! depends on.

use super::memory::OwnedContext;
use super::stored_key::StoredKey;
use super::{lookup, rows};
use crate::error::Result;
use pgrx::pg_sys;

/// One value: its size as stored, and a hash that equal images share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampledValue {
    pub null: bool,
    pub bytes: u32,
    pub hash: u64,
}

impl SampledValue {
    pub const NULL: Self = Self { null: true, bytes: 0, hash: 0 };
}

/// Rows of some blocks, in the order of the table; the same ones every time.
#[derive(Debug, Default)]
pub struct TableSample {
    /// The block of each row.
    pub blocks: Vec<u32>,
    /// For each expression asked for, its value in each row.
    pub columns: Vec<Vec<SampledValue>>,
}

/// Pages and rows of a table as the planner sees them now, and how it fills its tuples.
pub fn estimated_size(relid: pg_sys::Oid) -> Option<(f64, f64)> {
    let table = super::table::Table::open(relid, pg_sys::AccessShareLock as i32)?;
    let (mut pages, mut tuples, mut visible) = (0, 0.0, 0.0);
    // SAFETY: an open table, locked; what it has no storage for is left at zero.
    unsafe {
        if !pg_sys::get_rel_relkind(relid).eq(&(pg_sys::RELKIND_PARTITIONED_TABLE as std::ffi::c_char)) {
            pg_sys::estimate_rel_size(
                table.raw(),
                std::ptr::null_mut(),
                &mut pages,
                &mut tuples,
                &mut visible,
            );
        }
    }
    Some((f64::from(pages), tuples))
}

/// How values of a type are laid out: length, negative where it varies, and alignment.
pub fn layout(type_oid: pg_sys::Oid) -> (i16, u32) {
    let (mut length, mut by_value, mut align) = (0, false, 0);
    // SAFETY: a look-up about an existing type.
    unsafe { pg_sys::get_typlenbyvalalign(type_oid, &mut length, &mut by_value, &mut align) };
    let align = match align as u8 {
        b'd' => 8,
        b'i' => 4,
        b's' => 2,
        _ => 1,
    };
    (length, align)
}

/// Reads `percent` of the table's blocks. `expressions` are SQL over the table's columns; `types` theirs.
/// Runs as the caller: row security and privileges hold.
pub fn read(
    relid: pg_sys::Oid,
    expressions: &[String],
    types: &[pg_sys::Oid],
    percent: f64,
) -> Result<TableSample> {
    let list: String = expressions.iter().map(|e| format!(", ({e})")).collect();
    let query = format!("SELECT t.ctid{list} FROM {}", sampled(relid, percent));
    let storage: Vec<(i16, bool)> = types
        .iter()
        .map(|type_oid| {
            let (mut length, mut by_value) = (0, false);
            // SAFETY: a look-up about an existing type.
            unsafe { pg_sys::get_typlenbyval(*type_oid, &mut length, &mut by_value) };
            (length, by_value)
        })
        .collect();
    let mut sample = TableSample { blocks: Vec::new(), columns: vec![Vec::new(); expressions.len()] };
    let memory = OwnedContext::new(c"db_architect sample");
    memory.within(|| {
        rows::each(&query, &[], |fields| {
            // SAFETY: the first column is a tid; the others are values of the types given.
            unsafe {
                sample.blocks.push(block_of(fields.value(0).datum));
                for (i, ((length, by_value), column)) in storage.iter().zip(&mut sample.columns).enumerate() {
                    let value = fields.value(i + 1);
                    column.push(if value.null {
                        SampledValue::NULL
                    } else {
                        measured(value.datum, *length, *by_value)
                    });
                }
            }
            Ok(())
        })
    })?;
    Ok(sample)
}

/// What an index would keep of an expression's values, where `condition` is true: with the block of each row.
/// Otherwise as `read`; `key` is for the expression's type.
pub fn read_stored(
    relid: pg_sys::Oid,
    expression: &str,
    condition: Option<&str>,
    key: &StoredKey,
    percent: f64,
) -> Result<Vec<(u32, Vec<SampledValue>)>> {
    let condition = condition.map(|sql| format!(" WHERE {sql}")).unwrap_or_default();
    let query = format!("SELECT t.ctid, ({expression}) FROM {}{condition}", sampled(relid, percent));
    let mut sample = Vec::new();
    let memory = OwnedContext::new(c"db_architect sample");
    memory.within(|| {
        rows::each(&query, &[], |fields| {
            let value = fields.value(1);
            // SAFETY: the first column is a tid; the other is of the key's type.
            unsafe {
                let kept = if value.null { Vec::new() } else { key.kept(value.datum) };
                sample.push((block_of(fields.value(0).datum), kept));
            }
            Ok(())
        })
    })?;
    Ok(sample)
}

fn sampled(relid: pg_sys::Oid, percent: f64) -> String {
    let table = lookup::qualified_name(relid).unwrap_or_default();
    if percent < 100.0 {
        format!("ONLY {table} AS t TABLESAMPLE pg_catalog.system ({percent}) REPEATABLE (0)")
    } else {
        format!("ONLY {table} AS t")
    }
}

/// # Safety
/// A tid.
unsafe fn block_of(tid: pg_sys::Datum) -> u32 {
    // SAFETY: the caller's promise.
    unsafe {
        let block = (*tid.cast_mut_ptr::<pg_sys::ItemPointerData>()).ip_blkid;
        u32::from(block.bi_hi) << 16 | u32::from(block.bi_lo)
    }
}

/// Whether the sampled value of a condition is true.
pub fn is_true(value: &SampledValue) -> bool {
    !value.null && value.hash == hash(&1_usize.to_ne_bytes())
}

/// # Safety
/// The value is of a type of this length and way of passing.
pub(super) unsafe fn measured(datum: pg_sys::Datum, length: i16, by_value: bool) -> SampledValue {
    // SAFETY: the caller's promise.
    let (bytes, hash) = unsafe {
        if by_value {
            (length as u32, hash(&datum.value().to_ne_bytes()))
        } else {
            let start = datum.cast_mut_ptr::<u8>();
            let size = match length {
                -1 => pgrx::varsize_any(start.cast()),
                -2 => std::ffi::CStr::from_ptr(start.cast()).count_bytes() + 1,
                fixed => fixed as usize,
            };
            let image = std::slice::from_raw_parts(start, size);
            // A short value may stand with a long header in memory.
            let (skipped, stored) = if length == -1 && pgrx::varatt_is_4b_u(start.cast()) {
                (4, if size <= 126 + 4 { size - 3 } else { size })
            } else if length == -1 && pgrx::varatt_is_1b(start.cast()) {
                (1, size)
            } else {
                (0, size)
            };
            (stored as u32, hash(&image[skipped.min(size)..]))
        }
    };
    SampledValue { null: false, bytes, hash }
}

/// FNV-1a with a finish that spreads it over all bits.
fn hash(bytes: &[u8]) -> u64 {
    let mut state: u64 = 0xcbf2_9ce4_8422_2325;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = (state ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state ^= state >> 29;
    }
    state ^ bytes.len() as u64
}
