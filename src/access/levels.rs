//! Levels of access. What is not listed here is for admins.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Reads the log and the reports.
    Reader,
    /// Also switches capabilities on and off for tables the role owns.
    Operator,
    /// Everything, maintenance and sealing included.
    Admin,
}

const READER: &[&str] = &[
    "advise_partitioning",
    "analyze_slow_queries",
    "architect_version",
    "audit_as_of",
    "audit_coverage",
    "audit_history",
    "audit_history_by_name",
    "capture_statistics",
    "cdc_coverage",
    "cdc_health",
    "cdc_slots",
    "consumer_lag",
    "coverage",
    "coverage_assert",
    "erasure_certificate",
    "explain_with_indexes",
    "index_bloat",
    "index_cost",
    "index_usage",
    "invalid_indexes",
    "k_anonymity",
    "l_diversity",
    "maintenance_log",
    "maintenance_status",
    "mask_progress",
    "partition_health",
    "partition_holds",
    "partition_list",
    "partition_log",
    "partition_plan",
    "partition_policies",
    "partition_progress",
    "privacy_columns",
    "privacy_decisions",
    "privacy_edges",
    "privacy_requests",
    "privacy_subjects",
    "redundant_indexes",
    "review_advice",
    "ropa",
    "statistics_figures",
    "subject_graph",
    "unindexed_foreign_keys",
    "unused_indexes",
    "updated_at_tables",
    "verify_audit_log",
    "verify_deletion_log",
    "updated_at_statistics",
    "suggest_indexes",
    "workload_coverage",
];

const OPERATOR: &[&str] = &[
    "abort_partition_operation",
    "accept_discovery",
    "ack_changes",
    "add_standard_columns",
    "anonymize_table",
    "approve_request",
    "capture",
    "close_request",
    "convert_to_partitioned",
    "create_monthly_partitions",
    "create_partitioned_index",
    "create_partitions",
    "dead_letters",
    "declare_column",
    "declare_edge",
    "declare_subject",
    "detach_partition",
    "disable_audit",
    "disable_audit_schema",
    "disable_cdc",
    "disable_cdc_schema",
    "disable_updated_at",
    "discard_dead_letter",
    "discover_pii",
    "drain_default",
    "emit_event",
    "emit_wal_event",
    "enable_audit",
    "enable_audit_schema",
    "enable_cdc",
    "enable_cdc_schema",
    "enable_updated_at",
    "erase_subject",
    "export_subject",
    "extend_request",
    "hold_partition",
    "import_pg_partman",
    "lift_hold",
    "maintain_partitions",
    "manage_partitions",
    "mask_database",
    "masked_view",
    "merge_partitions",
    "nack_changes",
    "open_request",
    "place_hold",
    "plan_erasure",
    "poll_changes",
    "poll_changes_envelope",
    "poll_changes_json",
    "promote_default",
    "release_partition",
    "remove_standard_columns",
    "retain_partitions",
    "retention_due",
    "retention_run",
    "retry_dead_letter",
    "revert_changes",
    "set_wal_context",
    "split_partition",
    "take_snapshot",
    "undeclare_column",
    "undeclare_edge",
    "undeclare_subject",
    "unmanage_partitions",
    "verify_erasure",
];

impl Level {
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "reader" => Ok(Self::Reader),
            "operator" => Ok(Self::Operator),
            "admin" => Ok(Self::Admin),
            _ => Err(Error::invalid_parameter(format!("unrecognized level of access \"{text}\""))
                .hint("Levels are reader, operator and admin.")),
        }
    }

    /// Whether a function is open to this level. Event trigger and internal functions are for none.
    pub fn includes(self, function: &str) -> bool {
        let needed = if READER.contains(&function) {
            Self::Reader
        } else if OPERATOR.contains(&function) {
            Self::Operator
        } else {
            Self::Admin
        };
        self >= needed
    }
}

#[cfg(test)]
mod tests {
    use super::Level;

    #[test]
    fn levels_build_on_each_other() {
        assert!(Level::Reader.includes("audit_history"));
        assert!(!Level::Reader.includes("enable_audit"));
        assert!(Level::Operator.includes("audit_history") && Level::Operator.includes("enable_audit"));
        assert!(!Level::Operator.includes("seal_audit_log") && Level::Admin.includes("seal_audit_log"));
        assert!(Level::parse("root").is_err());
    }
}
