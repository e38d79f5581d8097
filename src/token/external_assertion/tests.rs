use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::super::fixture::*;
use super::super::{KeyRing, ScopeClaims};
use super::*;
use crate::clock::HostClock;

const THEIRS: &str = "https://login.example";
const PERSON: &str = "oauth-id-jag+jwt";

fn theirs() -> ExternalVerifier {
    ExternalVerifier {
        issuer: THEIRS.into(),
        trust_domain: None,
        algorithms: ALGORITHMS.to_vec(),
        takes_plain_jwts: false,
        audiences: Vec::new(),
        scope_claims: ScopeClaims::Standard,
        scopes: Scopes::default(),
        clock: HostClock::new(StandsAt(Duration::from_secs(NOW))),
        leeway: Duration::from_secs(LEEWAY),
        max_life: Duration::from_secs(MAX_LIFE),
    }
}

fn identity() -> Value {
    json!({
        "iss": THEIRS, "sub": "u-1", "aud": ISSUER, "client_id": "agent", "jti": "a1", "iat": NOW, "exp": NOW + 300,
        "resource": "https://gateway.example/mcp", "scope": "chat tools", "email": "alice@example.com",
        "email_verified": true, "auth_time": NOW - 60, "sid": "s-1", "tenant": "blue",
    })
}

/// What Kubernetes 1.30 writes.
fn service_account() -> Value {
    json!({
        "iss": THEIRS, "sub": "system:serviceaccount:ci:runner", "aud": [ISSUER], "exp": NOW + 3607, "iat": NOW,
        "nbf": NOW, "jti": "7ee52be0-9045-4653-aa5e-0da57b8dccdc",
        "kubernetes.io": { "namespace": "ci", "serviceaccount": { "name": "runner", "uid": "1" } },
    })
}

fn with(mut claims: Value, name: &str, value: impl Into<Value>) -> Value {
    claims[name] = value.into();
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn read(kind: AssertionKind, claims: &Value) -> Result<ExternalAssertion, InvalidAssertion> {
    theirs().read_assertion(kind, claims.to_string().as_bytes(), ISSUER)
}

fn identity_with(name: &str, value: impl Into<Value>) -> Result<ExternalAssertion, InvalidAssertion> {
    read(AssertionKind::Person, &with(identity(), name, value))
}

const JSON: InvalidAssertion = InvalidAssertion::Token(InvalidToken::Claims(InvalidClaims::Json));

#[test]
fn a_good_assertion_says_who_what_for_and_how_long() {
    let read = read(AssertionKind::Person, &identity()).unwrap();
    assert_eq!((read.subject.as_str(), read.client.unwrap().as_str()), ("u-1", "agent"));
    assert_eq!(read.email.as_deref(), Some("alice@example.com"));
    assert_eq!((read.session.as_deref(), read.tenant.as_deref()), (Some("s-1"), Some("blue")));
    assert_eq!(read.resources, Some(vec!["https://gateway.example/mcp".to_owned()]));
    assert_eq!(read.scopes, Some(Scopes::parse("chat tools").unwrap()));
    assert_eq!((read.authenticated_at, read.issued_at), (Some(NOW - 60), Some(NOW)));
    assert_eq!(read.left, Duration::from_secs(300));
    assert!(read.remembered_for >= Duration::from_secs(300 + LEEWAY), "other gateways' clocks may be behind");
}

#[test]
fn m1_each_claim_that_is_missing_or_odd_is_refused() {
    let nobody = read(AssertionKind::Person, &without(identity(), "iss")).unwrap_err();
    assert_eq!(nobody, InvalidToken::Issuer.into());
    for name in ["sub", "aud", "exp"] {
        let refused = read(AssertionKind::Person, &without(identity(), name)).unwrap_err();
        assert_eq!(refused, JSON, "{name}");
    }
    for name in ["jti", "iat", "client_id"] {
        let refused = read(AssertionKind::Person, &without(identity(), name)).unwrap_err();
        assert_eq!(refused, InvalidAssertion::Missing(name));
    }
    for (name, odd) in [
        ("iss", json!([THEIRS])),
        ("sub", json!(7)),
        ("sub", json!(null)),
        ("aud", json!({})),
        ("aud", json!([])),
        ("aud", json!([ISSUER, ISSUER])),
        ("aud", json!([ISSUER, "https://other.example"])),
        ("exp", json!("soon")),
        ("exp", json!(-1)),
        ("iat", json!(null)),
        ("nbf", json!(null)),
        ("auth_time", json!("now")),
        ("scope", json!(["chat"])),
        ("scope", json!("chat  tools")),
        ("resource", json!(7)),
        ("resource", json!(null)),
    ] {
        assert_eq!(identity_with(name, odd.clone()).unwrap_err(), JSON, "{name}: {odd}");
    }
    for (name, odd) in [
        ("sub", json!("")),
        ("sub", json!("a b")),
        ("sub", json!("a\u{202e}")),
        ("sub", json!("a".repeat(256))),
        ("jti", json!("")),
        ("jti", json!(7)),
        ("jti", json!("a b")),
        ("jti", json!("a".repeat(256))),
        ("client_id", json!("a b")),
        ("client_id", json!(["agent"])),
    ] {
        assert_eq!(identity_with(name, odd.clone()).unwrap_err(), InvalidAssertion::Missing(name), "{odd}");
    }
    let twice = identity().to_string().replacen('{', r#"{"sub":"root","#, 1);
    let refused = theirs().read_assertion(AssertionKind::Person, twice.as_bytes(), ISSUER);
    assert_eq!(refused.unwrap_err(), JSON, "a claim comes once");
}

#[test]
fn m1_an_assertion_is_of_its_issuer_and_for_this_gateway_alone() {
    for other in ["https://login.example/", "https://LOGIN.example", "http://login.example", ""] {
        assert_eq!(identity_with("iss", other).unwrap_err(), InvalidToken::Issuer.into(), "{other}");
    }
    for other in
        ["https://gateway.example/", "https://gateway.example/token", "https://other.example", "bridge"]
    {
        let refused = identity_with("aud", other).unwrap_err();
        assert!(matches!(refused, InvalidAssertion::Audience { .. }), "{other}: {refused}");
        assert!(refused.to_string().contains(&format!("'{other}'")), "{refused}");
    }
    assert!(identity_with("aud", json!([ISSUER])).is_ok());
}

#[test]
fn m1_an_assertion_lives_five_minutes_at_most() {
    let lives = |iat: u64, exp: u64| {
        read(AssertionKind::Person, &with(with(identity(), "iat", iat), "exp", exp))
            .map(|read| read.left.as_secs())
    };
    assert_eq!(lives(NOW, NOW + 300), Ok(300));
    assert_eq!(lives(NOW - 299, NOW + 1), Ok(1));
    assert_eq!(lives(NOW + LEEWAY, NOW + 300 + LEEWAY), Ok(300 + LEEWAY));
    for (iat, exp, refused) in [
        (NOW, NOW, InvalidToken::Expired),
        (NOW - 300, NOW - 1, InvalidToken::Expired),
        (NOW + LEEWAY + 1, NOW + 300, InvalidToken::NotYetValid),
    ] {
        assert_eq!(lives(iat, exp), Err(refused.into()), "{iat} to {exp}");
    }
    for (iat, exp, life) in [(NOW, NOW + 301, 301), (NOW - 600, NOW + 1, 601), (0, u64::MAX, u64::MAX)] {
        assert_eq!(lives(iat, exp), Err(InvalidAssertion::TooLongLived(life, 300)), "{iat} to {exp}");
    }
    assert_eq!(identity_with("nbf", NOW + LEEWAY + 1).unwrap_err(), InvalidToken::NotYetValid.into());
}

#[test]
fn m2_what_would_be_lost_here_or_is_another_kind_of_token_is_refused() {
    for (name, value) in [
        ("act", json!({ "sub": "agent" })),
        ("authorization_details", json!([{ "type": "payment" }])),
        ("cnf", json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" })),
        ("nonce", json!("n")),
        ("at_hash", json!("h")),
        ("c_hash", json!("h")),
        ("events", json!({})),
        ("events", json!(null)),
    ] {
        for (kind, claims) in
            [(AssertionKind::Person, identity()), (AssertionKind::Workload, service_account())]
        {
            let refused = read(kind, &with(claims, name, value.clone())).unwrap_err();
            assert_eq!(refused, InvalidAssertion::Unsupported(name), "{kind:?}");
        }
    }
}

#[test]
fn m2_only_the_type_of_its_kind_is_an_assertion() {
    let of_type = |typ: Option<&str>, kind: AssertionKind| {
        let mut header = header(ed25519());
        match typ {
            Some(typ) => header["typ"] = typ.into(),
            None => drop(header.as_object_mut().unwrap().remove("typ")),
        }
        let token = forge(ed25519(), header.to_string(), identity().to_string());
        theirs().parse_as(&token, kind.types()).map(drop)
    };
    for typ in [PERSON, "application/oauth-id-jag+jwt", "OAuth-ID-JAG+JWT"] {
        assert_eq!(of_type(Some(typ), AssertionKind::Person), Ok(()), "{typ}");
        assert_eq!(of_type(Some(typ), AssertionKind::Workload), Err(InvalidToken::Type), "{typ}");
    }
    for typ in [None, Some("JWT"), Some("JOSE")] {
        assert_eq!(of_type(typ, AssertionKind::Workload), Ok(()), "{typ:?}");
        assert_eq!(of_type(typ, AssertionKind::Person), Err(InvalidToken::Type), "{typ:?}");
    }
    for typ in
        ["at+jwt", "secevent+jwt", "logout+jwt", "dpop+jwt", "client-authentication+jwt", "oauth-id-jag"]
    {
        assert_eq!(of_type(Some(typ), AssertionKind::Person), Err(InvalidToken::Type), "{typ}");
        assert_eq!(of_type(Some(typ), AssertionKind::Workload), Err(InvalidToken::Type), "{typ}");
    }
}

#[test]
fn m3_an_address_counts_only_when_it_is_verified() {
    let address = |verified: Value| identity_with("email_verified", verified).unwrap().email;
    assert_eq!(address(json!(true)).as_deref(), Some("alice@example.com"));
    for no_proof in [json!(false), json!("true"), json!(1), json!(null), json!([true]), json!({})] {
        assert_eq!(address(no_proof.clone()), None, "{no_proof}");
    }
    let absent = read(AssertionKind::Person, &without(identity(), "email_verified")).unwrap();
    assert_eq!(absent.email, None);
    for odd in [json!(7), json!(["alice@example.com"]), json!(""), json!(null)] {
        assert_eq!(identity_with("email", odd.clone()).unwrap().email, None, "{odd}");
    }
}

#[test]
fn a_workload_token_needs_neither_jti_nor_iat_and_may_live_a_day() {
    let read = |claims: &Value| read(AssertionKind::Workload, claims);
    let kubernetes = read(&service_account()).unwrap();
    assert_eq!((kubernetes.subject.as_str(), kubernetes.client), ("system:serviceaccount:ci:runner", None));
    let least = json!({ "iss": THEIRS, "sub": "runner", "aud": [ISSUER], "exp": NOW + 300 });
    let least = read(&least).unwrap();
    assert_eq!((least.subject.as_str(), least.id, least.issued_at), ("runner", None, None));
    let day = 24 * 3600;
    assert!(read(&with(service_account(), "exp", NOW + day)).is_ok());
    let refused = read(&with(service_account(), "exp", NOW + day + 1)).unwrap_err();
    assert_eq!(refused, InvalidAssertion::TooLongLived(day + 1, day));
    let refused = read(&without(with(service_account(), "exp", NOW + day + LEEWAY + 1), "iat")).unwrap_err();
    assert_eq!(refused, InvalidAssertion::TooLongLived(day + LEEWAY + 1, day), "and without iat");
    let for_two = with(service_account(), "aud", json!([ISSUER, "https://kubernetes.default.svc"]));
    assert_eq!(read(&for_two).unwrap_err(), JSON, "it is for this gateway alone");
}

#[test]
fn a_jwt_svid_needs_no_issuer_where_its_trust_domain_is_known() {
    let domain = || ExternalVerifier { trust_domain: Some("example.org".to_owned()), ..theirs() };
    let read = |verifier: ExternalVerifier, kind, claims: &Value| {
        verifier.read_assertion(kind, claims.to_string().as_bytes(), ISSUER).map(|read| read.subject)
    };
    let svid = |id: &str| json!({ "sub": id, "aud": [ISSUER], "exp": NOW + 300, "iat": NOW });
    let ci = "spiffe://example.org/ci";
    assert_eq!(read(domain(), AssertionKind::Workload, &svid(ci)).as_deref(), Ok(ci));
    assert_eq!(read(domain(), AssertionKind::Workload, &with(svid(ci), "iss", THEIRS)).as_deref(), Ok(ci));
    // What SPIFFE requires, and no more (JWT-SVID §3).
    let least = json!({ "sub": ci, "aud": [ISSUER], "exp": NOW + 300 });
    assert_eq!(read(domain(), AssertionKind::Workload, &least).as_deref(), Ok(ci));
    let nobody = InvalidAssertion::from(InvalidToken::Issuer);
    assert_eq!(read(theirs(), AssertionKind::Workload, &svid(ci)), Err(nobody.clone()));
    let other = with(svid(ci), "iss", "https://other.example");
    assert_eq!(read(domain(), AssertionKind::Workload, &other), Err(nobody.clone()));
    assert_eq!(read(domain(), AssertionKind::Workload, &with(svid(ci), "iss", Value::Null)), Err(JSON));
    assert_eq!(read(domain(), AssertionKind::Person, &without(identity(), "iss")), Err(nobody));
    for outside in [
        "spiffe://other.org/ci",
        "spiffe://example.org.other.org/ci",
        "spiffe://org/ci",
        "spiffe://example.org/a/../../other.org/ci",
        "spiffe://example.org/ci?a=b",
        "spiffe://example.org",
        "spiffe://example.org/",
        "SPIFFE://example.org/ci",
        "spiffe://EXAMPLE.org/ci",
        "spiffe://user@example.org/ci",
        "spiffe:///ci",
        "system:serviceaccount:ci:runner",
    ] {
        for claims in [svid(outside), with(svid(outside), "iss", THEIRS)] {
            let refused = read(domain(), AssertionKind::Workload, &claims).unwrap_err().to_string();
            let reason = "expected a SPIFFE ID of a workload in the trust domain 'example.org'";
            assert_eq!(refused, format!("sub is '{outside}', {reason}"));
        }
    }
    // People are of no trust domain.
    assert_eq!(read(domain(), AssertionKind::Person, &identity()).as_deref(), Ok("u-1"));
}

#[test]
fn an_issuer_without_a_trust_domain_has_no_workload_of_spiffe() {
    let runner = |id: &str| with(service_account(), "sub", id);
    for id in ["spiffe://example.org/ci", "SPIFFE://example.org/ci", "spiffe://example.org", "spiffe:ci"] {
        let refused = read(AssertionKind::Workload, &runner(id)).unwrap_err();
        assert_eq!(refused, InvalidAssertion::NoTrustDomain(format!("'{id}'")));
        assert!(refused.to_string().ends_with("set ExternalIssuer::spiffe_trust_domain"), "{refused}");
    }
    for id in ["system:serviceaccount:ci:runner", "spiffe", "https://example.org/spiffe://x"] {
        assert_eq!(read(AssertionKind::Workload, &runner(id)).unwrap().subject, id);
    }
    assert_eq!(identity_with("sub", "spiffe://example.org/ci").unwrap().subject, "spiffe://example.org/ci");
}

#[test]
fn a_token_with_a_workload_as_its_subject_is_read_as_it_was_signed() {
    let client = ClientId::parse("ci-runner").unwrap();
    let subject = super::super::Subject::Workload { user: UserId::for_workload(&client) };
    let signed = Claims { subject, client, ..claims() };
    let ring: KeyRing = ring_of(ed25519());
    let token = ring.sign(&signed).unwrap();
    let read = verifier(ring).verify(token.expose()).unwrap();
    assert_eq!(read, Claims { issuer: Arc::clone(&read.issuer), ..signed });
    assert_eq!((read.sub(), read.user().as_str()), ("ci-runner", "client:ci-runner"));
    let long = ClientId::parse("c".repeat(262)).unwrap();
    let user = UserId::for_workload(&long);
    assert!(UserId::parse(user.as_str()).is_ok() && user.is_for_workload());
    assert_ne!(user, UserId::for_workload(&ClientId::parse("c".repeat(261)).unwrap()));
}

proptest! {
    #[test]
    fn reading_never_panics(payload in any::<Vec<u8>>(), name in "[a-z_]{2,9}", value in any::<u64>(), is_person: bool) {
        let kind = if is_person { AssertionKind::Person } else { AssertionKind::Workload };
        let _ = theirs().read_assertion(kind, &payload, ISSUER);
        let _ = read(kind, &with(identity(), &name, value));
    }

    #[test]
    fn no_times_make_an_assertion_good_for_longer_than_five_minutes(iat: u64, exp: u64, nbf: u64, near in 0..700_u64) {
        let at = |odd: u64| [odd, NOW.saturating_sub(350) + odd % near.max(1)];
        for (iat, exp, nbf) in at(iat).into_iter().zip(at(exp)).zip(at(nbf)).map(|((iat, exp), nbf)| (iat, exp, nbf)) {
            let claims = with(with(with(identity(), "iat", iat), "exp", exp), "nbf", nbf);
            if let Ok(good) = read(AssertionKind::Person, &claims) {
                prop_assert!(good.left <= Duration::from_secs(300 + LEEWAY) && exp > NOW && exp - iat <= 300);
            }
        }
    }
}
