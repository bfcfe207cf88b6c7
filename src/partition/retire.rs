//! Taking partitions out of use: detached beside readers and writers, then dropped, moved or handed on.

use super::create;
use super::guard::{self, Guard};
use super::job::Work;
use super::journal::Journal;
use super::layout::Layout;
use super::maintain::{Maintenance, told, warn};
use super::plan;
use super::policy::{self, Fate, Retention};
use super::table::Partition;
use crate::error::{Error, Result};
use crate::pg::{lookup, security, spi};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::time::Instant;

/// Retires one partition and notes how it went; fails only if the whole is cancelled.
pub fn retire(
    maintenance: &Maintenance,
    retention: &Retention,
    layout: &Layout,
    partition: &Partition,
    journal: &mut Journal,
) -> Result<()> {
    let begun = Instant::now();
    let parent = &layout.parent;
    let (name, child) = (parent.qualified_name(), partition.qualified_name());
    let leaving = Leaving {
        relid: partition.oid,
        parent: parent.oid,
        owner: parent.owner,
        name: child.clone(),
        fate: retention.fate.clone(),
    };
    // It was planned a while ago: another run may have taken it up, or somebody changed it.
    let bound = maintenance.procedure.transaction(|| Ok(bound_in_use(partition.oid)))?;
    if bound.as_deref() != Some(partition.bound_text.as_str()) {
        return Ok(());
    }
    let outcome = maintenance
        .procedure
        .transaction(|| leaving.remember(partition))
        .and_then(|()| detach(maintenance, layout, partition, &retention.fate))
        .and_then(|said| leaving.finish(maintenance).map(|()| said));
    let done = match retention.fate {
        Fate::Detach => "detached",
        Fate::Drop => "dropped",
        Fate::Archive { .. } => "archived",
    };
    match outcome {
        Ok(said) => {
            let detail = format!("was {}{said}", partition.bound_text);
            journal.note((parent.oid, &name), child, done, detail, begun);
        }
        Err(error) if error.is_cancel() => return Err(error),
        Err(_) if maintenance.procedure.transaction(|| Ok(is_pending(partition.oid)))? => {
            let why = "its detach has begun and waits for those who use it: the next run finishes it";
            journal.note((parent.oid, &name), child, "deferred", why, begun);
        }
        Err(error) => {
            maintenance.procedure.transaction(|| leaving.forget_if_attached())?;
            warn(&child, &error);
            journal.note((parent.oid, &name), child, "failed", told(&error), begun);
        }
    }
    Ok(())
}

/// Detaches a partition. Returns what its guard said about it, to be noted.
fn detach(maintenance: &Maintenance, layout: &Layout, partition: &Partition, fate: &Fate) -> Result<String> {
    let parent = &layout.parent;
    if !plan::is_plain(layout) {
        let work = Work::Detach { parent: parent.oid, child: partition.oid };
        return match maintenance.top_level(&work) {
            // Another run was quicker.
            Err(error) if !is_partition(maintenance, partition.oid)? => {
                if error.is_cancel() {
                    Err(error)
                } else {
                    Ok(String::new())
                }
            }
            done => done.map(|()| String::new()),
        };
    }
    // The lock is held for a moment, and waited for no longer than one.
    maintenance.attempts(parent.owner).retrying(|| {
        spi::run(&create::lock_parent(parent), &[])?;
        let said = match guard::of_parent(parent) {
            Some(guard) => ask(guard, partition, fate)?,
            None => String::new(),
        };
        let (parent, child) = (parent.qualified_name(), partition.qualified_name());
        spi::run(&format!("ALTER TABLE {parent} DETACH PARTITION {child}"), &[])?;
        Ok(said)
    })
}

/// What a guard does takes its time: before the strong lock, with writers kept away from this partition only.
fn ask(guard: &dyn Guard, partition: &Partition, fate: &Fate) -> Result<String> {
    let child = partition.qualified_name();
    spi::run(&format!("LOCK TABLE ONLY {child} IN SHARE ROW EXCLUSIVE MODE"), &[])?;
    if let Some(objection) = guard.objection(partition)? {
        return Err(Error::not_in_prerequisite_state(format!("{child} must stay")).detail(objection));
    }
    guard.leaving(partition, fate).map(|said| if said.is_empty() { said } else { format!("; {said}") })
}

fn is_partition(maintenance: &Maintenance, relid: pg_sys::Oid) -> Result<bool> {
    maintenance.procedure.transaction(|| Ok(is_attached(relid)))
}

fn is_attached(relid: pg_sys::Oid) -> bool {
    spi::read_one_now::<bool>(
        "SELECT true FROM pg_catalog.pg_inherits i WHERE i.inhrelid OPERATOR(pg_catalog.=) $1",
        &[relid.into()],
    )
    .is_some()
}

/// What a partition holds, as the catalogue prints it for us; none once it is being detached.
fn bound_in_use(relid: pg_sys::Oid) -> Option<String> {
    let settings = [
        (c"DateStyle", c"ISO"),
        (c"TimeZone", c"UTC"),
        (c"IntervalStyle", c"postgres"),
        (c"search_path", c"pg_catalog, pg_temp"),
    ];
    security::with_settings(&settings, || {
        spi::read_one_now::<String>(
            "SELECT pg_get_expr(c.relpartbound, c.oid) FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid
              WHERE c.oid = $1 AND NOT i.inhdetachpending",
            &[relid.into()],
        )
    })
}

fn is_pending(relid: pg_sys::Oid) -> bool {
    spi::read_one_now::<bool>(
        "SELECT true FROM pg_catalog.pg_inherits i WHERE i.inhrelid OPERATOR(pg_catalog.=) $1 AND i.inhdetachpending",
        &[relid.into()],
    )
    .is_some()
}

/// A partition on its way out.
struct Leaving {
    relid: pg_sys::Oid,
    parent: pg_sys::Oid,
    owner: pg_sys::Oid,
    name: String,
    fate: Fate,
}

impl Leaving {
    /// Written down before it is detached, so that an interruption does not leave it half retired.
    fn remember(&self, partition: &Partition) -> Result<()> {
        // It was planned a while ago.
        self.refuse_if_held()?;
        security::as_extension_owner(|| {
            spi::run(
                "INSERT INTO architect.partition_retiring AS r
                     (relid, parent, owner_oid, schema_name, table_name, keep_action, archive_schema, archive_function)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (relid) DO UPDATE SET parent = EXCLUDED.parent, owner_oid = EXCLUDED.owner_oid,
                     schema_name = EXCLUDED.schema_name, table_name = EXCLUDED.table_name, keep_action = EXCLUDED.keep_action,
                     archive_schema = EXCLUDED.archive_schema, archive_function = EXCLUDED.archive_function",
                &[
                    self.relid.into(),
                    self.parent.into(),
                    self.owner.into(),
                    partition.schema.as_str().into(),
                    partition.name.as_str().into(),
                    self.fate.name().into(),
                    self.fate.schema().into(),
                    self.fate.function().into(),
                ],
            )?;
            Ok(())
        })
    }

    /// Why it must stay, if it must.
    fn held(&self) -> Result<Option<String>> {
        Ok(policy::holds()?.into_iter().find(|(held, _)| *held == self.name).map(|(_, reason)| reason))
    }

    fn refuse_if_held(&self) -> Result<()> {
        match self.held()? {
            Some(reason) => {
                Err(Error::not_in_prerequisite_state(format!("{} is on hold", self.name)).detail(reason))
            }
            None => Ok(()),
        }
    }

    /// Detaching takes as long as others take: with the table locked, against a hold being put on it too,
    /// it is looked at once more whether this is the table it was and nobody has put it on hold.
    fn lock(&self) -> Result<()> {
        let mode = match self.fate {
            // The function may read it through another connection.
            Fate::Archive { schema: None, .. } => "EXCLUSIVE",
            _ => "ACCESS EXCLUSIVE",
        };
        let changed = |what: &str| {
            Error::not_in_prerequisite_state(format!("{} {what} while it was being retired", self.name))
                .hint("Drop or move it yourself if it is not needed.")
        };
        let renamed = || lookup::qualified_name(self.relid).as_deref() != Some(self.name.as_str());
        if renamed() {
            return Err(changed("was renamed"));
        }
        spi::run(&format!("LOCK TABLE ONLY {} IN {mode} MODE", self.name), &[])?;
        // The name may have become another table's before the lock was had.
        if renamed() {
            return Err(changed("was renamed"));
        }
        if is_attached(self.relid) {
            return Err(changed("was attached again"));
        }
        self.refuse_if_held()
    }

    fn forget(&self) -> Result<()> {
        security::as_extension_owner(|| {
            spi::run("DELETE FROM architect.partition_retiring WHERE relid = $1", &[self.relid.into()])
                .map(|_| ())
        })
    }

    /// Whether it is still to be finished; keeps others from doing so.
    fn is_remembered(&self) -> Result<bool> {
        security::as_extension_owner(|| {
            spi::run_one::<bool>(
                "SELECT true FROM architect.partition_retiring WHERE relid = $1 FOR UPDATE",
                &[self.relid.into()],
            )
            .map(|found| found.is_some())
        })
    }

    /// What is still in use was not begun; what is detached is finished by the next run.
    fn forget_if_attached(&self) -> Result<()> {
        if is_attached(self.relid) { self.forget() } else { Ok(()) }
    }

    /// What comes after detaching.
    fn finish(&self, maintenance: &Maintenance) -> Result<()> {
        maintenance.attempts(self.owner).retrying(|| {
            if !self.is_remembered()? {
                // Another run has finished it.
                return Ok(());
            }
            if lookup::qualified_name(self.relid).is_none() {
                // It was dropped before it was written down: by another run, or by hand.
                return self.forget();
            }
            if !matches!(self.fate, Fate::Detach) {
                self.lock()?;
            }
            match &self.fate {
                Fate::Detach => {}
                Fate::Drop => {
                    spi::run(&format!("DROP TABLE {}", self.name), &[])?;
                }
                Fate::Archive { schema: Some(schema), .. } => {
                    let schema = pgrx::spi::quote_identifier(schema);
                    spi::run(&format!("ALTER TABLE {} SET SCHEMA {schema}", self.name), &[])?;
                }
                Fate::Archive { function, .. } => call(function.as_deref().unwrap_or_default(), self.relid)?,
            }
            self.forget()
        })
    }
}

/// Calls an archive function with the detached table. As the table's owner.
fn call(signature: &str, relid: pg_sys::Oid) -> Result<()> {
    let function = find_function(signature)?;
    spi::run(&format!("SELECT {function}($1::pg_catalog.oid::pg_catalog.regclass)"), &[relid.into()])
        .map(|_| ())
}

/// A function of one regclass, by the signature a policy has; its name as SQL.
pub fn find_function(signature: &str) -> Result<String> {
    let found = spi::read_now(
        "SELECT n.nspname::text, p.proname::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
          WHERE p.oid = to_regprocedure($1) AND p.prokind = 'f' AND p.pronargs = 1 AND p.proargtypes[0] = 'regclass'::regtype",
        &[signature.into()],
        |row| Ok((row.get::<String>(1)?.unwrap_or_default(), row.get::<String>(2)?.unwrap_or_default())),
    )?;
    let found = found.into_iter().next().ok_or_else(|| {
        Error::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_FUNCTION,
            format!("function {signature} cannot archive a partition"),
        )
        .detail("There is no such function of one argument of type regclass.")
        .hint("CREATE FUNCTION archive_it(partition regclass) ... and name it archive_it(regclass).")
    })?;
    Ok(lookup::qualify(&found.0, &found.1))
}

pub fn any_left() -> Result<bool> {
    security::as_extension_owner(|| {
        Ok(spi::read_one_now::<bool>("SELECT true FROM architect.partition_retiring LIMIT 1", &[]).is_some())
    })
}

/// Finishes what an interrupted run has detached and not yet dropped or moved.
pub fn finish_interrupted(maintenance: &Maintenance, journal: &mut Journal) -> Result<()> {
    let left = maintenance.procedure.transaction(interrupted)?;
    for leaving in left {
        let begun = Instant::now();
        let (parent, action) = (leaving.parent, leaving.fate.name());
        let allowed = maintenance
            .procedure
            .transaction(|| Ok(maintenance.as_acting(|| security::has_rights_of(leaving.owner))))?;
        if !allowed {
            continue;
        }
        let name = maintenance
            .procedure
            .transaction(|| Ok(lookup::qualified_name(parent)))?
            .unwrap_or_else(|| leaving.name.clone());
        if let Some(reason) = maintenance.procedure.transaction(|| leaving.held())? {
            let detail = format!("detached, and then put on hold: {reason}");
            journal.note((parent, &name), &leaving.name, "held", detail, begun);
            continue;
        }
        match leaving.finish(maintenance) {
            Ok(()) => {
                let detail = format!("{action}: finished what an earlier run had begun");
                journal.note((parent, &name), &leaving.name, "finished", detail, begun);
            }
            Err(error) if error.is_cancel() => return Err(error),
            Err(error) => {
                warn(&leaving.name, &error);
                journal.note((parent, &name), &leaving.name, "failed", told(&error), begun);
            }
        }
    }
    journal.write(maintenance.procedure)
}

/// Those that are detached, and are still what they were; the others are forgotten.
fn interrupted() -> Result<Vec<Leaving>> {
    security::as_extension_owner(|| {
        spi::run(
            "DELETE FROM architect.partition_retiring r
              WHERE NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                                 WHERE c.oid = r.relid AND n.nspname = r.schema_name AND c.relname = r.table_name
                                   AND c.relowner = r.owner_oid)
                 -- Never detached by us: what somebody does with it later is not ours to finish.
                 OR r.since < now() - interval '1 hour'
                    AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = r.relid AND NOT i.inhdetachpending)",
            &[],
        )?;
        let rows = spi::read_now(
            "SELECT r.relid, r.parent, r.owner_oid, r.schema_name, r.table_name, r.keep_action, r.archive_schema, r.archive_function
               FROM architect.partition_retiring r
              WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = r.relid) ORDER BY r.since",
            &[],
            |row| {
                let oid = |i| row.get::<pg_sys::Oid>(i).map(|oid| oid.unwrap_or(pg_sys::InvalidOid));
                let text = |i| row.get::<String>(i).map(Option::unwrap_or_default);
                Ok((oid(1)?, oid(2)?, oid(3)?, lookup::qualify(&text(4)?, &text(5)?), text(6)?, row.get(7)?, row.get(8)?))
            },
        )?;
        rows.into_iter()
            .map(|(relid, parent, owner, name, action, schema, function)| {
                Ok(Leaving { relid, parent, owner, name, fate: Fate::parse(&action, schema, function)? })
            })
            .collect()
    })
}
