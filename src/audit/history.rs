//! The life of one row, in the order it was lived.
//!
//! Entries are found by the hash of their key. Where a row's key changed, its life before and after is
//! found under the other key: the log files a key change under both.

use crate::audit::row_key;
use crate::audit::subject::Subject;
use crate::capture::key::key_hash;
use crate::capture::raw_json;
use crate::error::Result;
use crate::pg::datum::timestamptz;
use crate::pg::result_set::ResultSet;
use crate::pg::{rows, security};
use pgrx::datum::TimestampWithTimeZone;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap, HashSet};

/// A place in the log's order: changed_at, audit_id.
type Place = (i64, i64);

/// A stretch of the log under one key, both ends included.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Stretch {
    key: Vec<u8>,
    from: Option<Place>,
    to: Option<Place>,
}

/// Where a row's life under a key may begin or end.
struct Milestone {
    place: Place,
    kind: Kind,
}

enum Kind {
    Born,
    Died,
    /// The row had another key before: spelled one of these ways.
    CameFrom(Vec<Vec<u8>>),
    WentTo(Vec<Vec<u8>>),
}

/// Puts the history of the row with this key into `out`.
pub fn history(subject: &Subject, key: &Value, out: &mut ResultSet) -> Result<()> {
    let keys = row_key::spellings(subject, key)?;
    let mut search = Search { subject, milestones: HashMap::new(), arrivals: HashMap::new() };
    let stretches = search.stretches(&keys)?;
    search.emit(&stretches, out)
}

struct Search<'a> {
    subject: &'a Subject,
    milestones: HashMap<Vec<u8>, std::rc::Rc<Vec<Milestone>>>,
    /// Former keys by the audit_id of the key change.
    arrivals: HashMap<i64, Vec<Vec<u8>>>,
}

impl Search<'_> {
    /// All there is under the keys asked for, and the row's life under the keys it had before and after.
    fn stretches(&mut self, keys: &BTreeSet<Vec<u8>>) -> Result<Vec<Stretch>> {
        let mut found: Vec<Stretch> =
            keys.iter().map(|key| Stretch { key: key.clone(), from: None, to: None }).collect();
        let mut seen: HashSet<Stretch> = HashSet::new();
        let mut next = 0;
        while let Some(stretch) = found.get(next).cloned() {
            next += 1;
            for milestone in self.milestones(&stretch.key)?.iter() {
                let within = stretch.from.is_none_or(|from| from <= milestone.place)
                    && stretch.to.is_none_or(|to| milestone.place <= to);
                let (others, before) = match &milestone.kind {
                    Kind::CameFrom(keys) if within => (keys, true),
                    // The end of a stretch is the place the row left at.
                    Kind::WentTo(keys) if within => (keys, false),
                    _ => continue,
                };
                for other in others.iter().filter(|other| !keys.contains(*other)) {
                    let stretch = self.stretch(other, milestone.place, before)?;
                    if seen.insert(stretch.clone()) {
                        found.push(stretch);
                    }
                }
            }
        }
        Ok(found)
    }

    /// The life under `key` of the row that came from it, or went to it, at `place`.
    fn stretch(&mut self, key: &[u8], place: Place, before: bool) -> Result<Stretch> {
        let milestones = self.milestones(key)?;
        let (mut from, mut to) = (Some(place), Some(place));
        if before {
            from = milestones.iter().rev().find(|m| m.place < place).map(|m| match m.kind {
                Kind::Born | Kind::CameFrom(_) => m.place,
                Kind::Died | Kind::WentTo(_) => (m.place.0, m.place.1 + 1),
            });
        } else {
            to = milestones.iter().find(|m| m.place > place).map(|m| match m.kind {
                Kind::Died | Kind::WentTo(_) => m.place,
                Kind::Born | Kind::CameFrom(_) => (m.place.0, m.place.1 - 1),
            });
        }
        Ok(Stretch { key: key.to_vec(), from, to })
    }

    fn milestones(&mut self, key: &[u8]) -> Result<std::rc::Rc<Vec<Milestone>>> {
        if let Some(known) = self.milestones.get(key) {
            return Ok(std::rc::Rc::clone(known));
        }
        let mut found = Vec::new();
        let mut arrivals = Vec::new();
        let mut labels: Vec<String> = Vec::new();
        for column in self.subject.lineage.shapes.iter().flat_map(|s| &s.key_columns) {
            let mut label = Vec::new();
            crate::pg::json::string(column.as_bytes(), &mut label);
            label.extend_from_slice(b":[");
            labels.push(String::from_utf8_lossy(&label).into_owned());
        }
        labels.sort_unstable();
        labels.dedup();
        let (hashes, texts) = self.hashed(std::slice::from_ref(&key.to_vec()));
        let read = || {
            rows::each(
                "SELECT e.changed_at, e.audit_id, e.operation, e.relation_id,
                        CASE WHEN e.operation OPERATOR(pg_catalog.=) ANY ('{U,F,K}'::\"char\"[]) THEN e.image END
                   FROM architect.audit_entry AS e
                  WHERE e.key_hash OPERATOR(pg_catalog.=) ANY ($1)
                    AND e.relation_id OPERATOR(pg_catalog.=) ANY ($2)
                    AND e.row_key OPERATOR(pg_catalog.=) ANY ($3)
                    AND (e.operation OPERATOR(pg_catalog.=) ANY ('{I,D,K}'::\"char\"[])
                         OR EXISTS (SELECT 1 FROM pg_catalog.unnest($4) AS l(label)
                                     WHERE pg_catalog.strpos(e.image::pg_catalog.text, l.label) OPERATOR(pg_catalog.>) 0))
                  ORDER BY e.changed_at, e.audit_id",
                &[hashes.into(), self.subject.relation_ids().into(), texts.into(), labels.into()],
                |row| {
                    let place: Place = (row.get(0).unwrap_or_default(), row.get(1).unwrap_or_default());
                    let other = |side| {
                        let shape = self.subject.shape(row.get(3).unwrap_or_default())?;
                        other_key(&shape.key_columns, key, row.bytes(4), side)
                    };
                    let kind = match row.get::<i8>(2).unwrap_or_default() as u8 {
                        b'I' => Kind::Born,
                        b'D' => Kind::Died,
                        b'K' => match other(1) {
                            Some(keys) => Kind::WentTo(keys),
                            None => Kind::Died,
                        },
                        _ => match other(0) {
                            Some(keys) => {
                                arrivals.push((place.1, keys.clone()));
                                Kind::CameFrom(keys)
                            }
                            None => return Ok(()),
                        },
                    };
                    found.push(Milestone { place, kind });
                    Ok(())
                },
            )
        };
        security::as_extension_owner(read)?;
        self.arrivals.extend(arrivals);
        let found = std::rc::Rc::new(found);
        self.milestones.insert(key.to_vec(), std::rc::Rc::clone(&found));
        Ok(found)
    }

    /// Hashes of keys under every number the table has had, with the keys' texts beside them.
    fn hashed(&self, keys: &[Vec<u8>]) -> (Vec<i32>, Vec<String>) {
        keys.iter()
            .flat_map(|key| {
                let text = String::from_utf8_lossy(key).into_owned();
                self.subject.table_ids.iter().map(move |&id| (key_hash(id, key), text.clone()))
            })
            .unzip()
    }

    /// Reads the stretches and puts them in order; a TRUNCATE is part of the life it ended.
    fn emit(&self, stretches: &[Stretch], out: &mut ResultSet) -> Result<()> {
        let (mut hashes, mut texts) = (Vec::new(), Vec::new());
        let mut bounds: [Vec<Option<i64>>; 4] = Default::default();
        for stretch in stretches {
            let (some_hashes, some_texts) = self.hashed(std::slice::from_ref(&stretch.key));
            for _ in &some_hashes {
                bounds[0].push(stretch.from.map(|place| place.0));
                bounds[1].push(stretch.from.map(|place| place.1));
                bounds[2].push(stretch.to.map(|place| place.0));
                bounds[3].push(stretch.to.map(|place| place.1));
            }
            hashes.extend(some_hashes);
            texts.extend(some_texts);
        }
        let [from_time, from_id, to_time, to_id] = bounds;
        let mut alive: HashMap<Vec<u8>, u32> = HashMap::new();
        let mut last = None;
        let read = || {
            rows::each(
                QUERY,
                &[
                    hashes.into(),
                    texts.into(),
                    times(&from_time).into(),
                    from_id.into(),
                    times(&to_time).into(),
                    to_id.into(),
                    self.subject.relation_ids().into(),
                ],
                |row| {
                    let id: i64 = row.get(AUDIT_ID).unwrap_or_default();
                    if last.replace(id) == Some(id) {
                        return Ok(());
                    }
                    let relation = self.subject.shape(row.get(RELATION_ID).unwrap_or_default());
                    let relid = relation.map_or(0, |shape| shape.relid);
                    let key = row.bytes(ROW_KEY).to_vec();
                    match row.get::<i8>(OPERATION).unwrap_or_default() as u8 {
                        b'T' => {
                            let whole = relation.is_none_or(|shape| shape.partition.is_none());
                            let before = alive.len();
                            alive.retain(|_, held_by| !whole && *held_by != relid);
                            if alive.len() == before {
                                return Ok(());
                            }
                        }
                        b'D' => {
                            alive.remove(&key);
                        }
                        _ => {
                            for former in self.arrivals.get(&id).into_iter().flatten() {
                                alive.remove(former);
                            }
                            alive.insert(key, relid);
                        }
                    }
                    out.put(row);
                    Ok(())
                },
            )
        };
        security::as_extension_owner(read)
    }
}

fn times(of: &[Option<i64>]) -> Vec<Option<TimestampWithTimeZone>> {
    of.iter().map(|time| time.and_then(timestamptz)).collect()
}

/// The key on the other side of a key change: 0 before it, 1 after it. The image holds what changed,
/// the key at hand the rest. None where the key did not change.
fn other_key(columns: &[String], key: &[u8], image: &[u8], side: usize) -> Option<Vec<Vec<u8>>> {
    let image = raw_json::members(image);
    let changes = match image.iter().find(|(name, value)| name == "changes" && value.starts_with(b"{")) {
        Some((_, changes)) => raw_json::members(changes),
        None => image,
    };
    let parts = if columns.len() == 1 { vec![key] } else { raw_json::elements(key) };
    let mut changed = false;
    let values: Vec<&[u8]> = columns
        .iter()
        .zip(parts)
        .map(|(column, part)| {
            let change = changes.iter().find(|(name, _)| name == column);
            match change.and_then(|(_, pair)| raw_json::elements(pair).get(side).copied()) {
                Some(value) => {
                    changed = true;
                    value
                }
                None => part,
            }
        })
        .collect();
    if !changed {
        return None;
    }
    let spelled = |values: &[&[u8]]| match values {
        [only] => only.to_vec(),
        several => [b"[", several.join(&b","[..]).as_slice(), b"]"].concat(),
    };
    let trimmed: Vec<&[u8]> = values.iter().map(|value| raw_json::trimmed_number(value)).collect();
    let mut ways = vec![spelled(&trimmed), spelled(&values)];
    ways.dedup();
    ways.retain(|way| way != key);
    (!ways.is_empty()).then_some(ways)
}

/// Columns of QUERY beyond those of the result, and one among them.
const AUDIT_ID: usize = 13;
const RELATION_ID: usize = 19;
const OPERATION: usize = 20;
const ROW_KEY: usize = 21;

/// The columns are those of the view architect.audit_log.
const QUERY: &str = include_str!("../../sql/query/audit_history.sql");

#[cfg(test)]
mod tests {
    use super::other_key;

    #[test]
    fn the_other_key_is_read_from_the_image() {
        let one = ["id".to_owned()];
        assert_eq!(other_key(&one, b"2", br#"{"id":[1,2],"x":[3,4]}"#, 0), Some(vec![b"1".to_vec()]));
        assert_eq!(other_key(&one, b"1", br#"{"id":[1,2]}"#, 1), Some(vec![b"2".to_vec()]));
        assert_eq!(other_key(&one, b"2", br#"{"x":[3,4]}"#, 0), None);
        let two = ["a".to_owned(), "b".to_owned()];
        let full = br#"{"row":{"a":1,"b":2.50},"changes":{"b":[1.50,2.50]}}"#;
        assert_eq!(
            other_key(&two, b"[1,2.5]", full, 0),
            Some(vec![b"[1,1.5]".to_vec(), b"[1,1.50]".to_vec()])
        );
    }
}
