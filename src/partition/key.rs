//! What a partition key means. Whatever its type, a bound is one number: microseconds since 2000 for keys
//! that say when, else the number itself.
#![forbid(unsafe_code)]

use super::civil::{self, DAY, EPOCH_2000, INFINITY, MINUS_INFINITY, SECOND};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    Timestamptz,
    /// Without time zone: what the clock on the wall shows.
    Timestamp,
    Date,
    /// smallint, integer or bigint, by step.
    Integer,
    /// An integer or bigint that counts seconds, milliseconds or microseconds since 1970.
    EpochSeconds,
    EpochMillis,
    EpochMicros,
    /// A uuid whose first 48 bits count milliseconds since 1970.
    UuidV7,
}

impl KeyKind {
    /// From the base type's name in pg_catalog, and the unit the caller gave for those that need one.
    pub fn of(type_name: &str, unit: Option<&str>) -> Result<Self, String> {
        let kind = match (type_name, unit) {
            ("timestamptz", None) => Self::Timestamptz,
            ("timestamp", None) => Self::Timestamp,
            ("date", None) => Self::Date,
            ("int2" | "int4" | "int8", None | Some("number")) => Self::Integer,
            ("int4" | "int8", Some("epoch_s")) => Self::EpochSeconds,
            ("int8", Some("epoch_ms")) => Self::EpochMillis,
            ("int8", Some("epoch_us")) => Self::EpochMicros,
            ("uuid", None | Some("uuidv7")) => Self::UuidV7,
            (_, None) => return Err(format!("a partition key of type {type_name} has no periods")),
            (_, Some(unit)) => {
                return Err(format!("a partition key of type {type_name} does not count in \"{unit}\""));
            }
        };
        Ok(kind)
    }

    /// The unit, as `of` reads it, for keys whose type does not say it all.
    #[must_use]
    pub const fn unit(self) -> Option<&'static str> {
        match self {
            Self::EpochSeconds => Some("epoch_s"),
            Self::EpochMillis => Some("epoch_ms"),
            Self::EpochMicros => Some("epoch_us"),
            Self::Timestamptz | Self::Timestamp | Self::Date | Self::Integer | Self::UuidV7 => None,
        }
    }

    /// Whether the key says when; otherwise it is a number.
    #[must_use]
    pub const fn is_time(self) -> bool {
        !matches!(self, Self::Integer)
    }

    /// Whether bounds are points in time that a time zone turns into times of day. Those without are times
    /// of day already.
    #[must_use]
    pub const fn has_zone(self) -> bool {
        !matches!(self, Self::Integer | Self::Timestamp | Self::Date)
    }

    /// Reads a bound as the catalogue prints it; the flag is false where the number is less exact than it.
    #[must_use]
    pub fn parse(self, text: &str) -> Option<(i64, bool)> {
        match self {
            Self::Timestamptz | Self::Timestamp | Self::Date => Some((civil::parse(text)?, true)),
            Self::Integer => Some((text.parse().ok()?, true)),
            Self::EpochSeconds => Some((from_epoch(text.parse().ok()?, SECOND), true)),
            Self::EpochMillis => Some((from_epoch(text.parse().ok()?, 1000), true)),
            Self::EpochMicros => Some((from_epoch(text.parse().ok()?, 1), true)),
            Self::UuidV7 => {
                let bits = uuid::Uuid::parse_str(text).ok()?.as_u128();
                let rest = bits & ((1 << 80) - 1);
                Some((from_epoch((bits >> 80) as i64, 1000), rest == 0))
            }
        }
    }

    /// A bound as text that PostgreSQL reads as this key's type under every setting; none where the type
    /// cannot hold it.
    #[must_use]
    pub fn text(self, at: i64) -> Option<String> {
        let unit = match self {
            Self::Timestamptz => return Some(civil::timestamp_text(at, "+00")),
            Self::Timestamp => return Some(civil::timestamp_text(at, "")),
            Self::Date => {
                let whole = matches!(at, INFINITY | MINUS_INFINITY) || at.rem_euclid(DAY) == 0;
                return whole.then(|| civil::date_text(at));
            }
            Self::Integer => return Some(at.to_string()),
            Self::EpochSeconds => SECOND,
            Self::EpochMillis | Self::UuidV7 => 1000,
            Self::EpochMicros => 1,
        };
        let since_1970 = at.checked_add(EPOCH_2000 * SECOND)?;
        if since_1970.rem_euclid(unit) != 0 {
            return None;
        }
        let count = since_1970.div_euclid(unit);
        if self == Self::UuidV7 {
            let bits = u128::try_from(count).ok().filter(|count| *count < 1 << 48)? << 80;
            return Some(uuid::Uuid::from_u128(bits).to_string());
        }
        Some(count.to_string())
    }
}

/// Saturates: bounds beyond what a timestamp holds are as good as infinite.
fn from_epoch(count: i64, unit: i64) -> i64 {
    count.saturating_mul(unit).saturating_sub(EPOCH_2000 * SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_survive_being_written_and_read() {
        let november = civil::parse("2026-11-01").unwrap();
        for kind in [
            KeyKind::Timestamptz,
            KeyKind::Timestamp,
            KeyKind::Date,
            KeyKind::Integer,
            KeyKind::EpochSeconds,
            KeyKind::EpochMillis,
            KeyKind::EpochMicros,
            KeyKind::UuidV7,
        ] {
            let text = kind.text(november).unwrap();
            assert_eq!(kind.parse(&text), Some((november, true)), "{text}");
        }
        assert_eq!(KeyKind::EpochSeconds.text(november).as_deref(), Some("1793491200"));
        assert_eq!(KeyKind::UuidV7.text(november).as_deref(), Some("01a19467-e800-0000-0000-000000000000"));
    }

    #[test]
    fn what_a_type_cannot_hold_is_none() {
        let half_past = civil::parse("2026-11-01 00:00:00.0005").unwrap();
        assert_eq!(KeyKind::Date.text(half_past), None);
        assert_eq!(KeyKind::EpochSeconds.text(half_past), None);
        assert_eq!(KeyKind::UuidV7.text(half_past), None);
        assert_eq!(KeyKind::UuidV7.text(civil::parse("1969-12-31").unwrap()), None);
        assert!(KeyKind::EpochMicros.text(half_past).is_some());
        let (_, exact) = KeyKind::UuidV7.parse("019a3c2f-6400-7000-8000-000000000001").unwrap();
        assert!(!exact);
    }

    #[test]
    fn units_fit_their_types() {
        assert_eq!(KeyKind::of("int8", Some("epoch_ms")), Ok(KeyKind::EpochMillis));
        assert!(KeyKind::of("int4", Some("epoch_ms")).is_err());
        assert!(KeyKind::of("text", None).is_err());
        assert!(KeyKind::of("date", Some("epoch_s")).is_err());
    }
}
