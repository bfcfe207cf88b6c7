//! A table's rows as they were at a position of the feed, in the order of their key and a batch at a time:
//! the rows that are there, and for those that were changed since what the feed says they were before.
//!
//! Both are read through one snapshot, so a change is either in neither or in both.

use super::delivery::Delivery;
use super::feed::Feed;
use super::keys::EventKeys;
use super::relations::{self, Relation};
use super::state::Reading;
use crate::capture::plan::{Part, Plan};
use crate::capture::policy::{self, Image as Recorded, Kind, Policy};
use crate::capture::raw_json::{pairs, trimmed_number};
use crate::capture::{image, key::key_hash};
use crate::cdc::image::{Image, key_object, label};
use crate::error::{Error, Result};
use crate::pg::row_type::RowType;
use crate::pg::scan::View;
use crate::pg::{lookup, rows, security, session, spi};
use pgrx::pg_sys;
use std::collections::HashMap;

/// A captured table whose rows are read.
pub struct Table {
    policy: Policy,
    plan: Plan,
    relation: Relation,
    key: Vec<String>,
}

/// What became of a row since the position.
struct Since {
    /// As it was; none where it was not there.
    before: Option<Vec<u8>>,
    /// Whether it is not there any more under this key.
    gone: bool,
}

impl Table {
    /// The table of a number; none where it is gone or not captured any more.
    pub fn find(table_id: i32) -> Result<Option<Self>> {
        let Some(policy) = policy::numbered(Kind::Feed, table_id)? else {
            return Ok(None);
        };
        let Some(relid) = lookup::relation_named(&policy.schema_name, &policy.table_name) else {
            return Ok(None);
        };
        let Some(plan) = Plan::of(relid, true)? else { return Ok(None) };
        let Some(part) = plan.feed.as_ref().map(|feed| &feed.part) else { return Ok(None) };
        let name = |column: usize| plan.columns[column].name.clone();
        let key: Vec<String> = part.key.iter().map(|field| name(field.column)).collect();
        let masked: Vec<String> =
            part.fields.iter().filter(|f| f.mask.is_some()).map(|f| name(f.column)).collect();
        let relation = Relation {
            table_id,
            schema_name: policy.schema_name.clone(),
            table_name: policy.table_name.clone(),
            partition: None,
            key_labels: key.iter().map(|name| label(name)).collect(),
            masked: relations::array(&masked),
        };
        Ok(Some(Self { policy, plan, relation, key }))
    }

    fn part(&self) -> Result<&Part> {
        self.plan.feed.as_ref().map(|feed| &feed.part).ok_or_else(|| Error::internal("a plan without a feed"))
    }

    fn relid(&self) -> Result<pg_sys::Oid> {
        lookup::relation_named(&self.policy.schema_name, &self.policy.table_name)
            .ok_or_else(|| Error::undefined_object(format!("table {} does not exist", self.plan.table)))
    }

    /// Fails where rows cannot be read in batches and put back as they were.
    pub fn check(&self) -> Result<()> {
        let refuse = |detail: String, hint: &str| {
            Err(Error::not_in_prerequisite_state(format!(
                "a consumer cannot start from the rows of table {}",
                self.plan.table
            ))
            .detail(detail)
            .hint(hint.to_owned()))
        };
        let part = self.part()?;
        if self.policy.image != Recorded::Full {
            return refuse(
                "Its updates are captured without the columns that did not change.".into(),
                "Call architect.enable_cdc(..., image => 'full'), or start at 'now' or 'beginning'.",
            );
        }
        if let Some(missing) = ["insert", "update", "delete"].iter().find(|o| !self.policy.records(o)) {
            return refuse(
                format!("Operation {missing} is not captured."),
                "Capture insert, update and delete, or start at 'now' or 'beginning'.",
            );
        }
        if self.policy.condition.is_some() {
            return refuse(
                "Its changes are captured under a condition.".into(),
                "Start at 'now' or 'beginning'.",
            );
        }
        if self.key.is_empty()
            || part.key.iter().any(|field| field.mask.is_some())
            || !self.has_unique_key()?
        {
            return refuse(
                "Its rows have no key that is unique, not null, not masked and of built-in types.".into(),
                "Give the table a primary key, or start at 'now' or 'beginning'.",
            );
        }
        Ok(())
    }

    fn has_unique_key(&self) -> Result<bool> {
        let found = spi::read_one_now::<bool>(
            "SELECT true FROM pg_catalog.pg_index AS x
              WHERE x.indrelid = $1 AND x.indisunique AND x.indimmediate AND x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL
                AND (SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY a.attname)
                       FROM pg_catalog.pg_attribute AS a
                      WHERE a.attrelid = x.indrelid
                        AND a.attnum = ANY ((x.indkey::pg_catalog.int2[])[0 : x.indnkeyatts - 1]))
                    = (SELECT pg_catalog.array_agg(k.name ORDER BY k.name) FROM pg_catalog.unnest($2) AS k(name))
                AND NOT EXISTS (
                    SELECT FROM pg_catalog.pg_attribute AS a
                      JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
                      LEFT JOIN pg_catalog.pg_type AS b ON b.oid = t.typbasetype
                     WHERE a.attrelid = x.indrelid AND a.attname::pg_catalog.text = ANY ($2)
                       AND (NOT a.attnotnull
                            OR COALESCE(b.typnamespace, t.typnamespace) <> 'pg_catalog'::pg_catalog.regnamespace
                               AND COALESCE(b.typtype, t.typtype) <> 'e'))
              LIMIT 1",
            &[self.relid()?.into(), self.key.clone().into()],
        );
        Ok(found == Some(true))
    }

    /// Hands over the rows of a batch: those after and up to the keys it says, or as many as `max`. Returns
    /// the key of the last row looked at; none where there are no more.
    pub fn read(
        &self,
        position: i64,
        reading: &Reading,
        max: Option<usize>,
        view: &View,
        each: &mut dyn FnMut(&Delivery, &str) -> Result<bool>,
    ) -> Result<Option<String>> {
        let since = self.changed_since(position, view)?;
        let gone: Vec<(&Vec<u8>, &Since)> =
            since.iter().filter(|(_, s)| s.gone && s.before.is_some()).collect();
        let mut keys = b"[".to_vec();
        for (i, (key, _)) in gone.iter().enumerate() {
            if i > 0 {
                keys.push(b',');
            }
            key_object(&self.relation.key_labels, key, &mut keys);
        }
        keys.push(b']');
        let relid = self.relid()?;
        let query = self.query(relid, reading, max)?;
        let row_type =
            RowType::of_relation(relid).ok_or_else(|| Error::internal("the table has no row type"))?;
        let part = self.part()?;
        let (mut key, mut own, mut looked_at, mut end) = (Vec::new(), Vec::new(), 0, None);
        let arguments = [
            reading.after.clone().into(),
            reading.through.clone().into(),
            String::from_utf8_lossy(&keys).into_owned().into(),
            max.map(|max| max as i64).into(),
        ];
        self.as_owner(view, || {
            rows::each(&query, &arguments, |fields| {
                looked_at += 1;
                let at = String::from_utf8_lossy(fields.bytes(1)).into_owned();
                let gone_at = fields.value(2).as_i64().unwrap_or_default();
                let mut goes_on = true;
                let json: Option<&[u8]> = if gone_at > 0 {
                    let (found, since) = gone[gone_at as usize - 1];
                    key.clone_from(found);
                    since.before.as_deref()
                } else {
                    let Some(values) = row_type.expand(fields.value(0)) else { return Ok(()) };
                    key.clear();
                    image::key(&self.plan, part, &values, &mut key)?;
                    match since.get(&key) {
                        Some(since) => since.before.as_deref(),
                        None => {
                            own.clear();
                            image::row(&self.plan, part, &values, &mut own)?;
                            Some(&own)
                        }
                    }
                };
                if let Some(json) = json {
                    goes_on = each(&self.delivery(&key, json), &at)?;
                }
                end = Some(at);
                if goes_on { Ok(()) } else { Err(enough()) }
            })
        })
        .or_else(|error| if is_enough(&error) { Ok(()) } else { Err(error) })?;
        let more = max.is_some_and(|max| looked_at >= max);
        Ok(end.filter(|_| more))
    }

    fn delivery<'a>(&'a self, key: &'a [u8], json: &'a [u8]) -> Delivery<'a> {
        let hash = key_hash(self.relation.table_id, key);
        Delivery {
            position: 0,
            txid: None,
            recorded_at: session::statement_start(),
            context_id: None,
            relation: Some(&self.relation),
            key: Some(key),
            keys: EventKeys::of(self.relation.table_id, Some(hash), None),
            image: Image { operation: b'R', json },
            attempt: 1,
        }
    }

    /// What the feed says of rows changed after a position, by their keys as the feed spells them.
    fn changed_since(&self, position: i64, view: &View) -> Result<HashMap<Vec<u8>, Since>> {
        let mut found: HashMap<Vec<u8>, Since> = HashMap::new();
        let feed = Feed::open()?;
        let memory = crate::pg::memory::OwnedContext::new(c"db_architect rows at the start");
        let mut entries = feed.range(position, i64::MAX, view);
        while let Some(event) = entries.next() {
            let relation = relations::find(event.relation_id())?;
            if relation.is_none_or(|relation| relation.table_id != self.relation.table_id) {
                continue;
            }
            memory.within(|| {
                let image = Image { operation: event.operation(), json: event.image() };
                let key = event.key().unwrap_or_default().to_vec();
                let mut before = Vec::new();
                let existed = image.before(&mut before);
                let mut was = |key: Vec<u8>, before: Option<Vec<u8>>, gone: bool| {
                    found.entry(key).or_insert(Since { before, gone }).gone = gone;
                };
                match image.operation {
                    b'T' => found.values_mut().for_each(|since| since.gone = true),
                    b'I' => was(key, None, false),
                    b'D' => was(key, existed.then_some(before), true),
                    _ if event.former_key_hash().is_none() => was(key, existed.then_some(before), false),
                    _ => {
                        was(self.key_in(&before), Some(before), true);
                        was(key, None, false);
                    }
                }
            });
            memory.reset();
        }
        Ok(found)
    }

    /// The key of a row image, as the feed spells keys.
    fn key_in(&self, image: &[u8]) -> Vec<u8> {
        let value = |wanted: &Vec<u8>| {
            let found = pairs(image).find(|(name, _)| *name == wanted.as_slice());
            found.map_or(&b"null"[..], |(_, value)| trimmed_number(value))
        };
        match self.relation.key_labels.as_slice() {
            [only] => value(only).to_vec(),
            several => {
                let values: Vec<&[u8]> = several.iter().map(value).collect();
                [b"[", values.join(&b","[..]).as_slice(), b"]"].concat()
            }
        }
    }

    /// As the table's owner, who may read all of it, through the snapshot the feed is read through.
    fn as_owner<R>(&self, view: &View, work: impl FnOnce() -> Result<R>) -> Result<R> {
        let owner = spi::read_one_now::<pg_sys::Oid>(
            "SELECT c.relowner FROM pg_catalog.pg_class AS c WHERE c.oid = $1",
            &[self.relid()?.into()],
        );
        let owner = owner.ok_or_else(|| Error::internal("the table has no owner"))?;
        security::as_owner(owner, || {
            security::with_settings(&[(c"row_security", c"off")], || view.during(work))
        })
    }

    fn query(&self, relid: pg_sys::Oid, reading: &Reading, max: Option<usize>) -> Result<String> {
        let table = lookup::qualified_name(relid).unwrap_or_default();
        let only = if lookup::is_partitioned(relid) { "" } else { "ONLY " };
        let names: Vec<String> = self.key.iter().map(pgrx::spi::quote_identifier).collect();
        let columns = |alias: &str| -> Vec<String> { names.iter().map(|n| format!("{alias}.{n}")).collect() };
        let object = |alias: &str| {
            let members: Vec<String> = self
                .key
                .iter()
                .zip(columns(alias))
                .map(|(name, column)| format!("{}, {column}", pgrx::spi::quote_literal(name)))
                .collect();
            format!("pg_catalog.json_build_object({})::pg_catalog.text", members.join(", "))
        };
        // A subquery for each value, so that the planner takes it for a constant and uses the index.
        let given = |parameter: &str| {
            let of = |name: &String| {
                format!(
                    "(SELECT a.{name} FROM pg_catalog.json_populate_record(NULL::{table}, {parameter}::pg_catalog.json) AS a)"
                )
            };
            names.iter().map(of).collect::<Vec<_>>().join(", ")
        };
        let within = |alias: &str| {
            let columns = columns(alias).join(", ");
            let mut conditions = vec!["true".to_owned()];
            if reading.after.is_some() {
                conditions.push(format!("ROW({columns}) > ROW({})", given("$1")));
            }
            if reading.through.is_some() {
                conditions.push(format!("ROW({columns}) <= ROW({})", given("$2")));
            }
            conditions.join(" AND ")
        };
        let keys = |alias: &str| {
            let numbered = columns(alias).into_iter().enumerate();
            numbered.map(|(i, column)| format!("{column} AS k{i}")).collect::<Vec<_>>().join(", ")
        };
        let order: Vec<String> = (0..names.len()).map(|i| format!("s.k{i}")).collect();
        // With the star below it is the row, even where a column is called the same.
        let own = "\"the row\"";
        Ok(format!(
            "SELECT s.row, s.key, s.n FROM (
                 SELECT {own}.*::{table} AS row, {} AS key, 0::pg_catalog.int8 AS n, {} FROM {only}{table} AS {own} WHERE {}
                 UNION ALL
                 SELECT NULL::{table}, {}, e.n, {}
                   FROM pg_catalog.json_array_elements($3::pg_catalog.json) WITH ORDINALITY AS e(v, n),
                        LATERAL pg_catalog.json_populate_record(NULL::{table}, e.v) AS g
                  WHERE {}) AS s
              WHERE $1 IS NULL OR $1 IS NOT NULL OR $2 IS NULL
              ORDER BY {} LIMIT {}",
            object(own),
            keys(own),
            within(own),
            object("g"),
            keys("g"),
            within("g"),
            order.join(", "),
            if max.is_some() { "$4" } else { "NULLIF($4, $4)" },
        ))
    }
}

/// Ends the reading of rows early.
fn enough() -> Error {
    Error::internal("enough rows")
}

fn is_enough(error: &Error) -> bool {
    error.message() == "enough rows"
}
