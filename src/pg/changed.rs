//! Relations noted as changed until somebody asks. Noting allocates a little, and neither waits nor raises: it is
//! done in PostgreSQL's invalidation callbacks.

use pgrx::pg_sys;
use std::cell::{Cell, RefCell};

/// More changed relations than this are noted as "all of them".
const MOST: usize = 256;

pub(super) struct Changed {
    all: Cell<bool>,
    relations: RefCell<Vec<pg_sys::Oid>>,
}

impl Changed {
    pub const fn new() -> Self {
        Self { all: Cell::new(false), relations: RefCell::new(Vec::new()) }
    }

    /// Notes a relation; of no OID, all of them.
    pub fn note(&self, relid: pg_sys::Oid) {
        let noted = relid != pg_sys::InvalidOid
            && match self.relations.try_borrow_mut() {
                Ok(mut list) if list.len() < MOST => {
                    list.push(relid);
                    true
                }
                _ => false,
            };
        if !noted {
            self.all.set(true);
        }
    }

    /// Takes the notes: relations that changed; none means every relation may have.
    pub fn take(&self) -> Option<Vec<pg_sys::Oid>> {
        let relations = self.relations.take();
        (!self.all.replace(false)).then_some(relations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_are_all_of_them() {
        let (changed, relation) = (Changed::new(), pg_sys::Oid::from(16_384));
        changed.note(relation);
        assert_eq!(changed.take(), Some(vec![relation]));
        assert_eq!(changed.take(), Some(vec![]));
        changed.note(pg_sys::InvalidOid);
        assert_eq!(changed.take(), None);
        (0..=MOST).for_each(|_| changed.note(relation));
        assert_eq!(changed.take(), None);
        assert_eq!(changed.take(), Some(vec![]));
    }
}
