//! The table of long operations: what they are to do and how far they are. Written as the extension's
//! owner, whoever asks.

use crate::error::{Error, Result};
use crate::pg::{security, spi};
use pgrx::JsonB;
use pgrx::pg_sys;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One that has not ended.
pub struct Operation<S> {
    pub id: i64,
    pub phase: String,
    pub settings: S,
}

fn to_json<S: Serialize>(settings: &S) -> Result<JsonB> {
    serde_json::to_value(settings).map(JsonB).map_err(|error| Error::internal(error.to_string()))
}

pub fn begin<S: Serialize + DeserializeOwned>(
    kind: &str,
    relation: pg_sys::Oid,
    name: &str,
    phase: &str,
    settings: S,
    rows_total: Option<i64>,
) -> Result<Operation<S>> {
    let requested_by = security::role_name(security::outer_role());
    let stored = to_json(&settings)?;
    let id = security::as_extension_owner(|| {
        spi::run_one::<i64>(
            "INSERT INTO architect.partition_operation
                    (kind, relation, relation_name, settings, phase, rows_total, requested_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING operation_id",
            &[
                kind.into(),
                relation.into(),
                name.into(),
                stored.into(),
                phase.into(),
                rows_total.into(),
                requested_by.into(),
            ],
        )
    })?;
    Ok(Operation { id: id.unwrap_or_default(), phase: phase.to_owned(), settings })
}

/// The one that has been begun on a relation and not ended, and of which kind it is.
pub fn unfinished(relation: pg_sys::Oid) -> Result<Option<(i64, String, String, JsonB)>> {
    let rows = security::as_extension_owner(|| {
        spi::read_now(
            "SELECT o.operation_id, o.kind, o.phase, o.settings FROM architect.partition_operation AS o
              WHERE o.relation OPERATOR(pg_catalog.=) $1 AND o.finished_at IS NULL",
            &[relation.into()],
            |row| {
                Ok((
                    row.get::<i64>(1)?.unwrap_or_default(),
                    row.get::<String>(2)?.unwrap_or_default(),
                    row.get::<String>(3)?.unwrap_or_default(),
                    row.get::<JsonB>(4)?,
                ))
            },
        )
    })?;
    Ok(rows.into_iter().find_map(|(id, kind, phase, settings)| Some((id, kind, phase, settings?))))
}

/// The same, where it must be of this kind; another one under way is an error.
pub fn resume<S: DeserializeOwned>(
    kind: &str,
    relation: pg_sys::Oid,
    name: &str,
) -> Result<Option<Operation<S>>> {
    let Some((id, found, phase, settings)) = unfinished(relation)? else { return Ok(None) };
    if found != kind {
        return Err(Error::new(
            pgrx::PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
            format!("another operation on {name} has not ended"),
        )
        .detail(format!("It is a {found}, in phase {phase}."))
        .hint("Let it end, or CALL architect.abort_partition_operation() for it."));
    }
    let settings = serde_json::from_value(settings.0)
        .map_err(|error| Error::internal(format!("a stored operation is damaged: {error}")))?;
    Ok(Some(Operation { id, phase, settings }))
}

impl<S: Serialize> Operation<S> {
    /// Notes a new phase, and settings as they are now; `relation` where it goes on with another one.
    pub fn enter(&mut self, phase: &str, relation: Option<pg_sys::Oid>) -> Result<()> {
        phase.clone_into(&mut self.phase);
        let settings = to_json(&self.settings)?;
        let id = self.id;
        security::as_extension_owner(|| {
            spi::run(
                "UPDATE architect.partition_operation AS o
                    SET phase = $2, settings = $3, relation = COALESCE($4, o.relation),
                        updated_at = pg_catalog.clock_timestamp()
                  WHERE o.operation_id OPERATOR(pg_catalog.=) $1",
                &[id.into(), phase.into(), settings.into(), relation.into()],
            )
        })?;
        Ok(())
    }

    pub fn count(&self, rows: i64) -> Result<()> {
        let id = self.id;
        security::as_extension_owner(|| {
            spi::run(
                "UPDATE architect.partition_operation AS o
                    SET rows_done = o.rows_done OPERATOR(pg_catalog.+) $2, updated_at = pg_catalog.clock_timestamp()
                  WHERE o.operation_id OPERATOR(pg_catalog.=) $1",
                &[id.into(), rows.into()],
            )
        })?;
        Ok(())
    }

    pub fn finish(&self, outcome: &str) -> Result<()> {
        finish(self.id, outcome)
    }
}

pub fn finish(id: i64, outcome: &str) -> Result<()> {
    security::as_extension_owner(|| {
        spi::run(
            "UPDATE architect.partition_operation AS o
                SET finished_at = pg_catalog.clock_timestamp(), updated_at = pg_catalog.clock_timestamp(), outcome = $2
              WHERE o.operation_id OPERATOR(pg_catalog.=) $1",
            &[id.into(), outcome.into()],
        )
    })?;
    Ok(())
}
