//! Time zones as PostgreSQL knows them.

use super::period::{NoZone, Zone};
use crate::error::Result;
use crate::partition::key::KeyKind;
use crate::pg::datetime::NamedZone;

impl Zone for NamedZone {
    fn local(&self, instant: i64) -> i64 {
        Self::local(self, instant)
    }
    fn instant(&self, local: i64) -> i64 {
        Self::instant(self, local)
    }
}

/// The zone in which a key of this kind has its periods.
pub fn for_key(kind: KeyKind, name: &str) -> Result<Box<dyn Zone>> {
    if kind.has_zone() { Ok(Box::new(NamedZone::new(name)?)) } else { Ok(Box::new(NoZone)) }
}
