//! Random bytes of the operating system, as text, for secrets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

/// `N` bytes of the operating system's randomness, as lower-case hex.
pub(crate) fn random_hex<const N: usize>() -> Zeroizing<String> {
    Zeroizing::new(hex(&*random_bytes::<N>()))
}

/// `bytes` as lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    // Reserved at once: otherwise a copy of a part would stay in memory when the text grows.
    let mut text = String::with_capacity(2 * bytes.len());
    text.extend(bytes.iter().flat_map(|byte| HEX[usize::from(*byte)]).map(char::from));
    text
}

/// The same for 16 bytes, without an allocation. The compiler does each step for all bytes at once.
pub(super) fn hex_of_16(bytes: [u8; 16]) -> [u8; 32] {
    let mut halves = [0; 32];
    for (place, byte) in bytes.into_iter().enumerate() {
        halves[2 * place] = byte >> 4;
        halves[2 * place + 1] = byte & 15;
    }
    // A letter is 39 higher than the digits would continue.
    halves.map(|half| half + b'0' + if half > 9 { 39 } else { 0 })
}

/// The two digits of each byte.
static HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut all = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        all[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    all
};

/// 32 bytes of the operating system's randomness, in base64url.
pub(super) fn random_base64url() -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE_NO_PAD.encode(*random_bytes::<32>()))
}

/// `N` bytes of the operating system's generator. A generator in the process could be read from its memory, and would
/// give the same bytes in two copies of a machine.
fn random_bytes<const N: usize>() -> Zeroizing<[u8; N]> {
    bytes_of(&mut SysRng)
}

/// `N` bytes of `source`.
///
/// There is no other source to use instead: a secret that can be guessed is worse than none. Linux's `getrandom` cannot
/// fail once the machine has started. Where it can fail, the request that needs a secret ends with this panic, and no
/// secret is made.
fn bytes_of<const N: usize>(source: &mut impl TryRng) -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    source.try_fill_bytes(&mut *bytes).expect("no secret without the operating system's randomness");
    bytes
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[test]
    fn both_ways_of_writing_hex_agree() {
        for first in 0..=u8::MAX {
            let bytes: [u8; 16] = std::array::from_fn(|place| first.wrapping_add((place * 17) as u8));
            assert_eq!(hex(&bytes).as_bytes(), hex_of_16(bytes));
        }
    }

    #[test]
    #[should_panic(expected = "no secret without the operating system's randomness")]
    fn without_the_systems_randomness_no_secret_is_made() {
        struct Broken;
        impl TryRng for Broken {
            type Error = fmt::Error;
            fn try_next_u32(&mut self) -> Result<u32, fmt::Error> {
                Err(fmt::Error)
            }
            fn try_next_u64(&mut self) -> Result<u64, fmt::Error> {
                Err(fmt::Error)
            }
            fn try_fill_bytes(&mut self, _bytes: &mut [u8]) -> Result<(), fmt::Error> {
                Err(fmt::Error)
            }
        }
        drop(bytes_of::<32>(&mut Broken));
    }
}
