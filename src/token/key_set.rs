//! The published keys of another issuer (RFC 7517 §5).

use serde::Deserialize;
use serde_json::Value;

use super::compact::json_object;
use super::jwk::Jwk;
use super::{Algorithm, VerifyingKey};

/// The usable keys of a JWK set. Each has its own `kid` and is for one algorithm.
///
/// A key is skipped when its kind or algorithm is not allowed, when it is for encryption, too weak or private, or when
/// it has no `kid`. If several keys share a `kid`, or one key is published for several algorithms, all of them are
/// skipped: a token could not say which one it means.
#[derive(Debug, Default)]
pub(crate) struct KeySet {
    keys: Vec<VerifyingKey>,
    skipped: usize,
}

#[derive(Deserialize)]
struct Members {
    keys: Vec<Value>,
}

impl KeySet {
    /// The most keys that a set may have.
    const MAX_KEYS: usize = 256;

    /// The usable keys of a JWK set; `None` when the text is not a JWK set, or the set has too many keys. Keys of
    /// JWT-SVIDs are used only if the issuer has any: `has_jwt_svids`.
    pub(crate) fn from_json(json: &[u8], allowed: &[Algorithm], has_jwt_svids: bool) -> Option<Self> {
        let published = json_object::<Members>(json)?.keys;
        let count = published.len();
        if count > Self::MAX_KEYS {
            return None;
        }
        let mut usable: Vec<VerifyingKey> = Vec::new();
        for key in published.into_iter().filter_map(|key| read(key, allowed, has_jwt_svids)) {
            if !usable.iter().any(|other| other.is(&key)) {
                usable.push(key);
            }
        }
        let is_clear =
            |key: &&VerifyingKey| !usable.iter().any(|other| !other.is(key) && is_confused(other, key));
        let keys: Vec<_> = usable.iter().filter(is_clear).cloned().collect();
        let skipped = count - keys.len();
        Some(Self { keys, skipped })
    }

    /// The key that a token's header names.
    pub(crate) fn find(&self, key_id: &str) -> Option<&VerifyingKey> {
        self.keys.iter().find(|key| key.key_id() == key_id)
    }

    /// Whether it still has every key of `earlier`.
    pub(crate) fn keeps_all_of(&self, earlier: &Self) -> bool {
        earlier.keys.iter().all(|key| self.find(key.key_id()).is_some_and(|held| held.is(key)))
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// How many published keys were skipped.
    pub(crate) fn skipped(&self) -> usize {
        self.skipped
    }
}

fn read(key: Value, allowed: &[Algorithm], has_jwt_svids: bool) -> Option<VerifyingKey> {
    let jwk = Jwk::deserialize(key).ok()?;
    VerifyingKey::from_published(jwk, allowed, has_jwt_svids).ok()
}

/// Whether a token that names one key could mean the other, or one key would be used with two algorithms.
fn is_confused(one: &VerifyingKey, other: &VerifyingKey) -> bool {
    one.key_id() == other.key_id() || (one.clashes_with(other) && one.scheme() != other.scheme())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::token::fixture::{ALGORITHMS, keys};
    use crate::token::{KeyRing, SigningKey};

    /// The public JWK of `key`, as a ring publishes it.
    fn published(key: &SigningKey) -> Value {
        let jwks: Value = serde_json::from_str(&KeyRing::new(key.clone()).unwrap().jwks()).unwrap();
        jwks["keys"][0].clone()
    }

    fn with(mut jwk: Value, member: &str, value: impl Into<Value>) -> Value {
        jwk[member] = value.into();
        jwk
    }

    fn without(mut jwk: Value, member: &str) -> Value {
        jwk.as_object_mut().unwrap().remove(member);
        jwk
    }

    fn ids(keys: &[Value]) -> Vec<String> {
        ids_in(keys, false)
    }

    fn ids_in(keys: &[Value], has_jwt_svids: bool) -> Vec<String> {
        let set = json!({ "keys": keys, "more": 1 }).to_string();
        let set = KeySet::from_json(set.as_bytes(), &ALGORITHMS, has_jwt_svids).unwrap();
        assert_eq!(set.skipped() + set.len(), keys.len());
        set.keys.iter().map(|key| key.key_id().to_owned()).collect()
    }

    #[test]
    fn odd_keys_are_skipped_and_the_others_taken() {
        let [ed, es, rs, ..] = keys()
            .each_ref()
            .map(|key| if key.verifying_key().published().is_some() { published(key) } else { Value::Null });
        let good = with(ed.clone(), "kid", "good");
        for odd in [
            json!({ "kty": "AKP", "alg": "ML-DSA-44", "kid": "odd", "pub": "AA" }),
            json!({ "kty": "oct", "k": "AAAA", "kid": "odd", "alg": "HS256" }),
            json!({ "kty": "RSA", "n": "3w", "e": "AQAB", "kid": "odd", "alg": "RS256" }),
            json!({ "kid": "odd" }),
            json!("odd"),
            json!(null),
            with(ed.clone(), "use", "enc"),
            with(ed.clone(), "use", "x509-svid"),
            with(ed.clone(), "use", "jwt-svid"),
            with(ed.clone(), "key_ops", json!(["encrypt"])),
            with(ed.clone(), "alg", "ES256"),
            with(ed.clone(), "d", "AA"),
            with(ed.clone(), "kid", 7),
            with(ed.clone(), "kid", "a b"),
            with(ed.clone(), "x", "AAAA"),
            without(ed.clone(), "kid"),
            with(es.clone(), "crv", "P-384"),
            with(es.clone(), "alg", "ES384"),
            with(rs.clone(), "alg", "RS512"),
            with(rs.clone(), "alg", "RSA-OAEP"),
        ] {
            assert_eq!(ids(&[odd.clone(), good.clone()]), ["good"], "{odd}");
            assert_eq!(ids(&[good.clone(), odd.clone()]), ["good"], "{odd}");
        }
    }

    #[test]
    fn of_keys_that_cannot_be_told_apart_none_is_taken() {
        let [ed, es, rs] = [&keys()[0], &keys()[1], &keys()[2]].map(published);
        let one = with(es, "kid", "one");
        assert_eq!(
            ids(&[with(ed.clone(), "kid", "two"), one.clone(), with(rs.clone(), "kid", "two")]),
            ["one"]
        );
        assert_eq!(ids(&[one.clone(), one.clone()]), ["one"], "the same key twice is one key");
        let for_two = [with(with(rs.clone(), "alg", "PS256"), "kid", "ps"), with(rs.clone(), "kid", "rs")];
        assert!(ids(&for_two).is_empty(), "one key is for one algorithm");
        let renamed = [with(ed.clone(), "kid", "a"), with(ed.clone(), "kid", "b")];
        assert_eq!(ids(&renamed), ["a", "b"]);
        let ed = with(ed, "kid", "ed");
        assert_eq!(ids(&[ed.clone(), with(ed, "alg", "Ed25519")]), ["ed"], "both names are one algorithm");
    }

    #[test]
    fn a_trust_bundle_has_keys_of_jwt_svids_and_of_whatever_else_is_signed() {
        let ed = published(&keys()[0]);
        let [svid, x509, sig] =
            ["jwt-svid", "x509-svid", "sig"].map(|name| with(with(ed.clone(), "use", name), "kid", name));
        let other = with(with(published(&keys()[1]), "use", "jwt-svid"), "kid", "other");
        let all = [svid.clone(), x509, sig.clone(), other];
        assert_eq!(ids_in(&all, true), ["jwt-svid", "sig", "other"]);
        assert_eq!(ids_in(&all, false), ["sig"]);
        assert_eq!(ids_in(&[with(svid.clone(), "key_ops", json!(["verify"]))], true), ["jwt-svid"]);
        for odd in [("key_ops", json!(["encrypt"])), ("d", json!("AA")), ("alg", json!("ES256"))] {
            assert!(ids_in(&[with(svid.clone(), odd.0, odd.1.clone())], true).is_empty(), "{odd:?}");
        }
        let for_both = [with(svid.clone(), "kid", "one"), with(sig.clone(), "kid", "one")];
        assert!(ids_in(&for_both, true).is_empty(), "a key id is of one use");
        let read = |jwk: &Value| {
            let set = json!({ "keys": [with(jwk.clone(), "kid", "one")] }).to_string();
            KeySet::from_json(set.as_bytes(), &ALGORITHMS, true).unwrap()
        };
        assert!(!read(&svid).keeps_all_of(&read(&sig)), "a key that changed its use is another one");
    }

    #[test]
    fn an_rsa_key_that_names_no_algorithm_is_for_the_first_that_is_allowed() {
        let set = json!({ "keys": [without(published(&keys()[2]), "alg")] }).to_string();
        let names = |allowed: &[Algorithm]| {
            let set = KeySet::from_json(set.as_bytes(), allowed, false).unwrap();
            set.keys.first().map(|key| key.scheme().name())
        };
        assert_eq!(names(&ALGORITHMS), Some("RS256"));
        assert_eq!(names(&[Algorithm::Ps256]), Some("PS256"));
        assert_eq!(names(&[Algorithm::Es256]), None);
    }

    #[test]
    fn ed25519_is_allowed_under_either_name() {
        for alg in ["EdDSA", "Ed25519"] {
            let set = json!({ "keys": [with(published(&keys()[0]), "alg", alg)] }).to_string();
            for allowed in [Algorithm::EdDsa, Algorithm::Ed25519] {
                assert_eq!(KeySet::from_json(set.as_bytes(), &[allowed], false).unwrap().len(), 1, "{alg}");
            }
        }
    }

    #[test]
    fn what_is_no_set_is_refused() {
        let many = json!({ "keys": vec![json!({}); 257] }).to_string();
        for bad in
            ["", "null", "[]", "{}", "{\"keys\":{}}", "{\"keys\":null}", "<html>", "{\"keys\":[]} x", &many]
        {
            assert!(KeySet::from_json(bad.as_bytes(), &ALGORITHMS, false).is_none(), "{bad}");
        }
        assert_eq!(KeySet::from_json(b"{\"keys\":[]}", &ALGORITHMS, false).unwrap().len(), 0);
    }
}
