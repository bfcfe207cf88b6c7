//! Who, where from and why: one row of capture_context for all the changes a session makes with the same
//! settings, so that a change itself costs eight bytes for it.

use crate::capture::policy::storage_missing;
use crate::error::{Error, Result};
use crate::guc;
use crate::pg::table::Table;
use crate::pg::{lookup, security, sequence, session, settings};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::HashMap;

/// Contexts a session remembers; a session that sets a correlation id in every transaction goes
/// through them one by one.
const MOST: usize = 64;
/// A context is stored anew after this long, so that retention may drop old ones: 28 days.
const LONGEST: i64 = 28 * 86_400_000_000;

#[derive(Clone, PartialEq, Eq, Hash, Default)]
struct Facts {
    /// Of the session, as SET ROLE chose, and current.
    roles: [u32; 3],
    application_name: String,
    actor: Option<String>,
    correlation_id: Option<String>,
    context: Option<String>,
}

struct Stored {
    id: i64,
    at: i64,
    /// The savepoint that stored the row, while its transaction has not committed.
    uncommitted: Option<u32>,
}

/// What the session's settings come to, and under which numbers they are stored.
#[derive(Default)]
pub struct Contexts {
    now: Facts,
    /// Count of assignments the settings in `now` were read at.
    assignments: u64,
    stored: HashMap<Facts, Stored>,
    /// Number and time of the entry of `stored` that stands for `now`, while nothing changed.
    current: Option<(i64, i64)>,
}

impl Contexts {
    /// Number of the context for a change made now.
    pub fn id(&mut self, at: i64) -> Result<i64> {
        self.refresh();
        if let Some((id, _)) = self.current.filter(|(_, since)| at - since < LONGEST) {
            return Ok(id);
        }
        let known = self.stored.get(&self.now).filter(|stored| at - stored.at < LONGEST);
        let (id, since) = match known {
            Some(stored) => (stored.id, stored.at),
            None => {
                let id = store(&self.now, at)?;
                if self.stored.len() >= MOST {
                    self.stored.clear();
                }
                self.stored
                    .insert(self.now.clone(), Stored { id, at, uncommitted: Some(session::savepoint()) });
                (id, at)
            }
        };
        self.current = Some((id, since));
        Ok(id)
    }

    /// Fails unless the application said who acts or for which request.
    pub fn require(&mut self, table: &str) -> Result<()> {
        self.refresh();
        if self.now.actor.is_some() || self.now.correlation_id.is_some() {
            return Ok(());
        }
        Err(Error::not_in_prerequisite_state(format!("table {table} may only be changed with a context"))
            .detail("Neither architect.actor nor architect.correlation_id is set.")
            .hint("SET LOCAL architect.actor = '...' at the start of the transaction."))
    }

    /// Brings `now` up to date; forgets `current` if anything differs.
    fn refresh(&mut self) {
        let assignments = settings::assignments();
        if self.assignments != assignments {
            self.assignments = assignments;
            self.now.actor = guc::ACTOR.get();
            self.now.correlation_id = guc::CORRELATION_ID.get();
            self.now.context = guc::CONTEXT.get();
            self.current = None;
        }
        let roles =
            [security::session_role(), security::outer_role(), security::current_role()].map(|r| r.to_u32());
        if self.now.roles != roles {
            self.now.roles = roles;
            self.current = None;
        }
        if session::application_name_into(&mut self.now.application_name) {
            self.current = None;
        }
    }

    /// A rollback took the rows that were stored in savepoints of this number and higher.
    pub fn forget_uncommitted(&mut self, lowest: u32) {
        self.stored.retain(|_, stored| stored.uncommitted.is_none_or(|savepoint| savepoint < lowest));
        self.current = None;
    }

    pub fn committed(&mut self) {
        self.stored.values_mut().for_each(|stored| stored.uncommitted = None);
    }

    pub fn clear(&mut self) {
        self.stored.clear();
        self.current = None;
    }

    pub fn len(&self) -> usize {
        self.stored.len()
    }
}

/// The uuid that architect.correlation_id is set to.
pub fn correlation_id(text: &str) -> Result<uuid::Uuid> {
    uuid::Uuid::parse_str(text).map_err(|_| {
        Error::invalid_parameter("invalid value for parameter \"architect.correlation_id\"")
            .detail(format!("\"{text}\" is not a uuid."))
            .hint("SET LOCAL architect.correlation_id to a uuid, or RESET it.")
    })
}

/// Fails unless what architect.context is set to can be kept as jsonb.
pub fn check_json(text: &str) -> Result<()> {
    let reason = match serde_json::from_str::<&serde_json::value::RawValue>(text) {
        Err(error) => error.to_string(),
        Ok(_) if !crate::pg::json::fits_jsonb(text.as_bytes()) => "it cannot be kept as jsonb".into(),
        Ok(_) => return Ok(()),
    };
    Err(Error::invalid_parameter("invalid value for parameter \"architect.context\"")
        .detail(format!("The value is not valid JSON: {reason}."))
        .hint("SET LOCAL architect.context to a JSON document, or RESET it."))
}

fn store(facts: &Facts, at: i64) -> Result<i64> {
    let correlation_id = facts.correlation_id.as_deref().map(correlation_id).transpose()?;
    let context = facts
        .context
        .as_deref()
        .map(|text| {
            check_json(text)?;
            Ok::<_, Error>(crate::pg::datum::jsonb(text))
        })
        .transpose()?;
    let numbers = lookup::own_relation("capture_context_id_seq")
        .ok_or_else(|| storage_missing("capture_context_id_seq"))?;
    let table = lookup::own_relation("capture_context")
        .and_then(|relid| Table::open(relid, pg_sys::RowExclusiveLock as i32))
        .ok_or_else(|| storage_missing("capture_context"))?;
    let role = |oid: u32| security::role_name(pg_sys::Oid::from(oid)).into_datum();
    let id = sequence::next(numbers);
    table.append(&[
        id.into_datum(),
        at.into_datum(),
        role(facts.roles[0]),
        role(facts.roles[1]),
        role(facts.roles[2]),
        facts.actor.as_deref().into_datum(),
        correlation_id.and_then(|id| pgrx::Uuid::from_bytes(*id.as_bytes()).into_datum()),
        context,
        facts.application_name.as_str().into_datum(),
        session::client_address(),
        session::backend_pid().into_datum(),
    ])?;
    Ok(id)
}
