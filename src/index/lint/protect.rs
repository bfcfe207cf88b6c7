//! What an index enforces or serves besides queries, and is not dropped for.
#![forbid(unsafe_code)]

use crate::catalog::index::Index;

/// Why an index must stay whatever its scans; none if nothing but queries needs it.
pub fn reason(index: &Index) -> Option<String> {
    if let Some(constraint) = &index.constraint {
        let kind = match constraint.kind {
            'p' => "primary key",
            'u' => "unique constraint",
            _ => "exclusion constraint",
        };
        return Some(format!("enforces {kind} {}", constraint.name));
    }
    serves(index).or_else(|| index.unique.then(|| "enforces uniqueness".to_owned()))
}

/// Why an index that is redundant as an index must stay all the same.
pub fn reason_if_redundant(index: &Index) -> Option<String> {
    if index.constraint.is_some() { reason(index) } else { serves(index) }
}

fn serves(index: &Index) -> Option<String> {
    let why = if index.referenced {
        "a foreign key refers to it"
    } else if index.replica_identity {
        "is the table's replica identity"
    } else if index.clustered {
        "the table is clustered on it"
    } else if index.of_extension {
        "belongs to an extension"
    } else if index.parent.is_some() {
        "is attached to the index of the partitioned table"
    } else {
        return None;
    };
    Some(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{reason, reason_if_redundant};
    use crate::catalog::index::{Constraint, Index};
    use crate::index::lint::sample::index;
    use pgrx::pg_sys::Oid;

    #[test]
    fn what_enforces_or_serves_stays() {
        assert_eq!(reason(&index(&[1])), None);
        assert!(reason(&Index { unique: true, ..index(&[1]) }).is_some());
        assert!(reason_if_redundant(&Index { unique: true, ..index(&[1]) }).is_none());
        let constraint = Some(Constraint { name: "t_key".into(), kind: 'u' });
        assert!(reason_if_redundant(&Index { unique: true, constraint, ..index(&[1]) }).is_some());
        assert!(reason(&Index { replica_identity: true, ..index(&[1]) }).is_some());
        assert!(reason(&Index { clustered: true, ..index(&[1]) }).is_some());
        assert!(reason(&Index { parent: Some(Oid::from(9)), ..index(&[1]) }).is_some());
        assert!(reason_if_redundant(&Index { referenced: true, ..index(&[1]) }).is_some());
    }
}
