//! Numbers that prove themselves: check digits of cards, accounts and national identifiers.
#![forbid(unsafe_code)]

/// The digits of a text that holds nothing else but separators; none otherwise.
pub fn digits(text: &str, separators: &str) -> Option<Vec<u32>> {
    let mut found = Vec::new();
    for character in text.chars() {
        match character.to_digit(10) {
            Some(digit) => found.push(digit),
            None if separators.contains(character) => {}
            None => return None,
        }
    }
    Some(found)
}

/// The Luhn formula (ISO/IEC 7812-1, annex B).
pub fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, &digit)| if i % 2 == 0 { digit } else { [0, 2, 4, 6, 8, 1, 3, 5, 7, 9][digit as usize] })
        .sum();
    sum.is_multiple_of(10)
}

/// A payment card: 13 to 19 digits of an issuer's range, with check digit.
pub fn payment_card(text: &str) -> bool {
    let Some(digits) = digits(text, " -") else { return false };
    if !(13..=19).contains(&digits.len()) || digits.iter().all(|&d| d == digits[0]) {
        return false;
    }
    let two = digits[0] * 10 + digits[1];
    let four = two * 100 + digits[2] * 10 + digits[3];
    let issued = digits[0] == 4
        || (51..=55).contains(&two)
        || (2221..=2720).contains(&four)
        || matches!(two, 34 | 35 | 36 | 37 | 38 | 39 | 50 | 56..=69);
    issued && luhn(&digits)
}

/// An international bank account number (ISO 13616: country, two check digits, mod 97 = 1).
pub fn iban(text: &str) -> bool {
    let compact: String = text.chars().filter(|c| *c != ' ').collect();
    if !(15..=34).contains(&compact.len()) || !compact.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return false;
    }
    let (head, body) = compact.split_at(4);
    let head_ok = head.bytes().take(2).all(|b| b.is_ascii_alphabetic())
        && head.bytes().skip(2).all(|b| b.is_ascii_digit());
    head_ok
        && body.chars().chain(head.chars()).fold(0, |rest, character| {
            let value = character.to_digit(36).unwrap_or(0);
            if value > 9 { (rest * 100 + value) % 97 } else { (rest * 10 + value) % 97 }
        }) == 1
}

/// A national identifier with a check digit or letter, and whose it is.
pub fn national_id(text: &str) -> Option<&'static str> {
    let compact: String =
        text.trim().chars().filter(|c| !" .-/".contains(*c)).map(|c| c.to_ascii_uppercase()).collect();
    if !compact.is_ascii() {
        return None;
    }
    let digits: Vec<u32> = compact.chars().filter_map(|c| c.to_digit(10)).collect();
    let all_digits = digits.len() == compact.len();
    let checks: [(&'static str, bool); 10] = [
        ("ES", spanish(&compact)),
        ("IT", italian(&compact)),
        ("FR", french(&compact)),
        ("US", text.len() == 11 && all_digits && social_security(text, &digits)),
        ("BR", all_digits && cpf(&digits)),
        ("DE", all_digits && german(&digits)),
        ("PL", all_digits && pesel(&digits)),
        ("SE", all_digits && text.contains('-') && personnummer(&digits)),
        ("GB", nino(&compact)),
        ("FI", finnish(text)),
    ];
    checks.into_iter().find(|(_, holds)| *holds).map(|(country, _)| country)
}

const SPANISH: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

/// DNI and NIE: the letter is the number modulo 23.
fn spanish(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() != 9 {
        return false;
    }
    let first = match bytes[0] {
        b'X' => b'0',
        b'Y' => b'1',
        b'Z' => b'2',
        other => other,
    };
    let number: String = std::iter::once(first).chain(bytes[1..8].iter().copied()).map(char::from).collect();
    number.parse::<usize>().is_ok_and(|number| SPANISH[number % 23] == bytes[8])
}

/// Codice fiscale: sixteen characters, the last computed from the others.
fn italian(text: &str) -> bool {
    const ODD: [u32; 36] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12,
        14, 16, 10, 22, 25, 24, 23,
    ];
    let bytes = text.as_bytes();
    if bytes.len() != 16
        || !bytes[..6].iter().all(u8::is_ascii_alphabetic)
        || !bytes[15].is_ascii_alphabetic()
        || !bytes.iter().all(u8::is_ascii_alphanumeric)
    {
        return false;
    }
    let sum: u32 = text[..15]
        .chars()
        .enumerate()
        .map(|(i, c)| {
            let value = c.to_digit(36).unwrap_or(0);
            // Odd places, counted from one, have a table; even ones their place in digits or alphabet.
            if i % 2 == 0 { ODD[value as usize] } else { if value > 9 { value - 10 } else { value } }
        })
        .sum();
    char::from_u32(sum % 26 + u32::from(b'A')) == text.chars().last()
}

/// NIR: thirteen digits and a key, 97 less the number modulo 97. 2A and 2B are Corsican departments.
fn french(text: &str) -> bool {
    if text.len() != 15 || !matches!(text.as_bytes()[0], b'1' | b'2' | b'7' | b'8') {
        return false;
    }
    let (number, key) = text.split_at(13);
    let number = match &number[5..7] {
        "2A" => format!("{}19{}", &number[..5], &number[7..]),
        "2B" => format!("{}18{}", &number[..5], &number[7..]),
        _ => number.to_owned(),
    };
    let month = number[3..5].parse::<u32>().unwrap_or(0);
    matches!((number.parse::<u64>(), key.parse::<u64>()), (Ok(number), Ok(key))
        if key == 97 - number % 97 && ((1..=12).contains(&month) || month >= 20))
}

/// SSN: no check digit, so only as it is written, 123-45-6789, and outside what is never issued.
fn social_security(text: &str, digits: &[u32]) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let area = digits.iter().take(3).fold(0, |n, d| n * 10 + d);
    parts.iter().map(|part| part.len()).eq([3, 2, 4])
        && area != 0
        && area != 666
        && area < 900
        && parts[1] != "00"
        && parts[2] != "0000"
}

/// CPF: two check digits by weights 10 to 2 and 11 to 2.
fn cpf(digits: &[u32]) -> bool {
    let check = |length: usize| {
        let sum: u32 = digits[..length].iter().zip((2..=length as u32 + 1).rev()).map(|(d, w)| d * w).sum();
        sum * 10 % 11 % 10 == digits[length]
    };
    digits.len() == 11 && digits.iter().any(|&d| d != digits[0]) && check(9) && check(10)
}

/// Steuerliche Identifikationsnummer: ISO 7064 MOD 11,10, the first digit not zero, exactly one digit
/// that occurs twice or three times among the first ten.
fn german(digits: &[u32]) -> bool {
    if digits.len() != 11 || digits[0] == 0 {
        return false;
    }
    let mut counts = [0; 10];
    digits[..10].iter().for_each(|&d| counts[d as usize] += 1);
    let repeated = counts.iter().filter(|&&n| n > 1).count();
    let product = digits[..10].iter().fold(10, |product, &digit| {
        let sum = match (digit + product) % 10 {
            0 => 10,
            sum => sum,
        };
        sum * 2 % 11
    });
    repeated == 1 && counts.iter().all(|&n| n <= 3) && (11 - product) % 10 == digits[10]
}

fn pesel(digits: &[u32]) -> bool {
    let month = digits.get(2..4).map_or(0, |m| m[0] * 10 + m[1]) % 20;
    let sum: u32 = digits.iter().zip([1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).map(|(d, w)| d * w).sum();
    digits.len() == 11 && (1..=12).contains(&month) && sum.is_multiple_of(10)
}

fn personnummer(digits: &[u32]) -> bool {
    let ten = match digits.len() {
        10 => digits,
        12 => &digits[2..],
        _ => return false,
    };
    let month = ten[2] * 10 + ten[3];
    let day = ten[4] * 10 + ten[5];
    (1..=12).contains(&month) && ((1..=31).contains(&day) || (61..=91).contains(&day)) && luhn(ten)
}

/// National Insurance number: two letters, six digits, A to D.
fn nino(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 9
        && bytes[..2].iter().all(|b| b.is_ascii_alphabetic() && !b"DFIQUV".contains(b))
        && bytes[1] != b'O'
        && bytes[2..8].iter().all(u8::is_ascii_digit)
        && (b'A'..=b'D').contains(&bytes[8])
}

/// Henkilötunnus: ddmmyy, a sign for the century, three digits and a check character.
fn finnish(text: &str) -> bool {
    const CHECK: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let bytes = text.as_bytes();
    bytes.len() == 11
        && text.is_ascii()
        && b"+-ABCDEFYXWVU".contains(&bytes[6])
        && format!("{}{}", &text[..6], &text[7..10])
            .parse::<usize>()
            .is_ok_and(|number| CHECK[number % 31] == bytes[10])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards() {
        for good in ["4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005", "2223003122003222"] {
            assert!(payment_card(good), "{good}");
        }
        for bad in ["4111111111111112", "0000000000000000", "1234567890123", "4111x1111", ""] {
            assert!(!payment_card(bad), "{bad}");
        }
    }

    #[test]
    fn accounts() {
        for good in ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "FR1420041010050500013M02606"] {
            assert!(iban(good), "{good}");
        }
        for bad in ["DE88370400440532013000", "DE", "ORDER1234567890123", "žž89370400440532013000"] {
            assert!(!iban(bad), "{bad}");
        }
    }

    #[test]
    fn persons() {
        for (number, country) in [
            ("12345678Z", "ES"),
            ("X1234567L", "ES"),
            ("RSSMRA85T10A562S", "IT"),
            ("2 55 08 14 168 025 38", "FR"),
            ("123-45-6789", "US"),
            ("529.982.247-25", "BR"),
            ("86095742719", "DE"),
            ("44051401359", "PL"),
            ("811228-9874", "SE"),
            ("AB123456C", "GB"),
            ("131052-308T", "FI"),
        ] {
            assert_eq!(national_id(number), Some(country), "{number}");
        }
        for bad in ["12345678A", "123456789", "000-12-3456", "11111111111", "", "hello", "RSSMRA85T10A562T"] {
            assert_eq!(national_id(bad), None, "{bad}");
        }
    }
}
