//! What a conversion would do, told step by step.

use super::cutover::{self, BOUND};
use super::obstacles;
use super::run::{Conversion, Settings};
use crate::capture::exchange;
use crate::error::Result;
use crate::partition::online::{Operation, tell};
use crate::pg::spi;
use pgrx::spi::quote_identifier;

impl Conversion<'_> {
    /// What would be done, and nothing else.
    pub fn show(&self, found: Option<&Operation<Settings>>) -> Result<()> {
        let bound = match found {
            Some(operation) => operation.settings.bound,
            None => self.attempts.look(|| self.bound())?,
        };
        let literal = self.scheme.literal(bound)?;
        let obstacles = self.obstacles()?;
        let name = self.table.qualified_name();
        let size = self.attempts.look(|| {
            Ok(spi::read_one_now::<String>(
                "SELECT pg_size_pretty(pg_table_size($1::regclass))",
                &[self.table.oid.into()],
            )
            .unwrap_or_default())
        })?;
        let mut number = 0;
        let mut step = |what: String| {
            number += 1;
            tell(format!("step {number}: {what}"));
        };
        step(format!(
            "{}; -- ACCESS EXCLUSIVE on {name} for a moment; rows outside are refused from here on",
            self.check(&literal)
        ));
        step(format!(
            "ALTER TABLE {name} VALIDATE CONSTRAINT {BOUND}; -- SHARE UPDATE EXCLUSIVE, reads {size} beside readers and writers"
        ));
        if self.widen_key {
            for (index, key) in
                self.attempts.look(|| obstacles::narrow_keys(self.table.oid, self.scheme.number))?
            {
                step(format!(
                    "CREATE UNIQUE INDEX CONCURRENTLY {} as {key} with {} added; -- SHARE UPDATE EXCLUSIVE, reads {size}, by a background worker",
                    cutover::wide_name(index),
                    self.scheme.quoted()
                ));
            }
        }
        if obstacles.is_empty() {
            let script = self.attempts.look(|| self.with_cutover(&literal, |cutover| cutover.script()))?;
            step(format!(
                "in one transaction, ACCESS EXCLUSIVE on {name} for some milliseconds, no row is read:"
            ));
            for statement in &script.statements {
                tell(format!("   {};", statement.sql));
            }
            for view in &script.materialized {
                tell(format!(
                    "   -- the query of materialized view {} is read anew; its rows stay",
                    view.name
                ));
            }
            if self.attempts.look(|| exchange::is_recorded(self.table.oid))? {
                tell(
                    "   -- audit and change feed go on with the partitioned table, and make their triggers on it",
                );
            }
            for unchecked in &script.later {
                if unchecked.rises() {
                    step(format!(
                        "VALIDATE CONSTRAINT {} of {}, which then becomes one of {name}; -- SHARE UPDATE EXCLUSIVE, reads \
                         {size} beside readers and writers; then SHARE ROW EXCLUSIVE for a moment",
                        quote_identifier(unchecked.name()),
                        self.history()
                    ));
                } else if let Some(statement) = self.attempts.look(|| unchecked.statement())? {
                    step(format!(
                        "{}; -- SHARE UPDATE EXCLUSIVE there, reads it beside readers and writers",
                        statement.sql
                    ));
                }
            }
        }
        step(format!(
            "ALTER TABLE {} DROP CONSTRAINT {BOUND}; -- ACCESS EXCLUSIVE on it for a moment",
            self.history()
        ));
        step(format!("partitions from {literal} on: {}; -- SHARE UPDATE EXCLUSIVE on {name}", self.ahead));
        for obstacle in &obstacles {
            tell(format!("in the way: {}. {}", obstacle.what, obstacle.remedy));
        }
        tell(match obstacles.len() {
            0 => "nothing is in the way: dry_run => false does it".to_owned(),
            1 => "1 thing is in the way".to_owned(),
            several => format!("{several} things are in the way"),
        });
        Ok(())
    }
}
