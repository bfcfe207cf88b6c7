//! What a verification has found, put into words: runs of missing entries in one row, each altered
//! context once, and not more rows than a reader can use.

use super::compare::Difference;
use super::digest::Key;
use crate::audit::partitions::{DEFAULT, Partition, readable};
use std::collections::HashSet;

/// Rows at most; the summary counts the rest.
const MOST: usize = 1000;

#[derive(Debug)]
pub struct Finding {
    pub severity: &'static str,
    pub code: &'static str,
    pub seal_id: Option<i64>,
    pub audit_id: Option<i64>,
    pub partition: Option<String>,
    pub detail: String,
}

pub struct Findings {
    partitions: Vec<Partition>,
    found: Vec<Finding>,
    count: usize,
    /// Missing entries that follow each other.
    missing: Option<Missing>,
    contexts: HashSet<i64>,
    relations: HashSet<i32>,
}

struct Missing {
    seal_id: i64,
    first: Key,
    last: Key,
    count: u64,
    from: i64,
    to: i64,
}

impl Findings {
    pub fn new(partitions: Vec<Partition>) -> Self {
        Self {
            partitions,
            found: Vec::new(),
            count: 0,
            missing: None,
            contexts: HashSet::new(),
            relations: HashSet::new(),
        }
    }

    fn push(&mut self, finding: Finding) {
        self.count += 1;
        if self.found.len() < MOST {
            self.found.push(finding);
        }
    }

    /// Something is wrong with the chain itself.
    pub fn seal(&mut self, seal_id: impl Into<Option<i64>>, code: &'static str, detail: String) {
        self.intact();
        let seal_id = seal_id.into();
        self.push(Finding { severity: "error", code, seal_id, audit_id: None, partition: None, detail });
    }

    /// Something a reader should know of and that is as it should be.
    pub fn notice(&mut self, seal_id: i64, code: &'static str, detail: String) {
        if self.found.len() < MOST {
            let seal_id = Some(seal_id);
            self.found.push(Finding {
                severity: "notice",
                code,
                seal_id,
                audit_id: None,
                partition: None,
                detail,
            });
        }
    }

    /// What was sealed is there: ends a run of missing entries.
    pub fn intact(&mut self) {
        let Some(missing) = self.missing.take() else { return };
        let Missing { seal_id, first, last, count, from, to } = missing;
        let when =
            if from == to { readable(from) } else { format!("{} to {}", readable(from), readable(to)) };
        let partition = self.covering(from);
        let mut detail = if count == 1 {
            format!("an entry of {when}, transaction {}, is missing", first.txid)
        } else {
            format!(
                "{count} entries that follow each other, from audit_id {} to {}, of {when}, are missing",
                first.audit_id, last.audit_id
            )
        };
        if partition.is_none() {
            detail += "; no month's partition covers that time";
        }
        self.push(Finding {
            severity: "error",
            code: "deleted",
            seal_id: Some(seal_id),
            audit_id: Some(first.audit_id),
            partition,
            detail,
        });
    }

    pub fn differences(&mut self, seal_id: i64, differences: Vec<Difference>) {
        for difference in differences {
            self.difference(seal_id, difference);
        }
    }

    fn difference(&mut self, seal_id: i64, difference: Difference) {
        let (code, key, at, detail) = match difference {
            Difference::Deleted { key, changed_at } => return self.deleted(seal_id, key, changed_at),
            Difference::Intact => return self.intact(),
            Difference::Inserted { key, changed_at } => (
                "inserted",
                Some(key),
                Some(changed_at),
                format!("an entry of transaction {} was added after it was sealed", key.txid),
            ),
            Difference::Edited { key, changed_at, was_at } if changed_at != was_at => (
                "edited",
                Some(key),
                Some(changed_at),
                format!("changed_at was {}, and is {}", readable(was_at), readable(changed_at)),
            ),
            Difference::Edited { key, changed_at, .. } => (
                "edited",
                Some(key),
                Some(changed_at),
                format!("the entry ({}) is not what was sealed", char::from(key.operation)),
            ),
            Difference::Context { key, context_id, gone } => {
                self.intact();
                if !self.contexts.insert(context_id) {
                    return;
                }
                let verb = if gone { "is missing" } else { "is not what was sealed" };
                let detail = format!("row {context_id} of capture_context, first referred to here, {verb}");
                (if gone { "context_deleted" } else { "context_edited" }, Some(key), None, detail)
            }
            Difference::Relation { key, relation_id, gone } => {
                self.intact();
                if !self.relations.insert(relation_id) {
                    return;
                }
                let verb = if gone { "is missing" } else { "is not what was sealed" };
                let detail = format!("row {relation_id} of capture_relation, first referred to here, {verb}");
                (if gone { "relation_deleted" } else { "relation_edited" }, Some(key), None, detail)
            }
        };
        self.intact();
        self.push(Finding {
            severity: "error",
            code,
            seal_id: Some(seal_id),
            audit_id: key.map(|key| key.audit_id),
            partition: at.map(|at| self.partition(at)),
            detail,
        });
    }

    /// Entries of transactions that have not happened.
    pub fn future(&mut self, forged: Vec<Difference>) {
        for difference in forged {
            let Difference::Inserted { key, changed_at } = difference else { continue };
            self.push(Finding {
                severity: "error",
                code: "forged",
                seal_id: None,
                audit_id: Some(key.audit_id),
                partition: Some(self.partition(changed_at)),
                detail: format!("transaction {} has not happened yet", key.txid),
            });
        }
    }

    fn deleted(&mut self, seal_id: i64, key: Key, at: i64) {
        if let Some(missing) = &mut self.missing {
            missing.last = key;
            missing.count += 1;
            missing.from = missing.from.min(at);
            missing.to = missing.to.max(at);
            return;
        }
        self.missing = Some(Missing { seal_id, first: key, last: key, count: 1, from: at, to: at });
    }

    fn covering(&self, at: i64) -> Option<String> {
        self.partitions.iter().find(|partition| partition.covers(at)).map(|partition| partition.name.clone())
    }

    /// The partition an entry of that time is in.
    fn partition(&self, at: i64) -> String {
        self.covering(at).unwrap_or_else(|| DEFAULT.to_owned())
    }

    /// Everything found, and a summary: 'ok' or 'failed'.
    pub fn end(mut self, last: Option<(i64, String)>, detail: String) -> Vec<Finding> {
        self.intact();
        let (seal_id, hash) = last.unzip();
        let detail = match (self.count, hash) {
            (0, Some(hash)) => format!("{detail}; last seal {hash}"),
            (0, None) => detail,
            (1, _) => format!("1 finding; {detail}"),
            (count, _) => format!("{count} findings; {detail}"),
        };
        let (severity, code) = if self.count == 0 { ("ok", "verified") } else { ("failed", "summary") };
        self.found.push(Finding { severity, code, seal_id, audit_id: None, partition: None, detail });
        self.found
    }
}
