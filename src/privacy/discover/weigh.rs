//! From names, types, sampled values and neighbours to findings.
//!
//! Each kind of evidence says how likely it makes a category; independent ones are combined as
//! 1 - (1 - a)(1 - b). Values speak against a name too: a column called phone whose values are words
//! is no telephone number.
#![forbid(unsafe_code)]

use super::category::Category;
use super::values::{self, year_of};
use super::{names, people};
use std::collections::BTreeMap;

/// What a column can hold, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holds {
    Text,
    Number,
    Date,
    Network,
    Bytes,
    Other,
}

/// One column, or one path within a json column, with what was read of it.
pub struct Evidence {
    /// Name of the column or of the last key of the path.
    pub name: String,
    pub holds: Holds,
    /// Values that are not null and not empty.
    pub values: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub category: Category,
    pub confidence: f32,
    pub evidence: Vec<String>,
}

/// Findings for a table's columns, in their order; none where nothing speaks for personal data.
pub fn table(name: &str, columns: &[&Evidence]) -> Vec<Option<Finding>> {
    let mut found: Vec<Option<Finding>> = columns.iter().map(|one| column(one)).collect();
    let strong = |finding: &Option<Finding>| {
        finding.as_ref().is_some_and(|f| {
            f.confidence >= 0.7
                && matches!(
                    f.category,
                    Category::Email
                        | Category::Phone
                        | Category::PersonName
                        | Category::BirthDate
                        | Category::NationalId
                        | Category::BankAccount
                        | Category::IpAddress
                        | Category::Credential
                )
        })
    };
    let neighbours = found.iter().filter(|finding| strong(finding)).count();
    let person = names::is_person_table(name);
    for (column, finding) in columns.iter().zip(&mut found) {
        with_neighbours(column, finding, neighbours, person);
    }
    found
}

/// What one column shows by itself.
fn column(column: &Evidence) -> Option<Finding> {
    let said = names::column(&column.name).filter(|said| fits(said.category, column.holds));
    let seen = seen(column);
    let mut chances: BTreeMap<Category, (f32, Vec<String>)> = BTreeMap::new();
    if let Some(said) = said {
        let mut weight = said.weight;
        let mut evidence = vec![format!("name says {}", said.category.name())];
        if has_form(said.category)
            && column.values.len() >= 5
            && !matches!(&seen, Some(s) if s.0 == said.category)
        {
            weight *= 0.45;
            evidence.push("values do not look like it".to_owned());
        }
        chances.insert(said.category, (weight, evidence));
    }
    if let Some((category, share, count)) = seen {
        // A handful of values proves less than many.
        let weight = share * 0.97 * (1.0 - 1.0 / (count as f32 + 1.5));
        let entry = chances.entry(category).or_insert((0.0, Vec::new()));
        entry.0 = 1.0 - (1.0 - entry.0) * (1.0 - weight);
        entry.1.push(format!("{} of {count} values", percent(share)));
    }
    if column.holds == Holds::Network {
        let category = if said.is_some_and(|s| s.category == Category::DeviceId) {
            Category::DeviceId
        } else {
            Category::IpAddress
        };
        let entry = chances.entry(category).or_insert((0.0, Vec::new()));
        entry.0 = 1.0 - (1.0 - entry.0) * (1.0 - 0.75);
        entry.1.push("type holds network addresses".to_owned());
    }
    chances
        .into_iter()
        .max_by(|a, b| a.1.0.total_cmp(&b.1.0))
        .map(|(category, (confidence, evidence))| Finding { category, confidence, evidence })
}

/// The category most values have the form of, its share of them and how many there were.
fn seen(column: &Evidence) -> Option<(Category, f32, usize)> {
    let total = column.values.len();
    if total == 0 || !matches!(column.holds, Holds::Text | Holds::Number) {
        return None;
    }
    let mut counts: BTreeMap<Category, usize> = BTreeMap::new();
    for value in &column.values {
        let category = match column.holds {
            Holds::Number => number(&column.name, value),
            _ => values::category_of(value).or_else(|| by_name(&column.name, value)),
        };
        if let Some(category) = category {
            *counts.entry(category).or_default() += 1;
        }
    }
    let texts = column.values.iter().filter(|v| v.chars().count() > 60 && v.contains(' ')).count();
    if texts * 2 > total {
        let mentions = column.values.iter().filter(|v| values::mentions_person(v)).count();
        let share = mentions as f32 / total as f32;
        return (mentions > 0).then_some((Category::FreeText, (0.45 + share).min(0.95), total));
    }
    // One address in twenty is enough: values of many kinds, under one name.
    let mails = counts.get(&Category::Email).copied().unwrap_or(0);
    if mails >= 5 && mails * 20 >= total {
        return Some((Category::Email, (mails as f32 / total as f32).max(0.65), total));
    }
    let (category, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    let by_chance = match category {
        // A colour called Brown is nobody.
        Category::PersonName => names::is_about_something_else(&column.name),
        Category::Phone => {
            names::is_number_of_something(&column.name)
                && names::column(&column.name).is_none_or(|said| said.category != Category::Phone)
        }
        _ => false,
    };
    if by_chance {
        return None;
    }
    let share = count as f32 / total as f32;
    // A few values among many others are chance.
    (share >= 0.2).then_some((category, share, total))
}

/// Numbers have forms only where the name asks for them.
fn number(name: &str, value: &str) -> Option<Category> {
    let said = names::column(name)?.category;
    let digits = value.chars().filter(char::is_ascii_digit).count();
    let holds = match said {
        Category::Phone => (7..=15).contains(&digits),
        Category::PaymentCard => super::checksum::payment_card(value),
        Category::NationalId => digits >= 6,
        Category::Location => value.parse::<f64>().is_ok_and(|n| (-180.0..=180.0).contains(&n)),
        _ => false,
    };
    holds.then_some(said)
}

/// Forms too common to mean something unless the column's name says so.
fn by_name(name: &str, value: &str) -> Option<Category> {
    let said = names::column(name).map(|said| said.category);
    match said {
        Some(Category::Phone) => {
            let digits = super::checksum::digits(value, "+ ().-/")?;
            (7..=15).contains(&digits.len()).then_some(Category::Phone)
        }
        Some(Category::BirthDate) => {
            year_of(value).filter(|year| (1900..=2025).contains(year)).map(|_| Category::BirthDate)
        }
        // All but the last digits hidden.
        Some(Category::PaymentCard) => {
            let hidden = value.contains(['*', 'x', 'X', '•']);
            (hidden && value.ends_with(|c: char| c.is_ascii_digit())).then_some(Category::PaymentCard)
        }
        _ if people::form_of_address(value) => Some(Category::Gender),
        _ => people::single_name(value).then_some(Category::PersonName),
    }
}

/// Whether a category's values can be told by their form, so that others speak against it.
fn has_form(category: Category) -> bool {
    matches!(
        category,
        Category::Email
            | Category::Phone
            | Category::IpAddress
            | Category::BankAccount
            | Category::PaymentCard
    )
}

/// Whether a type can hold such values at all.
fn fits(category: Category, holds: Holds) -> bool {
    match category {
        Category::BirthDate => matches!(holds, Holds::Date | Holds::Text | Holds::Number),
        Category::Income | Category::Location => matches!(holds, Holds::Number | Holds::Text | Holds::Other),
        Category::Phone
        | Category::PaymentCard
        | Category::NationalId
        | Category::BankAccount
        | Category::PostalCode => {
            matches!(holds, Holds::Text | Holds::Number)
        }
        Category::Credential | Category::OnlineProfile => matches!(holds, Holds::Text | Holds::Bytes),
        Category::IpAddress | Category::DeviceId => matches!(holds, Holds::Text | Holds::Network),
        Category::Gender | Category::Sensitive => holds != Holds::Date,
        _ => holds == Holds::Text,
    }
}

/// A column called after what somebody does, whose values are written like names: `manager`, `assignee`.
fn by_role(column: &Evidence) -> Option<Finding> {
    if column.holds != Holds::Text || column.values.len() < 5 || !names::is_about_person(&column.name) {
        return None;
    }
    let shaped = column.values.iter().filter(|value| people::shaped_like_name(value)).count();
    let share = shaped as f32 / column.values.len() as f32;
    (share >= 0.8).then(|| Finding {
        category: Category::PersonName,
        confidence: 0.65,
        evidence: vec!["somebody's part, and written like names".to_owned()],
    })
}

/// Long texts beside data of persons are about them more often than not.
fn texts_beside(column: &Evidence, neighbours: usize) -> Option<Finding> {
    let long = column.values.iter().filter(|v| v.chars().count() > 60 && v.contains(' ')).count();
    (column.holds == Holds::Text
        && neighbours > 0
        && column.values.len() >= 5
        && long * 2 > column.values.len())
    .then(|| Finding {
        category: Category::FreeText,
        confidence: 0.55,
        evidence: vec!["texts, beside data of persons".to_owned()],
    })
}

/// A name beside an e-mail address is a person's; a city in a table of products is not where one lives.
fn with_neighbours(column: &Evidence, finding: &mut Option<Finding>, neighbours: usize, person: bool) {
    let near = neighbours > 0;
    if finding.as_ref().is_none_or(|f| f.confidence < 0.5)
        && let Some(better) = by_role(column).or_else(|| texts_beside(column, neighbours))
    {
        *finding = Some(better);
        return;
    }
    let plain = column.holds == Holds::Text && names::is_plain_name(&column.name);
    if plain
        && finding.as_ref().is_none_or(|f| f.confidence < 0.5)
        && (near || person || names::is_about_person(&column.name))
    {
        let confidence = match (near, person || names::is_about_person(&column.name)) {
            (true, true) => 0.75,
            (false, true) => 0.6,
            _ if neighbours > 1 => 0.55,
            _ => 0.45,
        };
        *finding = Some(Finding {
            category: Category::PersonName,
            confidence,
            evidence: vec!["a name, in a table about persons".to_owned()],
        });
        return;
    }
    let Some(finding) = finding else { return };
    let depends = matches!(
        finding.category,
        Category::City
            | Category::PostalCode
            | Category::Address
            | Category::FreeText
            | Category::Location
            | Category::OnlineProfile
            | Category::Gender
            | Category::UserName
            | Category::Income
            | Category::Sensitive
            | Category::DeviceId
    );
    if depends && (near || person) {
        finding.confidence = 1.0 - (1.0 - finding.confidence) * 0.6;
        finding.evidence.push("beside other data of persons".to_owned());
    } else if depends {
        finding.confidence *= 0.75;
        finding.evidence.push("nothing about persons beside it".to_owned());
    } else if near && finding.confidence < 0.7 {
        finding.confidence = 1.0 - (1.0 - finding.confidence) * 0.8;
    }
}

fn percent(share: f32) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, holds: Holds, values: &[&str]) -> Evidence {
        Evidence { name: name.into(), holds, values: values.iter().map(|v| (*v).to_owned()).collect() }
    }

    fn found(table_name: &str, columns: &[Evidence]) -> Vec<Option<Category>> {
        let columns: Vec<&Evidence> = columns.iter().collect();
        table(table_name, &columns)
            .into_iter()
            .map(|f| f.filter(|f| f.confidence >= 0.5).map(|f| f.category))
            .collect()
    }

    #[test]
    fn values_tell_what_names_hide() {
        let mails = ["a@example.org", "b@example.org", "c.d@example.com", "e@f.example"];
        let cards = ["4111111111111111", "5500000000000004", "4012888888881881", "378282246310005"];
        assert_eq!(
            found(
                "t",
                &[
                    column("col1", Holds::Text, &mails),
                    column("col2", Holds::Text, &cards),
                    column("col3", Holds::Text, &["a", "b", "c"])
                ]
            ),
            [Some(Category::Email), Some(Category::PaymentCard), None]
        );
    }

    #[test]
    fn names_count_where_values_agree() {
        let words = ["red", "green", "blue", "white", "black", "grey"];
        assert_eq!(found("t", &[column("phone", Holds::Text, &words)]), [None]);
        assert_eq!(found("t", &[column("phone", Holds::Text, &[])]), [Some(Category::Phone)]);
        assert_eq!(found("t", &[column("email_verified", Holds::Other, &[])]), [None]);
        assert_eq!(found("t", &[column("date_of_birth", Holds::Date, &[])]), [Some(Category::BirthDate)]);
    }

    #[test]
    fn a_colour_is_nobodys_name_and_values_of_many_kinds_hold_some_that_are_somebodys() {
        let brown = column("color", Holds::Text, &["Brown"; 30]);
        let mixed: Vec<String> = (0..40)
            .map(|i| if i % 8 == 0 { format!("p{i}@example.org") } else { format!("option {i}") })
            .collect();
        let mixed: Vec<&str> = mixed.iter().map(String::as_str).collect();
        assert_eq!(
            found("t", &[brown, column("meta_value", Holds::Text, &mixed)]),
            [None, Some(Category::Email)]
        );
    }

    #[test]
    fn neighbours_make_a_name_a_persons() {
        let mails = column("email", Holds::Text, &["a@example.org", "b@example.org"]);
        assert_eq!(found("t", &[column("name", Holds::Text, &[]), mails])[1], Some(Category::Email));
        assert_eq!(found("customers", &[column("name", Holds::Text, &["x"])]), [Some(Category::PersonName)]);
        assert_eq!(found("products", &[column("name", Holds::Text, &["Widget"])]), [None]);
        assert_eq!(found("warehouses", &[column("city", Holds::Text, &["Paris"])]), [None]);
    }

    #[test]
    fn texts_that_mention_persons() {
        let text = "Please call Maria Garcia back, she has been waiting for her order since Monday.";
        let plain = "The parcel arrived in two parts and one of them was damaged on the left side, sadly.";
        assert_eq!(
            found("t", &[column("remark_text", Holds::Text, &[text, plain, text, text])]),
            [Some(Category::FreeText)]
        );
        assert_eq!(found("t", &[column("x", Holds::Text, &[plain, plain, plain])]), [None]);
    }
}
