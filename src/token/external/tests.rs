use serde_json::json;

use super::super::fixture::*;
use super::*;
use crate::token::SigningKey;

const THEIRS: &str = "https://login.partner.example";
const HERE: &str = "https://gateway.example/mcp";
const JSON: InvalidToken = InvalidToken::Claims(InvalidClaims::Json);

fn theirs() -> ExternalVerifier {
    let audience = |name| Audience::parse(name).unwrap();
    ExternalVerifier {
        issuer: THEIRS.into(),
        trust_domain: None,
        algorithms: ALGORITHMS.to_vec(),
        takes_plain_jwts: false,
        audiences: vec![(audience(HERE), audience("mcp")), (audience("api://here"), audience("bridge"))],
        scope_claims: ScopeClaims::Standard,
        scopes: Scopes::parse("read write").unwrap(),
        clock: HostClock::new(StandsAt(Duration::from_secs(NOW))),
        leeway: Duration::from_secs(LEEWAY),
        max_life: Duration::from_secs(MAX_LIFE),
    }
}

/// The least that is required, and what says who and what for.
fn payload() -> Value {
    json!({ "iss": THEIRS, "sub": "u-1", "aud": HERE, "exp": NOW + 600, "iat": NOW, "client_id": "app", "scope": "read mail" })
}

fn verdict(
    verifier: &ExternalVerifier,
    key: &SigningKey,
    header: &Value,
    payload: &str,
) -> Result<ExternalClaims, InvalidToken> {
    let token = forge(key, header.to_string(), payload);
    let unverified = verifier.parse(&token)?;
    verifier.verify(unverified, key.verifying_key())
}

fn verdict_on(payload: &str) -> Result<ExternalClaims, InvalidToken> {
    verdict(&theirs(), ed25519(), &header(ed25519()), payload)
}

fn verdict_with(claim: &str, value: impl Into<Value>) -> Result<ExternalClaims, InvalidToken> {
    let mut payload = payload();
    payload[claim] = value.into();
    verdict_on(&payload.to_string())
}

fn verdict_on_header(header: &Value) -> Result<(), InvalidToken> {
    verdict(&theirs(), ed25519(), header, &payload().to_string()).map(drop)
}

#[test]
fn a_good_token_says_who_calls_and_what_counts_here() {
    let mut payload = payload();
    payload["tenant"] = json!({ "id": 7 });
    payload["nbf"] = NOW.into();
    let claims = verdict_on(&payload.to_string()).unwrap();
    assert_eq!((claims.issuer(), claims.subject(), claims.client_id()), (THEIRS, "u-1", Some("app")));
    assert_eq!(claims.audiences(), [Audience::parse("mcp").unwrap()], "by our own name");
    assert_eq!(claims.scopes().to_string(), "read", "only what is allowed here counts");
    assert_eq!((claims.issued_at(), claims.expires_at(), claims.token_id()), (NOW, NOW + 600, None));
    assert_eq!(claims.claim::<Value>("tenant"), Some(json!({ "id": 7 })));
    assert_eq!((claims.claim::<String>("tenant"), claims.claim::<u64>("nothing")), (None, None));
}

#[test]
fn every_algorithm_is_taken_where_it_is_allowed_and_nowhere_else() {
    let only = ExternalVerifier { algorithms: vec![Algorithm::Es256], ..theirs() };
    for (key, algorithm) in keys().iter().zip(ALGORITHMS) {
        let payload = payload().to_string();
        assert!(verdict(&theirs(), key, &header(key), &payload).is_ok(), "{algorithm}");
        let taken = verdict(&only, key, &header(key), &payload).is_ok();
        assert_eq!(taken, algorithm == Algorithm::Es256, "{algorithm}");
    }
    let ed25519_by_its_new_name = json!({ "alg": "Ed25519", "kid": "k", "typ": "at+jwt" });
    assert_eq!(verdict_on_header(&ed25519_by_its_new_name), Ok(()));
    for algorithm in [Algorithm::EdDsa, Algorithm::Ed25519] {
        let only = ExternalVerifier { algorithms: vec![algorithm], ..theirs() };
        for name in ["EdDSA", "Ed25519"] {
            let header = json!({ "alg": name, "kid": "k", "typ": "at+jwt" });
            assert_eq!(
                verdict(&only, ed25519(), &header, &payload().to_string()).map(drop),
                Ok(()),
                "{name}"
            );
        }
    }
    for name in ["none", "HS256", "RS512", "eddsa", "ed25519", "Ed448", "ES384", ""] {
        let header = json!({ "alg": name, "kid": "k", "typ": "at+jwt" });
        assert_eq!(verdict_on_header(&header), Err(InvalidToken::Algorithm), "{name}");
    }
    let confused = json!({ "alg": "ES256", "kid": "k", "typ": "at+jwt" });
    assert_eq!(verdict_on_header(&confused), Err(InvalidToken::Algorithm), "the key is for another");
}

#[test]
fn of_further_header_members_only_the_digests_of_a_certificate_pass() {
    let with = |member: &str, value: Value| {
        let mut header = header(ed25519());
        header[member] = value;
        verdict_on_header(&header)
    };
    assert_eq!(with("x5t", json!("AAAA")), Ok(()));
    assert_eq!(with("x5t#S256", json!("AAAA")), Ok(()));
    for member in ["jwk", "jku", "x5c", "x5u", "crit", "b64", "zip", "cty", "nonce", "enc", "iss"] {
        for value in [json!("a"), json!({}), json!([]), json!(null), json!(false)] {
            assert_eq!(with(member, value), Err(InvalidToken::Header), "{member}");
        }
    }
    for kid in ["", "a b", "\0", "a\r\nb", &"k".repeat(129)] {
        assert_eq!(with("kid", json!(kid)), Err(InvalidToken::Header), "{kid}");
    }
}

#[test]
fn a_plain_jwt_is_taken_only_where_the_host_says_so() {
    let typed = |typ: &str| json!({ "alg": "EdDSA", "kid": "k", "typ": typ });
    let plain = ExternalVerifier { takes_plain_jwts: true, ..theirs() };
    let strict = theirs();
    let verdict = |verifier, typ| verdict(verifier, ed25519(), &typed(typ), &payload().to_string()).map(drop);
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        assert_eq!((verdict(&strict, typ), verdict(&plain, typ)), (Ok(()), Ok(())), "{typ}");
    }
    for typ in ["JWT", "jwt"] {
        assert_eq!((verdict(&strict, typ), verdict(&plain, typ)), (Err(InvalidToken::Type), Ok(())), "{typ}");
    }
    for typ in ["", "logout+jwt", "secevent+jwt", "dpop+jwt", "JOSE", "application/jwt"] {
        assert_eq!(verdict(&plain, typ), Err(InvalidToken::Type), "{typ}");
    }
}

#[test]
fn id_tokens_and_security_events_are_refused_whatever_their_type() {
    for claim in ["nonce", "at_hash", "c_hash", "events"] {
        assert_eq!(verdict_with(claim, "x").map(drop), Err(InvalidToken::Type), "{claim}");
    }
}

#[test]
fn a_token_that_is_bound_to_a_key_is_no_bearer_token() {
    for bound_to in [json!({ "jkt": "x" }), json!({ "x5t#S256": "x" }), json!({ "jwk": {} }), json!("x")] {
        assert_eq!(verdict_with("cnf", bound_to.clone()).map(drop), Err(InvalidToken::Type), "{bound_to}");
    }
}

#[test]
fn the_issuer_is_compared_byte_for_byte() {
    for other in [
        "https://login.partner.example/",
        "https://LOGIN.partner.example",
        "https://login.partner.exampl",
        ISSUER,
    ] {
        assert_eq!(verdict_with("iss", other).map(drop), Err(InvalidToken::Issuer), "{other}");
    }
    for other in [json!([THEIRS]), json!(null), json!({})] {
        assert_eq!(verdict_with("iss", other).map(drop), Err(JSON));
    }
}

#[test]
fn claims_are_required_typed_and_there_once() {
    for claim in ["iss", "sub", "aud", "exp", "iat"] {
        let mut missing = payload();
        missing.as_object_mut().unwrap().remove(claim);
        assert_eq!(verdict_on(&missing.to_string()).map(drop), Err(JSON), "no {claim}");
    }
    for claim in ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "auth_time"] {
        for value in [json!(null), json!(true), json!({}), json!([1]), json!(-1), json!(-1.5)] {
            assert_eq!(verdict_with(claim, value.clone()).map(drop), Err(JSON), "{claim}: {value}");
        }
    }
    for repeated in [("iss", json!(THEIRS)), ("exp", json!(NOW + 9)), ("tenant", json!(1))] {
        let (claim, value) = repeated;
        let text = format!(
            "{{\"tenant\":1,{},\"{claim}\":{value}}}",
            payload().to_string().trim_matches(['{', '}'])
        );
        assert_eq!(verdict_on(&text).map(drop), Err(JSON), "{claim} twice");
    }
    for bad in ["", "a b", "a\nb"] {
        assert!(verdict_with("sub", bad).is_err() && verdict_with("client_id", bad).is_err(), "{bad:?}");
    }
    assert!(verdict_with("sub", "s".repeat(256)).is_err());
    assert!(verdict_with("aud", json!([])).is_err() && verdict_with("aud", vec![HERE; 17]).is_err());
}

#[test]
fn times_are_held_to_as_with_our_own() {
    assert_eq!(verdict_with("exp", NOW).map(drop), Err(InvalidToken::Expired));
    assert_eq!(verdict_with("exp", NOW + MAX_LIFE + 1).map(drop), Err(InvalidToken::TooLongLived));
    for claim in ["nbf", "iat"] {
        assert!(verdict_with(claim, NOW + LEEWAY).is_ok(), "{claim}");
        assert_eq!(
            verdict_with(claim, NOW + LEEWAY + 1).map(drop),
            Err(InvalidToken::NotYetValid),
            "{claim}"
        );
    }
}

#[test]
fn row_74_a_fraction_never_makes_a_token_good_for_longer() {
    let now = NOW as f64;
    let claims = verdict_with("exp", now + 600.5).unwrap();
    assert_eq!(claims.expires_at(), NOW + 600);
    for exp in [now - 0.5, now + 0.9] {
        let mut payload = payload();
        payload["iat"] = json!(NOW - 60);
        payload["exp"] = json!(exp);
        assert_eq!(verdict_on(&payload.to_string()).map(drop), Err(InvalidToken::Expired), "{exp}");
    }
    assert_eq!(verdict_with("iat", now - 0.5).unwrap().issued_at(), NOW - 1);
    assert!(verdict_with("nbf", now + LEEWAY as f64 - 0.5).is_ok());
    let late = verdict_with("nbf", now + LEEWAY as f64 + 0.5).map(drop);
    assert_eq!(late, Err(InvalidToken::NotYetValid));
    assert_eq!(verdict_with("auth_time", 1.5).unwrap().authenticated_at, Some(1));
}

#[test]
fn only_audiences_of_ours_count() {
    let ours = |aud: Value| verdict_with("aud", aud).unwrap().audiences().len();
    assert_eq!(ours(json!([HERE, "api://here", "other"])), 2);
    for aud in [
        json!("mcp"),
        json!("bridge"),
        json!("https://gateway.example/mcp/"),
        json!("https://gateway.example"),
    ] {
        assert_eq!(ours(aud.clone()), 0, "{aud}: what we call it is not what they do");
    }
}

#[test]
fn scopes_count_only_whole_and_where_allowed() {
    let scopes = |scope: &str| verdict_with("scope", scope).unwrap().scopes().to_string();
    assert_eq!(scopes("write read admin"), "read write");
    assert_eq!(scopes("reader READ \"read\" read\nwrite"), "");
    assert_eq!(scopes(&vec!["x"; 500].join(" ")), "");
}

/// The scopes of a token with these claims beside `scope`, which grants `read`. `None`: the token is refused.
fn scopes_from(names: &[&str], claims: &Value) -> Option<String> {
    let named = ScopeClaims::Named(names.iter().map(ToString::to_string).collect());
    let verifier = ExternalVerifier { scope_claims: named, ..theirs() };
    let mut payload = payload();
    payload.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    let claims = verdict(&verifier, ed25519(), &header(ed25519()), &payload.to_string());
    match claims {
        Ok(claims) => Some(claims.scopes().to_string()),
        Err(refused) => {
            assert_eq!(refused, JSON);
            None
        }
    }
}

#[test]
fn scopes_come_from_the_claims_that_the_host_names_and_from_no_other() {
    let granted = |names: &[&str], claims| scopes_from(names, &claims).unwrap();
    // Entra ID writes a text, Okta a list.
    assert_eq!(granted(&["scp"], json!({ "scp": "write admin" })), "write");
    assert_eq!(granted(&["scp"], json!({ "scp": ["write", "admin"] })), "write");
    assert_eq!(granted(&["roles"], json!({ "roles": ["read", "write"], "scp": "admin" })), "read write");
    assert_eq!(granted(&["scp", "roles"], json!({ "roles": ["read"], "scp": "write" })), "read write");
    assert_eq!(
        granted(&["https://a.example/rights"], json!({ "https://a.example/rights": "write" })),
        "write"
    );
    for nothing in [json!({}), json!({ "scp": "" }), json!({ "scp": [] }), json!({ "scp": [""] })] {
        assert_eq!(granted(&["scp"], nothing), "", "`scope` does not count unless it is named");
    }
    assert_eq!(granted(&["scope"], json!({ "scope": ["read", "write"] })), "read write");
    for whole in [json!(["read write"]), json!(["write "]), json!(["WRITE", "writer"]), json!("read,write")] {
        assert_eq!(granted(&["scp"], json!({ "scp": whole })), "", "{whole}");
    }
    let standard = |claims: Value| {
        let mut payload = payload();
        payload.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        verdict_on(&payload.to_string()).map(|claims| claims.scopes().to_string())
    };
    assert_eq!(standard(json!({ "scp": "write", "roles": ["write"] })), Ok("read".to_owned()));
    assert_eq!(standard(json!({ "scope": ["read"] })), Err(JSON), "the standard claim is a text");
}

#[test]
fn a_scope_claim_of_another_type_refuses_the_token() {
    for odd in [
        json!(null),
        json!(1),
        json!(true),
        json!({}),
        json!({ "0": "read" }),
        json!([1]),
        json!(["read", 1]),
        json!(["read", null]),
        json!([["read"]]),
        json!([{ "value": "read" }]),
    ] {
        for names in [&["scp"][..], &["roles", "scp"]] {
            assert_eq!(scopes_from(names, &json!({ "scp": odd })), None, "{odd}");
        }
        assert!(scopes_from(&["roles"], &json!({ "scp": odd })).is_some(), "nobody reads it: {odd}");
    }
    let text = payload().to_string().replacen('{', r#"{"scp":"read","scp":"write","#, 1);
    assert_eq!(verdict_on(&text).map(drop), Err(JSON), "twice");
}

#[test]
fn the_log_says_which_date_or_scope_claim_is_malformed() {
    let named = ScopeClaims::Named(vec!["scp".to_owned()]);
    let verifier = ExternalVerifier { scope_claims: named, ..theirs() };
    for (claim, value) in [("scp", json!(["read", 1])), ("exp", json!(-1)), ("nbf", json!("1"))] {
        let mut payload = payload();
        payload["scope"] = json!(["not read"]);
        payload[claim] = value;
        let token = forge(ed25519(), header(ed25519()).to_string(), payload.to_string());
        let reason = verdict(&verifier, ed25519(), &header(ed25519()), &payload.to_string()).unwrap_err();
        let told = verifier.explain(&token, reason, &[]).detail.unwrap();
        assert!(told.ends_with(&format!(": {claim} is malformed")), "{told}");
    }
}

#[test]
fn only_a_claim_without_another_meaning_may_hold_scopes() {
    for good in ["scope", "scp", "roles", "groups", "https://a.example/rights"] {
        assert!(ScopeClaims::may_be(good), "{good}");
    }
    for bad in ["", "iss", "sub", "aud", "exp", "cnf", "client_id", &"x".repeat(256)] {
        assert!(!ScopeClaims::may_be(bad), "{bad}");
    }
}

#[test]
fn the_unproven_issuer_is_read_of_a_bounded_well_formed_token_alone() {
    let token = |payload: &str| forge(ed25519(), header(ed25519()).to_string(), payload);
    assert_eq!(unverified_issuer(&token(&payload().to_string())).as_deref(), Some(THEIRS));
    for odd in ["{}", "[]", "null", "{\"iss\":[\"a\"]}", "{\"iss\":\"a\",\"iss\":\"b\"}", "{\"iss\":null}"] {
        assert_eq!(unverified_issuer(&token(odd)), None, "{odd}");
    }
    let long = format!("{{\"iss\":\"{THEIRS}\",\"pad\":\"{}\"}}", "x".repeat(MAX_BYTES));
    assert_eq!(unverified_issuer(&token(&long)), None);
    for odd in ["", ".", "a", "..", "a.b.c", "a.%.c"] {
        assert_eq!(unverified_issuer(odd), None, "{odd}");
    }
}

#[test]
fn who_is_held_to_a_session_is_its_user_and_client() {
    let claims = verdict_on(&payload().to_string()).unwrap();
    let user = UserId::parse("alice").unwrap();
    let held = |client| claims.held_to(SessionId::random(), user.clone(), client).unwrap();
    let person = held(ClientId::parse("sp_bridge").unwrap());
    assert_eq!((person.subject(), person.client().as_str()), (&Subject::User(user.clone()), "sp_bridge"));
    assert_eq!((person.scopes().to_string(), person.expires_at()), ("read".to_owned(), NOW + 600));
    let hooks = held(ClientId::for_hooks_of(&user));
    assert_eq!(hooks.subject(), &Subject::HookClient { owner: user });
}

#[test]
fn the_actor_of_an_external_token_is_named_by_its_issuer() {
    let held = |act: Value| {
        let mut payload = payload();
        payload["act"] = act;
        let claims = verdict_on(&payload.to_string()).unwrap();
        let (user, client) = (UserId::parse("alice").unwrap(), ClientId::parse("sp_bridge").unwrap());
        claims.held_to(SessionId::random(), user, client).map(|claims| claims.actor().cloned())
    };
    let actor = held(json!({ "sub": "b", "act": { "sub": "a", "iss": "https://third.example" } }));
    let actor = actor.unwrap().unwrap();
    assert_eq!((actor.subject(), actor.issuer(), actor.depth()), ("b", Some(THEIRS), 2));
    assert_eq!(actor.actor().unwrap().issuer(), Some("https://third.example"));
    // Nobody would be named, and the caller would seem to be the person alone.
    for odd in [json!({}), json!("b"), json!(null), json!({ "client_id": "b" })] {
        assert_eq!(held(odd.clone()), Err(InvalidClaims::Actor), "{odd}");
    }
}
