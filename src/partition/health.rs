//! What is wrong with partitioned tables, or will be, and what to do about it.

use super::bound::Edge;
use super::civil::DAY;
use super::layout::{self, Layout};
use super::missing::{self, Cell};
use super::policy::{Keep, Policy};
use super::{create, guard, heartbeat, maintain, plan};
use crate::error::Result;
use crate::pg::{lookup, security, spi};
use pgrx::pg_sys;
use pgrx::spi::{quote_identifier, quote_literal};

pub struct Finding {
    pub severity: &'static str,
    pub code: &'static str,
    pub parent: String,
    pub detail: String,
    pub fix: String,
}

/// The findings about one table.
pub struct Examination<'a> {
    policy: Option<&'a Policy>,
    layout: &'a Layout,
    name: String,
    pub findings: Vec<Finding>,
}

impl<'a> Examination<'a> {
    pub fn of(
        policy: Option<&'a Policy>,
        layout: &'a Layout,
        holds: &[(String, String)],
    ) -> Result<Vec<Finding>> {
        let name = layout.parent.qualified_name();
        let mut examination = Self { policy, layout, name, findings: Vec::new() };
        examination.policy();
        examination.runway()?;
        examination.bounds();
        examination.default_partition()?;
        examination.catalogue()?;
        examination.names()?;
        examination.retention(holds)?;
        Ok(examination.findings)
    }

    fn add(&mut self, severity: &'static str, code: &'static str, detail: String, fix: String) {
        self.findings.push(Finding { severity, code, parent: self.name.clone(), detail, fix });
    }

    fn maintain(&self) -> String {
        match self.policy {
            Some(_) => format!("CALL architect.maintain_partitions({})", quote_literal(&self.name)),
            None => {
                format!("SELECT architect.manage_partitions({}, every => ...)", quote_literal(&self.name))
            }
        }
    }

    /// Whether what the owner may see may be looked at.
    fn as_owner<R>(&self, work: impl FnOnce() -> R) -> Option<R> {
        let owner = self.layout.parent.owner;
        self.layout.parent.owned.then(|| security::as_owner(owner, work))
    }

    fn policy(&mut self) {
        let Some(policy) = self.policy else { return };
        let owner = security::role_name(self.layout.parent.owner);
        if owner != policy.owner_name {
            let detail = format!(
                "it belongs to {owner}, its policy was made for {}: maintenance refuses it",
                policy.owner_name
            );
            let fix = format!(
                "-- as {}\nSELECT architect.manage_partitions({}, ...)",
                quote_identifier(owner),
                quote_literal(&self.name)
            );
            self.add("error", "OWNER_CHANGED", detail, fix);
        }
    }

    /// How long what is there will do.
    fn runway(&mut self) -> Result<()> {
        let layout = self.layout;
        let position = if layout.kind.is_time() {
            Some(layout.now()?)
        } else {
            self.as_owner(|| layout.position()).transpose()?.flatten()
        };
        let Some(position) = position else { return Ok(()) };
        let held = layout.held();
        let Some(here) =
            held.iter().find(|h| h.low.edge <= Edge::At(position) && h.high.edge > Edge::At(position))
        else {
            let severity = if layout.default().is_some() { "warning" } else { "error" };
            let detail = match layout.default() {
                Some(_) => "no partition holds the present: rows go to the default partition".to_owned(),
                None => "no partition holds the present: rows are refused".to_owned(),
            };
            let fix = self.maintain();
            self.add(severity, "NO_PARTITION_NOW", detail, fix);
            return Ok(());
        };
        // To the first gap, or the end.
        let mut end = here.high.edge;
        for next in held.iter().filter(|h| h.low.edge >= here.high.edge) {
            if next.low.edge > end {
                break;
            }
            end = end.max(next.high.edge);
        }
        let Edge::At(end) = end else { return Ok(()) };
        let left = end.saturating_sub(position);
        let about = layout.grid.period.about();
        let wanted = self.policy.map_or(2, |policy| i64::from(policy.ahead));
        if left < about.saturating_mul(wanted.max(1) / 2 + 1) && wanted > 0 {
            let severity = if left < about { "error" } else { "warning" };
            let detail = if layout.kind.is_time() {
                format!("partitions end in {:.1} days, at {}", left as f64 / DAY as f64, layout.readable(end))
            } else {
                format!("partitions end {left} numbers from here, at {end}")
            };
            let fix = self.maintain();
            self.add(severity, "RUNWAY_SHORT", detail, fix);
        }
        if !layout.kind.is_time() && end >= layout.parent.greatest(layout.kind) {
            let detail = format!("the key's type ends at {}", layout.parent.greatest(layout.kind));
            self.add(
                "warning",
                "KEY_RUNS_OUT",
                detail,
                "ALTER TABLE ... ALTER COLUMN ... TYPE bigint rewrites the table".into(),
            );
        }
        Ok(())
    }

    fn bounds(&mut self) {
        let layout = self.layout;
        let held = layout.held();
        for (low, high) in missing::gaps(&held) {
            let (Some(from), Some(to)) = (low.edge.at(), high.edge.at()) else { continue };
            let detail = format!("nothing holds {} to {}", layout.readable(from), layout.readable(to));
            let fix = self.fill(from, to);
            self.add("warning", "GAP", detail, fix);
        }
        for pair in held.windows(2).filter(|pair| pair[0].high.edge > pair[1].low.edge) {
            let detail = format!("{} and {} overlap", pair[0].name, pair[1].name);
            self.add("error", "OVERLAP", detail, "one of them is being detached: see PENDING_DETACH".into());
        }
        if let Some(last) = held.last().filter(|last| last.high.edge == Edge::Max) {
            let detail = format!("{} is open to MAXVALUE: no partition can be made after it", last.name);
            let fix = format!(
                "CALL architect.split_partition({}, ...)",
                quote_literal(lookup::qualify(&layout.parent.schema, last.name))
            );
            self.add("warning", "OPEN_END", detail, fix);
        }
        let Some(policy) = self.policy else { return };
        let odd: Vec<&str> = held
            .iter()
            .filter(|h| match (h.low.edge, h.high.edge) {
                (Edge::At(low), Edge::At(high)) => !layout.grid.is_cell(low, high, layout.zone.as_ref()),
                _ => false,
            })
            .map(|h| h.name)
            .collect();
        if odd.is_empty() {
            return;
        }
        if layout.kind.has_zone() && odd.len() > 1 && odd.len() * 2 > held.len() {
            let detail = format!(
                "{} of {} partitions do not begin and end with periods in {}",
                odd.len(),
                held.len(),
                policy.timezone
            );
            let fix = format!(
                "SELECT architect.manage_partitions({}, every => {}, timezone => ...) -- the zone they were made for",
                quote_literal(&self.name),
                quote_literal(policy.shape.period.to_string())
            );
            self.add("warning", "TIME_ZONE_MISMATCH", detail, fix);
        } else {
            let shown = odd.iter().take(5).copied().collect::<Vec<_>>().join(", ");
            let more = if odd.len() > 5 { format!(" and {} more", odd.len() - 5) } else { String::new() };
            let detail = format!("bounds are not those of whole periods: {shown}{more}");
            self.add("info", "MISALIGNED_BOUNDS", detail, "none needed: what follows is contiguous; split_partition() and merge_partitions() make them whole".into());
        }
    }

    fn fill(&self, from: i64, to: i64) -> String {
        let name = quote_literal(&self.name);
        let layout = self.layout;
        let unit = layout.kind.unit().map(|unit| format!(", key_unit => '{unit}'")).unwrap_or_default();
        if layout.kind.is_time() {
            format!(
                "SELECT architect.create_partitions({name}, every => '{}', since => '{}', until => '{}', timezone => {}{unit})",
                layout.grid.period,
                layout.readable(from),
                layout.readable(to),
                quote_literal(&layout.timezone)
            )
        } else {
            format!(
                "SELECT architect.create_partitions({name}, step => {}, from_value => {from}, to_value => {to})",
                layout.grid.period
            )
        }
    }

    fn default_partition(&mut self) -> Result<()> {
        let Some(default) = self.layout.default() else { return Ok(()) };
        let name = default.qualified_name();
        let bytes = create::bytes_of(default);
        let filled = match self.as_owner(|| layout::is_empty(default)) {
            Some(empty) => !empty?,
            None => bytes > 0,
        };
        let parent = quote_literal(&self.name);
        if guard::of_parent(&self.layout.parent).is_some() {
            // It belongs there, and maintenance empties it.
            if filled {
                let detail = format!("{name} holds rows: no partition was there when they were written");
                let fix = "CALL architect.run_maintenance()".to_owned();
                self.add("warning", "ROWS_IN_DEFAULT", detail, fix);
            }
        } else if filled {
            let detail = format!("{name} holds rows ({} kB) that belong into partitions", bytes / 1024);
            let fix = format!(
                "CALL architect.promote_default({parent}); or CALL architect.drain_default({parent})"
            );
            self.add("warning", "ROWS_IN_DEFAULT", detail, fix);
        } else {
            let detail = format!("{name} is empty, and keeps partitions from being detached concurrently");
            let fix =
                format!("CALL architect.detach_partition({}, concurrently => false)", quote_literal(&name));
            self.add("info", "DEFAULT_PARTITION", detail, fix);
        }
        if plan::has_proof(default.oid) {
            let detail = format!(
                "{name} has a constraint left over from an interrupted run: it refuses rows of coming partitions"
            );
            let fix = format!("ALTER TABLE {name} DROP CONSTRAINT {}", plan::PROOF);
            self.add("error", "PROOF_LEFT_OVER", detail, fix);
        }
        Ok(())
    }

    /// What the catalogue says of the partitions.
    fn catalogue(&mut self) -> Result<()> {
        let layout = self.layout;
        for partition in layout.partitions.iter().filter(|partition| partition.detach_pending) {
            let name = partition.qualified_name();
            let fix = format!("CALL architect.detach_partition({})", quote_literal(&name));
            self.add("warning", "PENDING_DETACH", format!("the detach of {name} was interrupted"), fix);
        }
        for partition in layout.partitions.iter().filter(|partition| partition.owner != layout.parent.owner) {
            let owner = security::role_name(layout.parent.owner);
            let name = partition.qualified_name();
            let detail =
                format!("{name} belongs to {}, its parent to {owner}", security::role_name(partition.owner));
            self.add(
                "warning",
                "OWNER_DRIFT",
                detail,
                format!("ALTER TABLE {name} OWNER TO {}", quote_identifier(owner)),
            );
        }
        for (index, table, on_parent, definition) in invalid_indexes(layout.parent.oid)? {
            if on_parent {
                let detail = format!("index {index} is not on every partition");
                let fix = format!(
                    "CALL architect.create_partitioned_index({}, {})",
                    quote_literal(&self.name),
                    quote_literal(&definition)
                );
                self.add("warning", "MISSING_INDEX", detail, fix);
            } else {
                let detail = format!("index {index} of {table} is invalid: writes keep it, no query uses it");
                self.add("warning", "INVALID_INDEX", detail, format!("REINDEX INDEX CONCURRENTLY {index}"));
            }
        }
        if self.policy.is_none_or(|policy| policy.analyze) && plan::is_stale(layout) {
            let only = if cfg!(feature = "pg18") { "ONLY " } else { "" };
            let detail =
                "the planner's statistics of the parent are missing or old: autovacuum never gathers them"
                    .to_owned();
            let fix = format!("ANALYZE {only}{}", self.name);
            self.add("info", "STALE_STATISTICS", detail, fix);
        }
        if self.policy.is_some_and(|policy| policy.privileges) {
            for (name, oid) in privilege_drift(layout.parent.oid)? {
                if layout.default().is_some_and(|default| default.oid == oid) {
                    continue;
                }
                let detail = format!("{name} does not have the privileges of its parent");
                self.add("warning", "PRIVILEGE_DRIFT", detail, "GRANT what \\dp shows for the parent".into());
            }
        }
        Ok(())
    }

    /// Names coming partitions will need.
    fn names(&mut self) -> Result<()> {
        let (Some(policy), layout) = (self.policy, self.layout) else { return Ok(()) };
        let Some(stretch) = self.as_owner(|| layout.stretch(policy.ahead + 2, 0)) else { return Ok(()) };
        let (from, to) = stretch?;
        for cell in layout.cells(from, to) {
            let Cell::Missing(piece) = cell else { continue };
            if let Some(conflict) = create::taken(&layout.parent, &layout.name_of(&piece))? {
                let fix = format!(
                    "ALTER TABLE {} RENAME TO ...",
                    lookup::qualify(&layout.parent.schema, &layout.name_of(&piece))
                );
                self.add("error", "NAME_COLLISION", conflict, fix);
            }
        }
        Ok(())
    }

    fn retention(&mut self, holds: &[(String, String)]) -> Result<()> {
        let (Some(policy), layout) = (self.policy, self.layout) else { return Ok(()) };
        if matches!(policy.retention.keep, Keep::Forever) {
            return Ok(());
        }
        if layout.parent.incoming_keys > 0 {
            let keys = incoming_keys(layout.parent.oid)?;
            let detail = format!("partitions with rows that others refer to are not retired: {keys}");
            self.add(
                "warning",
                "FOREIGN_KEY_BLOCKS_RETENTION",
                detail,
                "delete or partition the referring rows first, or drop the foreign key".into(),
            );
        }
        let Some(steps) = self.as_owner(|| plan::retire_only(&policy.retention, layout, holds)) else {
            return Ok(());
        };
        let due = steps?.iter().filter(|step| step.action != "held").count();
        if due > 1 {
            let detail = format!("{due} partitions are past keeping");
            let fix = self.maintain();
            self.add("warning", "RETENTION_BEHIND", detail, fix);
        }
        Ok(())
    }
}

/// Indexes of a partitioned table and of its partitions that are not valid: name, table, whether it is the
/// parent's, definition.
fn invalid_indexes(parent: pg_sys::Oid) -> Result<Vec<(String, String, bool, String)>> {
    spi::read(
        "SELECT format('%I.%I', n.nspname, c.relname), x.indrelid::regclass::text, x.indrelid = $1, pg_get_indexdef(x.indexrelid)
           FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE NOT x.indisvalid
            AND (x.indrelid = $1 OR x.indrelid IN (SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = $1))
          ORDER BY 3 DESC, 1",
        &[parent.into()],
        |row| {
            let text = |i| row.get::<String>(i).map(Option::unwrap_or_default);
            Ok((text(1)?, text(2)?, row.get(3)?.unwrap_or_default(), text(4)?))
        },
    )
}

/// Partitions that lack a privilege their parent gives.
fn privilege_drift(parent: pg_sys::Oid) -> Result<Vec<(String, pg_sys::Oid)>> {
    spi::read(
        "SELECT format('%I.%I', n.nspname, c.relname), c.oid
           FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_class p ON p.oid = i.inhparent
          WHERE i.inhparent = $1
            AND EXISTS (SELECT a.grantee, a.privilege_type FROM aclexplode(p.relacl) a WHERE a.grantee <> p.relowner
                        EXCEPT SELECT a.grantee, a.privilege_type FROM aclexplode(c.relacl) a)
          ORDER BY 1",
        &[parent.into()],
        |row| Ok((row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or(pg_sys::InvalidOid))),
    )
}

fn incoming_keys(parent: pg_sys::Oid) -> Result<String> {
    Ok(spi::read_one::<String>(
        "SELECT string_agg(format('%I on %s', k.conname, k.conrelid::regclass), ', ' ORDER BY k.conname)
           FROM pg_constraint k WHERE k.confrelid = $1 AND k.contype = 'f' AND k.conparentid = 0",
        &[parent.into()],
    )
    .unwrap_or_default())
}

/// Everything about one table, or all managed ones.
pub fn examine(only: Option<pg_sys::Oid>) -> Result<Vec<Finding>> {
    let holds = super::policy::holds()?;
    let mut findings = Vec::new();
    let managed = maintain::managed(only)?;
    if !managed.is_empty() {
        findings.extend(heartbeat::heartbeat()?);
        findings.extend(heartbeat::last_failures()?.into_iter().filter(|finding| {
            only.is_none_or(|relid| lookup::qualified_name(relid).is_some_and(|name| name == finding.parent))
        }));
    }
    for table in managed {
        let name = table.policy.qualified_name();
        let Some(parent) = table.parent else {
            findings.push(Finding {
                severity: "error",
                code: "TABLE_GONE",
                detail: "there is a policy, and no such table partitioned by range".into(),
                fix: format!(
                    "DELETE FROM architect.partition_policy WHERE (schema_name, table_name) = ({}, {})",
                    quote_literal(&table.policy.schema),
                    quote_literal(&table.policy.table)
                ),
                parent: name,
            });
            continue;
        };
        match Layout::new(parent, table.partitions, &table.policy.shape) {
            Ok(layout) => findings.extend(Examination::of(Some(&table.policy), &layout, &holds)?),
            Err(error) => findings.push(Finding {
                severity: "error",
                code: "POLICY_INVALID",
                parent: name,
                detail: error.one_line(),
                fix: "SELECT architect.manage_partitions(...) again".into(),
            }),
        }
    }
    Ok(findings)
}

/// One table that is not managed.
pub fn examine_unmanaged(relid: pg_sys::Oid) -> Result<Vec<Finding>> {
    let Some(parent) = super::table::find(relid) else { return Ok(Vec::new()) };
    let layout = maintain::unmanaged(&parent)?;
    let mut findings = Examination::of(None, &layout, &[])?;
    findings.push(Finding {
        severity: "info",
        code: "UNMANAGED",
        parent: parent.qualified_name(),
        detail: "nothing makes its partitions ahead".into(),
        fix: format!(
            "SELECT architect.manage_partitions({}, every => ...)",
            quote_literal(parent.qualified_name())
        ),
    });
    Ok(findings)
}
