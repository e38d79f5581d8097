//! What nobody may guess: bytes of the operating system's generator, as text.

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
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

/// 32 bytes of the operating system's randomness, in base64url.
pub(super) fn random_base64url() -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE_NO_PAD.encode(*random_bytes::<32>()))
}

/// `N` bytes of the operating system's generator: a generator in the process could be read out of its memory, and would say
/// the same twice in two copies of a machine.
fn random_bytes<const N: usize>() -> Zeroizing<[u8; N]> {
    bytes_of(&mut SysRng)
}

/// `N` bytes of `source`.
///
/// There is no other source to fall back to: a secret that can be guessed is worse than none. Linux's `getrandom` cannot fail
/// once the machine has started; where one can, the request that needed a secret ends with the panic, and no secret is made.
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
