//! The SQL functions of declaring.

use super::action::Action;
use super::decide::Report;
use super::declare::{self, ColumnDeclaration, EdgeDeclaration};
use super::{catalogue, storage};
use crate::error::Error;
use crate::pg::{security, spi};
use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{JsonB, PgRelation};

fn texts(values: Vec<Option<String>>) -> Vec<String> {
    values.into_iter().flatten().collect()
}

fn one(
    report: Report,
) -> TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))> {
    TableIterator::once((report.object, report.action.to_owned(), report.detail))
}

/// Says whose data a database keeps: the table with one row for each person of a kind.
///
/// Arguments: subject_type, a name of your choosing, as 'customer'; table_name; key_columns (null: the
/// primary key); identity_columns, those whose values identify the person wherever they turn up, as e-mail
/// address and name: erasing looks for them in the logs, and verify_erasure everywhere; on_erase, whether the
/// person's own row is deleted or masked.
/// Returns one row: declared, changed or exists. Who decided it and when is kept in
/// architect.privacy_decision.
/// Errors: 42501 not the owner; 42703 no such column; 22023 the key does not tell rows apart.
/// Lock: none. Privilege: ownership of the table.
#[pg_extern]
fn declare_subject(
    subject_type: &str,
    table_name: PgRelation,
    key_columns: default!(Option<Vec<Option<String>>>, "NULL"),
    identity_columns: default!(Vec<Option<String>>, "'{}'"),
    on_erase: default!(&str, "'delete'"),
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let relid = table_name.oid();
    drop(table_name);
    let report = security::with_safe_search_path(|| {
        declare::subject(subject_type, relid, key_columns.map(texts), &texts(identity_columns), on_erase)
    })?;
    Ok(one(report))
}

/// Takes back declare_subject, with the edges declared for it. What was declared of columns stays.
///
/// Returns one row: undeclared or skipped. Errors: 42704 no such subject type; 42501 not the owner.
/// Lock: none. Privilege: ownership of the table.
#[pg_extern]
fn undeclare_subject(
    subject_type: &str,
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let report = security::with_safe_search_path(|| declare::no_subject(subject_type))?;
    Ok(one(report))
}

/// Says what a column, or a path within a json column, holds of persons, and what happens to it.
///
/// Arguments: table_name, column_name; category, as 'email' or 'name'; action: keep, null, constant, random,
/// hash, pseudonym, partial, generalise, noise, shuffle, or delete_row (rows go, they are not masked); params of
/// the action, values only: constant {"value"}, partial {"prefix", "suffix", "mask"}, generalise {"unit": "year"},
/// {"step"} or {"bits"}, noise {"ratio"}, {"amount"} or {"interval"}, hash and pseudonym {"domain"}; json_path
/// within the column; identifier_class: direct, quasi, sensitive, credential or none; purpose; legal_basis:
/// consent, contract, legal_obligation, vital_interests, public_task or legitimate_interests; retention, how long
/// the value must be kept, counted from the column retention_from; recipients.
/// Results of hash, pseudonym, partial, generalise, noise and shuffle are pseudonymised, still personal data:
/// erasing puts null, a constant or a random value in place of hash, pseudonym, noise and shuffle.
/// Returns one row: declared, changed or exists.
/// Errors: 42501 not the owner; 42703 no such column; 22023 invalid action, parameter or legal basis.
/// Lock: none. Privilege: ownership of the table.
#[pg_extern]
#[allow(clippy::too_many_arguments)]
fn declare_column(
    table_name: PgRelation,
    column_name: &str,
    category: &str,
    action: default!(&str, "'null'"),
    params: default!(JsonB, "'{}'"),
    purpose: default!(Option<String>, "NULL"),
    legal_basis: default!(Option<String>, "NULL"),
    retention: default!(Option<Interval>, "NULL"),
    retention_from: default!(Option<String>, "NULL"),
    recipients: default!(Vec<Option<String>>, "'{}'"),
    json_path: default!(Vec<Option<String>>, "'{}'"),
    identifier_class: default!(&str, "'direct'"),
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let relid = table_name.oid();
    drop(table_name);
    let declared = ColumnDeclaration {
        column: column_name.to_owned(),
        json_path: texts(json_path),
        category: category.to_owned(),
        identifier_class: identifier_class.to_owned(),
        action: Action::parse(action)?,
        params: params.0,
        purpose,
        legal_basis,
        retention,
        retention_from,
        recipients: texts(recipients),
        source: "declared",
        confidence: None,
    };
    let report = security::with_safe_search_path(|| declare::column(relid, &declared))?;
    Ok(one(report))
}

/// Takes back declare_column.
///
/// Returns one row: undeclared or skipped. Errors: 42501 not the owner. Lock: none. Privilege: ownership of
/// the table.
#[pg_extern]
fn undeclare_column(
    table_name: PgRelation,
    column_name: &str,
    json_path: default!(Vec<Option<String>>, "'{}'"),
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let relid = table_name.oid();
    drop(table_name);
    let report =
        security::with_safe_search_path(|| declare::no_column(relid, column_name, &texts(json_path)))?;
    Ok(one(report))
}

/// Says how rows of a table belong to a person: a decision about a foreign key, or a reference that no foreign
/// key states.
///
/// Arguments: subject_type; table_name and columns, which refer; references_table and references_columns
/// (null: its primary key); ownership: owned (the person's rows), co_owned (another person's too: masked while
/// somebody else is left), accessed (somebody else's rows that name the person) or ignore; on_erase: delete, mask,
/// detach (the reference is emptied) or keep, by default what fits the ownership; json_path, where columns is one
/// json column that holds the key; discriminator_column and discriminator_value, for references that say in
/// another column what they refer to; person_columns, those of the table that hold this person's data, where rows
/// stay (null: all declared ones of a co-owned row, none of an accessed one); direction: referring, or referred where the person's row (in table_name)
/// refers to rows it owns (in references_table), as a customer's to its address.
/// Returns one row: declared, changed or exists.
/// Errors: 42704 no such subject type; 42501 not the owner of both tables; 42703 no such column; 22023.
/// Lock: none. Privilege: ownership of both tables.
#[pg_extern]
#[allow(clippy::too_many_arguments)]
fn declare_edge(
    subject_type: &str,
    table_name: PgRelation,
    columns: Vec<Option<String>>,
    references_table: PgRelation,
    references_columns: default!(Option<Vec<Option<String>>>, "NULL"),
    ownership: default!(&str, "'owned'"),
    on_erase: default!(Option<String>, "NULL"),
    json_path: default!(Vec<Option<String>>, "'{}'"),
    discriminator_column: default!(Option<String>, "NULL"),
    discriminator_value: default!(Option<String>, "NULL"),
    person_columns: default!(Option<Vec<Option<String>>>, "NULL"),
    direction: default!(&str, "'referring'"),
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let (relid, to) = (table_name.oid(), references_table.oid());
    drop((table_name, references_table));
    if discriminator_column.is_some() != discriminator_value.is_some() {
        return Err(
            Error::invalid_parameter("discriminator_column and discriminator_value go together").into()
        );
    }
    let declared = EdgeDeclaration {
        columns: texts(columns),
        to_columns: references_columns.map(texts),
        ownership: ownership.to_owned(),
        on_erase,
        json_path: texts(json_path),
        discriminator: discriminator_column.zip(discriminator_value),
        person_columns: person_columns.map(texts),
        direction: direction.to_owned(),
    };
    let report = security::with_safe_search_path(|| declare::edge(subject_type, relid, to, &declared))?;
    Ok(one(report))
}

/// Takes back declare_edge.
///
/// Arguments: edge_id, as privacy_edges() shows it. Returns one row: undeclared or skipped.
/// Errors: 42501 not the owner. Lock: none. Privilege: ownership of the table that refers.
#[pg_extern]
fn undeclare_edge(
    edge_id: i64,
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let report = security::with_safe_search_path(|| declare::no_edge(edge_id))?;
    Ok(one(report))
}

/// The kinds of persons that were declared.
///
/// Returns one row for each. Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(stable)]
fn privacy_subjects() -> Result<
    TableIterator<
        'static,
        (
            name!(subject_type, String),
            name!(schema_name, String),
            name!(table_name, String),
            name!(key_columns, Vec<String>),
            name!(identity_columns, Vec<String>),
            name!(on_erase, String),
        ),
    >,
    ErrorReport,
> {
    let subjects = catalogue::subjects()?;
    Ok(TableIterator::new(
        subjects.into_iter().map(|s| (s.subject_type, s.schema, s.table, s.key, s.identity, s.on_erase)),
    ))
}

/// The columns that were declared, and what happens to them.
///
/// Returns one row for each column or path within a json column.
/// Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(stable)]
fn privacy_columns() -> Result<
    TableIterator<
        'static,
        (
            name!(schema_name, String),
            name!(table_name, String),
            name!(column_name, String),
            name!(json_path, Vec<String>),
            name!(category, String),
            name!(identifier_class, String),
            name!(action, String),
            name!(params, JsonB),
            name!(result, String),
            name!(purpose, Option<String>),
            name!(legal_basis, Option<String>),
            name!(retention, Option<String>),
            name!(retention_from, Option<String>),
            name!(recipients, Vec<String>),
        ),
    >,
    ErrorReport,
> {
    let columns = catalogue::columns()?;
    Ok(TableIterator::new(columns.into_iter().map(|c| {
        let result = match c.action {
            Action::Keep => "kept",
            action if action.anonymises() => "anonymised",
            _ => "pseudonymised, still personal data",
        };
        (
            c.schema,
            c.table,
            c.column,
            c.json_path,
            c.category,
            c.identifier_class,
            c.action.name().to_owned(),
            JsonB(c.params),
            result.to_owned(),
            c.purpose,
            c.legal_basis,
            c.retention,
            c.retention_from,
            c.recipients,
        )
    })))
}

/// The references that were declared.
///
/// Arguments: subject_type (null: all). Returns one row for each edge.
/// Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(stable)]
fn privacy_edges(
    subject_type: default!(Option<String>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(edge_id, i64),
            name!(subject_type, String),
            name!(table_name, String),
            name!(columns, Vec<String>),
            name!(json_path, Vec<String>),
            name!(references_table, String),
            name!(references_columns, Vec<String>),
            name!(direction, String),
            name!(discriminator, Option<String>),
            name!(ownership, String),
            name!(on_erase, String),
            name!(person_columns, Option<Vec<String>>),
        ),
    >,
    ErrorReport,
> {
    let mut rows = Vec::new();
    for subject in catalogue::subjects()? {
        if subject_type.as_ref().is_some_and(|wanted| *wanted != subject.subject_type) {
            continue;
        }
        for edge in catalogue::edges(&subject.subject_type)? {
            rows.push((
                edge.edge_id,
                subject.subject_type.clone(),
                crate::pg::lookup::qualify(&edge.schema, &edge.table),
                edge.columns,
                edge.json_path,
                crate::pg::lookup::qualify(&edge.to_schema, &edge.to_table),
                edge.to_columns,
                if edge.referred { "referred" } else { "referring" }.to_owned(),
                edge.discriminator.map(|(column, value)| format!("{column} = {value}")),
                edge.ownership,
                edge.on_erase,
                edge.person_columns,
            ));
        }
    }
    Ok(TableIterator::new(rows))
}

/// Who decided what about personal data, the latest first.
///
/// Returns one row for each declaration made, changed or taken back, with what was declared before and after.
/// Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(stable)]
fn privacy_decisions() -> Result<
    TableIterator<
        'static,
        (
            name!(decided_at, TimestampWithTimeZone),
            name!(decided_by, String),
            name!(verb, String),
            name!(kind, String),
            name!(object_name, String),
            name!(before, Option<JsonB>),
            name!(after, Option<JsonB>),
        ),
    >,
    ErrorReport,
> {
    if !storage::exists() {
        return Ok(TableIterator::new(Vec::new()));
    }
    let rows = security::as_extension_owner(|| {
        spi::read(
            "SELECT d.decided_at, d.decided_by, d.verb, d.kind, d.object_name, d.before, d.after
               FROM architect.privacy_decision AS d ORDER BY d.decision_id DESC",
            &[],
            |row| {
                let text = |i| row.get::<String>(i).map(Option::unwrap_or_default);
                Ok(row.get(1)?.map(|at| (at, text(2), text(3), text(4), text(5), row.get(6), row.get(7))))
            },
        )
    })?;
    let mut decisions = Vec::new();
    for (at, by, verb, kind, object, before, after) in rows.into_iter().flatten() {
        let failed = |error| ErrorReport::from(Error::from(error));
        decisions.push((
            at,
            by.map_err(failed)?,
            verb.map_err(failed)?,
            kind.map_err(failed)?,
            object.map_err(failed)?,
            before.map_err(failed)?,
            after.map_err(failed)?,
        ));
    }
    Ok(TableIterator::new(decisions))
}
