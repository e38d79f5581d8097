//! An authenticator in software: Ed25519 passkeys, and every lie that a test wants to tell.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The person touched the authenticator.
const PRESENT: u8 = 1;
/// The person was recognised: a fingerprint, a face or a PIN.
pub const VERIFIED: u8 = 4;
/// A new key follows.
const NEW_KEY: u8 = 64;

/// One passkey, and what its authenticator says when it is used.
#[derive(Clone)]
pub struct Passkey {
    seed: [u8; 32],
    pub id: Vec<u8>,
    pub handle: String,
    pub origin: String,
    pub relying_party: String,
    /// What it says next; it does not count by itself.
    pub counter: u32,
    pub flags: u8,
}

impl Passkey {
    /// A passkey for the options that a gateway at `origin` sent, and the answer that creates it.
    pub fn create(origin: &str, options: &Value) -> (Self, Value) {
        let random = SystemRandom::new();
        let seed: [u8; 32] = aws_lc_rs::rand::generate(&random).unwrap().expose();
        let id: [u8; 32] = aws_lc_rs::rand::generate(&random).unwrap().expose();
        let options = &options["publicKey"];
        let passkey = Self {
            seed,
            id: id.to_vec(),
            handle: options["user"]["id"].as_str().unwrap().to_owned(),
            origin: origin.to_owned(),
            relying_party: options["rp"]["id"].as_str().unwrap().to_owned(),
            counter: 1,
            flags: PRESENT | VERIFIED,
        };
        let answer = passkey.creation(options["challenge"].as_str().unwrap());
        (passkey, answer)
    }

    /// The answer that creates this passkey.
    pub fn creation(&self, challenge: &str) -> Value {
        let mut data = self.data(self.flags | NEW_KEY);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        // A COSE key: {1: 1 (OKP), 3: -8 (EdDSA), -1: 6 (Ed25519), -2: the public key}.
        data.extend([0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20]);
        data.extend(self.key().public_key().as_ref());
        // {"fmt": "none", "attStmt": {}, "authData": bytes}.
        let mut attestation = vec![0xa3, 0x63];
        attestation.extend(b"fmt\x64none\x67attStmt\xa0\x68authData\x58");
        attestation.push(u8::try_from(data.len()).unwrap());
        attestation.extend(&data);
        let response = json!({
            "clientDataJSON": BASE64.encode(self.client_data("webauthn.create", challenge)),
            "attestationObject": BASE64.encode(attestation),
            "transports": ["internal"],
        });
        self.credential(&response)
    }

    /// The answer that signs in.
    pub fn assertion(&self, options: &Value) -> Value {
        let client_data =
            self.client_data("webauthn.get", options["publicKey"]["challenge"].as_str().unwrap());
        let data = self.data(self.flags);
        let signed = [data.clone(), Sha256::digest(&client_data).to_vec()].concat();
        let response = json!({
            "clientDataJSON": BASE64.encode(client_data),
            "authenticatorData": BASE64.encode(data),
            "signature": BASE64.encode(self.key().sign(&signed)),
            "userHandle": self.handle,
        });
        self.credential(&response)
    }

    fn credential(&self, response: &Value) -> Value {
        let id = BASE64.encode(&self.id);
        json!({
            "id": id, "rawId": id, "type": "public-key", "response": response,
            "authenticatorAttachment": "platform", "clientExtensionResults": {},
        })
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let party = Sha256::digest(&self.relying_party);
        [party.as_slice(), &[flags], &self.counter.to_be_bytes()].concat()
    }

    fn client_data(&self, kind: &str, challenge: &str) -> Vec<u8> {
        // The order of the members is fixed (WebAuthn §5.8.1.1).
        let Self { origin, .. } = self;
        format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#)
            .into_bytes()
    }

    fn key(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&self.seed).unwrap()
    }
}
