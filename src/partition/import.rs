//! Taking over tables that pg_partman keeps: what its configuration says, as a policy, and what differs.

use super::layout::Shape;
use super::policy::{self, Fate};
use super::policy_api::{self, Request};
use crate::error::{Error, Result};
use crate::pg::{lookup, spi};
use pgrx::pg_sys;
use pgrx::prelude::*;

pub type Rows = Vec<(String, String, String)>;

struct Config {
    table: String,
    relid: Option<pg_sys::Oid>,
    native: bool,
    interval: String,
    number: bool,
    premake: i32,
    epoch: String,
    retention: Option<String>,
    retention_schema: Option<String>,
    keep_table: bool,
    automatic: bool,
    template: bool,
    privileges: bool,
    subdivided: bool,
    others: Option<String>,
}

/// Where pg_partman's configuration is.
fn config_table() -> Result<String> {
    let schema = spi::read_one::<String>(
        "SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_partman'",
        &[],
    );
    schema.map(|schema| lookup::qualify(&schema, "part_config")).ok_or_else(|| {
        Error::not_in_prerequisite_state("pg_partman is not installed in this database")
            .detail("There is no configuration to read.")
            .hint("Tables pg_partman has left behind are adopted by manage_partitions() as they are.")
    })
}

fn read(only: Option<pg_sys::Oid>) -> Result<Vec<Config>> {
    let table = config_table()?;
    // Columns differ between versions: those that may be missing are looked up by name.
    spi::read(
        &format!(
            "SELECT p.parent_table, to_regclass(p.parent_table)::oid, p.partition_type IN ('native', 'range'), p.partition_interval,
                    p.partition_interval ~ '^[0-9]+$', p.premake, p.epoch, p.retention, p.retention_schema, p.retention_keep_table,
                    p.automatic_maintenance = 'on', p.template_table IS NOT NULL, coalesce(p.inherit_privileges, false),
                    EXISTS (SELECT FROM {table}_sub s WHERE s.sub_parent = p.parent_table),
                    (SELECT string_agg(o.key, ', ' ORDER BY o.key) FROM jsonb_each_text(to_jsonb(p)) o
                      WHERE (o.key, o.value) IN (('infinite_time_partitions', 'false'), ('jobmon', 'true'), ('drop_cascade_fk', 'true'),
                                                 ('sub_partition_set_full', 'true'), ('ignore_default_data', 'true'))
                         OR o.key IN ('constraint_cols', 'publications', 'time_encoder') AND o.value IS NOT NULL)
               FROM {table} p
              WHERE $1::oid IS NULL OR to_regclass(p.parent_table)::oid = $1 ORDER BY 1"
        ),
        &[only.into()],
        |row| {
            let text = |i| row.get::<String>(i).map(Option::unwrap_or_default);
            let flag = |i| row.get::<bool>(i).map(Option::unwrap_or_default);
            Ok(Config {
                table: text(1)?,
                relid: row.get(2)?,
                native: flag(3)?,
                interval: text(4)?,
                number: flag(5)?,
                premake: row.get(6)?.unwrap_or_default(),
                epoch: text(7)?,
                retention: row.get(8)?,
                retention_schema: row.get(9)?,
                keep_table: flag(10)?,
                automatic: flag(11)?,
                template: flag(12)?,
                privileges: flag(13)?,
                subdivided: flag(14)?,
                others: row.get(15)?,
            })
        },
    )
}

/// Reads the configuration of one table or all; with `timezone`, in which its periods begin.
pub fn import(only: Option<pg_sys::Oid>, timezone: Option<&str>, dry_run: bool) -> Result<Rows> {
    let mut rows = Vec::new();
    for config in read(only)? {
        let row = |action: &str, detail: String| (config.table.clone(), action.to_owned(), detail);
        let Some(relid) = config.relid.filter(|_| config.native) else {
            let why = if config.native {
                "there is no such table"
            } else {
                "it is partitioned by inheritance and triggers: convert_to_partitioned() its content first"
            };
            rows.push(row("refused", why.to_owned()));
            continue;
        };
        match adopt(&config, relid, timezone, dry_run) {
            Ok(adopted) => rows.extend(adopted),
            Err(error) => {
                rows.push(row("refused", error.one_line()));
                continue;
            }
        }
        rows.extend(differences(&config).into_iter().map(|detail| row("differs", detail)));
        if config.automatic {
            rows.push(row(
                "to do",
                format!(
                    "have pg_partman leave it alone: UPDATE {} SET automatic_maintenance = 'off' WHERE parent_table = {}",
                    config_table()?,
                    pgrx::spi::quote_literal(&config.table)
                ),
            ));
        }
    }
    Ok(rows)
}

fn adopt(config: &Config, relid: pg_sys::Oid, timezone: Option<&str>, dry_run: bool) -> Result<Rows> {
    let interval = |text: &str| -> Result<Interval> {
        spi::read_one::<Interval>("SELECT $1::interval", &[text.into()])
            .ok_or_else(|| Error::invalid_parameter(format!("\"{text}\" is no interval")))
    };
    let number = |text: &str| -> Result<i64> {
        text.parse().map_err(|_| Error::invalid_parameter(format!("\"{text}\" is no number")))
    };
    let (every, step) = if config.number {
        (None, Some(number(&config.interval)?))
    } else {
        (Some(interval(&config.interval)?), None)
    };
    let (keep, keep_value) = match &config.retention {
        None => (None, None),
        Some(kept) if config.number => (None, Some(number(kept)?)),
        Some(kept) => (Some(interval(kept)?), None),
    };
    let unit = match config.epoch.as_str() {
        "seconds" => Some("epoch_s"),
        "milliseconds" => Some("epoch_ms"),
        "none" => None,
        other => return Err(Error::invalid_parameter(format!("keys that count {other} are not known here"))),
    };
    let fate = match &config.retention_schema {
        Some(schema) => Fate::Archive { schema: Some(schema.clone()), function: None },
        None if config.keep_table => Fate::Detach,
        None => Fate::Drop,
    };
    let request = Request {
        every,
        step,
        shape: Shape {
            unit: unit.map(str::to_owned),
            period: policy::period(every, step)?,
            timezone: timezone.map(str::to_owned),
            anchor: None,
        },
        ahead: config.premake,
        keep,
        keep_value,
        fate,
        most: 12,
        privileges: config.privileges,
        analyze: true,
    };
    if dry_run {
        return policy_api::look(relid, request);
    }
    policy_api::manage(relid, request)
}

fn differences(config: &Config) -> Vec<String> {
    let mut found = vec![format!(
        "pg_partman makes {} partitions after the latest row, here {} after the present: more may suit",
        config.premake, config.premake
    )];
    if config.retention.is_some() {
        found
            .push("pg_partman retires by the name of a partition, here by its bound in the catalogue".into());
    }
    if config.template {
        found.push("what only its template table has (unique indexes, tablespace) is not taken over: storage options come from the latest partition, the rest from the parent".into());
    }
    if config.subdivided {
        found.push(
            "it is divided further: partitions that are partitioned by range need policies of their own"
                .into(),
        );
    }
    if let Some(others) = &config.others {
        found.push(format!("without a counterpart here, or always otherwise: {others}"));
    }
    found
}
