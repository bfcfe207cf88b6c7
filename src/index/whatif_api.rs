//! The SQL functions that ask the planner "what if".

use crate::error::{Error, Result};
use crate::index::sizer::Sizer;
use crate::index::whatif;
use crate::pg::lookup;
use crate::pg::planning::{Format, Parameters, Plan, Statement};
use crate::pg::whatif::Configuration;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// EXPLAIN of a query as things are and as they would be with other indexes, which are not created or
/// dropped.
///
/// Arguments: query, one SELECT, INSERT, UPDATE, DELETE or MERGE statement, parameters ($1) allowed;
/// create (a reserved word: "create" => where it is named), CREATE INDEX statements of any access method, also
/// partial, on expressions, or on partitioned tables; drop, existing indexes to plan without; format, 'text',
/// 'json', 'yaml' or 'xml'.
/// Returns two rows, before and after: version, startup_cost and total_cost in the planner's units, plan.
/// A hypothetical index has the name its statement gives, or one that starts with hypothetical_.
/// Errors: 22023 not a statement that is planned, not a CREATE INDEX statement, invalid format; 42809 not
/// an index; 42501 no privilege on a table; what PostgreSQL itself says of a wrong statement.
/// Lock: ACCESS SHARE on the tables of the query and of the indexes (ROW EXCLUSIVE on a table the query
/// would change) until the transaction ends. Nothing is executed or written, no transaction id assigned;
/// works on a standby. Privilege: what the query needs.
#[pg_extern(sql = "
CREATE FUNCTION architect.explain_with_indexes(query text, \"create\" text[] DEFAULT '{}',
        drop regclass[] DEFAULT '{}', format text DEFAULT 'text')
    RETURNS TABLE (version text, startup_cost double precision, total_cost double precision, plan text)
    STRICT VOLATILE LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
")]
fn explain_with_indexes(
    query: &str,
    create_indexes: Vec<Option<String>>,
    drop_indexes: Vec<Option<pg_sys::Oid>>,
    format: &str,
) -> std::result::Result<
    TableIterator<
        'static,
        (name!(version, String), name!(startup_cost, f64), name!(total_cost, f64), name!(plan, String)),
    >,
    ErrorReport,
> {
    let format = match format.to_ascii_lowercase().as_str() {
        "text" => Format::Text,
        "json" => Format::Json,
        "yaml" => Format::Yaml,
        "xml" => Format::Xml,
        other => {
            return Err(Error::invalid_parameter(format!(
                "unrecognized value for argument \"format\": \"{other}\""
            ))
            .hint("Formats are text, json, yaml and xml.")
            .into());
        }
    };
    let question = Question::new(query, create_indexes, drop_indexes)?;
    let mut rows = Vec::new();
    for (version, configuration) in
        [("before", &Configuration::default()), ("after", &question.configuration)]
    {
        let plan = question.statement.plan(configuration, &question.parameters)?;
        let text = question.statement.explain(configuration, &question.parameters, format)?;
        rows.push((version.to_owned(), plan.startup_cost, plan.total_cost, text));
    }
    Ok(TableIterator::new(rows))
}

/// What a query would cost with other indexes, in numbers: explain_with_indexes without the plans.
///
/// Arguments: query, create and drop as in explain_with_indexes.
/// Returns one row: cost_before and cost_after, total costs in the planner's units; rows_before and
/// rows_after, estimated; indexes_before and indexes_after, names of the indexes in the plans;
/// created_bytes, estimated size of the indexes to create; dropped_bytes, of those to drop, measured.
/// Errors, lock and privilege as explain_with_indexes.
#[pg_extern(sql = "
CREATE FUNCTION architect.index_cost(query text, \"create\" text[] DEFAULT '{}', drop regclass[] DEFAULT '{}')
    RETURNS TABLE (cost_before double precision, cost_after double precision, rows_before double precision,
        rows_after double precision, indexes_before text[], indexes_after text[], created_bytes bigint, dropped_bytes bigint)
    STRICT VOLATILE LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
")]
fn index_cost(
    query: &str,
    create_indexes: Vec<Option<String>>,
    drop_indexes: Vec<Option<pg_sys::Oid>>,
) -> std::result::Result<
    TableIterator<
        'static,
        (
            name!(cost_before, f64),
            name!(cost_after, f64),
            name!(rows_before, f64),
            name!(rows_after, f64),
            name!(indexes_before, Vec<String>),
            name!(indexes_after, Vec<String>),
            name!(created_bytes, i64),
            name!(dropped_bytes, i64),
        ),
    >,
    ErrorReport,
> {
    let question = Question::new(query, create_indexes, drop_indexes)?;
    let before = question.statement.plan(&Configuration::default(), &question.parameters)?;
    let after = question.statement.plan(&question.configuration, &question.parameters)?;
    let created: f64 = question.configuration.created.iter().map(|index| whatif::bytes(index)).sum();
    let dropped: f64 = question.configuration.hidden.iter().map(|index| whatif::measured_bytes(*index)).sum();
    Ok(TableIterator::once((
        before.total_cost,
        after.total_cost,
        before.rows,
        after.rows,
        question.names(&before),
        question.names(&after),
        created as i64,
        dropped as i64,
    )))
}

struct Question {
    statement: Statement,
    parameters: Parameters,
    configuration: Configuration,
}

impl Question {
    fn new(query: &str, create: Vec<Option<String>>, drop: Vec<Option<pg_sys::Oid>>) -> Result<Self> {
        let statement = Statement::repaired(query, None)?;
        let mut configuration = Configuration::default();
        let mut sizer = Sizer::default();
        for text in create.into_iter().flatten() {
            configuration.created.push(whatif::hypothetical(&text, None, &mut sizer)?);
        }
        for index in drop.into_iter().flatten() {
            if !lookup::is_index(index) {
                let name = lookup::relation_name(index).unwrap_or_else(|| index.to_u32().to_string());
                return Err(Error::wrong_object_type(format!("\"{name}\" is not an index")));
            }
            configuration.hidden.extend(whatif::with_partitions(index)?);
        }
        Ok(Self { statement, parameters: Parameters::none(), configuration })
    }

    /// Names of a plan's indexes, each once.
    fn names(&self, plan: &Plan) -> Vec<String> {
        let mut names: Vec<String> = plan.indexes.iter().map(|oid| self.name(*oid)).collect();
        names.sort();
        names.dedup();
        names
    }

    fn name(&self, index: pg_sys::Oid) -> String {
        self.configuration
            .created
            .iter()
            .find(|created| created.parts.iter().any(|part| part.oid() == index))
            .map(|created| created.name.to_string_lossy().into_owned())
            .or_else(|| lookup::relation_name(index))
            .unwrap_or_default()
    }
}
