//! The two codes of the device grant (RFC 8628 §3.2): one for the client, one for the person.

use std::fmt;

use rand::TryRng as _;
use rand::rngs::SysRng;

use super::InvalidSecret;
use super::secret_text::opaque;

opaque! {
    /// A device code: 32 random bytes as 43 characters of `[A-Za-z0-9_-]`. The client polls with it.
    DeviceCode as "device code",
    /// The SHA-256 of a [`DeviceCode`]. Only this hash is stored.
    DeviceCodeHash
}

/// A user code: eight letters that a person types, shown as `XXXX-XXXX` (RFC 8628 §6.1).
///
/// It has no vowels, so that it spells no word, and no letter that looks like a digit. There are 25.6 thousand million
/// codes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserCode([u8; UserCode::LETTERS]);

impl UserCode {
    const LETTERS: usize = 8;
    const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

    /// A new random code.
    #[must_use]
    pub fn random() -> Self {
        let mut letters = [0; Self::LETTERS];
        for letter in &mut letters {
            *letter = random_letter();
        }
        Self(letters)
    }

    /// Reads what a person typed. Letter case, spaces and punctuation do not matter.
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] when there are not eight letters of the alphabet.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        const INVALID: InvalidSecret = InvalidSecret { kind: "user code" };
        // Nobody types more separators than this.
        if text.len() > 64 {
            return Err(INVALID);
        }
        let typed = text.bytes().filter(|b| !b.is_ascii_punctuation() && !b.is_ascii_whitespace());
        let letters: Vec<u8> = typed.map(|letter| letter.to_ascii_uppercase()).collect();
        let is_code = letters.iter().all(|letter| Self::ALPHABET.contains(letter));
        letters.try_into().ok().filter(|_| is_code).map(Self).ok_or(INVALID)
    }

    /// The eight letters without the hyphen, as they are stored.
    #[must_use]
    pub fn as_letters(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the alphabet is ASCII")
    }
}

/// A letter of the alphabet, each as likely as any other.
fn random_letter() -> u8 {
    loop {
        let mut byte = [0];
        SysRng.try_fill_bytes(&mut byte).expect("the operating system gives random bytes");
        // 240 is a multiple of 20.
        if byte[0] < 240 {
            return UserCode::ALPHABET[usize::from(byte[0] % 20)];
        }
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.as_letters().split_at(Self::LETTERS / 2);
        write!(f, "{first}-{second}")
    }
}

/// Whoever sees a user code in a log could approve a stranger's device.
impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn row_l6_a_user_code_may_be_typed_in_any_case_and_with_any_punctuation() {
        let code = UserCode::parse("BCDF-GHJK").unwrap();
        for typed in ["bcdf-ghjk", "BCDFGHJK", " bCdF ghjk ", "b.c.d.f_g/h-j+k", "BCDF\u{20}GHJK\n"] {
            assert_eq!(UserCode::parse(typed), Ok(code), "{typed}");
        }
        assert_eq!(code.to_string(), "BCDF-GHJK");
    }

    #[test]
    fn what_is_not_eight_letters_of_the_alphabet_is_no_user_code() {
        let long = "-".repeat(60) + "BCDFGHJK";
        for typed in ["", "BCDF-GHJ", "BCDF-GHJKL", "ACDF-GHJK", "BCDF-GHJ0", "BCDF–GHJK", "ВCDF-GHJK", &long]
        {
            assert!(UserCode::parse(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn row_l4_user_codes_use_every_letter_alike() {
        let mut counts = [0_u32; 20];
        for letter in (0..10_000).flat_map(|_| UserCode::random().0) {
            counts[UserCode::ALPHABET.iter().position(|known| *known == letter).unwrap()] += 1;
        }
        // 4 000 each; eight standard deviations are 493.
        assert!(counts.iter().all(|n| (3_507..4_493).contains(n)), "{counts:?}");
    }

    #[test]
    fn row_l1_a_device_code_has_256_random_bits_and_is_not_shown() {
        let code = DeviceCode::random();
        assert!(DeviceCode::parse(code.expose()).is_ok());
        assert!(!format!("{code:?} {:?}", code.hash()).contains(code.expose()));
        assert!(DeviceCode::parse(&"a".repeat(42)).is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in any::<String>()) {
            let _ = DeviceCode::parse(&text);
            if let Ok(code) = UserCode::parse(&text) {
                prop_assert_eq!(UserCode::parse(&code.to_string()), Ok(code));
            }
        }
    }
}
