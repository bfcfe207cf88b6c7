//! What is known of the keys of an index that is not there: a sample of the table, read once a call.

use crate::error::Result;
use crate::index::size::{self, Arrival, Keys, Layout, Size};
use crate::index::size_gin::{self, Elements};
use crate::index::values::Distributions;
use crate::pg::expression_stats::{Expression, ExpressionStats};
use crate::pg::index_definition::{IndexColumn, IndexDefinition};
use crate::pg::stored_key::{self, StoredKey};
use crate::pg::subtransaction::attempt;
use crate::pg::table::Table;
use crate::pg::table_sample::{self, SampledValue};
use crate::pg::whatif::IndexSize;
use crate::pg::{lookup, security, spi};
use pgrx::pg_sys;
use std::collections::HashMap;
use std::rc::Rc;

/// Blocks read of a table for a size within a few percent.
const BLOCKS: f64 = 400.0;
/// And where hundreds of candidates are weighed against each other.
const FEW_BLOCKS: f64 = 240.0;

/// Sizes indexes; keeps what it has read.
pub struct Sizer {
    blocks: f64,
    author: Option<pg_sys::Oid>,
    tables: HashMap<pg_sys::Oid, (f64, f64)>,
    /// By table and reader: row security shows each other rows.
    samples: HashMap<(pg_sys::Oid, Option<pg_sys::Oid>), Sample>,
    expressions: HashMap<(pg_sys::Oid, String), Option<Rc<ExpressionStats>>>,
    distributions: Distributions,
}

/// The rows read of a table; of each, values of expressions over its columns, conditions among them.
#[derive(Default)]
struct Sample {
    blocks: Vec<u32>,
    columns: HashMap<String, Vec<SampledValue>>,
}

impl Sample {
    /// Which rows a condition holds for; all, without one.
    fn holds(&self, predicate: Option<&String>) -> Vec<bool> {
        match predicate.map(|sql| self.columns.get(sql)) {
            None => vec![true; self.blocks.len()],
            Some(None) => vec![false; self.blocks.len()],
            Some(Some(values)) => {
                (0..self.blocks.len()).map(|row| values.get(row).is_some_and(table_sample::is_true)).collect()
            }
        }
    }

    fn column(&self, sql: &str, rows: &[bool]) -> Vec<SampledValue> {
        // Rows that came or went between two reads, or a column that could not be read.
        let unknown = SampledValue { null: true, bytes: 0, hash: 0 };
        let values = self.columns.get(sql).map_or(&[][..], Vec::as_slice);
        let wanted = (0..rows.len()).filter(|row| rows[*row]);
        wanted.map(|row| values.get(row).copied().unwrap_or(unknown)).collect()
    }
}

impl Default for Sizer {
    fn default() -> Self {
        Self::reading(BLOCKS)
    }
}

/// Bytes of an index's entries.
pub struct Widths {
    /// Of the widest entry found.
    pub widest: u32,
    /// Of what is included, in the mean.
    pub included: f64,
}

impl Sizer {
    /// For many candidates, each a little less exactly.
    pub fn quick() -> Self {
        Self::reading(FEW_BLOCKS)
    }

    fn reading(blocks: f64) -> Self {
        Self {
            blocks,
            author: None,
            tables: HashMap::new(),
            samples: HashMap::new(),
            expressions: HashMap::new(),
            distributions: Distributions::default(),
        }
    }

    /// In whose name the next indexes are asked for: whose functions their expressions may run. None: the
    /// caller's.
    pub fn serve(&mut self, author: Option<pg_sys::Oid>) {
        self.author = author;
    }

    pub fn author(&self) -> Option<pg_sys::Oid> {
        self.author
    }

    /// As whom a table is read for an index: its owner, who sees all of it, where that runs nobody else's
    /// code and the caller has the owner's rights.
    fn reader(&self, relid: pg_sys::Oid, trusted: bool) -> Option<pg_sys::Oid> {
        self.author?;
        let owner = Table::open(relid, pg_sys::AccessShareLock as i32).map(|table| table.owner());
        owner.filter(|owner| trusted && security::has_rights_of(*owner)).or(self.author)
    }

    /// The part of a table of so many pages that is read.
    fn share(&self, pages: f64) -> f64 {
        if pages <= self.blocks { 1.0 } else { self.blocks / pages }
    }

    /// Pages and rows of a table as the planner sees them.
    pub fn table(&mut self, relid: pg_sys::Oid) -> (f64, f64) {
        *self.tables.entry(relid).or_insert_with(|| table_sample::estimated_size(relid).unwrap_or((0.0, 0.0)))
    }

    /// Reads these columns of a table at once, where indexes on them will be asked about.
    pub fn prepare(&mut self, relid: pg_sys::Oid, names: &[String]) -> Result<()> {
        let columns: Vec<(String, pg_sys::Oid)> = names
            .iter()
            .filter_map(|name| {
                let number = lookup::attribute_number(relid, name)?;
                Some((pgrx::spi::quote_identifier(name), lookup::attribute_type(relid, number)))
            })
            .collect();
        let reader = self.reader(relid, true);
        self.sample(reader, relid, &columns).map(|_| ())
    }

    pub fn size(&mut self, definition: &IndexDefinition) -> Result<IndexSize> {
        let (table_pages, table_rows) = self.table(definition.relid);
        let share = self.share(table_pages);
        let reader = self.reader(definition.relid, definition.trusted);
        let columns = columns_of(definition);
        let mut wanted = columns.clone();
        wanted.extend(definition.predicate.iter().map(|sql| (sql.clone(), pg_sys::BOOLOID)));
        let sample = self.sample(reader, definition.relid, &wanted)?;
        let holds = sample.holds(definition.predicate.as_ref());
        let blocks: Vec<u32> = sample
            .blocks
            .iter()
            .zip(&holds)
            .filter(|(_, wanted)| **wanted)
            .map(|(block, _)| *block)
            .collect();
        let values: Vec<Vec<SampledValue>> =
            columns.iter().map(|(sql, _)| sample.column(sql, &holds)).collect();
        let mut rows = table_rows;
        if definition.predicate.is_some() {
            // A sample without such a row says that they are few, not that there is none.
            let some = (blocks.len() as f64).max(0.5);
            rows = if holds.is_empty() { 0.0 } else { table_rows * some / holds.len() as f64 };
        }
        let cells: Vec<(&[SampledValue], Layout)> = columns
            .iter()
            .zip(&values)
            .map(|((_, type_oid), values)| {
                let (length, align) = table_sample::layout(*type_oid);
                (values.as_slice(), Layout { align, varying: length < 0 })
            })
            .collect();
        let keys = size::keys_of(&blocks, &cells, definition.keys, share, rows);
        let size = self.by_method(definition, reader, &keys, &cells)?;
        Ok(IndexSize { pages: size.pages, tuples: rows, height: size.height })
    }

    /// How wide its entries are, as far as the sample goes.
    pub fn widths(&mut self, definition: &IndexDefinition) -> Result<Widths> {
        let reader = self.reader(definition.relid, definition.trusted);
        let columns = columns_of(definition);
        let sample = self.sample(reader, definition.relid, &columns)?;
        let everywhere = sample.holds(None);
        let values: Vec<Vec<SampledValue>> =
            columns.iter().map(|(sql, _)| sample.column(sql, &everywhere)).collect();
        let bytes = |row: usize| values.iter().filter_map(|column| Some(column.get(row)?.bytes)).sum::<u32>();
        Ok(Widths {
            widest: (0..everywhere.len()).map(bytes).max().unwrap_or_default(),
            included: values[definition.keys..].iter().filter_map(|values| mean_bytes(values.iter())).sum(),
        })
    }

    fn by_method(
        &mut self,
        definition: &IndexDefinition,
        reader: Option<pg_sys::Oid>,
        keys: &Keys,
        cells: &[(&[SampledValue], Layout)],
    ) -> Result<Size> {
        let (table_pages, table_rows) = self.table(definition.relid);
        let columns = &definition.columns[..definition.keys];
        Ok(match definition.method_name.as_str() {
            "hash" => size::hash(keys.rows, keys.distinct, table_rows),
            "brin" => {
                let per_range = definition.pages_per_range.map_or(128.0, f64::from);
                let mut bytes = 0.0;
                for (column, (values, _)) in columns.iter().zip(cells) {
                    let mean = mean_bytes(values.iter()).unwrap_or(8.0);
                    bytes += summary(&class_of(column.opclass)?.0, mean, per_range);
                }
                size::brin(table_pages, bytes, per_range)
            }
            "gin" => {
                let mut elements = Vec::new();
                for column in columns {
                    let sample = self.stored(definition, column, reader)?.map(|(_, sample)| sample);
                    let share = self.share(table_pages);
                    elements.push(size_gin::elements_of(&sample.unwrap_or_default(), share, table_pages));
                }
                Elements::index(&elements, stored_key::build_memory())
            }
            "gist" => {
                let (mut bytes, mut digested) = (8.0, false);
                for (column, (values, layout)) in columns.iter().zip(cells) {
                    let stored = self.stored(definition, column, reader)?;
                    let (mean, align) = match &stored {
                        Some((type_oid, sample)) => (
                            mean_bytes(sample.iter().flat_map(|(_, kept)| kept)),
                            table_sample::layout(*type_oid).1,
                        ),
                        None => (mean_bytes(values.iter()), layout.align),
                    };
                    let kept = stored.map_or(column.type_oid, |(type_oid, _)| type_oid);
                    digested |= kept != column.type_oid && table_sample::layout(kept).0 < 0;
                    let align = f64::from(align);
                    bytes = (bytes / align).ceil() * align + mean.unwrap_or(16.0);
                }
                for (values, _) in &cells[definition.keys..] {
                    bytes += mean_bytes(values.iter()).unwrap_or(8.0);
                }
                let arrival = if digested { Arrival::Digested } else { self.arrival(definition)? };
                size::gist(keys.rows, size::align(bytes), arrival)
            }
            "spgist" => {
                let bytes = cells.iter().filter_map(|(values, _)| mean_bytes(values.iter())).sum();
                let text = cells.iter().any(|(_, layout)| layout.varying)
                    && columns.iter().all(|column| column.collation != pg_sys::InvalidOid);
                size::spgist(keys.rows, bytes, text)
            }
            _ => {
                let deduplicated = definition.columns.len() == definition.keys
                    && definition.columns.iter().all(|column| column.equal_image);
                size::btree(keys, deduplicated, f64::from(definition.fillfactor.unwrap_or(90)))
            }
        })
    }

    /// What the index would keep of a column's values and of which type; none where it keeps them as they are, or
    /// they cannot be had.
    #[allow(clippy::type_complexity)]
    fn stored(
        &mut self,
        definition: &IndexDefinition,
        column: &IndexColumn,
        reader: Option<pg_sys::Oid>,
    ) -> Result<Option<(pg_sys::Oid, Vec<(u32, Vec<SampledValue>)>)>> {
        let (_, kept) = class_of(column.opclass)?;
        let Some(key) = StoredKey::of(column, definition.method, kept) else { return Ok(None) };
        let (pages, _) = self.table(definition.relid);
        let percent = self.share(pages) * 100.0;
        let sql = spelled(definition.relid, column);
        let condition = definition.predicate.as_deref();
        let read = || table_sample::read_stored(definition.relid, &sql, condition, &key, percent);
        match attempt(|| security::as_author(reader, read)) {
            Ok(sample) => Ok(Some((key.type_oid, sample))),
            Err(error) if error.is_cancel() => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// In which order CREATE INDEX comes to the keys of a GiST index.
    fn arrival(&mut self, definition: &IndexDefinition) -> Result<Arrival> {
        let keys = &definition.columns[..definition.keys];
        if keys.iter().all(stored_key::is_sorted_by_gist) {
            return Ok(Arrival::Sorted);
        }
        let column = match keys.first() {
            Some(first) if first.attnum > 0 => first.attnum,
            _ => return Ok(Arrival::Unknown),
        };
        let of = self.distributions.of(definition.relid, column)?;
        Ok(if of.bounds.is_empty() && of.common.is_empty() {
            Arrival::Unknown
        } else if of.correlation.abs() > 0.9 {
            Arrival::InOrder
        } else {
            Arrival::Scattered
        })
    }

    /// For each column of the index what ANALYZE would find, where it is an expression; not for a partial
    /// index, whose rows tell nothing of the others.
    pub fn statistics(&mut self, definition: &IndexDefinition) -> Result<Vec<Option<Rc<ExpressionStats>>>> {
        let reader = self.reader(definition.relid, definition.trusted);
        let mut statistics = Vec::new();
        for column in &definition.columns[..definition.keys] {
            let known = match &column.expression {
                Some(sql) if definition.predicate.is_none() => {
                    self.expression(reader, definition.relid, column, sql)?
                }
                _ => None,
            };
            statistics.push(known);
        }
        Ok(statistics)
    }

    fn expression(
        &mut self,
        reader: Option<pg_sys::Oid>,
        relid: pg_sys::Oid,
        column: &IndexColumn,
        sql: &str,
    ) -> Result<Option<Rc<ExpressionStats>>> {
        if let Some(known) = self.expressions.get(&(relid, sql.to_owned())) {
            return Ok(known.clone());
        }
        let (pages, rows) = self.table(relid);
        let share = self.share(pages);
        let sample = self.sample(reader, relid, &[(sql.to_owned(), column.type_oid)])?;
        let values = sample.column(sql, &sample.holds(None));
        let keys =
            size::keys_of(&sample.blocks, &[(&values, Layout { align: 1, varying: true })], 1, share, rows);
        let of = Expression {
            relid,
            sql,
            type_oid: column.type_oid,
            collation: column.collation,
            distinct: keys.distinct,
            rows,
        };
        let read = || ExpressionStats::read(&of, share * 100.0);
        let statistics = match attempt(|| security::as_author(reader, read)) {
            Ok(statistics) => statistics.map(Rc::new),
            Err(error) if error.is_cancel() => return Err(error),
            Err(_) => None,
        };
        self.expressions.insert((relid, sql.to_owned()), statistics.clone());
        Ok(statistics)
    }

    /// The table's sample, with at least these columns. What may not be read is as if it were empty.
    fn sample(
        &mut self,
        reader: Option<pg_sys::Oid>,
        relid: pg_sys::Oid,
        columns: &[(String, pg_sys::Oid)],
    ) -> Result<&Sample> {
        let known = self.samples.get(&(relid, reader));
        let missing: Vec<(String, pg_sys::Oid)> = columns
            .iter()
            .filter(|(sql, _)| known.is_none_or(|sample| !sample.columns.contains_key(sql)))
            .cloned()
            .collect();
        if !missing.is_empty() {
            let (pages, _) = self.table(relid);
            let percent = self.share(pages) * 100.0;
            let read = match read(reader, relid, &missing, percent)? {
                Some(read) => vec![(missing, read)],
                // One of them cannot be had: the others may.
                None => {
                    let mut each = Vec::new();
                    for column in missing {
                        let column = vec![column];
                        let read = read(reader, relid, &column, percent)?.unwrap_or_default();
                        each.push((column, read));
                    }
                    each
                }
            };
            let sample = self.samples.entry((relid, reader)).or_default();
            for (columns, read) in read {
                if sample.blocks.is_empty() {
                    sample.blocks = read.blocks;
                }
                let mut values = read.columns.into_iter();
                for (sql, _) in columns {
                    sample.columns.insert(sql, values.next().unwrap_or_default());
                }
            }
        }
        Ok(self.samples.entry((relid, reader)).or_default())
    }
}

/// None where an expression fails, or may not be read.
fn read(
    reader: Option<pg_sys::Oid>,
    relid: pg_sys::Oid,
    columns: &[(String, pg_sys::Oid)],
    percent: f64,
) -> Result<Option<table_sample::TableSample>> {
    let (sql, types): (Vec<String>, Vec<pg_sys::Oid>) = columns.iter().cloned().unzip();
    let read = || table_sample::read(relid, &sql, &types, percent);
    match attempt(|| security::as_author(reader, read)) {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.is_cancel() => Err(error),
        Err(_) => Ok(None),
    }
}

/// Columns as SQL over the table, and their types. Rows that are not in the index may have values that an expression
/// fails on.
fn columns_of(definition: &IndexDefinition) -> Vec<(String, pg_sys::Oid)> {
    definition
        .columns
        .iter()
        .map(|column| {
            let sql = spelled(definition.relid, column);
            let sql = match (&definition.predicate, &column.expression) {
                (Some(predicate), Some(_)) => format!("CASE WHEN {predicate} THEN {sql} END"),
                _ => sql,
            };
            (sql, column.type_oid)
        })
        .collect()
}

/// A column as SQL over its table.
fn spelled(relid: pg_sys::Oid, column: &IndexColumn) -> String {
    match &column.expression {
        Some(expression) => expression.clone(),
        None => pgrx::spi::quote_identifier(lookup::attribute_name(relid, column.attnum).unwrap_or_default()),
    }
}

fn mean_bytes<'a>(values: impl Iterator<Item = &'a SampledValue>) -> Option<f64> {
    let (count, bytes) = values
        .filter(|value| !value.null)
        .fold((0.0, 0.0), |(count, bytes), value| (count + 1.0, bytes + f64::from(value.bytes)));
    (count > 0.0).then(|| bytes / count)
}

/// An operator class's name, and the type it keeps if that is not the column's.
fn class_of(opclass: pg_sys::Oid) -> Result<(String, pg_sys::Oid)> {
    let rows = spi::read_now(
        "SELECT c.opcname::pg_catalog.text, c.opckeytype FROM pg_catalog.pg_opclass AS c WHERE c.oid OPERATOR(pg_catalog.=) $1",
        &[opclass.into()],
        |row| Ok((row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or(pg_sys::InvalidOid))),
    )?;
    Ok(rows.into_iter().next().unwrap_or((String::new(), pg_sys::InvalidOid)))
}

/// Values of a range of pages as a BRIN operator class sums them up, in bytes: by default a bloom filter for a tenth of
/// the rows that a page can hold, at one false answer in a hundred; 32 values; what includes all, and two notes; or the
/// least and the largest.
fn summary(class: &str, bytes: f64, per_range: f64) -> f64 {
    if class.contains("bloom") {
        ((29.1 * per_range).max(16.0) * 9.585 / 8.0 + 24.0).min(8000.0)
    } else if class.contains("minmax_multi") {
        32.0 * bytes + 24.0
    } else if class.contains("inclusion") {
        bytes + 2.0
    } else {
        2.0 * bytes
    }
}
