//! A recorded table that another one takes the place of, in one transaction: as a partition of it, under
//! another name. Policies and the history under their numbers go to the table that has the name now.

use crate::capture::policy::{self, Kind};
use crate::capture::{attach, identity};
use crate::catalog::relation;
use crate::error::Result;
use pgrx::pg_sys;
use std::cell::Cell;

thread_local! {
    static UNDER_WAY: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, whose single commands are not to be followed: what they come to is told by `take_place`.
pub fn unfollowed<R>(work: impl FnOnce() -> R) -> R {
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            UNDER_WAY.set(self.0);
        }
    }
    let _back = Back(UNDER_WAY.replace(true));
    work()
}

pub fn is_under_way() -> bool {
    UNDER_WAY.get()
}

/// Whether changes of a table are recorded, by a policy of its own.
pub fn is_recorded(relid: pg_sys::Oid) -> Result<bool> {
    for kind in Kind::ALL.into_iter().filter(|kind| kind.storage_exists()) {
        if policy::own(kind, relid)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `new` has taken the place of `old`, with its name and columns: what was recorded of one is recorded of the
/// other. As the extension's owner.
pub fn take_place(old: pg_sys::Oid, new: pg_sys::Oid) -> Result<()> {
    let mut recorded = false;
    for kind in Kind::ALL.into_iter().filter(|kind| kind.storage_exists()) {
        if !policy::identifiers_are_ours()? {
            continue;
        }
        for policy in &policy::select(kind, |about| about.relid() == old)? {
            identity::point_to(policy, new)?;
            recorded |= policy.enabled;
        }
    }
    if let (true, Some(target)) = (recorded, relation::describe(new)?) {
        attach::settle(&target, true)?;
        identity::announce(new)?;
    }
    Ok(())
}
