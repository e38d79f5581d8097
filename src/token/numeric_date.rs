//! Numeric dates (RFC 7519 §2): seconds since the Unix epoch, which may have a fraction.
//!
//! Everything here counts in whole seconds, and a fraction makes no token good for longer: an expiry counts down to its
//! second, a beginning up to the next one. The text is read digit by digit, because a float would round it.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The whole second at the date, or before it.
pub(super) fn down<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    read(deserializer).map(|date| date.second)
}

/// The whole second at the date, or after it.
pub(super) fn up<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let date = read(deserializer)?;
    date.second.checked_add(u64::from(date.has_fraction)).ok_or_else(|| D::Error::custom(NO_DATE))
}

/// As [`down`], for a claim that may be missing. `null` is not missing.
pub(super) fn down_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    down(deserializer).map(Some)
}

/// As [`up`], for a claim that may be missing. `null` is not missing.
pub(super) fn up_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    up(deserializer).map(Some)
}

const NO_DATE: &str = "a date is a number of seconds from 0 to 2^64 - 1";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Date {
    second: u64,
    has_fraction: bool,
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    let text = <&RawValue>::deserialize(deserializer)?.get();
    Date::parse(text).ok_or_else(|| D::Error::custom(NO_DATE))
}

impl Date {
    /// The date that a JSON value is. `None`: the value is no number, or it is negative or too large.
    fn parse(text: &str) -> Option<Self> {
        if let Ok(second) = text.parse() {
            return Some(Self { second, has_fraction: false });
        }
        let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().ok()?;
        let (before, after) = number.split_once('.').unwrap_or((number, ""));
        let digits = || before.bytes().chain(after.bytes());
        // How many of the digits stand before the point, once the exponent has moved it.
        let point = i64::try_from(before.len()).ok()? + i64::from(exponent);
        let mut date = Self { second: 0, has_fraction: false };
        for (place, digit) in (0..).zip(digits()) {
            let digit = char::from(digit).to_digit(10)?;
            if place < point {
                date.second = date.second.checked_mul(10)?.checked_add(digit.into())?;
            } else {
                date.has_fraction |= digit != 0;
            }
        }
        let count = i64::try_from(before.len() + after.len()).ok()?;
        if date.second > 0 {
            // The exponent adds zeros. After 19 of them the number is too large.
            for _ in count..point {
                date.second = date.second.checked_mul(10)?;
            }
        }
        Some(date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Dates {
        #[serde(deserialize_with = "down")]
        exp: u64,
        #[serde(default, deserialize_with = "up_if_any")]
        nbf: Option<u64>,
        #[serde(default, deserialize_with = "down_if_any")]
        iat: Option<u64>,
    }

    fn read(text: &str) -> Option<(u64, u64)> {
        let json = format!(r#"{{"exp":{text},"nbf":{text},"iat":{text}}}"#);
        let dates: Dates = serde_json::from_str(&json).ok()?;
        assert_eq!(dates.iat, Some(dates.exp));
        Some((dates.exp, dates.nbf?))
    }

    #[test]
    fn a_fraction_is_cut_off_an_expiry_and_delays_a_beginning() {
        for (text, down, up) in [
            ("1799999999.5", 1_799_999_999, 1_800_000_000),
            ("1800000000.0", 1_800_000_000, 1_800_000_000),
            ("1800000000.000000000000000000000000000001", 1_800_000_000, 1_800_000_001),
            // A float would round it up.
            ("1799999999.99999999999999999999", 1_799_999_999, 1_800_000_000),
            ("0.9", 0, 1),
            ("0.0", 0, 0),
            ("0", 0, 0),
            ("18446744073709551615", u64::MAX, u64::MAX),
            ("18446744073709551614.9", u64::MAX - 1, u64::MAX),
        ] {
            assert_eq!(read(text), Some((down, up)), "{text}");
        }
    }

    #[test]
    fn an_exponent_moves_the_point() {
        for (text, down, up) in [
            ("1.8e9", 1_800_000_000, 1_800_000_000),
            ("18E+8", 1_800_000_000, 1_800_000_000),
            ("1.8000000005e9", 1_800_000_000, 1_800_000_001),
            ("18000000005e-1", 1_800_000_000, 1_800_000_001),
            ("18000000000e-1", 1_800_000_000, 1_800_000_000),
            ("1e19", 10_000_000_000_000_000_000, 10_000_000_000_000_000_000),
            ("5e-1", 0, 1),
            ("1e-2000000000", 0, 1),
            ("0e2000000000", 0, 0),
            ("0.00e400", 0, 0),
        ] {
            assert_eq!(read(text), Some((down, up)), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "-1",
            "-0",
            "-0.5",
            "-1e400",
            "18446744073709551616",
            "18446744073709551615.5",
            "1e20",
            "1e400",
            "1e2147483647",
            "1e2147483648",
            "1e-2147483649",
            "1e99999999999999999999999999",
            "NaN",
            "Infinity",
            "01800000000",
            "+1800000000",
            "0x6b49d264",
            "1_0",
            "1.",
            ".5",
            "1e",
            "\"1800000000\"",
            "\"1.5\"",
            "[1800000000]",
            "{}",
            "true",
            "false",
            "null",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(serde_json::from_str::<Dates>("{}").is_err(), "an expiry is never missing");
        let only = Dates { exp: 1, nbf: None, iat: None };
        assert_eq!(serde_json::from_str::<Dates>(r#"{"exp":1}"#).unwrap(), only);
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in any::<String>()) {
            let _ = Date::parse(&text);
        }

        #[test]
        fn a_date_is_the_same_however_it_is_written(second in 0..4_000_000_000_u64, digits in "[0-9]{0,12}") {
            let whole = format!("{second}{digits}");
            let shifted = format!("{whole}e-{}", digits.len());
            let plain = format!("{second}.{digits}0");
            let expected = Date { second, has_fraction: digits.bytes().any(|digit| digit != b'0') };
            prop_assert_eq!(Date::parse(&shifted), Some(expected));
            prop_assert_eq!(Date::parse(&plain), Some(expected));
        }
    }
}
