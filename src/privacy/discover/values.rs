//! What a single value looks like.
#![forbid(unsafe_code)]

use super::category::Category;
use super::checksum;
use super::people;

/// The category a value belongs to by its form alone; none where it could be anything.
pub fn category_of(value: &str) -> Option<Category> {
    let text = value.trim();
    if text.is_empty() || text.len() > 20_000 {
        return None;
    }
    let short = text.len() <= 120;
    match text {
        _ if short && email(text) => Some(Category::Email),
        _ if short && checksum::iban(text) => Some(Category::BankAccount),
        _ if short && checksum::payment_card(text) => Some(Category::PaymentCard),
        _ if short && checksum::national_id(text).is_some() => Some(Category::NationalId),
        _ if short && mac(text) => Some(Category::DeviceId),
        _ if short && ip(text) => Some(Category::IpAddress),
        _ if credential(text) => Some(Category::Credential),
        _ if short && phone(text) => Some(Category::Phone),
        _ if short && people::full_name(text) => Some(Category::PersonName),
        _ if short && people::addressed(&text.split(' ').collect::<Vec<_>>()) => Some(Category::PersonName),
        _ if text.len() <= 250 && address(text) => Some(Category::Address),
        _ => None,
    }
}

/// `local@domain.tld`, nothing around it.
pub fn email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let labels: Vec<&str> = domain.split('.').collect();
    let allowed = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    !local.is_empty()
        && local.len() <= 64
        && local.chars().all(allowed)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && labels.len() >= 2
        && labels.iter().all(|label| {
            !label.is_empty()
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
        && labels.last().is_some_and(|tld| tld.len() >= 2 && tld.chars().all(char::is_alphabetic))
}

/// A telephone number written as one: with a leading + or 00, or in groups. A bare row of digits may be
/// anything and counts only together with the column's name.
pub fn phone(text: &str) -> bool {
    let (body, extension) = match text.find(['x', 'X']).or_else(|| text.find(" ext")) {
        Some(at) => (text[..at].trim_end(), Some(&text[at..])),
        None => (text, None),
    };
    if extension.is_some_and(|e| !e.chars().any(|c| c.is_ascii_digit()) || e.len() > 12) {
        return false;
    }
    let Some(digits) = checksum::digits(body, "+ ().-/") else { return false };
    if !(7..=15).contains(&digits.len()) || body.matches('+').count() > 1 || date(body) {
        return false;
    }
    let groups = body.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).count();
    let international = (body.starts_with('+') || body.starts_with("00")) && digits.len() >= 8;
    let brackets = body.contains('(') && body.contains(')');
    // Three groups of digits; two dots alone are a version or an amount.
    let grouped = groups >= 3
        && (body.contains('-') || body.contains(' ') || body.contains('/') || groups == 3)
        && digits.len() >= 9
        && !(body.contains('.') && digits.len() < 10);
    !body.contains('+') && brackets || international || grouped
}

/// `2001-02-03`, `03.02.2001`, `2/3/2001`, with or without a time.
pub fn date(text: &str) -> bool {
    year_of(text).is_some()
}

/// The year of a date.
pub fn year_of(text: &str) -> Option<u32> {
    let day = text.split([' ', 'T']).next()?;
    let parts: Vec<&str> = day.split(['-', '/', '.']).collect();
    let [a, b, c] = parts.as_slice() else { return None };
    let number = |part: &str| (part.len() <= 4).then(|| part.parse::<u32>().ok()).flatten();
    let (a, b, c) = (number(a)?, number(b)?, number(c)?);
    let plausible = |year: u32, x: u32, y: u32| {
        (1000..=2999).contains(&year) && (1..=31).contains(&x) && (1..=31).contains(&y) && x.min(y) <= 12
    };
    if plausible(a, b, c) {
        Some(a)
    } else if plausible(c, a, b) {
        Some(c)
    } else {
        None
    }
}

pub fn ip(text: &str) -> bool {
    let address = text.split_once('/').map_or(text, |(address, _)| address);
    let version4 = address.matches('.').count() == 3;
    (version4 || address.matches(':').count() >= 2) && address.parse::<std::net::IpAddr>().is_ok()
}

pub fn mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    parts.len() == 6
        && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A password's hash or a token.
pub fn credential(text: &str) -> bool {
    let hashed = [
        "$2a$",
        "$2b$",
        "$2y$",
        "$argon2",
        "$6$",
        "$5$",
        "$1$",
        "pbkdf2_",
        "pbkdf2:",
        "scrypt:",
        "SCRAM-SHA-256$",
    ]
    .iter()
    .any(|prefix| text.starts_with(prefix));
    let dots = text.matches('.').count();
    let jwt = text.starts_with("eyJ") && dots == 2 && !text.contains(' ');
    let armoured =
        text.starts_with("-----BEGIN ") || text.starts_with("ssh-rsa ") || text.starts_with("ssh-ed25519 ");
    (hashed && text.len() >= 20 && !text.contains(' ')) || jwt || armoured
}

/// A street with a number, in the ways of several languages.
pub fn address(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "street",
        "st",
        "avenue",
        "ave",
        "road",
        "rd",
        "lane",
        "ln",
        "drive",
        "dr",
        "boulevard",
        "blvd",
        "court",
        "ct",
        "square",
        "highway",
        "hwy",
        "way",
        "place",
        "parkway",
        "terrace",
        "crescent",
        "rue",
        "allée",
        "chemin",
        "impasse",
        "quai",
        "calle",
        "avenida",
        "carrera",
        "paseo",
        "plaza",
        "via",
        "viale",
        "piazza",
        "corso",
        "rua",
        "travessa",
        "straat",
        "laan",
        "gracht",
        "ulica",
        "ul",
        "aleja",
        "utca",
        "gatan",
        "gade",
        "vej",
        "katu",
        "cours",
        "loop",
        "trail",
        "circle",
        "suite",
        "apt",
        "apartment",
        "parkways",
        "manor",
        "alley",
    ];
    const ENDINGS: &[&str] = &[
        "straße", "strasse", "str.", "weg", "gasse", "allee", "platz", "ring", "straat", "laan", "gracht",
        "gatan", "vägen", "vej", "katu", "tie",
    ];
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split([' ', ',', '\n']).filter(|word| !word.is_empty()).collect();
    let house = words.iter().any(|w| {
        let digits = w.chars().take_while(char::is_ascii_digit).count();
        (1..=5).contains(&digits) && w.chars().count() <= digits + 2
    });
    let street = words.iter().any(|w| {
        let bare = w.trim_end_matches('.');
        WORDS.contains(&bare) || (w.chars().count() > 5 && ENDINGS.iter().any(|ending| w.ends_with(ending)))
    });
    let letters = lower.chars().filter(|c| c.is_alphabetic()).count();
    house && street && (2..=14).contains(&words.len()) && letters >= 5
}

/// Whether a text has an e-mail address, a telephone number or a person's name somewhere in it.
pub fn mentions_person(text: &str) -> bool {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || ",;:<>()\"".contains(c))
        .filter(|w| !w.is_empty())
        .take(2000)
        .collect();
    words.iter().any(|word| email(word.trim_end_matches('.')))
        || words.windows(2).any(|pair| {
            people::given_name(pair[0])
                && pair[1].chars().next().is_some_and(char::is_uppercase)
                && people::family_name(pair[1])
                || people::addressed(pair)
        })
        || words.iter().any(|word| word.starts_with('+') && phone(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(expected: Option<Category>, values: &[&str]) {
        for value in values {
            assert_eq!(category_of(value), expected, "{value}");
        }
    }

    #[test]
    fn by_form() {
        all(Some(Category::Email), &["ada@example.org", "o'neil+x@sub.example.co.uk", " jürgen@müller.de "]);
        all(
            Some(Category::Phone),
            &[
                "+49 30 1234567",
                "(555) 123-4567",
                "555-123-4567",
                "0049 89 123456",
                "+15551234567",
                "001-555-123-4567x123",
            ],
        );
        all(Some(Category::IpAddress), &["192.168.0.1", "2001:db8::1", "10.0.0.0/8"]);
        all(Some(Category::DeviceId), &["08:00:2b:01:02:03", "08-00-2B-01-02-03"]);
        all(Some(Category::Credential), &["$2b$12$abcdefghijklmnopqrstuv", "eyJhbGciOi.eyJzdWIi.c2ln"]);
        all(
            Some(Category::Address),
            &[
                "742 Evergreen Terrace",
                "Hauptstraße 5",
                "10 Downing Street, London",
                "12 rue de la Paix",
                "Calle Mayor 3",
            ],
        );
        all(Some(Category::PersonName), &["Maria Garcia", "John Smith", "Müller, Anna", "Dr. Peter Schmidt"]);
        all(Some(Category::NationalId), &["123-45-6789"]);
    }

    #[test]
    fn what_is_nobody() {
        all(
            None,
            &[
                "",
                "x",
                "12345678",
                "2024-05-01",
                "2024-05-01 10:00:00",
                "1.2.3",
                "10.5",
                "ORD-2024-000123",
                "@user",
                "a@b",
                "Blue Widget",
                "pending",
                "United States",
                "550e8400-e29b-41d4-a716-446655440000",
                "3.14159265",
                "127",
                "New York",
                "SKU 55-1234",
                "12:30:45",
                "http://example.org/x",
            ],
        );
    }

    #[test]
    fn dates_have_years() {
        assert_eq!(year_of("1979-03-12"), Some(1979));
        assert_eq!(year_of("12.03.1979"), Some(1979));
        assert_eq!(year_of("1979-03-12T10:00"), Some(1979));
        assert_eq!(year_of("1979-33-12"), None);
        assert_eq!(year_of("555-123-4567"), None);
    }

    #[test]
    fn persons_in_texts() {
        assert!(mentions_person("Please call Maria Garcia back, she was unhappy."));
        assert!(mentions_person("sent to <ada@example.org>."));
        assert!(!mentions_person("The Blue Widget ships in May from our store in Paris."));
    }
}
