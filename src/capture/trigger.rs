//! The trigger function: AFTER ROW for rows, AFTER STATEMENT for TRUNCATE.
//!
//! A row trigger, not a statement trigger with transition tables: it alone sees rows changed through a
//! partition, by logical replication and by foreign keys' actions; its queue cannot spill; and with
//! everything resolved beforehand it costs no more (bench/README.md).

use crate::capture::recorder;
use crate::error::Result;
use crate::pg::trigger::{Event, Outcome, TriggerCall, protocol_violation};

crate::export_trigger!(architect_capture, pg_finfo_architect_capture, capture);

fn capture(call: &TriggerCall) -> Result<Outcome> {
    if !call.is_after() || call.is_row() == (call.event() == Event::Truncate) {
        return Err(protocol_violation(
            "capture",
            "AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW or AFTER TRUNCATE FOR EACH STATEMENT",
        ));
    }
    if call.is_first_of_its_function() {
        recorder::record(call)?;
    }
    Ok(Outcome::Unchanged)
}
