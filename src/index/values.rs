//! Values for the parameters of a normalised statement: a spread of those its columns hold, from pg_stats.

use crate::error::Result;
use crate::pg::query_shape::{Kind, ParameterUse, Shape};
use crate::pg::{lookup, security, spi};
use pgrx::pg_sys;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Plans made of one statement: for values at these places in the columns' distribution, and ranges of these
/// widths around them.
pub const SAMPLES: [(f64, f64); 3] = [(0.5, 0.1), (0.12, 0.02), (0.9, 0.3)];

/// What LIMIT and OFFSET are taken to be, where a statement leaves it open.
const LIMIT: &str = "20";
const OFFSET: &str = "0";

#[derive(Debug, Clone, Default)]
pub struct Distribution {
    /// Most common values with their shares of the rows.
    pub common: Vec<(String, f64)>,
    /// Bounds of ranges that hold as many of the others each.
    pub bounds: Vec<String>,
    pub null_fraction: f64,
    /// Correlation with the order of the table.
    pub correlation: f64,
    /// Bytes of a value, in the mean.
    pub width: i32,
}

impl Distribution {
    /// A value that a row taken at random may have, the rows in some order.
    fn any(&self, place: f64) -> Option<&str> {
        let mut before = 0.0;
        for (value, share) in &self.common {
            before += share;
            if place < before {
                return Some(value);
            }
        }
        let rest = (1.0 - before).max(1e-9);
        self.bound((place - before) / rest).or_else(|| self.common.first().map(|(value, _)| value.as_str()))
    }

    /// The value that this share of the others is below.
    fn bound(&self, place: f64) -> Option<&str> {
        let last = self.bounds.len().checked_sub(1)?;
        let nearest = (place.clamp(0.0, 1.0) * last as f64).round() as usize;
        self.bounds.get(nearest).map(String::as_str)
    }
}

/// Distributions of columns, each read once by each role: what one may not read must not reach its functions.
#[derive(Default)]
pub struct Distributions(HashMap<(pg_sys::Oid, pg_sys::Oid, i16), Distribution>);

impl Distributions {
    /// What pg_stats tells the current role of a column; nothing where it may not read it.
    pub fn of(&mut self, relid: pg_sys::Oid, column: i16) -> Result<&Distribution> {
        let key = (security::current_role(), relid, column);
        if let Entry::Vacant(unknown) = self.0.entry(key) {
            let read = spi::read(
                "SELECT s.most_common_vals::pg_catalog.text::pg_catalog.text[], s.most_common_freqs::float8[],
                        s.histogram_bounds::pg_catalog.text::pg_catalog.text[], s.null_frac::float8,
                        s.correlation::float8, s.avg_width
                   FROM pg_catalog.pg_stats AS s
                  WHERE s.schemaname OPERATOR(pg_catalog.=) $1::pg_catalog.name
                    AND s.tablename OPERATOR(pg_catalog.=) $2::pg_catalog.name
                    AND s.attname OPERATOR(pg_catalog.=) $3::pg_catalog.name
                  ORDER BY s.inherited DESC LIMIT 1",
                &[
                    lookup::relation_schema(relid).into(),
                    lookup::relation_name(relid).into(),
                    lookup::attribute_name(relid, column).into(),
                ],
                |row| {
                    let values = row.get::<Vec<Option<String>>>(1)?.unwrap_or_default();
                    let shares = row.get::<Vec<Option<f64>>>(2)?.unwrap_or_default();
                    let bounds = row.get::<Vec<Option<String>>>(3)?.unwrap_or_default();
                    Ok(Distribution {
                        common: values
                            .into_iter()
                            .zip(shares)
                            .filter_map(|(value, share)| value.zip(share))
                            .collect(),
                        bounds: bounds.into_iter().flatten().collect(),
                        null_fraction: row.get(4)?.unwrap_or_default(),
                        correlation: row.get(5)?.unwrap_or_default(),
                        width: row.get(6)?.unwrap_or_default(),
                    })
                },
            )?;
            unknown.insert(read.into_iter().next().unwrap_or_default());
        }
        Ok(self.0.entry(key).or_default())
    }
}

/// For each parameter a value, as text, or none where nothing tells which.
pub fn choose(
    shape: &Shape,
    parameters: usize,
    sample: (f64, f64),
    distributions: &mut Distributions,
) -> Result<Vec<Option<String>>> {
    let mut values = vec![None; parameters];
    for (number, value) in values.iter_mut().enumerate() {
        let number = number + 1;
        if shape.limits.contains(&number) {
            *value = Some(LIMIT.to_owned());
        } else if shape.offsets.contains(&number) {
            *value = Some(OFFSET.to_owned());
        } else if let Some(part) = shape.parameters.get(&number) {
            let bounded_twice = shape.parameters.values().any(|other| {
                other.kind == Kind::Range
                    && (other.relid, other.column) == (part.relid, part.column)
                    && other.lower_bound != part.lower_bound
            });
            // Several equalities with one column are different values.
            let twins = shape
                .parameters
                .iter()
                .filter(|(n, other)| {
                    **n < number
                        && (other.relid, other.column) == (part.relid, part.column)
                        && other.kind == part.kind
                })
                .count();
            let of = distributions.of(part.relid, part.column)?;
            *value = value_of(part, of, sample, bounded_twice, twins);
        }
    }
    Ok(values)
}

fn value_of(
    part: &ParameterUse,
    of: &Distribution,
    (place, width): (f64, f64),
    bounded_twice: bool,
    twins: usize,
) -> Option<String> {
    let shifted = (place + 0.37 * twins as f64).fract();
    match part.kind {
        Kind::Range if bounded_twice => {
            let centre = place.clamp(width / 2.0, 1.0 - width / 2.0);
            let edge = if part.lower_bound { centre - width / 2.0 } else { centre + width / 2.0 };
            of.bound(edge).or_else(|| of.any(edge)).map(str::to_owned)
        }
        Kind::Range => {
            let edge = if part.lower_bound { 1.0 - width } else { width };
            of.bound(edge).or_else(|| of.any(edge)).map(str::to_owned)
        }
        Kind::Pattern => {
            let value: Vec<char> = of.any(shifted)?.chars().collect();
            let plain =
                |part: &[char]| -> String { part.iter().filter(|c| !['%', '_', '\\'].contains(c)).collect() };
            // Whether what is asked for is the beginning of a value or a part of it, the statement does not tell.
            let half = value.len().div_ceil(2).clamp(4.min(value.len()), 12);
            if place > 0.8 {
                let start = (value.len() - half) / 2;
                Some(format!("%{}%", plain(&value[start..start + half])))
            } else {
                Some(format!("{}%", plain(&value[..half])))
            }
        }
        _ if part.array => {
            let several: Vec<String> = (0..3)
                .filter_map(|n| of.any((place + 0.29 * f64::from(n)).fract()))
                .map(|v| format!("\"{}\"", v.replace('\\', "\\\\").replace('"', "\\\"")))
                .collect();
            (!several.is_empty()).then(|| format!("{{{}}}", several.join(",")))
        }
        _ => of.any(shifted).map(str::to_owned),
    }
}
