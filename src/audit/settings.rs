//! How the log is kept: what the policy engine keeps of it, and the row of audit_setting, which survives with
//! the log.

use crate::audit::partitions::LOG;
use crate::error::Result;
use crate::partition::policy::{self, Keep, Retention};
use crate::pg::{lookup, spi};

/// How long the log is kept, and what becomes of what is past that; none where it has no policy.
pub fn retention() -> Result<Option<Retention>> {
    let Some(log) = lookup::own_relation(LOG) else { return Ok(None) };
    Ok(policy::read(Some(log))?.into_iter().next().map(|policy| policy.retention))
}

/// Whether anything ever goes.
pub fn keeps_everything() -> Result<bool> {
    Ok(retention()?.is_none_or(|retention| matches!(retention.keep, Keep::Forever)))
}

/// Whether what is not sealed yet stays, where the log is sealed.
pub fn requires_seal() -> bool {
    spi::read_one_now::<bool>("SELECT s.require_seal FROM architect.audit_setting AS s", &[]).unwrap_or(true)
}
