//! Whether one index does all that another does, for queries and for what it enforces.
#![forbid(unsafe_code)]

use crate::catalog::index::{Index, Key};

/// In what way the other index makes this one redundant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The same columns.
    Duplicate,
    /// The same columns, every one the other way round: read backward it gives the same order.
    Reversed,
    /// The first columns of the other.
    Prefix,
    /// Some columns of the other, in a kind of index that searches any of its columns as well.
    Subset,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Reversed => "reversed",
            Self::Prefix => "prefix",
            Self::Subset => "subset",
        }
    }
}

/// Whether `other` does all that `index` does.
pub fn makes_redundant(index: &Index, other: &Index) -> Option<Kind> {
    if index.oid == other.oid
        || index.table != other.table
        || index.method != other.method
        || !other.usable()
        || !index.usable()
        || !same_conditions(index, other)
        || !has_included(index, other)
    {
        return None;
    }
    let kind = keys(index, other)?;
    (!index.unique || enforces_as_much(index, other)).then_some(kind)
}

/// Whether `other` does all that `index` does and is the one of the two to keep.
pub fn gives_way(index: &Index, other: &Index) -> Option<Kind> {
    let kind = makes_redundant(index, other)?;
    (makes_redundant(other, index).is_none() || is_kept_before(other, index)).then_some(kind)
}

/// Predicates are lists of conditions, in any order.
fn same_conditions(index: &Index, other: &Index) -> bool {
    index.predicate_tree.is_some() == other.predicate_tree.is_some()
        && index.predicate.len() == other.predicate.len()
        && index.predicate.iter().all(|condition| other.predicate.contains(condition))
}

/// Queries that found all they need in the index find it in the other.
fn has_included(index: &Index, other: &Index) -> bool {
    index.included.iter().all(|column| {
        other.included.contains(column) || other.keys.iter().any(|key| key.column == Some(*column))
    })
}

fn keys(index: &Index, other: &Index) -> Option<Kind> {
    let length = index.keys.len();
    let same_length = length == other.keys.len();
    match index.method.as_str() {
        "btree" => {
            let first = other.keys.get(..length)?;
            let pairs = || index.keys.iter().zip(first);
            if !pairs().all(|(a, b)| same_column(a, b)) {
                None
            } else if pairs().all(|(a, b)| (a.descending, a.nulls_first) == (b.descending, b.nulls_first)) {
                Some(if same_length { Kind::Duplicate } else { Kind::Prefix })
            } else if pairs().all(|(a, b)| a.descending != b.descending && a.nulls_first != b.nulls_first) {
                Some(if same_length { Kind::Reversed } else { Kind::Prefix })
            } else {
                None
            }
        }
        "gin" | "brin" if index.options == other.options => {
            let all = index.keys.iter().all(|a| other.keys.iter().any(|b| same_column(a, b)));
            all.then_some(if same_length { Kind::Duplicate } else { Kind::Subset })
        }
        _ => {
            let same = same_length && index.keys.iter().zip(&other.keys).all(|(a, b)| same_column(a, b));
            (same && index.options == other.options).then_some(Kind::Duplicate)
        }
    }
}

fn same_column(a: &Key, b: &Key) -> bool {
    a.column == b.column
        && a.expression == b.expression
        && a.opclass == b.opclass
        && a.collation == b.collation
        && a.options == b.options
}

/// What is unique by `other` is so by the index: as soon, and with the same view of nulls.
fn enforces_as_much(index: &Index, other: &Index) -> bool {
    other.unique
        && other.keys.len() == index.keys.len()
        && other.nulls_not_distinct == index.nulls_not_distinct
        && (other.immediate || !index.immediate)
}

/// Of two indexes that make each other redundant, whether the first is the one to keep: the one that more
/// depends on, then the one used more, then the older.
pub fn is_kept_before(index: &Index, other: &Index) -> bool {
    let worth = |i: &Index| {
        (
            i.primary,
            i.constraint.is_some(),
            i.referenced,
            i.replica_identity,
            i.unique,
            i.clustered,
            i.partitioned || i.parent.is_some(),
            i.included.len(),
            i.scans,
            std::cmp::Reverse(i.oid.to_u32()),
        )
    };
    worth(index) > worth(other)
}

#[cfg(test)]
mod tests {
    use super::{Kind, gives_way, is_kept_before, makes_redundant};
    use crate::catalog::index::Index;
    use crate::index::lint::sample::{index, with_method};
    use pgrx::pg_sys::Oid;

    fn other(columns: &[i16]) -> Index {
        Index { oid: Oid::from(200), ..index(columns) }
    }

    #[test]
    fn a_prefix_is_redundant_and_what_it_is_a_prefix_of_is_not() {
        assert_eq!(makes_redundant(&index(&[1]), &other(&[1, 2])), Some(Kind::Prefix));
        assert_eq!(makes_redundant(&index(&[1, 2]), &other(&[1])), None);
        assert_eq!(makes_redundant(&index(&[2]), &other(&[1, 2])), None);
        assert_eq!(makes_redundant(&index(&[1, 2]), &other(&[2, 1])), None);
        assert_eq!(makes_redundant(&index(&[1]), &other(&[1])), Some(Kind::Duplicate));
    }

    #[test]
    fn order_counts_but_for_reading_backward() {
        let mut down = other(&[1]);
        down.keys[0].descending = true;
        assert_eq!(makes_redundant(&index(&[1]), &down), None, "nulls are at the other end");
        down.keys[0].nulls_first = true;
        assert_eq!(makes_redundant(&index(&[1]), &down), Some(Kind::Reversed));
        let mut mixed = other(&[1, 2]);
        mixed.keys[1].descending = true;
        mixed.keys[1].nulls_first = true;
        assert_eq!(makes_redundant(&index(&[1, 2]), &mixed), None);
        assert_eq!(makes_redundant(&index(&[1]), &mixed), Some(Kind::Prefix));
    }

    #[test]
    fn what_differs_is_not_redundant() {
        let mut opclass = other(&[1]);
        opclass.keys[0].opclass = Oid::from(2);
        assert_eq!(makes_redundant(&index(&[1]), &opclass), None);
        let mut collation = other(&[1]);
        collation.keys[0].collation = Oid::from(950);
        assert_eq!(makes_redundant(&index(&[1]), &collation), None);
        let mut expression = other(&[1]);
        expression.keys[0].column = None;
        expression.keys[0].expression = Some("lower".into());
        assert_eq!(makes_redundant(&index(&[1]), &expression), None);
        let mut partial = other(&[1]);
        partial.predicate = vec!["p".into()];
        partial.predicate_tree = Some("p".into());
        assert_eq!(makes_redundant(&index(&[1]), &partial), None);
        assert_eq!(makes_redundant(&partial, &index(&[1])), None);
        assert_eq!(makes_redundant(&with_method(&[1], "hash"), &other(&[1])), None);
    }

    #[test]
    fn a_unique_index_needs_one_as_strict() {
        let unique =
            |columns: &[i16], oid: u32| Index { unique: true, oid: Oid::from(oid), ..index(columns) };
        assert_eq!(makes_redundant(&unique(&[1], 1), &other(&[1])), None);
        assert_eq!(makes_redundant(&unique(&[1], 1), &unique(&[1, 2], 2)), None);
        assert_eq!(makes_redundant(&index(&[1]), &unique(&[1], 2)), Some(Kind::Duplicate));
        assert_eq!(makes_redundant(&unique(&[1], 1), &unique(&[1], 2)), Some(Kind::Duplicate));
        let distinct = Index { nulls_not_distinct: true, ..unique(&[1], 2) };
        assert_eq!(makes_redundant(&unique(&[1], 1), &distinct), None);
        assert_eq!(makes_redundant(&distinct, &unique(&[1], 1)), None);
        let deferred = Index { immediate: false, ..unique(&[1], 2) };
        assert_eq!(makes_redundant(&unique(&[1], 1), &deferred), None);
        assert_eq!(makes_redundant(&deferred, &unique(&[1], 1)), Some(Kind::Duplicate));
    }

    #[test]
    fn included_columns_must_be_there() {
        let mut covering = index(&[1]);
        covering.included = vec![3];
        assert_eq!(makes_redundant(&covering, &other(&[1, 2])), None);
        assert_eq!(makes_redundant(&covering, &other(&[1, 3])), Some(Kind::Prefix));
        assert_eq!(makes_redundant(&other(&[1]), &covering), Some(Kind::Duplicate));
    }

    #[test]
    fn gin_and_brin_search_any_column() {
        let wide = Index { oid: Oid::from(200), ..with_method(&[1, 2], "gin") };
        assert_eq!(makes_redundant(&with_method(&[2], "gin"), &wide), Some(Kind::Subset));
        let coarse = Index { options: vec!["pages_per_range=8".into()], ..with_method(&[1], "brin") };
        assert_eq!(
            makes_redundant(&with_method(&[1], "brin"), &Index { oid: Oid::from(200), ..coarse }),
            None
        );
        let wide = Index { oid: Oid::from(200), ..with_method(&[1, 2], "gist") };
        assert_eq!(makes_redundant(&with_method(&[1], "gist"), &wide), None);
    }

    #[test]
    fn of_two_alike_one_gives_way() {
        let (one, two) = (index(&[1]), other(&[1]));
        assert_eq!((gives_way(&one, &two), gives_way(&two, &one)), (None, Some(Kind::Duplicate)));
        assert_eq!(gives_way(&one, &other(&[1, 2])), Some(Kind::Prefix));
    }

    #[test]
    fn an_invalid_index_replaces_nothing() {
        let invalid = Index { valid: false, ..other(&[1, 2]) };
        assert_eq!(makes_redundant(&index(&[1]), &invalid), None);
    }

    #[test]
    fn the_one_that_more_depends_on_is_kept() {
        let primary = Index { primary: true, oid: Oid::from(300), ..index(&[1]) };
        assert!(is_kept_before(&primary, &index(&[1])));
        let used = Index { scans: 9, oid: Oid::from(300), ..index(&[1]) };
        assert!(is_kept_before(&used, &index(&[1])));
        assert!(is_kept_before(&index(&[1]), &other(&[1])));
    }
}
