//! What is enabled on a table, as its trigger's arguments: `role=column` for each column, then options.
//!
//! A column is known by name and by attribute number. The number follows a rename; it means something
//! only in the very table it was taken from, which `table=` names: after a restore elsewhere the name
//! counts. A trigger attached by hand needs no more than `'updated_at=column'`.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};

/// What a column is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    CreatedAt,
    UpdatedAt,
    CreatedBy,
    UpdatedBy,
    Version,
}

impl Role {
    pub const ALL: [Role; 5] =
        [Role::CreatedAt, Role::UpdatedAt, Role::CreatedBy, Role::UpdatedBy, Role::Version];

    /// As in the trigger's arguments; also the column's name where the caller does not choose one.
    pub fn name(self) -> &'static str {
        match self {
            Role::CreatedAt => "created_at",
            Role::UpdatedAt => "updated_at",
            Role::CreatedBy => "created_by",
            Role::UpdatedBy => "updated_by",
            Role::Version => "version",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Which clock updated_at is read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    #[default]
    Transaction,
    Statement,
    Wall,
}

impl Clock {
    const ALL: [Clock; 3] = [Clock::Transaction, Clock::Statement, Clock::Wall];

    pub fn name(self) -> &'static str {
        match self {
            Clock::Transaction => "transaction",
            Clock::Statement => "statement",
            Clock::Wall => "wall",
        }
    }

    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|clock| clock.name() == name).ok_or_else(|| {
            Error::invalid_parameter(format!("invalid value for argument \"clock\": \"{name}\""))
                .hint("Available values: transaction, statement, wall.")
        })
    }
}

/// The table attribute numbers were taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub system: String,
    pub database: u32,
    pub table: u32,
}

/// One column that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub role: Role,
    pub name: String,
    pub number: Option<i16>,
    /// The column was added, not found.
    pub added: bool,
    /// The column was found without a default and given one.
    pub default_set: bool,
}

/// What is enabled on a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    pub kept: Vec<Kept>,
    pub clock: Clock,
    /// Every UPDATE counts, also one that changes nothing.
    pub always: bool,
    pub origin: Option<Origin>,
}

impl Spec {
    pub fn column(&self, role: Role) -> Option<&Kept> {
        self.kept.iter().find(|kept| kept.role == role)
    }

    /// Adds a column or replaces the one of the same role.
    pub fn set(&mut self, kept: Kept) {
        self.kept.retain(|other| other.role != kept.role);
        self.kept.push(kept);
        self.kept.sort_by_key(|kept| Role::ALL.iter().position(|role| *role == kept.role));
    }

    pub fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> =
            self.kept.iter().map(|kept| format!("{}={}", kept.role.name(), kept.name)).collect();
        arguments.push(format!("clock={}", self.clock.name()));
        arguments.push(format!("only_if_changed={}", !self.always));
        let roles = |which: fn(&Kept) -> bool| {
            self.kept.iter().filter(|k| which(k)).map(|k| k.role.name()).collect::<Vec<_>>().join(",")
        };
        for (name, roles) in [("added", roles(|k| k.added)), ("defaults", roles(|k| k.default_set))] {
            if !roles.is_empty() {
                arguments.push(format!("{name}={roles}"));
            }
        }
        if let Some(origin) = &self.origin {
            let numbers: Vec<String> =
                self.kept.iter().map(|k| k.number.unwrap_or_default().to_string()).collect();
            arguments.push(format!("table={}/{}/{}", origin.system, origin.database, origin.table));
            arguments.push(format!("numbers={}", numbers.join(",")));
        }
        arguments
    }

    pub fn parse(arguments: &[String]) -> Result<Self> {
        let mut spec = Self::default();
        let mut numbers: Vec<i16> = Vec::new();
        for argument in arguments {
            let Some((key, value)) = argument.split_once('=') else { return Err(unrecognized(argument)) };
            let flag = |set: fn(&mut Kept), kept: &mut Vec<Kept>| {
                kept.iter_mut().filter(|k| value.split(',').any(|role| role == k.role.name())).for_each(set);
            };
            match key {
                "clock" => spec.clock = Clock::parse(value)?,
                "only_if_changed" => {
                    spec.always = !value.parse::<bool>().map_err(|_| unrecognized(argument))?;
                }
                "added" => flag(|kept| kept.added = true, &mut spec.kept),
                "defaults" => flag(|kept| kept.default_set = true, &mut spec.kept),
                "table" => spec.origin = Some(origin(value).ok_or_else(|| unrecognized(argument))?),
                "numbers" => {
                    numbers = value
                        .split(',')
                        .map(str::parse)
                        .collect::<std::result::Result<_, _>>()
                        .map_err(|_| unrecognized(argument))?;
                }
                _ => {
                    let role = Role::parse(key).ok_or_else(|| unrecognized(argument))?;
                    let name = value.to_owned();
                    spec.kept.push(Kept { role, name, number: None, added: false, default_set: false });
                }
            }
        }
        if spec.kept.is_empty() {
            return Err(Error::invalid_parameter("the trigger names no column to keep")
                .hint("Attach it with architect.enable_updated_at() or architect.add_standard_columns()."));
        }
        if numbers.len() == spec.kept.len() {
            for (kept, number) in spec.kept.iter_mut().zip(numbers) {
                kept.number = Some(number).filter(|number| *number > 0);
            }
        }
        Ok(spec)
    }
}

fn origin(value: &str) -> Option<Origin> {
    let mut parts = value.split('/');
    let system = parts.next()?.to_owned();
    Some(Origin { system, database: parts.next()?.parse().ok()?, table: parts.next()?.parse().ok()? })
}

fn unrecognized(argument: &str) -> Error {
    Error::invalid_parameter(format!("unrecognized trigger argument \"{argument}\""))
        .hint("Attach the trigger with architect.enable_updated_at() or architect.add_standard_columns().")
}

/// A trigger name that sorts behind all `others`, since BEFORE triggers fire in the order of their names;
/// `current` where that one does already. None where no name does.
pub fn last_name(current: Option<&str>, others: &[String]) -> Option<String> {
    const MOST: usize = 63;
    let last = others.iter().map(String::as_str).max().unwrap_or_default();
    let fixed = ["zz_architect_stamp", "~architect_stamp", "~~~architect_stamp"];
    current
        .into_iter()
        .chain(fixed)
        .map(str::to_owned)
        .chain([format!("{last}~architect_stamp"), format!("{last}~")])
        .find(|name| name.as_str() > last && name.len() <= MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(role: Role, name: &str, number: i16) -> Kept {
        Kept { role, name: name.into(), number: Some(number), added: false, default_set: false }
    }

    #[test]
    fn arguments_come_back_as_they_were() {
        let mut spec = Spec {
            kept: vec![],
            clock: Clock::Wall,
            always: true,
            origin: Some(Origin { system: "7".into(), database: 5, table: 16_385 }),
        };
        spec.set(Kept { added: true, ..kept(Role::Version, "version", 4) });
        spec.set(Kept { default_set: true, ..kept(Role::UpdatedAt, "a=b,\"c'; drop", 3) });
        assert_eq!(spec.kept[0].role, Role::UpdatedAt);
        assert_eq!(Spec::parse(&spec.arguments()).unwrap(), spec);
        spec.set(kept(Role::UpdatedAt, "other", 5));
        assert_eq!(spec.kept.len(), 2);
    }

    #[test]
    fn one_argument_is_enough() {
        let spec = Spec::parse(&["updated_at=changed".into()]).unwrap();
        assert_eq!(spec.column(Role::UpdatedAt).unwrap().name, "changed");
        assert!(!spec.always && spec.clock == Clock::Transaction && spec.origin.is_none());
    }

    #[test]
    fn nonsense_is_refused() {
        for wrong in
            ["updated_at", "modified=x", "clock=sun", "only_if_changed=perhaps", "table=1", "numbers=a"]
        {
            assert!(Spec::parse(&["updated_at=x".into(), wrong.into()]).is_err(), "{wrong}");
        }
        assert!(Spec::parse(&[]).is_err());
    }

    #[test]
    fn the_name_sorts_last() {
        let name = |current, others: &[&str]| {
            last_name(current, &others.iter().map(|&o| o.to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(name(None, &[]).unwrap(), "zz_architect_stamp");
        assert_eq!(name(Some("own"), &["abc"]).unwrap(), "own");
        assert_eq!(name(Some("own"), &["zz"]).unwrap(), "zz_architect_stamp");
        assert_eq!(name(None, &["zzz"]).unwrap(), "~architect_stamp");
        assert_eq!(name(None, &["zz_architect_stamp_two"]).unwrap(), "~architect_stamp");
        assert_eq!(name(None, &["über"]).unwrap(), "über~architect_stamp");
        assert_eq!(name(None, &[&"z".repeat(63)]).unwrap(), "~architect_stamp");
        assert_eq!(name(None, &[&"~".repeat(63)]), None);
    }
}
