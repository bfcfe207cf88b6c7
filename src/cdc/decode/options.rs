//! What a client may ask for: name and value pairs, given when it starts to read.
#![forbid(unsafe_code)]

use super::pattern::{self, Pattern};
use crate::capture::policy::Mask;
use crate::cdc::event::Operation;
use crate::error::{Error, Result};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Native,
    Envelope,
}

/// Under which name a partition's changes are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Partitions {
    Leaf,
    Root,
}

const NAMES: &str = "tables, exclude-tables, operations, columns, exclude-columns, masks, messages, \
                     include-transaction, include-lsn, include-timestamp, pretty, batch, format, name, partitions, \
                     streaming, origin";

/// Bytes of lines from which on a message is sent, unless the client says otherwise.
const USUAL_BATCH: usize = 16 << 10;
/// The most it may say.
const LARGEST_BATCH: usize = 16 << 20;

const OPERATIONS: [Operation; 7] = [
    Operation::Insert,
    Operation::Update,
    Operation::Delete,
    Operation::Truncate,
    Operation::Event,
    Operation::Message,
    Operation::Heartbeat,
];

#[derive(Debug)]
pub struct Options {
    tables: Option<Vec<Pattern>>,
    exclude_tables: Vec<Pattern>,
    operations: Vec<Operation>,
    columns: Option<Vec<Pattern>>,
    exclude_columns: Vec<Pattern>,
    masks: Vec<(Pattern, Mask)>,
    /// Prefixes of foreign messages; none: all of them.
    messages: Option<Vec<String>>,
    /// Whether a transaction's begin and end are written; none: as the format has it.
    include_transaction: Option<bool>,
    pub include_lsn: bool,
    pub include_timestamp: bool,
    pub pretty: bool,
    /// A message to a replication client is sent once its lines have so many bytes; 0: one line a message.
    pub batch: usize,
    pub format: Format,
    /// Logical name of this server in the envelope.
    pub name: Option<String>,
    pub partitions: Partitions,
    pub streaming: bool,
    /// Whether changes that came by replication from elsewhere are left out.
    pub local_only: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tables: None,
            exclude_tables: Vec::new(),
            operations: OPERATIONS.to_vec(),
            columns: None,
            exclude_columns: Vec::new(),
            masks: Vec::new(),
            messages: None,
            include_transaction: None,
            include_lsn: true,
            include_timestamp: true,
            pretty: false,
            batch: USUAL_BATCH,
            format: Format::Native,
            name: None,
            partitions: Partitions::Leaf,
            streaming: false,
            local_only: false,
        }
    }
}

impl Options {
    pub fn parse(given: &[(String, Option<String>)]) -> Result<Self> {
        let mut options = Self::default();
        for (i, (name, value)) in given.iter().enumerate() {
            if given[..i].iter().any(|(other, _)| other == name) {
                return Err(Error::invalid_parameter(format!("option \"{name}\" is given twice")));
            }
            options.set(&name.replace('_', "-"), name, value.as_deref())?;
        }
        Ok(options)
    }

    fn set(&mut self, canonical: &str, name: &str, value: Option<&str>) -> Result<()> {
        let text = || value.unwrap_or_default();
        match canonical {
            "tables" => self.tables = Some(patterns(name, text(), 2)?),
            "exclude-tables" => self.exclude_tables = patterns(name, text(), 2)?,
            "columns" => self.columns = Some(patterns(name, text(), 3)?),
            "exclude-columns" => self.exclude_columns = patterns(name, text(), 3)?,
            "operations" => self.operations = operations(name, text())?,
            "masks" => self.masks = masks(name, text())?,
            "messages" => {
                let prefixes: Vec<String> =
                    text().split(',').map(str::trim).filter(|p| !p.is_empty()).map(str::to_owned).collect();
                self.messages = (!prefixes.iter().any(|p| p == "*")).then_some(prefixes);
            }
            "include-transaction" => self.include_transaction = Some(boolean(name, value)?),
            "include-lsn" => self.include_lsn = boolean(name, value)?,
            "include-timestamp" => self.include_timestamp = boolean(name, value)?,
            "pretty" => self.pretty = boolean(name, value)?,
            "batch" => {
                self.batch =
                    text().parse().ok().filter(|bytes| *bytes <= LARGEST_BATCH).ok_or_else(|| {
                        invalid(name, text())
                            .hint(format!("Write a number of bytes, at most {LARGEST_BATCH}."))
                    })?;
            }
            "streaming" => self.streaming = boolean(name, value)?,
            "name" => self.name = value.filter(|v| !v.is_empty()).map(str::to_owned),
            "format" => {
                self.format =
                    choice(name, text(), &[("native", Format::Native), ("envelope", Format::Envelope)])?;
            }
            "partitions" => {
                self.partitions =
                    choice(name, text(), &[("leaf", Partitions::Leaf), ("root", Partitions::Root)])?;
            }
            "origin" => self.local_only = choice(name, text(), &[("any", false), ("none", true)])?,
            _ => {
                return Err(Error::invalid_parameter(format!("unrecognized option \"{name}\""))
                    .detail("The output plugin db_architect has no such option.")
                    .hint(format!("Options are {NAMES}.")));
            }
        }
        Ok(())
    }

    /// Existing readers of the envelope expect nothing but envelopes.
    pub fn wants_transactions(&self) -> bool {
        self.include_transaction.unwrap_or(self.format == Format::Native)
    }

    pub fn wants(&self, operation: Operation) -> bool {
        self.operations.contains(&operation)
    }

    pub fn wants_message(&self, prefix: &[u8]) -> bool {
        self.messages.as_ref().is_none_or(|wanted| wanted.iter().any(|w| w.as_bytes() == prefix))
    }

    /// Whether a table is wanted, given its name and those of the partitioned tables above it. What the
    /// extension itself stores is wanted only by whoever names its schema.
    pub fn wants_table(&self, names: &[(&[u8], &[u8])]) -> bool {
        let matches = |p: &Pattern| names.iter().any(|(s, t)| p.matches(&[s, t]));
        let own = names.iter().any(|(schema, _)| *schema == b"architect");
        let included = match &self.tables {
            Some(patterns) => patterns.iter().any(|p| matches(p) && (!own || p.names_schema())),
            None => !own,
        };
        included && !self.exclude_tables.iter().any(matches)
    }

    /// Whether a column is wanted, under any of its table's names.
    pub fn wants_column(&self, names: &[(&[u8], &[u8])], column: &[u8]) -> bool {
        let matches = |p: &Pattern| names.iter().any(|(s, t)| p.matches(&[s, t, column]));
        // A list of columns says something only about the tables it names.
        let included = self.columns.as_ref().is_none_or(|patterns| {
            let about = |p: &&Pattern| names.iter().any(|(s, t)| p.is_about(&[s, t]));
            let mut about = patterns.iter().filter(about).peekable();
            about.peek().is_none() || about.any(matches)
        });
        included && !self.exclude_columns.iter().any(matches)
    }

    pub fn mask(&self, names: &[(&[u8], &[u8])], column: &[u8]) -> Option<Mask> {
        self.masks
            .iter()
            .find(|(p, _)| names.iter().any(|(s, t)| p.matches(&[s, t, column])))
            .map(|(_, mask)| *mask)
    }
}

fn patterns(option: &str, text: &str, parts: usize) -> Result<Vec<Pattern>> {
    let found = pattern::parse(text, parts, None).map_err(|why| misspelt(option, text, &why, parts))?;
    Ok(found.into_iter().map(|(pattern, _)| pattern).collect())
}

fn masks(option: &str, text: &str) -> Result<Vec<(Pattern, Mask)>> {
    let found = pattern::parse(text, 3, Some('=')).map_err(|why| misspelt(option, text, &why, 3))?;
    found
        .into_iter()
        .map(|(pattern, action)| match Mask::parse(&action) {
            Some(mask) => Ok((pattern, mask)),
            None => Err(invalid(option, text)
                .detail(format!("\"{action}\" is no way to mask a column."))
                .hint("Write schema.table.column=hash, =null or =constant.")),
        })
        .collect()
}

fn operations(option: &str, text: &str) -> Result<Vec<Operation>> {
    text.split(',')
        .map(str::trim)
        .map(|name| {
            OPERATIONS.into_iter().find(|o| o.name() == name).ok_or_else(|| {
                let all: Vec<&str> = OPERATIONS.iter().map(|o| o.name()).collect();
                invalid(option, text).hint(format!("Operations are {}.", all.join(", ")))
            })
        })
        .collect()
}

fn boolean(option: &str, value: Option<&str>) -> Result<bool> {
    match value.unwrap_or("").to_ascii_lowercase().as_str() {
        // An option that is only named is switched on.
        "" | "true" | "t" | "on" | "yes" | "1" => Ok(true),
        "false" | "f" | "off" | "no" | "0" => Ok(false),
        other => Err(invalid(option, other).hint("Write true or false.")),
    }
}

fn choice<T: Copy>(option: &str, text: &str, choices: &[(&str, T)]) -> Result<T> {
    choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        invalid(option, text).hint(format!("Write {}.", names.join(" or ")))
    })
}

fn invalid(option: &str, value: &str) -> Error {
    Error::invalid_parameter(format!("invalid value for option \"{option}\": \"{value}\""))
}

fn misspelt(option: &str, value: &str, why: &str, parts: usize) -> Error {
    let shape = if parts == 2 { "schema.table" } else { "schema.table.column" };
    invalid(option, value).detail(sentence(why)).hint(format!(
        "Write names as {shape}, separated by commas, with double quotes where SQL wants them and * for any."
    ))
}

fn sentence(why: &str) -> String {
    let mut letters = why.chars();
    letters.next().map_or(String::new(), |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(pairs: &[(&str, &str)]) -> Result<Options> {
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), Some((*v).to_owned()))).collect();
        Options::parse(&pairs)
    }

    #[test]
    fn tables_are_chosen_by_any_of_their_names() {
        let options = parsed(&[("tables", "public.*"), ("exclude-tables", "public.secret")]).unwrap();
        assert!(options.wants_table(&[(b"public", b"a")]));
        assert!(!options.wants_table(&[(b"public", b"secret")]));
        assert!(!options.wants_table(&[(b"other", b"a")]));
        assert!(options.wants_table(&[(b"parts", b"a1"), (b"public", b"a")]));
    }

    #[test]
    fn our_own_tables_are_chosen_only_by_name() {
        assert!(!Options::default().wants_table(&[(b"architect", b"audit_entry_default")]));
        assert!(!parsed(&[("tables", "*.*")]).unwrap().wants_table(&[(b"architect", b"x")]));
        assert!(parsed(&[("tables", "*.*,architect.*")]).unwrap().wants_table(&[(b"architect", b"x")]));
    }

    #[test]
    fn a_list_of_columns_is_about_the_tables_it_names() {
        let options = parsed(&[("columns", "s.t.a,s.t.b"), ("exclude-columns", "*.*.secret")]).unwrap();
        assert!(options.wants_column(&[(b"s", b"t")], b"a"));
        assert!(!options.wants_column(&[(b"s", b"t")], b"c"));
        assert!(options.wants_column(&[(b"s", b"other")], b"c"));
        assert!(!options.wants_column(&[(b"s", b"other")], b"secret"));
    }

    #[test]
    fn nonsense_is_refused_with_a_hint() {
        for pairs in [
            &[("no-such", "1")][..],
            &[("pretty", "maybe")],
            &[("format", "xml")],
            &[("operations", "insert,upsert")],
            &[("masks", "s.t.c=rot13")],
            &[("masks", "s.t.c")],
            &[("tables", "t")],
            &[("pretty", "1"), ("pretty", "0")],
        ] {
            let error = parsed(pairs).unwrap_err();
            assert_eq!(error.code(), pgrx::PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "{pairs:?}");
        }
    }
}
