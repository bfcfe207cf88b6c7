//! Declaring: each declaration is checked against the tables, stored, and kept in the history of decisions.

use super::action::Action;
use super::decide::{Report, remove, store};
use super::{request, rights, storage};
use crate::catalog::relation::{Relation, no_such_column};
use crate::catalog::{column, writing};
use crate::error::{Error, Result};
use crate::pg::{lookup, security, spi};
use pgrx::JsonB;
use pgrx::datum::{DatumWithOid, Interval};
use pgrx::pg_sys;

const DECLARE: &str = "declare personal data of";

pub struct ColumnDeclaration {
    pub column: String,
    pub json_path: Vec<String>,
    pub category: String,
    pub identifier_class: String,
    pub action: Action,
    pub params: serde_json::Value,
    pub purpose: Option<String>,
    pub legal_basis: Option<String>,
    pub retention: Option<Interval>,
    pub retention_from: Option<String>,
    pub recipients: Vec<String>,
    pub source: &'static str,
    pub confidence: Option<f32>,
}

pub struct EdgeDeclaration {
    pub columns: Vec<String>,
    pub to_columns: Option<Vec<String>>,
    pub ownership: String,
    pub on_erase: Option<String>,
    pub json_path: Vec<String>,
    pub discriminator: Option<(String, String)>,
    pub person_columns: Option<Vec<String>>,
    pub direction: String,
}

/// A subject's table, for a reader.
pub fn name_of(subject: &super::catalogue::Subject) -> String {
    lookup::qualify(&subject.schema, &subject.table)
}

fn one_of(argument: &str, value: &str, valid: &[&str]) -> Result<()> {
    if valid.contains(&value) {
        return Ok(());
    }
    Err(Error::invalid_parameter(format!("invalid value for argument \"{argument}\": \"{value}\""))
        .hint(format!("Available values: {}.", valid.join(", "))))
}

/// The table, which is not a partition: decisions are made for the whole table.
fn whole_table(relid: pg_sys::Oid) -> Result<Relation> {
    let relation = Relation::owned_table(relid, DECLARE)?;
    if relation.is_partition {
        return Err(Error::wrong_object_type(format!(
            "cannot declare personal data of {}",
            relation.qualified_name()
        ))
        .detail("It is a partition.")
        .hint("Name the partitioned table."));
    }
    Ok(relation)
}

fn check_columns(relation: &Relation, columns: &[String]) -> Result<()> {
    let there = column::columns(relation.oid)?;
    match columns.iter().find(|name| !there.iter().any(|column| column.name == **name)) {
        Some(unknown) => Err(no_such_column(relation, unknown)),
        None => Ok(()),
    }
}

pub fn subject(
    subject_type: &str,
    relid: pg_sys::Oid,
    key: Option<Vec<String>>,
    identity: &[String],
    on_erase: &str,
) -> Result<Report> {
    if subject_type.is_empty() || subject_type.len() > 200 {
        return Err(Error::invalid_parameter("a subject type is a name of 1 to 200 bytes"));
    }
    one_of("on_erase", on_erase, &["delete", "mask"])?;
    let relation = whole_table(relid)?;
    let key = match key {
        Some(key) => key,
        None => primary_key(&relation)?,
    };
    check_columns(&relation, &key)?;
    check_columns(&relation, identity)?;
    // Whoever declares a type anew takes it from the table it has been declared for.
    if let Some(known) = super::catalogue::subjects()?.iter().find(|s| s.subject_type == subject_type) {
        rights::on_subject(subject_type, DECLARE)?;
        if (&known.schema, &known.table, &known.key) != (&relation.schema, &relation.name, &key) {
            request::refuse_while_held(subject_type)?;
        }
    }
    if !unique_on(relid, &key)? {
        return Err(Error::invalid_parameter(format!(
            "columns ({}) do not tell the rows of {} apart",
            key.join(", "),
            relation.qualified_name()
        ))
        .detail("No unique index without a condition covers them.")
        .hint("Name the primary key or the columns of a unique constraint."));
    }
    storage::ensure()?;
    store(
        "subject",
        subject_type,
        "SELECT pg_catalog.to_jsonb(s) FROM architect.privacy_subject AS s
          WHERE s.subject_type OPERATOR(pg_catalog.=) $1",
        "INSERT INTO architect.privacy_subject AS s
                (subject_type, schema_name, table_name, key_columns, identity_columns, on_erase, declared_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (subject_type) DO UPDATE
            SET schema_name = excluded.schema_name, table_name = excluded.table_name, key_columns = excluded.key_columns,
                identity_columns = excluded.identity_columns, on_erase = excluded.on_erase,
                declared_by = excluded.declared_by, declared_at = pg_catalog.clock_timestamp()",
        &[subject_type.into()],
        || {
            vec![
                subject_type.into(),
                relation.schema.as_str().into(),
                relation.name.as_str().into(),
                key.clone().into(),
                identity.to_vec().into(),
                on_erase.into(),
            ]
        },
    )
}

fn primary_key(relation: &Relation) -> Result<Vec<String>> {
    let key = spi::read_now(
        "SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_index AS i
          CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (attnum, n)
           JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid AND a.attnum OPERATOR(pg_catalog.=) k.attnum
          WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND i.indisprimary ORDER BY k.n",
        &[relation.oid.into()],
        |row| row.get::<String>(1),
    )?;
    let key: Vec<String> = key.into_iter().flatten().collect();
    if key.is_empty() {
        return Err(Error::invalid_parameter(format!(
            "table {} has no primary key",
            relation.qualified_name()
        ))
        .hint("Name the columns that tell its rows apart."));
    }
    Ok(key)
}

fn unique_on(relid: pg_sys::Oid, columns: &[String]) -> Result<bool> {
    let mut wanted = columns.to_vec();
    wanted.sort_unstable();
    let found = spi::read_now(
        "SELECT ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute AS a
                       WHERE a.attrelid OPERATOR(pg_catalog.=) i.indrelid
                         AND a.attnum OPERATOR(pg_catalog.=) ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts OPERATOR(pg_catalog.-) 1]))
           FROM pg_catalog.pg_index AS i
          WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL",
        &[relid.into()],
        |row| row.get::<Vec<Option<String>>>(1),
    )?;
    Ok(found.into_iter().flatten().any(|names| {
        let mut names: Vec<String> = names.into_iter().flatten().collect();
        names.sort_unstable();
        names == wanted
    }))
}

pub fn column(relid: pg_sys::Oid, declared: &ColumnDeclaration) -> Result<Report> {
    one_of(
        "identifier_class",
        &declared.identifier_class,
        &["direct", "quasi", "sensitive", "credential", "none"],
    )?;
    if let Some(basis) = &declared.legal_basis {
        let valid = [
            "consent",
            "contract",
            "legal_obligation",
            "vital_interests",
            "public_task",
            "legitimate_interests",
        ];
        one_of("legal_basis", basis, &valid)?;
    }
    declared.action.check(&declared.params)?;
    let relation = whole_table(relid)?;
    check_columns(&relation, std::slice::from_ref(&declared.column))?;
    if let Some(anchor) = &declared.retention_from {
        check_columns(&relation, std::slice::from_ref(anchor))?;
        let date = column::columns(relid)?.into_iter().any(|c| {
            c.name == *anchor
                && [pg_sys::DATEOID, pg_sys::TIMESTAMPOID, pg_sys::TIMESTAMPTZOID].contains(&c.type_oid)
        });
        if !date {
            return Err(Error::invalid_parameter(format!(
                "column \"{anchor}\" is not a date or a timestamp"
            ))
            .hint("retention_from names the column from which retention is counted."));
        }
    }
    let facts = writing::columns(relid)?;
    let fact = facts.iter().find(|c| c.name == declared.column);
    if !declared.json_path.is_empty() && !fact.is_some_and(|c| c.json) {
        return Err(Error::wrong_object_type(format!(
            "column \"{}\" of {} is not json",
            declared.column,
            relation.qualified_name()
        ))
        .hint("Leave out json_path."));
    }
    storage::ensure()?;
    let mut name = format!("{}.{}", relation.qualified_name(), pgrx::spi::quote_identifier(&declared.column));
    if !declared.json_path.is_empty() {
        name = format!("{name} #> {{{}}}", declared.json_path.join(","));
    }
    store(
        "column",
        &name,
        "SELECT pg_catalog.to_jsonb(c) FROM architect.privacy_column AS c
          WHERE c.schema_name OPERATOR(pg_catalog.=) $1 AND c.table_name OPERATOR(pg_catalog.=) $2
            AND c.column_name OPERATOR(pg_catalog.=) $3 AND c.json_path OPERATOR(pg_catalog.=) $4",
        "INSERT INTO architect.privacy_column AS c
                (schema_name, table_name, column_name, json_path, category, identifier_class, action, params, purpose,
                 legal_basis, retention, retention_from, recipients, source, confidence, declared_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
         ON CONFLICT (schema_name, table_name, column_name, json_path) DO UPDATE
            SET category = excluded.category, identifier_class = excluded.identifier_class, action = excluded.action,
                params = excluded.params, purpose = excluded.purpose, legal_basis = excluded.legal_basis,
                retention = excluded.retention, retention_from = excluded.retention_from,
                recipients = excluded.recipients, source = excluded.source, confidence = excluded.confidence,
                declared_by = excluded.declared_by, declared_at = pg_catalog.clock_timestamp()",
        &[
            relation.schema.as_str().into(),
            relation.name.as_str().into(),
            declared.column.as_str().into(),
            declared.json_path.clone().into(),
        ],
        || {
            vec![
                relation.schema.as_str().into(),
                relation.name.as_str().into(),
                declared.column.as_str().into(),
                declared.json_path.clone().into(),
                declared.category.as_str().into(),
                declared.identifier_class.as_str().into(),
                declared.action.name().into(),
                JsonB(declared.params.clone()).into(),
                declared.purpose.clone().into(),
                declared.legal_basis.clone().into(),
                declared.retention.into(),
                declared.retention_from.clone().into(),
                declared.recipients.clone().into(),
                declared.source.into(),
                declared.confidence.into(),
            ]
        },
    )
}

pub fn edge(
    subject_type: &str,
    relid: pg_sys::Oid,
    to: pg_sys::Oid,
    declared: &EdgeDeclaration,
) -> Result<Report> {
    one_of("ownership", &declared.ownership, &["owned", "co_owned", "accessed", "ignore"])?;
    one_of("direction", &declared.direction, &["referring", "referred"])?;
    let on_erase = match (declared.on_erase.as_deref(), declared.ownership.as_str()) {
        (Some(given), _) => given,
        (None, "owned" | "co_owned") => "delete",
        (None, "accessed") => "detach",
        (None, _) => "keep",
    };
    let valid: &[&str] = match declared.ownership.as_str() {
        "owned" => &["delete", "mask", "keep"],
        // Deleted only when nobody else is left; masked otherwise.
        "co_owned" => &["delete", "mask"],
        "accessed" => &["detach", "mask"],
        _ => &["keep"],
    };
    one_of("on_erase", on_erase, valid)?;
    let (relation, target) = (whole_table(relid)?, whole_table(to)?);
    check_columns(&relation, &declared.columns)?;
    let to_columns = match &declared.to_columns {
        Some(columns) => columns.clone(),
        None => primary_key(&target)?,
    };
    check_columns(&target, &to_columns)?;
    if let Some(columns) = &declared.person_columns {
        check_columns(&relation, columns)?;
    }
    if let Some((column, _)) = &declared.discriminator {
        check_columns(&relation, std::slice::from_ref(column))?;
    }
    if declared.columns.len() != to_columns.len() {
        return Err(Error::invalid_parameter("both sides of an edge need the same number of columns"));
    }
    if !declared.json_path.is_empty() {
        let json = writing::columns(relid)?.iter().any(|c| c.name == declared.columns[0] && c.json);
        if declared.columns.len() != 1 || !json {
            return Err(Error::wrong_object_type(
                "an edge with json_path needs one column of type json or jsonb",
            ));
        }
        if declared.direction == "referred" {
            return Err(Error::invalid_parameter("an edge with json_path refers to its person"));
        }
    }
    storage::require()?;
    let known = security::as_extension_owner(|| {
        spi::read_one_now::<bool>(
            "SELECT true FROM architect.privacy_subject AS s WHERE s.subject_type OPERATOR(pg_catalog.=) $1",
            &[subject_type.into()],
        )
    });
    if known.is_none() {
        return Err(super::catalogue::no_such_subject(subject_type));
    }
    let name = format!(
        "{subject_type}: {} ({}) -> {} ({})",
        relation.qualified_name(),
        declared.columns.join(", "),
        target.qualified_name(),
        to_columns.join(", ")
    );
    let (discriminator, value) = declared.discriminator.clone().unzip();
    let key = || -> Vec<DatumWithOid<'static>> {
        vec![
            subject_type.to_owned().into(),
            relation.schema.clone().into(),
            relation.name.clone().into(),
            declared.columns.clone().into(),
            declared.json_path.clone().into(),
            target.schema.clone().into(),
            target.name.clone().into(),
            declared.direction.clone().into(),
            discriminator.clone().into(),
            value.clone().into(),
        ]
    };
    store(
        "edge",
        &name,
        "SELECT pg_catalog.to_jsonb(e) FROM architect.privacy_edge AS e
          WHERE e.subject_type OPERATOR(pg_catalog.=) $1 AND e.schema_name OPERATOR(pg_catalog.=) $2
            AND e.table_name OPERATOR(pg_catalog.=) $3 AND e.columns OPERATOR(pg_catalog.=) $4
            AND e.json_path OPERATOR(pg_catalog.=) $5 AND e.to_schema OPERATOR(pg_catalog.=) $6
            AND e.to_table OPERATOR(pg_catalog.=) $7 AND e.direction OPERATOR(pg_catalog.=) $8
            AND e.discriminator_column IS NOT DISTINCT FROM $9 AND e.discriminator_value IS NOT DISTINCT FROM $10",
        "INSERT INTO architect.privacy_edge AS e
                (subject_type, schema_name, table_name, columns, json_path, to_schema, to_table, direction,
                 discriminator_column, discriminator_value, to_columns, ownership, on_erase, person_columns, declared_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         ON CONFLICT (subject_type, schema_name, table_name, columns, json_path, to_schema, to_table, direction,
                      (COALESCE(discriminator_column, '')), (COALESCE(discriminator_value, ''))) DO UPDATE
            SET to_columns = excluded.to_columns, ownership = excluded.ownership, on_erase = excluded.on_erase,
                person_columns = excluded.person_columns, declared_by = excluded.declared_by,
                declared_at = pg_catalog.clock_timestamp()",
        &key(),
        || {
            let mut values = key();
            values.extend([
                DatumWithOid::from(to_columns.clone()),
                declared.ownership.as_str().into(),
                on_erase.into(),
                declared.person_columns.clone().into(),
            ]);
            values
        },
    )
}

pub fn no_subject(subject_type: &str) -> Result<Report> {
    storage::require()?;
    super::catalogue::subject(subject_type)?;
    rights::on_subject(subject_type, DECLARE)?;
    request::refuse_while_held(subject_type)?;
    remove(
        "subject",
        "DELETE FROM architect.privacy_subject AS s WHERE s.subject_type OPERATOR(pg_catalog.=) $1
         RETURNING pg_catalog.to_jsonb(s)",
        &[subject_type.into()],
        subject_type.to_owned(),
    )
}

pub fn no_column(relid: pg_sys::Oid, column: &str, json_path: &[String]) -> Result<Report> {
    let relation = whole_table(relid)?;
    remove(
        "column",
        "DELETE FROM architect.privacy_column AS c
          WHERE c.schema_name OPERATOR(pg_catalog.=) $1 AND c.table_name OPERATOR(pg_catalog.=) $2
            AND c.column_name OPERATOR(pg_catalog.=) $3 AND c.json_path OPERATOR(pg_catalog.=) $4
         RETURNING pg_catalog.to_jsonb(c)",
        &[
            relation.schema.as_str().into(),
            relation.name.as_str().into(),
            column.into(),
            json_path.to_vec().into(),
        ],
        format!("{}.{}", relation.qualified_name(), pgrx::spi::quote_identifier(column)),
    )
}

pub fn no_edge(edge_id: i64) -> Result<Report> {
    storage::require()?;
    let table = security::as_extension_owner(|| {
        spi::read_now(
            "SELECT e.schema_name, e.table_name FROM architect.privacy_edge AS e WHERE e.edge_id OPERATOR(pg_catalog.=) $1",
            &[edge_id.into()],
            |row| Ok((row.get::<String>(1)?.unwrap_or_default(), row.get::<String>(2)?.unwrap_or_default())),
        )
    })?;
    if let Some((schema, name)) = table.first() {
        rights::on_table(schema, name, DECLARE)?;
    }
    remove(
        "edge",
        "DELETE FROM architect.privacy_edge AS e WHERE e.edge_id OPERATOR(pg_catalog.=) $1
         RETURNING pg_catalog.to_jsonb(e)",
        &[edge_id.into()],
        format!("edge {edge_id}"),
    )
}
