//! Whether an index serves the checks and actions of a foreign key: the look-up of all referencing rows
//! by equality of all its columns.
#![forbid(unsafe_code)]

use crate::catalog::foreign_key::Column;
use crate::catalog::index::Index;
use pgrx::pg_sys::Oid;

/// How well an index serves a foreign key, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cover {
    Full,
    /// Would, but is not valid or not ready.
    Invalid,
    /// Would, but its predicate leaves rows out.
    Partial,
    /// Its first columns are some of the key's, not all.
    SomeColumns,
    /// Has the key's columns first, but compares them otherwise than the key does.
    OtherOperators,
    /// Has all the columns, but not first, or only included, or in a kind of index that cannot be
    /// searched for them.
    NotFirst,
    None,
}

impl Cover {
    /// Why it does not serve, for an index of this name.
    pub fn explain(self, index: &str) -> Option<String> {
        let why = match self {
            Self::Full | Self::None => return None,
            Self::Invalid => "is not valid",
            Self::Partial => "is partial: its predicate leaves out rows that the key's actions look for",
            Self::SomeColumns => "starts with only some of the columns",
            Self::OtherOperators => "compares with another operator class or collation than the key",
            Self::NotFirst => {
                "has the columns, but not as the first of its key in a kind of index that finds them"
            }
        };
        Some(format!("index {index} {why}"))
    }
}

/// What only the catalogue knows.
pub trait Operators {
    /// Whether the operator, or its commutator, is in an operator family.
    fn in_family(&self, operator: Oid, family: Oid) -> bool;
    /// Whether an index's predicate holds wherever none of the columns is null.
    fn predicate_follows(&self, index: &Index, columns: &[Column]) -> bool;
}

pub fn cover(columns: &[Column], index: &Index, operators: &impl Operators) -> Cover {
    let count = columns.len();
    let find = |number: Option<i16>| columns.iter().find(|column| Some(column.number) == number);
    let leading = index.keys.iter().take_while(|key| find(key.column).is_some()).count();
    let first = index.keys.get(..count).unwrap_or_default();
    let permutation = first.len() == count
        && columns.iter().all(|column| first.iter().any(|key| key.column == Some(column.number)));
    let searchable = match index.method.as_str() {
        "btree" | "gist" => true,
        // One value of all columns together: found only whole.
        "hash" => count == 1,
        _ => false,
    };
    if !permutation || !searchable {
        let anywhere = |column: &Column| {
            index.included.contains(&column.number)
                || index.keys.iter().any(|key| key.column == Some(column.number))
        };
        return if searchable && leading > 0 && !permutation {
            Cover::SomeColumns
        } else if columns.iter().all(anywhere) {
            Cover::NotFirst
        } else {
            Cover::None
        };
    }
    let compares = first.iter().all(|key| {
        find(key.column).is_some_and(|column| {
            operators.in_family(column.equality, key.family)
                && (key.collation == Oid::INVALID || key.collation == column.collation)
        })
    });
    if !compares {
        Cover::OtherOperators
    } else if index.predicate_tree.is_some() && !operators.predicate_follows(index, columns) {
        Cover::Partial
    } else if !index.usable() {
        Cover::Invalid
    } else {
        Cover::Full
    }
}

#[cfg(test)]
mod tests {
    use super::{Cover, Operators, cover};
    use crate::catalog::foreign_key::Column;
    use crate::catalog::index::Index;
    use crate::index::lint::sample::{index, with_method};
    use pgrx::pg_sys::Oid;

    /// Operator n is in family n; a predicate spelled "not null" follows.
    struct Rules;
    impl Operators for Rules {
        fn in_family(&self, operator: Oid, family: Oid) -> bool {
            operator == family
        }
        fn predicate_follows(&self, index: &Index, _columns: &[Column]) -> bool {
            index.predicate == ["not null"]
        }
    }

    fn key(numbers: &[i16]) -> Vec<Column> {
        let column = |&number| Column {
            number,
            type_oid: Oid::from(23),
            typmod: -1,
            collation: Oid::INVALID,
            equality: Oid::from(1),
        };
        numbers.iter().map(column).collect()
    }

    #[test]
    fn the_first_columns_in_any_order_cover() {
        assert_eq!(cover(&key(&[1, 2]), &index(&[2, 1, 3]), &Rules), Cover::Full);
        assert_eq!(cover(&key(&[1, 2]), &index(&[1, 3, 2]), &Rules), Cover::SomeColumns);
        assert_eq!(cover(&key(&[1, 2]), &index(&[3, 1, 2]), &Rules), Cover::NotFirst);
        assert_eq!(cover(&key(&[1, 2]), &index(&[1]), &Rules), Cover::SomeColumns);
        assert_eq!(cover(&key(&[1]), &index(&[2]), &Rules), Cover::None);
    }

    #[test]
    fn included_columns_and_other_kinds_do_not() {
        let mut included = index(&[1]);
        included.included = vec![2];
        assert_eq!(cover(&key(&[1, 2]), &included, &Rules), Cover::SomeColumns);
        assert_eq!(cover(&key(&[2]), &included, &Rules), Cover::NotFirst);
        assert_eq!(cover(&key(&[1]), &with_method(&[1], "brin"), &Rules), Cover::NotFirst);
        assert_eq!(cover(&key(&[1]), &with_method(&[1], "hash"), &Rules), Cover::Full);
        assert_eq!(cover(&key(&[1, 2]), &with_method(&[1, 2], "gist"), &Rules), Cover::Full);
    }

    #[test]
    fn predicates_validity_and_operators_count() {
        let mut it = index(&[1]);
        it.predicate = vec!["not null".into()];
        it.predicate_tree = Some(String::new());
        assert_eq!(cover(&key(&[1]), &it, &Rules), Cover::Full);
        it.predicate = vec!["deleted_at is null".into()];
        assert_eq!(cover(&key(&[1]), &it, &Rules), Cover::Partial);
        let mut invalid = index(&[1]);
        invalid.valid = false;
        assert_eq!(cover(&key(&[1]), &invalid, &Rules), Cover::Invalid);
        let mut other = index(&[1]);
        other.keys[0].family = Oid::from(2);
        assert_eq!(cover(&key(&[1]), &other, &Rules), Cover::OtherOperators);
        let mut collated = index(&[1]);
        collated.keys[0].collation = Oid::from(950);
        assert_eq!(cover(&key(&[1]), &collated, &Rules), Cover::OtherOperators);
    }
}
