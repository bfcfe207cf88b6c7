//! What a column of an earlier shape of a table is called now.
//!
//! A column is followed by its attribute number while its relation lives on; a relation that is gone (a
//! dropped partition, the table before a restore) shares its columns' names with the others of its
//! table at the time, so it is followed by way of one of those.
#![forbid(unsafe_code)]

use std::collections::HashMap;

/// A row of capture_relation.
#[derive(Debug, Clone, Default)]
pub struct LoggedShape {
    pub relation_id: i32,
    pub table_id: i32,
    pub relid: u32,
    /// `relid` is a number of this database, not of one this was restored from.
    pub ours: bool,
    /// Microseconds since 2000, as PostgreSQL counts.
    pub seen_at: i64,
    pub schema_name: String,
    pub table_name: String,
    pub partition: Option<(String, String)>,
    pub columns: Vec<String>,
    pub key_columns: Vec<String>,
}

/// Everything known about the columns of one table.
#[derive(Debug, Default)]
pub struct Lineage {
    pub shapes: Vec<LoggedShape>,
    /// Present columns of the relations that still belong to the table, by attribute number, '' where
    /// dropped.
    pub live: HashMap<u32, Vec<String>>,
    /// Present columns of the relation asked about, likewise.
    pub target: Vec<String>,
}

impl Lineage {
    /// Present name of what `shape` called `column`; none if it is no longer there.
    pub fn current_name(&self, shape: &LoggedShape, column: &str) -> Option<String> {
        let position = shape.columns.iter().position(|name| name == column)?;
        if let Some(now) = self.live_column(shape, position) {
            return now.filter(|name| self.target.contains(name));
        }
        let last = self
            .shapes
            .iter()
            .filter(|s| s.relid == shape.relid && s.ours == shape.ours)
            .max_by_key(|s| (s.seen_at, s.relation_id))
            .unwrap_or(shape);
        let name = last.columns.get(position).filter(|name| !name.is_empty())?;
        for relid in self.live.keys() {
            let Some(other) = self.in_force(*relid, last.seen_at) else { continue };
            let Some(position) = other.columns.iter().position(|other| other == name) else { continue };
            if let Some(now) = self.live_column(other, position) {
                return now.filter(|name| self.target.contains(name));
            }
        }
        if let Some(now) = self.restored_as(last, name) {
            return now.filter(|name| self.target.contains(name));
        }
        self.target.contains(name).then(|| name.clone())
    }

    /// A column renamed after a restore, before the relation was first seen here: a dump keeps the order
    /// of columns, and leaves out dropped ones.
    fn restored_as(&self, last: &LoggedShape, column: &str) -> Option<Option<String>> {
        if last.ours {
            return None;
        }
        let here =
            |s: &&LoggedShape| s.ours && self.live.contains_key(&s.relid) && s.partition == last.partition;
        let first = self.shapes.iter().filter(here).min_by_key(|s| (s.seen_at, s.relation_id))?;
        let present = |shape: &LoggedShape| -> Vec<String> {
            shape.columns.iter().filter(|name| !name.is_empty()).cloned().collect()
        };
        let (before, after) = (present(last), present(first));
        let candidate = after.get(before.iter().position(|name| name == column)?)?;
        if before.len() != after.len() || before.contains(candidate) {
            return None;
        }
        self.live_column(first, first.columns.iter().position(|name| name == candidate)?)
    }

    /// Present columns that were there at `time`, by what some shapes say; none if nothing is known.
    pub fn columns_at(&self, time: i64, shapes: &[i32]) -> Vec<String> {
        let about = || self.shapes.iter().filter(|s| shapes.contains(&s.relation_id));
        let mut relids: Vec<(u32, bool)> = about().map(|s| (s.relid, s.ours)).collect();
        relids.sort_unstable();
        relids.dedup();
        let of = |(relid, ours): &(u32, bool)| -> Vec<&LoggedShape> {
            about().filter(|s| s.relid == *relid && s.ours == *ours).collect()
        };
        let mut then: Vec<&LoggedShape> = relids
            .iter()
            .filter_map(|relid| {
                of(relid).into_iter().filter(|s| s.seen_at <= time).max_by_key(|s| (s.seen_at, s.relation_id))
            })
            .collect();
        // Of a relation that was replaced (by a restore) only the last says what was there.
        if let Some(last) = then.iter().map(|s| s.seen_at).max() {
            if then.iter().any(|s| !s.ours) && then.iter().any(|s| s.ours) {
                then.retain(|s| s.ours || s.seen_at == last);
            }
        } else {
            then = relids
                .iter()
                .filter_map(|relid| of(relid).into_iter().min_by_key(|s| (s.seen_at, s.relation_id)))
                .collect();
        }
        let mut found: Vec<String> = then
            .iter()
            .flat_map(|shape| shape.columns.iter().filter_map(|c| self.current_name(shape, c)))
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The present name at a position of a relation that lives on: `Some(None)` if dropped, none if the
    /// relation does not live on.
    fn live_column(&self, shape: &LoggedShape, position: usize) -> Option<Option<String>> {
        if !shape.ours {
            return None;
        }
        let now = self.live.get(&shape.relid)?;
        Some(now.get(position).filter(|name| !name.is_empty()).cloned())
    }

    /// What a living relation looked like at a time, or when first seen after it.
    fn in_force(&self, relid: u32, time: i64) -> Option<&LoggedShape> {
        let of = || self.shapes.iter().filter(|s| s.relid == relid && s.ours);
        of().filter(|s| s.seen_at <= time)
            .max_by_key(|s| (s.seen_at, s.relation_id))
            .or_else(|| of().min_by_key(|s| (s.seen_at, s.relation_id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(relation_id: i32, relid: u32, ours: bool, seen_at: i64, columns: &[&str]) -> LoggedShape {
        LoggedShape {
            relation_id,
            table_id: 1,
            relid,
            ours,
            seen_at,
            columns: columns.iter().map(|c| (*c).to_owned()).collect(),
            ..LoggedShape::default()
        }
    }

    fn names(columns: &[&str]) -> Vec<String> {
        columns.iter().map(|c| (*c).to_owned()).collect()
    }

    #[test]
    fn a_living_relation_is_followed_by_number() {
        let lineage = Lineage {
            shapes: vec![
                shape(1, 10, true, 100, &["id", "name", "old"]),
                shape(2, 10, true, 200, &["id", "title", ""]),
            ],
            live: HashMap::from([(10, names(&["id", "caption", "", "name"]))]),
            target: names(&["id", "caption", "", "name"]),
        };
        let now = |column| lineage.current_name(&lineage.shapes[0], column);
        assert_eq!(now("name").as_deref(), Some("caption"));
        assert_eq!(now("old"), None);
        assert_eq!(lineage.columns_at(150, &[1, 2]), names(&["caption", "id"]));
    }

    #[test]
    fn a_dropped_partition_is_followed_by_another() {
        let lineage = Lineage {
            shapes: vec![
                shape(1, 10, true, 100, &["b", "a"]),
                shape(2, 20, true, 90, &["", "a", "b"]),
                shape(3, 20, true, 300, &["", "a", "c"]),
            ],
            live: HashMap::from([(20, names(&["", "a", "c"])), (1, names(&["a", "c"]))]),
            target: names(&["a", "c"]),
        };
        assert_eq!(lineage.current_name(&lineage.shapes[0], "b").as_deref(), Some("c"));
        assert_eq!(lineage.current_name(&lineage.shapes[0], "a").as_deref(), Some("a"));
    }

    #[test]
    fn what_was_restored_is_followed_by_name() {
        let lineage = Lineage {
            shapes: vec![
                shape(1, 10, false, 100, &["", "a", "b"]),
                shape(2, 10, true, 500, &["a", "b"]),
                shape(3, 10, true, 600, &["a", "bb"]),
            ],
            live: HashMap::from([(10, names(&["a", "bb"]))]),
            target: names(&["a", "bb"]),
        };
        assert_eq!(lineage.current_name(&lineage.shapes[0], "b").as_deref(), Some("bb"));
        // Not seen here before it was renamed.
        let lineage =
            Lineage { shapes: vec![lineage.shapes[0].clone(), lineage.shapes[2].clone()], ..lineage };
        assert_eq!(lineage.current_name(&lineage.shapes[0], "b").as_deref(), Some("bb"));
        assert_eq!(lineage.current_name(&lineage.shapes[0], "a").as_deref(), Some("a"));
    }
}
