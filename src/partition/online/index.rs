//! create_partitioned_index(): on the partitioned table alone, which then is invalid; concurrently on each
//! partition, by a background worker; attached one by one, until it is valid. What is there is used.

use super::attempts::Attempts;
use super::call::{Call, tell};
use super::detach::hand_over;
use crate::error::{Error, Result};
use crate::partition::job::{Outcome, Work, index_definition, perform};
use crate::partition::name::partition_name;
use crate::pg::{lookup, parse, spi};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

pub fn create(call: &Call) -> Result<()> {
    let parent: pg_sys::Oid = call.required(0, "parent")?;
    let definition: String = call.required(1, "definition")?;
    let name: Option<String> = call.optional(2);
    let unique: bool = call.required(3, "is_unique")?;
    let (table, attempts) = call.on_table(parent, "create an index on", 4, 5)?;
    let table_name = table.qualified_name();
    if !table.partitioned {
        return Err(Error::wrong_object_type(format!("{table_name} is not partitioned"))
            .hint("CREATE INDEX CONCURRENTLY does for an ordinary table."));
    }
    let command = format!(
        "CREATE {}INDEX {} ON ONLY {table_name} {definition}",
        if unique { "UNIQUE " } else { "" },
        name.as_deref().map(quote_identifier).unwrap_or_default(),
    );
    if !parse::is_one_index(&command)? {
        return Err(Error::invalid_parameter("the definition of an index is not one")
            .detail(format!("It reads: {definition}"))
            .hint("Give what follows the table's name in CREATE INDEX, such as '(customer_id, placed_at DESC) WHERE paid'."));
    }
    let (index, found) = attempts.retrying(|| on_parent(parent, &command))?;
    let build = Build { attempts: &attempts };
    build.below(parent, index)?;
    let index_name = lookup::qualified_name(index).unwrap_or_default();
    let valid = attempts.look(|| is_valid(index))?;
    if !valid {
        return Err(Error::not_in_prerequisite_state(format!("index {index_name} is not valid yet"))
            .detail("A partition was added meanwhile, or one could not be indexed.")
            .hint("CALL create_partitioned_index() once more with the same arguments."));
    }
    tell(format!("index {index_name} is {}", if found { "there" } else { "built" }));
    Ok(())
}

/// The index on the partitioned table: one of the same definition that is there, else a new one. To know what a
/// definition comes to it is made first, within the transaction.
fn on_parent(parent: pg_sys::Oid, command: &str) -> Result<(pg_sys::Oid, bool)> {
    let before = indexes(parent)?;
    spi::run(command, &[])?;
    let after = indexes(parent)?;
    let made = after
        .iter()
        .find(|index| !before.contains(index))
        .copied()
        .ok_or_else(|| Error::internal("an index was not created"))?;
    let wanted = index_definition(made)?;
    for index in before {
        if index_definition(index)? == wanted {
            let name = lookup::qualified_name(made).unwrap_or_default();
            spi::run(&format!("DROP INDEX {name}"), &[])?;
            return Ok((index, true));
        }
    }
    Ok((made, false))
}

struct Build<'a> {
    attempts: &'a Attempts<'a>,
}

impl Build<'_> {
    /// Indexes the partitions of a table, and attaches what is built to the table's index.
    fn below(&self, table: pg_sys::Oid, index: pg_sys::Oid) -> Result<()> {
        let partitions = self.attempts.look(|| {
            spi::read_now(
                "SELECT c.oid, c.relkind = 'p' FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
                  WHERE i.inhparent = $1 AND NOT i.inhdetachpending AND c.relkind IN ('r', 'p') ORDER BY c.relname",
                &[table.into()],
                |row| Ok((row.get::<pg_sys::Oid>(1)?, row.get::<bool>(2)?.unwrap_or_default())),
            )
        })?;
        let wanted = self.attempts.look(|| index_definition(index))?;
        for (partition, divided) in partitions {
            let Some(partition) = partition else { continue };
            if self.attempts.look(|| attached(partition, index))? {
                continue;
            }
            let child = if divided {
                let made = self.attempts.retrying(|| {
                    let name = lookup::qualified_name(partition).unwrap_or_default();
                    on_parent(partition, &crate::partition::job::index_on_any(index, &name)?)
                })?;
                self.below(partition, made.0)?;
                made.0
            } else {
                self.on_leaf(partition, index, &wanted)?
            };
            self.attempts.retrying(|| {
                let (parent, child) = (lookup::qualified_name(index), lookup::qualified_name(child));
                spi::run(
                    &format!(
                        "ALTER INDEX {} ATTACH PARTITION {}",
                        parent.unwrap_or_default(),
                        child.unwrap_or_default()
                    ),
                    &[],
                )
            })?;
        }
        Ok(())
    }

    /// An index of this definition on a partition: one that is there and belongs to no other, else a new one.
    fn on_leaf(&self, leaf: pg_sys::Oid, like: pg_sys::Oid, wanted: &str) -> Result<pg_sys::Oid> {
        for index in self.attempts.look(|| free_indexes(leaf))? {
            if self.attempts.look(|| index_definition(index))? != wanted {
                continue;
            }
            if self.attempts.look(|| is_valid(index))? {
                return Ok(index);
            }
            // What an attempt that failed has left.
            self.job(&Work::DropIndex { table: leaf, index })?;
        }
        let name = self.attempts.look(|| free_name(leaf, like))?;
        self.job(&Work::CreateIndex { table: leaf, like, key_columns: Vec::new(), name: name.clone() })?;
        self.attempts.look(|| {
            lookup::relation_named(&lookup::relation_schema(leaf).unwrap_or_default(), &name)
                .ok_or_else(|| Error::internal("an index was not created"))
        })
    }

    fn job(&self, work: &Work) -> Result<()> {
        match perform(self.attempts.procedure, work, self.attempts.deadline)? {
            Outcome::Done => Ok(()),
            Outcome::Failed(error) | Outcome::Late(error) => Err(error),
            Outcome::HandedOver(command) => Err(hand_over(&command)),
        }
    }
}

fn indexes(table: pg_sys::Oid) -> Result<Vec<pg_sys::Oid>> {
    spi::read_now(
        "SELECT x.indexrelid FROM pg_index AS x WHERE x.indrelid = $1 ORDER BY 1",
        &[table.into()],
        |row| row.get::<pg_sys::Oid>(1),
    )
    .map(|rows| rows.into_iter().flatten().collect())
}

/// Indexes of a partition that are not part of a partitioned one, nor belong to a constraint.
fn free_indexes(table: pg_sys::Oid) -> Result<Vec<pg_sys::Oid>> {
    spi::read_now(
        "SELECT x.indexrelid FROM pg_index AS x
          WHERE x.indrelid = $1 AND NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = x.indexrelid)
            AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = x.indexrelid AND c.contype IN ('p', 'u', 'x'))
          ORDER BY x.indisvalid DESC, 1",
        &[table.into()],
        |row| row.get::<pg_sys::Oid>(1),
    )
    .map(|rows| rows.into_iter().flatten().collect())
}

fn attached(partition: pg_sys::Oid, index: pg_sys::Oid) -> Result<bool> {
    let found = spi::read_one_now::<bool>(
        "SELECT true FROM pg_inherits AS i JOIN pg_index AS x ON x.indexrelid = i.inhrelid
          WHERE i.inhparent = $2 AND x.indrelid = $1",
        &[partition.into(), index.into()],
    );
    Ok(found.is_some())
}

fn is_valid(index: pg_sys::Oid) -> Result<bool> {
    spi::read_one_now::<bool>(
        "SELECT x.indisvalid FROM pg_index AS x WHERE x.indexrelid = $1",
        &[index.into()],
    )
    .ok_or_else(|| Error::internal("an index has gone"))
}

/// `partition_index`, or with a number where that is taken.
fn free_name(leaf: pg_sys::Oid, index: pg_sys::Oid) -> Result<String> {
    let schema = lookup::relation_schema(leaf).unwrap_or_default();
    let table = lookup::relation_name(leaf).unwrap_or_default();
    let index = lookup::relation_name(index).unwrap_or_default();
    // Not too long with a number either, and short enough for the partition's name to be seen.
    let mut end = index.len().min(24);
    while !index.is_char_boundary(end) {
        end -= 1;
    }
    (0..1000)
        .map(|n| {
            let suffix = if n == 0 { index[..end].to_owned() } else { format!("{}_{n}", &index[..end]) };
            partition_name(&table, &suffix)
        })
        .find(|name| lookup::relation_named(&schema, name).is_none())
        .ok_or_else(|| Error::internal("no name is free for an index"))
}
