//! Is every table still recorded as its policy says? A table's owner can drop or disable a trigger: this
//! is where it shows.

use crate::capture::attach::{self, ROW_TRIGGER, TRUNCATE_TRIGGER};
use crate::capture::policy::{self, Kind, Policy};
use crate::catalog::relation;
use crate::catalog::trigger::{self, Trigger};
use crate::error::Result;
use crate::pg::table::Table;
use crate::pg::{lookup, spi};
use pgrx::pg_sys;

pub struct Finding {
    pub table: String,
    pub partition: Option<String>,
    pub status: &'static str,
    pub code: String,
    pub detail: String,
    pub fix: Option<String>,
}

/// Changes are not recorded.
pub const GAP: &str = "gap";
/// Changes are recorded, but something is not as it should be.
pub const WARNING: &str = "warning";

/// One table being looked at.
struct Subject<'a> {
    policy: &'a Policy,
    table: String,
    kind: Kind,
    triggers: &'a [Trigger],
    partitioned: bool,
    /// The call that makes the policy's triggers be there again.
    repair: String,
    found: Vec<Finding>,
}

/// What there is to say of the tables a kind of policy is about. `repair` makes the call that enables a
/// table again from its policy and its name.
pub fn findings(kind: Kind, repair: fn(&Policy, &str) -> String) -> Result<Vec<Finding>> {
    if !kind.storage_exists() {
        return Ok(Vec::new());
    }
    let triggers = trigger::calling(attach::FUNCTION)?;
    let ours = policy::identifiers_are_ours()?;
    let mut all = log_findings(kind, ours)?;
    for policy in policy::all(kind)?.iter().filter(|p| p.enabled) {
        let relid = current(policy, ours);
        let table = relid
            .and_then(lookup::qualified_name)
            .unwrap_or_else(|| lookup::qualify(&policy.schema_name, &policy.table_name));
        let mut subject = Subject {
            policy,
            repair: repair(policy, &table),
            table,
            kind,
            triggers: &triggers,
            partitioned: false,
            found: Vec::new(),
        };
        match relid {
            Some(relid) => subject.look(relid)?,
            None => subject.gap(
                None,
                "table_missing",
                "The table does not exist any more; its log remains.".into(),
                Some(format!(
                    "UPDATE architect.{} SET enabled = false WHERE table_id = {}",
                    kind.policies(),
                    policy.table_id
                )),
            ),
        }
        if subject.found.is_empty() {
            subject.add("covered", None, "covered", String::new(), None);
        }
        all.extend(subject.found);
    }
    all.extend(uncovered_in_schemas(kind)?);
    Ok(all)
}

/// The relation a policy is about now: by number, where numbers are of this database, else by name.
fn current(policy: &Policy, ours: bool) -> Option<pg_sys::Oid> {
    let by_number = (ours && lookup::relation_name(policy.relid).is_some()).then_some(policy.relid);
    by_number.or_else(|| {
        spi::read_one_now(
            "SELECT c.oid FROM pg_catalog.pg_class AS c
               JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
              WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.name AND c.relname OPERATOR(pg_catalog.=) $2::pg_catalog.name",
            &[policy.schema_name.as_str().into(), policy.table_name.as_str().into()],
        )
    })
}

impl Subject<'_> {
    fn add(
        &mut self,
        status: &'static str,
        partition: Option<pg_sys::Oid>,
        code: &str,
        detail: String,
        fix: Option<String>,
    ) {
        let code = code.to_owned();
        let partition = partition.and_then(lookup::qualified_name);
        self.found.push(Finding { table: self.table.clone(), partition, status, code, detail, fix });
    }

    fn gap(&mut self, partition: Option<pg_sys::Oid>, code: &str, detail: String, fix: Option<String>) {
        self.add(GAP, partition, code, detail, fix);
    }

    fn look(&mut self, relid: pg_sys::Oid) -> Result<()> {
        let partitions = relation::partitions(relid)?;
        self.partitioned = lookup::is_partitioned(relid);
        self.look_at_triggers(relid, None);
        for &partition in &partitions {
            self.look_at_triggers(partition, Some(partition));
        }
        self.look_at_key(relid, &partitions)?;
        if self.kind == Kind::Feed {
            self.look_at_order(relid, &partitions)?;
        }
        self.look_at_columns(relid);
        self.look_at_storage(relid)?;
        self.look_at_children(relid)
    }

    fn repair(&self) -> Option<String> {
        Some(self.repair.clone())
    }

    /// Names of the triggers the policy needs, and the code of a finding where one is missing.
    fn wanted(&self) -> Vec<(String, &'static str)> {
        let mut wanted = Vec::new();
        let rows: Vec<&String> = self.policy.operations.iter().filter(|o| *o != "truncate").collect();
        if self.policy.condition.is_some() {
            let name = |operation: &&String| attach::condition_trigger(operation, self.partitioned);
            wanted.extend(rows.iter().map(|operation| (name(operation), "trigger_missing")));
        } else if !rows.is_empty() {
            wanted.push((attach::row_trigger(self.partitioned).to_owned(), "trigger_missing"));
        }
        if self.policy.records("truncate") {
            wanted.push((TRUNCATE_TRIGGER.to_owned(), "truncate_not_recorded"));
        }
        wanted
    }

    fn look_at_triggers(&mut self, relid: pg_sys::Oid, partition: Option<pg_sys::Oid>) {
        for (name, missing) in self.wanted() {
            match self.triggers.iter().find(|t| t.relid == relid && t.name == name).map(|t| t.enabled) {
                None => self.gap(partition, missing, format!("Trigger {name} is not there."), self.repair()),
                Some('D') => {
                    self.gap(
                        partition,
                        "trigger_disabled",
                        format!("Trigger {name} is disabled."),
                        self.repair(),
                    );
                }
                Some('R') => self.gap(
                    partition,
                    "trigger_replica_only",
                    format!("Trigger {name} fires for replicated changes only."),
                    self.repair(),
                ),
                Some('O') if self.policy.replicated => self.gap(
                    partition,
                    "trigger_origin_only",
                    format!("Trigger {name} does not fire for replicated changes, as the policy asks."),
                    self.repair(),
                ),
                Some(_) => {}
            }
        }
    }

    fn look_at_key(&mut self, relid: pg_sys::Oid, partitions: &[pg_sys::Oid]) -> Result<()> {
        let keyless = |relid| {
            Table::open(relid, pg_sys::AccessShareLock as i32)
                .is_some_and(|table| self.kind.key_columns(&table).is_empty())
        };
        // A partition may have a key its table has not; rows are recorded with it.
        let leaf_keyless: Vec<pg_sys::Oid> = partitions.iter().copied().filter(|&oid| keyless(oid)).collect();
        if self.policy.key.is_some() {
            return Ok(());
        }
        if !keyless(relid) || !partitions.is_empty() && leaf_keyless.is_empty() {
            return Ok(());
        }
        let had_key = spi::read_one_now::<bool>(
            "SELECT true FROM architect.capture_relation AS r
              WHERE r.table_id OPERATOR(pg_catalog.=) $1 AND pg_catalog.cardinality(r.key_columns) OPERATOR(pg_catalog.>) 0
              LIMIT 1",
            &[self.policy.table_id.into()],
        );
        let (code, detail) = if had_key == Some(true) {
            ("key_dropped", "The primary key has gone: changes are recorded without row_key.")
        } else {
            (
                "no_key",
                "Neither a primary key nor a replica identity index: changes are recorded without row_key.",
            )
        };
        self.add(
            WARNING,
            None,
            code,
            detail.into(),
            Some(format!("ALTER TABLE {} ADD PRIMARY KEY (...)", self.table)),
        );
        Ok(())
    }

    /// What makes the order of a row's events another than that of its changes.
    fn look_at_order(&mut self, relid: pg_sys::Oid, partitions: &[pg_sys::Oid]) -> Result<()> {
        let deferrable = spi::read_now(
            "SELECT x.indexrelid FROM pg_catalog.pg_index AS x
              WHERE x.indrelid OPERATOR(pg_catalog.=) $1 AND x.indisunique AND NOT x.indimmediate
                AND CASE WHEN $2::pg_catalog.text[] IS NULL THEN x.indisprimary
                    ELSE NOT EXISTS (SELECT FROM pg_catalog.unnest((x.indkey::pg_catalog.int2[])[0 : x.indnkeyatts - 1]) AS k(attnum)
                                       LEFT JOIN pg_catalog.pg_attribute AS a
                                         ON a.attrelid OPERATOR(pg_catalog.=) x.indrelid AND a.attnum OPERATOR(pg_catalog.=) k.attnum
                                      WHERE a.attname::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($2) IS NOT TRUE) END",
            &[relid.into(), self.policy.key.as_ref().map(|key| key.names.clone()).into()],
            |row| row.get::<pg_sys::Oid>(1),
        )?;
        // A replica identity's index stands in for the primary key.
        let replaced = self.policy.key.is_none()
            && Table::open(relid, pg_sys::AccessShareLock as i32)
                .is_some_and(|table| !self.kind.key_columns(&table).is_empty());
        for index in deferrable.into_iter().flatten().filter(|_| !replaced) {
            let name = lookup::relation_name(index).unwrap_or_default();
            let detail = format!(
                "Key {name} is deferrable: two rows may have it for a while, and their events are in no order."
            );
            self.add(WARNING, None, "key_deferrable", detail, None);
        }
        let before = spi::read_now(
            "SELECT t.tgrelid, t.tgname::pg_catalog.text FROM pg_catalog.pg_trigger AS t
              WHERE t.tgrelid OPERATOR(pg_catalog.=) ANY ($1) AND NOT t.tgisinternal AND NOT t.tginitdeferred
                AND t.tgenabled OPERATOR(pg_catalog.<>) 'D'
                AND t.tgtype OPERATOR(pg_catalog.&) 67::pg_catalog.int2 OPERATOR(pg_catalog.=) 1
                AND t.tgname::pg_catalog.text COLLATE \"C\" OPERATOR(pg_catalog.<) '00_architect_'
              ORDER BY 1, 2",
            &[partitions.iter().copied().chain([relid]).collect::<Vec<_>>().into()],
            |row| Ok((row.get::<pg_sys::Oid>(1)?, row.get::<String>(2)?)),
        )?;
        for (table, name) in before {
            let name = name.unwrap_or_default();
            let detail = format!(
                "Trigger {name} comes before the capture: what it changes is captured before what fired it."
            );
            let on = table.and_then(lookup::qualified_name).unwrap_or_default();
            let fix = format!("ALTER TRIGGER {} ON {on} RENAME TO ...", pgrx::spi::quote_identifier(&name));
            self.add(
                WARNING,
                table.filter(|&table| table != relid),
                "trigger_before_capture",
                detail,
                Some(fix),
            );
        }
        Ok(())
    }

    fn look_at_columns(&mut self, relid: pg_sys::Oid) {
        let policy = self.policy;
        let sets = policy.include.iter().chain([&policy.exclude, &policy.masked]).chain(&policy.key);
        let names = sets.flat_map(|set| &set.names);
        let missing: Vec<String> =
            names.filter(|name| relation::column_number(relid, name).is_none()).cloned().collect();
        if !missing.is_empty() {
            let detail = format!("The policy names columns the table does not have: {}.", missing.join(", "));
            self.add(WARNING, None, "column_missing", detail, None);
        }
    }

    fn look_at_storage(&mut self, relid: pg_sys::Oid) -> Result<()> {
        let unlogged = spi::read_one_now::<bool>(
            "SELECT c.relpersistence OPERATOR(pg_catalog.=) 'u' FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) $1",
            &[relid.into()],
        );
        if unlogged == Some(true) {
            let detail = "The table is unlogged: a crash empties it, and that is not recorded.";
            self.add(
                WARNING,
                None,
                "unlogged_table",
                detail.into(),
                Some(format!("ALTER TABLE {} SET LOGGED", self.table)),
            );
        }
        Ok(())
    }

    fn look_at_children(&mut self, relid: pg_sys::Oid) -> Result<()> {
        let children = spi::read_now(
            "SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i
               JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) i.inhrelid
              WHERE i.inhparent OPERATOR(pg_catalog.=) $1 AND NOT c.relispartition",
            &[relid.into()],
            |row| row.get::<pg_sys::Oid>(1),
        )?;
        for child in children.into_iter().flatten() {
            if !self.triggers.iter().any(|t| t.relid == child && t.name == ROW_TRIGGER) {
                let name = lookup::qualified_name(child).unwrap_or_default();
                let enable = self.kind.function();
                let fix = format!("SELECT * FROM architect.{enable}({})", pgrx::spi::quote_literal(&name));
                let detail = format!("Table {name} inherits from it: changes of its rows are not recorded.");
                let code = format!("child_not_{}", self.kind.recorded());
                self.gap(Some(child), &code, detail, Some(fix));
            }
        }
        Ok(())
    }
}

/// `{a,"b c"}`: the literal of an array of text.
pub fn array_literal(items: &[String]) -> String {
    let quoted: Vec<String> =
        items.iter().map(|item| format!("\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\""))).collect();
    format!("{{{}}}", quoted.join(","))
}

/// What concerns the log as a whole.
fn log_findings(kind: Kind, ours: bool) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    let mut warn = |table: String, code: &str, detail: String, fix: Option<String>| {
        let code = code.to_owned();
        found.push(Finding { table, partition: None, status: WARNING, code, detail, fix });
    };
    let writable = spi::read_now(
        "SELECT c.oid, pg_catalog.string_agg(DISTINCT COALESCE(r.rolname::pg_catalog.text, 'PUBLIC'), ', ')
           FROM pg_catalog.pg_class AS c
           CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS a
           LEFT JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) a.grantee
          WHERE c.relnamespace OPERATOR(pg_catalog.=) 'architect'::pg_catalog.regnamespace
            AND c.relname OPERATOR(pg_catalog.~) $1 AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p', 'v']::\"char\"[])
            AND a.grantee OPERATOR(pg_catalog.<>) c.relowner
            AND a.privilege_type OPERATOR(pg_catalog.=) ANY (ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'])
          GROUP BY c.oid ORDER BY c.oid",
        &[kind.own_relations().into()],
        |row| Ok((row.get::<pg_sys::Oid>(1)?, row.get::<String>(2)?)),
    )?;
    for (relid, roles) in writable {
        let name = relid.and_then(lookup::qualified_name).unwrap_or_default();
        let roles = roles.unwrap_or_default();
        let fix = format!("REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {name} FROM ...");
        warn(name, "log_writable", format!("The log can be changed by {roles}."), Some(fix));
    }
    let foreign = spi::read_now(
        "SELECT c.oid, pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text
           FROM pg_catalog.pg_class AS c, pg_catalog.pg_extension AS e
          WHERE e.extname OPERATOR(pg_catalog.=) 'db_architect' AND c.relowner OPERATOR(pg_catalog.<>) e.extowner
            AND c.relnamespace OPERATOR(pg_catalog.=) 'architect'::pg_catalog.regnamespace
            AND c.relname OPERATOR(pg_catalog.~) $1 AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p', 'v']::\"char\"[])
          ORDER BY c.oid",
        &[kind.own_relations().into()],
        |row| Ok((row.get::<pg_sys::Oid>(1)?, row.get::<String>(2)?)),
    )?;
    for (relid, owner) in foreign {
        let name = relid.and_then(lookup::qualified_name).unwrap_or_default();
        let detail = format!("The log belongs to {}, who can change it.", owner.unwrap_or_default());
        warn(name, "log_writable", detail, None);
    }
    let event_trigger = spi::read_one_now::<i8>(
        "SELECT e.evtenabled FROM pg_catalog.pg_event_trigger AS e WHERE e.evtname OPERATOR(pg_catalog.=) 'architect_ddl'",
        &[],
    );
    if event_trigger.is_none_or(|enabled| enabled == b'D' as i8) {
        warn(
            "architect_ddl".into(),
            "event_trigger_missing",
            format!(
                "New tables of {} schemas are not picked up, and TRUNCATE of new partitions is not recorded.",
                kind.recorded()
            ),
            Some("ALTER EVENT TRIGGER architect_ddl ENABLE".into()),
        );
    }
    if !ours {
        warn(
            "architect.capture_origin".into(),
            "restored_elsewhere",
            "The log was restored into this database and tables are matched by name.".into(),
            Some("CALL architect.run_maintenance()".into()),
        );
    }
    Ok(found)
}

/// Tables of schemas recorded with new_tables that slipped through.
fn uncovered_in_schemas(kind: Kind) -> Result<Vec<Finding>> {
    let rows = spi::read_now(
        &format!(
            "SELECT c.oid FROM architect.{} AS s
               JOIN pg_catalog.pg_namespace AS n ON n.nspname OPERATOR(pg_catalog.=) s.schema_name::pg_catalog.name
               JOIN pg_catalog.pg_class AS c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid
              WHERE c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::\"char\"[]) AND NOT c.relispartition
                AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
                AND NOT c.relname::pg_catalog.text OPERATOR(pg_catalog.=) ANY (s.except_tables)
                AND NOT EXISTS (SELECT FROM architect.{} AS t
                                 WHERE t.enabled AND t.schema_name OPERATOR(pg_catalog.=) n.nspname::pg_catalog.text
                                   AND t.table_name OPERATOR(pg_catalog.=) c.relname::pg_catalog.text)
              ORDER BY c.oid",
            kind.schemas(),
            kind.policies()
        ),
        &[],
        |row| row.get::<pg_sys::Oid>(1),
    )?;
    Ok(rows
        .into_iter()
        .flatten()
        .map(|relid| {
            let table = lookup::qualified_name(relid).unwrap_or_default();
            let fix =
                format!("SELECT * FROM architect.{}({})", kind.function(), pgrx::spi::quote_literal(&table));
            Finding {
                table,
                partition: None,
                status: WARNING,
                code: format!("new_table_not_{}", kind.recorded()),
                detail: format!(
                    "The table is in a schema whose new tables are to be {}, and is not.",
                    kind.recorded()
                ),
                fix: Some(fix),
            }
        })
        .collect())
}
