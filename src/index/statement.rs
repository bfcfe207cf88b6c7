//! The statements a report hands to the DBA: to mend something, and to undo that.

use crate::catalog::index::Index;
use crate::pg::lookup;
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

/// Drops an index without stopping anybody, where PostgreSQL can: not the index of a partitioned table.
pub fn drop_index(index: &Index) -> String {
    format!("DROP INDEX {}{};", concurrently(index), index.qualified_name())
}

/// Makes an index again as it was. None while somebody holds its table exclusively: to spell the definition
/// PostgreSQL would wait for them.
pub fn create_again(index: &Index) -> Option<String> {
    lookup::relation_size(index.table)?;
    let definition = lookup::index_definition(index.oid);
    let name = quote_identifier(&index.name);
    let unique = if index.unique { "UNIQUE " } else { "" };
    // As PostgreSQL begins every definition: what follows is kept to the letter.
    for only in ["ONLY ", ""] {
        if let Some(rest) = definition.strip_prefix(&format!("CREATE {unique}INDEX {name} ON {only}")) {
            return Some(format!("CREATE {unique}INDEX {}{name} ON {rest};", concurrently(index)));
        }
    }
    Some(format!("{definition};"))
}

/// Builds an index anew. What enforces an exclusion constraint cannot be built beside the old one.
pub fn rebuild(index: &Index) -> String {
    let exclusion = index.constraint.as_ref().is_some_and(|c| c.kind == 'x');
    let how = if exclusion { "" } else { "CONCURRENTLY " };
    format!("REINDEX INDEX {how}{};", index.qualified_name())
}

/// What makes a partition's index and attaches it to the partitioned table's.
pub fn on_partition(index: &Index, partition: pg_sys::Oid, taken: &mut Vec<String>) -> Vec<String> {
    let (Some(schema), Some(table)) = (lookup::relation_schema(partition), lookup::relation_name(partition))
    else {
        return Vec::new();
    };
    let definition = lookup::index_definition(index.oid);
    let unique = if index.unique { "UNIQUE " } else { "" };
    let name = quote_identifier(&index.name);
    let beginning = |only| format!("CREATE {unique}INDEX {name} ON {only}{} ", index.qualified_table());
    let rest = ["ONLY ", ""].iter().find_map(|only| definition.strip_prefix(&beginning(only)));
    let Some(rest) = rest else { return Vec::new() };
    let columns: Vec<String> = index
        .keys
        .iter()
        .map(|key| key.column.and_then(|c| lookup::attribute_name(index.table, c)).unwrap_or("expr".into()))
        .collect();
    let part = NewIndex::named(&schema, &table, &columns, partition, taken);
    let how = if lookup::is_partitioned(partition) { "" } else { "CONCURRENTLY " };
    vec![
        format!("CREATE {unique}INDEX {how}{} ON {} {rest};", quote_identifier(&part.name), part.table()),
        format!(
            "ALTER INDEX {} ATTACH PARTITION {};",
            index.qualified_name(),
            lookup::qualify(&schema, &part.name)
        ),
    ]
}

fn concurrently(index: &Index) -> &'static str {
    if index.partitioned { "" } else { "CONCURRENTLY " }
}

/// A btree to be made.
pub struct NewIndex<'a> {
    pub schema: &'a str,
    pub table_name: &'a str,
    pub columns: &'a [String],
    pub name: String,
}

impl<'a> NewIndex<'a> {
    /// Names it as PostgreSQL would, but not as any of `taken`.
    pub fn named(
        schema: &'a str,
        table_name: &'a str,
        columns: &'a [String],
        table: pg_sys::Oid,
        taken: &mut Vec<String>,
    ) -> Self {
        let schema_oid = lookup::schema_of(table);
        let name = (0..)
            .map(|n| if n == 0 { "idx".to_owned() } else { format!("idx{n}") })
            .map(|label| lookup::free_name(table_name, &columns.join("_"), &label, schema_oid))
            .find(|name| !taken.contains(name))
            .unwrap_or_default();
        taken.push(name.clone());
        Self { schema, table_name, columns, name }
    }

    pub fn create(&self) -> String {
        let name = quote_identifier(&self.name);
        format!("CREATE INDEX CONCURRENTLY {name} ON {} ({});", self.table(), self.list())
    }

    pub fn drop(&self) -> String {
        format!("DROP INDEX CONCURRENTLY {};", lookup::qualify(self.schema, &self.name))
    }

    /// The index of the partitioned table alone: not valid until each partition's index is attached.
    pub fn create_only(&self) -> String {
        let name = quote_identifier(&self.name);
        format!("CREATE INDEX {name} ON ONLY {} ({});", self.table(), self.list())
    }

    pub fn attach(&self, part: &NewIndex) -> String {
        format!(
            "ALTER INDEX {} ATTACH PARTITION {};",
            lookup::qualify(self.schema, &self.name),
            lookup::qualify(part.schema, &part.name)
        )
    }

    /// For the index of a partitioned table, which cannot be dropped concurrently.
    pub fn drop_partitioned(&self) -> String {
        format!("DROP INDEX {};", lookup::qualify(self.schema, &self.name))
    }

    pub fn table(&self) -> String {
        lookup::qualify(self.schema, self.table_name)
    }

    fn list(&self) -> String {
        let quoted: Vec<String> = self.columns.iter().map(quote_identifier).collect();
        quoted.join(", ")
    }
}
