//! Values that are not signatures, and second forms of good signatures (Wycheproof's cases).

use super::super::fixture::*;
use crate::token::compact::{decode, encode};
use crate::token::{InvalidToken, SigningKey};

fn verdict(key: &SigningKey, token: &str) -> Result<(), InvalidToken> {
    verifier(ring_of(key)).verify(token).map(drop)
}

/// The order of P-256's group, big-endian (SEC 2 §2.4.2).
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

#[test]
fn an_ecdsa_signature_is_64_bytes_of_two_numbers_in_range() {
    let key = &keys()[1];
    let good = token(key);
    let (signed, signature) = split(&good);
    let signature = decode(signature);
    let (r, s) = signature.split_at(32);
    let order_less_one = {
        let mut n = P256_ORDER;
        n[31] -= 1;
        n
    };
    let zero = [0; 32];
    let one = {
        let mut one = [0; 32];
        one[31] = 1;
        one
    };
    let mut spoilt =
        vec![signature[..63].to_vec(), [&signature[..], &[0]].concat(), [&[0], &signature[..]].concat()];
    for edge in [zero, one, order_less_one, P256_ORDER, [0xff; 32]] {
        spoilt.extend([[&edge[..], s].concat(), [r, &edge[..]].concat(), [edge, edge].concat()]);
    }
    let der = |number: &[u8]| [&[2, 33, 0], number].concat();
    spoilt.push([&[0x30, 70][..], &der(r), &der(s)].concat());
    spoilt.push([[0; 1].as_slice(), r, &[0], s].concat());
    for signature in spoilt {
        let token = format!("{signed}.{}", encode(&signature));
        assert_eq!(verdict(key, &token), Err(InvalidToken::Signature), "{signature:02x?}");
    }
}

#[test]
fn an_ed25519_signature_has_one_form() {
    /// The order of the base point, little-endian (RFC 8032 §5.1).
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let key = ed25519();
    let good = token(key);
    let (signed, signature) = split(&good);
    let mut twin = decode(signature);
    let mut carry = 0;
    for (byte, order) in twin[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(verdict(key, &format!("{signed}.{}", encode(&twin))), Err(InvalidToken::Signature));
    for length in [0, 1, 63, 65, 128] {
        assert_eq!(
            verdict(key, &format!("{signed}.{}", encode(vec![0; length]))),
            Err(InvalidToken::Signature)
        );
    }
}
