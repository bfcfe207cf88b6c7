//! What a trigger function is given, and how one is exported to PostgreSQL.

use super::tuple::Row;
use crate::error::{Error, Result};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::marker::PhantomData;

/// Exports a trigger function under the C symbol `$symbol`. The body is a safe
/// `fn(&TriggerCall) -> Result<Outcome>`; its error keeps SQLSTATE, DETAIL and HINT.
#[macro_export]
macro_rules! export_trigger {
    ($symbol:ident, $info:ident, $body:path) => {
        #[doc(hidden)]
        #[unsafe(no_mangle)]
        pub extern "C" fn $info() -> &'static ::pgrx::pg_sys::Pg_finfo_record {
            const V1: ::pgrx::pg_sys::Pg_finfo_record = ::pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &V1
        }

        #[doc(hidden)]
        #[unsafe(no_mangle)]
        #[::pgrx::pg_guard]
        pub extern "C-unwind" fn $symbol(fcinfo: ::pgrx::pg_sys::FunctionCallInfo) -> ::pgrx::pg_sys::Datum {
            $crate::pg::trigger::run(fcinfo, stringify!($symbol), $body)
        }
    };
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Insert,
    Update,
    Delete,
    Truncate,
}

/// What a BEFORE ROW trigger makes of the row; an AFTER trigger's answer is ignored.
pub enum Outcome {
    /// The row goes on as it is.
    Unchanged,
    /// The row goes on with other values.
    Replaced(NewTuple),
}

/// A row built by a trigger.
pub struct NewTuple(pub(super) pg_sys::HeapTuple);

/// One call of a trigger function.
pub struct TriggerCall<'a> {
    data: &'a pg_sys::TriggerData,
}

impl<'a> TriggerCall<'a> {
    #[inline]
    pub fn event(&self) -> Event {
        match self.data.tg_event & pg_sys::TRIGGER_EVENT_OPMASK {
            pg_sys::TRIGGER_EVENT_INSERT => Event::Insert,
            pg_sys::TRIGGER_EVENT_DELETE => Event::Delete,
            pg_sys::TRIGGER_EVENT_UPDATE => Event::Update,
            _ => Event::Truncate,
        }
    }

    pub fn is_row(&self) -> bool {
        self.data.tg_event & pg_sys::TRIGGER_EVENT_ROW != 0
    }

    pub fn is_after(&self) -> bool {
        self.data.tg_event & pg_sys::TRIGGER_EVENT_TIMINGMASK == pg_sys::TRIGGER_EVENT_AFTER
    }

    pub fn is_before(&self) -> bool {
        self.data.tg_event & pg_sys::TRIGGER_EVENT_TIMINGMASK == pg_sys::TRIGGER_EVENT_BEFORE
    }

    /// The table the trigger fired on: a partition, where the row is in one.
    #[inline]
    pub fn relid(&self) -> pg_sys::Oid {
        // SAFETY: the trigger manager holds the relation open.
        unsafe { (*self.data.tg_relation).rd_id }
    }

    /// Owner of the table the trigger fired on.
    pub fn owner(&self) -> pg_sys::Oid {
        // SAFETY: as above.
        unsafe { (*(*self.data.tg_relation).rd_rel).relowner }
    }

    pub fn attribute_count(&self) -> usize {
        // SAFETY: as above.
        unsafe { (*(*self.data.tg_relation).rd_att).natts as usize }
    }

    /// The attributes of the table the trigger fired on.
    pub fn attributes(&self) -> Vec<super::table::Attribute> {
        // SAFETY: as above.
        super::table::attributes_of(unsafe { (*self.data.tg_relation).rd_att })
    }

    /// The trigger's arguments, as text.
    pub fn arguments(&self) -> Vec<String> {
        // SAFETY: tg_trigger describes tgnargs nul-terminated arguments.
        unsafe {
            let trigger = &*self.data.tg_trigger;
            (0..trigger.tgnargs as usize)
                .map(|i| super::lookup::string_from(*trigger.tgargs.add(i)))
                .collect()
        }
    }

    /// Whether no other trigger that runs the same function fires for this event before this one: a
    /// second one must not make the function act twice.
    pub fn is_first_of_its_function(&self) -> bool {
        // SAFETY: the trigger manager holds the relation open; its trigger array is sorted by name, which
        // is the order of firing.
        unsafe {
            let mine = &*self.data.tg_trigger;
            let all = (*self.data.tg_relation).trigdesc;
            if all.is_null() {
                return true;
            }
            let all = std::slice::from_raw_parts((*all).triggers, (*all).numtriggers as usize);
            let replica = super::session::is_replica_session();
            let kind = match self.event() {
                Event::Insert => pg_sys::TRIGGER_TYPE_INSERT,
                Event::Update => pg_sys::TRIGGER_TYPE_UPDATE,
                Event::Delete => pg_sys::TRIGGER_TYPE_DELETE,
                Event::Truncate => pg_sys::TRIGGER_TYPE_TRUNCATE,
            } as i16;
            // One with a list of columns may not fire: it must not silence another. Nor may one with a
            // WHEN condition; those are ours only where they have the same one.
            let fires = |t: &pg_sys::Trigger| {
                t.tgfoid == mine.tgfoid
                    && t.tgqual.is_null() == mine.tgqual.is_null()
                    && t.tgnattr == 0
                    && t.tgtype & kind == kind
                    && t.tgtype & pg_sys::TRIGGER_TYPE_ROW as i16
                        == mine.tgtype & pg_sys::TRIGGER_TYPE_ROW as i16
                    && match t.tgenabled as u8 {
                        pg_sys::TRIGGER_DISABLED => false,
                        pg_sys::TRIGGER_FIRES_ON_ORIGIN => !replica,
                        pg_sys::TRIGGER_FIRES_ON_REPLICA => replica,
                        _ => true,
                    }
            };
            all.iter().find(|t| fires(t)).is_none_or(|first| first.tgoid == mine.tgoid)
        }
    }

    /// Whether the trigger has a WHEN clause.
    #[inline]
    pub fn has_condition(&self) -> bool {
        // SAFETY: the trigger manager keeps the trigger's description for the call.
        unsafe { !(*self.data.tg_trigger).tgqual.is_null() }
    }

    /// OID of the trigger.
    pub fn trigger_oid(&self) -> pg_sys::Oid {
        // SAFETY: the trigger manager keeps the trigger's description for the call.
        unsafe { (*self.data.tg_trigger).tgoid }
    }

    /// The row as it was: on UPDATE and DELETE.
    #[inline]
    pub fn old(&self) -> Option<Row<'a>> {
        (self.is_row() && self.event() != Event::Insert).then(|| self.row(self.data.tg_trigtuple))
    }

    /// The row as it becomes: on INSERT and UPDATE.
    #[inline]
    pub fn new_row(&self) -> Option<Row<'a>> {
        match self.event() {
            Event::Insert if self.is_row() => Some(self.row(self.data.tg_trigtuple)),
            Event::Update if self.is_row() => Some(self.row(self.data.tg_newtuple)),
            _ => None,
        }
    }

    fn row(&self, tuple: pg_sys::HeapTuple) -> Row<'a> {
        // SAFETY: the relation is open for the call.
        Row { tuple, descriptor: unsafe { (*self.data.tg_relation).rd_att }, _lifetime: PhantomData }
    }
}

/// Runs a trigger body on the call PostgreSQL made; called by `export_trigger!` only.
#[doc(hidden)]
pub fn run(
    fcinfo: pg_sys::FunctionCallInfo,
    name: &str,
    body: fn(&TriggerCall) -> Result<Outcome>,
) -> pg_sys::Datum {
    // SAFETY: called by the function manager with a valid fcinfo; its context, where it is a
    // TriggerData, is what the trigger manager filled in for this call.
    let data = unsafe {
        let context = (*fcinfo).context;
        if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
            pgrx::pg_sys::panic::ErrorReport::from(Error::new(
                PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                format!("function \"{name}\" was not called by trigger manager"),
            ))
            .report(PgLogLevel::ERROR);
            unreachable!()
        }
        &*context.cast::<pg_sys::TriggerData>()
    };
    let call = TriggerCall { data };
    let tuple = match body(&call) {
        Ok(Outcome::Unchanged) if call.event() == Event::Update => data.tg_newtuple,
        Ok(Outcome::Unchanged) => data.tg_trigtuple,
        Ok(Outcome::Replaced(tuple)) => tuple.0,
        Err(error) => {
            pgrx::pg_sys::panic::ErrorReport::from(error).report(PgLogLevel::ERROR);
            unreachable!()
        }
    };
    pg_sys::Datum::from(tuple)
}

/// The error for a trigger function attached in a way it is not made for.
pub fn protocol_violation(function: &str, expected: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
        format!("function \"{function}\" must be fired {expected}"),
    )
}

/// How many triggers are being executed within one another.
#[inline]
pub fn depth() -> i32 {
    // SAFETY: looks at none of its arguments, and only at backend-local state.
    unsafe { super::ffi::unguarded::pg_trigger_depth(std::ptr::null_mut()).value() as i32 }
}
