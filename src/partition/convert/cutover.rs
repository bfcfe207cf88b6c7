//! The moment of the exchange, one transaction: the table becomes a partition, under another name, of a
//! partitioned table that takes its name and all that hung on it. Only the catalogue changes, no row is read.

use super::carry::{self, Names, Statement};
use super::later::{self, Unchecked};
use super::obstacles;
use super::uses::{self, Materialized};
use crate::capture::exchange;
use crate::error::{Error, Result};
use crate::partition::job;
use crate::pg::{lookup, matview, security, spi};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

/// Constraint that proves the partition's bound.
pub const BOUND: &str = "architect_partition_bound";

pub struct Cutover<'a> {
    pub names: &'a Names<'a>,
    pub schema: &'a str,
    /// Unqualified, of the partitioned table and of what the table is called afterwards.
    pub table_name: &'a str,
    pub history_name: &'a str,
    pub column: &'a str,
    pub column_number: i16,
    /// Upper bound of the table as a partition, as SQL.
    pub bound: &'a str,
    pub drop_incoming: bool,
}

/// Everything that is done, in order; read before anything is done.
pub struct Script {
    pub statements: Vec<Statement>,
    /// Materialized views whose queries are read anew, at the end.
    pub materialized: Vec<Materialized>,
    /// Those of them that give up foreign keys for good.
    pub dropped: Vec<Statement>,
    /// To be run afterwards: checks of foreign keys.
    pub later: Vec<Unchecked>,
}

/// The name a widened key's index has while it waits for the exchange.
pub fn wide_name(index: pg_sys::Oid) -> String {
    format!("architect_wide_{}", index.to_u32())
}

impl Cutover<'_> {
    pub fn script(&self) -> Result<Script> {
        let names = self.names;
        let mut script: Vec<Statement> = Vec::new();
        let (name, history) = (names.name, names.history);
        script.extend(names.statements(uses::DROP_INCOMING)?);
        script.extend(names.statements(uses::DROP_SELF)?);
        let dropped = if self.drop_incoming { script.clone() } else { Vec::new() };
        script.extend(names.statements(uses::DROP_ROUTINES)?);
        let mut own = |sql: String| script.push(Statement { role: names.owner, sql });
        own(format!("ALTER TABLE {name} ALTER COLUMN {} SET NOT NULL", quote_identifier(self.column)));
        // Indexes give their names to those of the partitioned table.
        let indexes = self.indexes()?;
        for index in &indexes {
            if let Some(wide) = &index.wide {
                own(format!("ALTER TABLE {name} DROP CONSTRAINT {}", quote_identifier(&index.name)));
                own(format!(
                    "ALTER TABLE {name} ADD CONSTRAINT {} {} USING INDEX {}{}",
                    quote_identifier(&index.name),
                    if index.primary { "PRIMARY KEY" } else { "UNIQUE" },
                    quote_identifier(wide),
                    index.deferral,
                ));
            }
            own(format!(
                "ALTER INDEX {} RENAME TO {}",
                lookup::qualify(self.schema, &index.name),
                quote_identifier(crate::partition::name::partition_name(&index.name, "p_history")),
            ));
        }
        let statistics = self.statistics()?;
        for object in &statistics {
            let away = crate::partition::name::partition_name(&object.name, "p_history");
            own(format!(
                "ALTER STATISTICS {} RENAME TO {}",
                lookup::qualify(&object.schema, &object.name),
                quote_identifier(away)
            ));
        }
        own(format!("ALTER TABLE {name} RENAME TO {}", quote_identifier(self.history_name)));
        script.extend(names.statements(carry::STRIP)?);
        let mut own = |sql: String| script.push(Statement { role: names.owner, sql });
        own(format!(
            "CREATE TABLE {name} (LIKE {history} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED
             INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING COMMENTS)
             PARTITION BY RANGE ({}){}",
            quote_identifier(self.column),
            self.tablespace()?,
        ));
        own(format!("ALTER TABLE {name} DROP CONSTRAINT {BOUND}"));
        own(REVOKE_DEFAULTS.into());
        for sql in statistics.into_iter().flat_map(|object| object.sql) {
            own(sql);
        }
        script.extend(names.statements(carry::IDENTITY)?);
        for sequence in names.statements(carry::IDENTITY_SEQUENCES)? {
            // What it has come to, under the table's lock.
            script.extend(spi::read_now(
                &format!(
                    "SELECT $1::oid, format('SELECT pg_catalog.setval(%L::pg_catalog.regclass, %s, %L)', $2::text, s.last_value, s.is_called) FROM {} AS s",
                    sequence.sql
                ),
                &[sequence.role.into(), sequence.sql.as_str().into()],
                |row| {
                    Ok(Statement {
                        role: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
                        sql: row.get(2)?.unwrap_or_default(),
                    })
                },
            )?);
        }
        script.extend(names.statements(carry::SEQUENCES)?);
        for index in &indexes {
            script.extend(index.on_parent(names, self.schema)?);
        }
        for query in [
            carry::OUTGOING,
            carry::TRIGGERS,
            carry::POLICIES,
            carry::PRIVILEGES,
            carry::DETAILS,
            carry::RULES,
        ] {
            script.extend(names.statements(query)?);
        }
        let mut own = |sql: String| script.push(Statement { role: names.owner, sql });
        own(format!(
            "ALTER TABLE {name} ATTACH PARTITION {history} FOR VALUES FROM (MINVALUE) TO ({})",
            self.bound
        ));
        if let Some(identity) = self.replica_identity()? {
            own(format!("ALTER TABLE {name} REPLICA IDENTITY {identity}"));
        }
        for query in [
            uses::ADD_ROUTINES,
            uses::PUBLICATIONS,
            uses::VIEWS,
            uses::RULES,
            uses::POLICIES,
            uses::FUNCTIONS,
        ] {
            script.extend(names.statements(query)?);
        }
        let mut later = Vec::new();
        if !self.drop_incoming {
            script.extend(names.statements(uses::ADD_INCOMING)?);
            script.extend(names.statements(uses::ADD_SELF)?);
            later = later::of(names.table)?;
            later.extend(later::of_itself(names.table, true)?);
        }
        Ok(Script {
            statements: script,
            materialized: uses::materialized_views(names.table)?,
            dropped,
            later,
        })
    }

    /// Does it, under the locks taken. Returns the partitioned table.
    pub fn run(&self, script: &Script) -> Result<pg_sys::Oid> {
        let replaced = obstacles::narrow_keys(self.names.table, self.column_number)?.len() as i64;
        let before = index_count(self.names.table)? - replaced;
        exchange::unfollowed(|| -> Result<()> {
            for statement in &script.statements {
                if statement.sql == REVOKE_DEFAULTS {
                    self.revoke_defaults()?;
                    continue;
                }
                as_role(self.names.owner, statement)?;
            }
            for view in &script.materialized {
                security::as_owner(view.owner, || matview::replace_query(view.view, &view.query))?;
            }
            Ok(())
        })?;
        // A partitioned index that found no match among the table's would have been built just now.
        if index_count(self.names.table)? != before {
            return Err(Error::internal("an index of the partitioned table matches none of the table's"));
        }
        let parent = lookup::relation_named(self.schema, self.table_name)
            .ok_or_else(|| Error::internal("the partitioned table is not there"))?;
        security::as_extension_owner(|| {
            exchange::unfollowed(|| exchange::take_place(self.names.table, parent))
        })?;
        Ok(parent)
    }

    fn revoke_defaults(&self) -> Result<()> {
        let Some(parent) = lookup::relation_named(self.schema, self.table_name) else { return Ok(()) };
        let made = Names { table: parent, ..*self.names };
        for statement in made.statements(carry::REVOKE_DEFAULTS)? {
            as_role(self.names.owner, &statement)?;
        }
        Ok(())
    }

    fn tablespace(&self) -> Result<String> {
        let name = spi::read_one_now::<String>(
            "SELECT t.spcname::text FROM pg_class AS c JOIN pg_tablespace AS t ON t.oid = c.reltablespace WHERE c.oid = $1",
            &[self.names.table.into()],
        );
        Ok(name.map_or(String::new(), |name| format!(" TABLESPACE {}", quote_identifier(name))))
    }

    fn replica_identity(&self) -> Result<Option<String>> {
        let rows = spi::read_now(
            "SELECT c.relreplident, (SELECT i.relname::text FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
                                      WHERE x.indrelid = c.oid AND x.indisreplident)
               FROM pg_class AS c WHERE c.oid = $1",
            &[self.names.table.into()],
            |row| Ok((row.get::<i8>(1)?.unwrap_or_default() as u8, row.get::<String>(2)?)),
        )?;
        Ok(rows.into_iter().next().and_then(|(kind, index)| match kind {
            b'f' => Some("FULL".into()),
            b'n' => Some("NOTHING".into()),
            b'i' => index.map(|index| format!("USING INDEX {}", quote_identifier(index))),
            _ => None,
        }))
    }

    fn statistics(&self) -> Result<Vec<Statistics>> {
        spi::read_now(
            "SELECT n.nspname::text, s.stxname::text, array_remove(ARRAY[
                        pg_get_statisticsobjdef(s.oid),
                        CASE WHEN s.stxstattarget >= 0 THEN format('ALTER STATISTICS %I.%I SET STATISTICS %s', n.nspname, s.stxname, s.stxstattarget) END,
                        format('COMMENT ON STATISTICS %I.%I IS %L', n.nspname, s.stxname, nullif(obj_description(s.oid, 'pg_statistic_ext'), '')),
                        CASE WHEN s.stxowner <> c.relowner THEN format('ALTER STATISTICS %I.%I OWNER TO %I', n.nspname, s.stxname, pg_get_userbyid(s.stxowner)) END
                    ], NULL)
               FROM pg_statistic_ext AS s JOIN pg_namespace AS n ON n.oid = s.stxnamespace JOIN pg_class AS c ON c.oid = s.stxrelid
              WHERE s.stxrelid = $1 ORDER BY s.oid",
            &[self.names.table.into()],
            |row| {
                Ok(Statistics {
                    schema: row.get(1)?.unwrap_or_default(),
                    name: row.get(2)?.unwrap_or_default(),
                    sql: row.get(3)?.unwrap_or_default(),
                })
            },
        )
    }

    fn indexes(&self) -> Result<Vec<Index>> {
        let narrow = obstacles::narrow_keys(self.names.table, self.column_number)?;
        let mut indexes = spi::read_now(
            "SELECT x.indexrelid, i.relname::text, c.oid, c.contype = 'p',
                    CASE WHEN c.condeferrable THEN ' DEFERRABLE' ELSE '' END || CASE WHEN c.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END
               FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
               LEFT JOIN pg_constraint AS c ON c.conindid = x.indexrelid AND c.conrelid = x.indrelid AND c.contype IN ('p', 'u')
              WHERE x.indrelid = $1 AND i.relname NOT LIKE 'architect\\_wide\\_%'
              ORDER BY x.indexrelid",
            &[self.names.table.into()],
            |row| {
                Ok(Index {
                    oid: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
                    name: row.get(2)?.unwrap_or_default(),
                    constraint: row.get(3)?,
                    primary: row.get(4)?.unwrap_or_default(),
                    deferral: row.get(5)?.unwrap_or_default(),
                    wide: None,
                    column: self.column.to_owned(),
                })
            },
        )?;
        for index in &mut indexes {
            if narrow.iter().any(|(oid, _)| *oid == index.oid) {
                index.wide = Some(wide_name(index.oid));
            }
        }
        Ok(indexes)
    }
}

/// An extended statistics object, and what makes the like of it on the table that takes this one's name.
struct Statistics {
    schema: String,
    name: String,
    sql: Vec<String>,
}

/// Stands in the script for what is known only once the table is there.
const REVOKE_DEFAULTS: &str = "-- privileges that default privileges gave the new table are revoked";

struct Index {
    oid: pg_sys::Oid,
    name: String,
    constraint: Option<pg_sys::Oid>,
    primary: bool,
    deferral: String,
    wide: Option<String>,
    column: String,
}

impl Index {
    /// The commands that make the like of it on the partitioned table.
    fn on_parent(&self, names: &Names, schema: &str) -> Result<Vec<Statement>> {
        let own = |sql: String| Statement { role: names.owner, sql };
        let (parent, name) = (names.name, quote_identifier(&self.name));
        let mut made = Vec::new();
        if let Some(constraint) = self.constraint {
            let definition =
                spi::read_one_now::<String>("SELECT pg_get_constraintdef($1)", &[constraint.into()])
                    .ok_or_else(|| Error::internal("a constraint has gone"))?;
            let definition = if self.wide.is_some() { self.widened(&definition)? } else { definition };
            made.push(own(format!("ALTER TABLE {parent} ADD CONSTRAINT {name} {definition}")));
            if let Some(comment) = comment(constraint, "pg_constraint") {
                made.push(own(format!("COMMENT ON CONSTRAINT {name} ON {parent} IS {comment}")));
            }
        } else {
            made.push(own(job::index_on(self.oid, &self.name, parent)?));
        }
        made.extend(self.targets(schema)?.into_iter().map(own));
        if let Some(comment) = comment(self.oid, "pg_class") {
            made.push(own(format!("COMMENT ON INDEX {} IS {comment}", lookup::qualify(schema, &self.name))));
        }
        Ok(made)
    }

    /// Statistics targets of its columns, which are expressions.
    fn targets(&self, schema: &str) -> Result<Vec<String>> {
        spi::read_now(
            "SELECT format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', $2::text, a.attnum, a.attstattarget)
               FROM pg_attribute AS a WHERE a.attrelid = $1 AND a.attstattarget >= 0 ORDER BY a.attnum",
            &[self.oid.into(), lookup::qualify(schema, &self.name).into()],
            |row| row.get::<String>(1),
        )
        .map(|rows| rows.into_iter().flatten().collect())
    }

    /// A key's definition with the partition key at its end: the first list in parentheses is the key.
    fn widened(&self, definition: &str) -> Result<String> {
        let mut quoted = false;
        let end = definition
            .char_indices()
            .find(|(_, character)| {
                if *character == '"' {
                    quoted = !quoted;
                }
                *character == ')' && !quoted
            })
            .map(|(at, _)| at)
            .ok_or_else(|| Error::internal("a key has no columns"))?;
        Ok(format!("{}, {}{}", &definition[..end], quote_identifier(&self.column), &definition[end..]))
    }
}

/// An object's comment as a literal.
fn comment(oid: pg_sys::Oid, class: &str) -> Option<String> {
    spi::read_one_now::<String>(
        "SELECT quote_literal(obj_description($1, $2::name))",
        &[oid.into(), class.into()],
    )
}

fn index_count(table: pg_sys::Oid) -> Result<i64> {
    spi::read_one_now::<i64>("SELECT count(*) FROM pg_index AS x WHERE x.indrelid = $1", &[table.into()])
        .ok_or_else(|| Error::internal("indexes cannot be counted"))
}

/// Runs a statement as the role it belongs to; the table's owner already is the current one.
pub fn as_role(owner: pg_sys::Oid, statement: &Statement) -> Result<()> {
    if statement.role == owner {
        spi::run(&statement.sql, &[])?;
    } else {
        security::as_owner(statement.role, || spi::run(&statement.sql, &[]))?;
    }
    Ok(())
}
