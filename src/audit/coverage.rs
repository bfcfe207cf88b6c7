//! Is every audited table still fully recorded?

use crate::capture::coverage::{self, Finding, array_literal};
use crate::capture::policy::{Image, Kind, OnError, Policy};
use crate::error::Result;

pub fn findings() -> Result<Vec<Finding>> {
    coverage::findings(Kind::Audit, repair)
}

/// The call of enable_audit a policy comes from.
fn repair(policy: &Policy, table: &str) -> String {
    let list = |columns: &[String]| pgrx::spi::quote_literal(array_literal(columns));
    let mut call = format!("SELECT * FROM architect.enable_audit({}", pgrx::spi::quote_literal(table));
    call += &format!(", operations => {}", list(&policy.operations));
    if let Some(include) = &policy.include {
        call += &format!(", columns => {}", list(&include.names));
    }
    if !policy.exclude.names.is_empty() {
        call += &format!(", exclude => {}", list(&policy.exclude.names));
    }
    if policy.image == Image::Full {
        call += ", image => 'full'";
    }
    for (given, name) in [(policy.replicated, "replicated"), (policy.require_context, "require_context")] {
        if given {
            call += &format!(", {name} => true");
        }
    }
    if policy.on_error == OnError::Fail {
        call += ", on_error => 'fail'";
    }
    call + ")"
}
