//! Claims that our own key has signed, and that are refused all the same.

use serde_json::{Value, json};

use super::super::fixture::*;
use crate::id::Audience;
use crate::token::{InvalidClaims, InvalidToken, Subject};

const JSON: InvalidToken = InvalidToken::Claims(InvalidClaims::Json);

fn verdict_with(claim: &str, value: Value) -> Result<(), InvalidToken> {
    let mut payload = payload();
    payload[claim] = value;
    verdict_on_payload(payload.to_string()).map(drop)
}

/// The verdict when `claim` has exactly this text.
fn verdict_with_text(claim: &str, text: &str) -> Result<(), InvalidToken> {
    let mut payload = payload();
    payload[claim] = json!("PLACEHOLDER");
    verdict_on_payload(payload.to_string().replace("\"PLACEHOLDER\"", text)).map(drop)
}

#[test]
fn good_claims_pass_so_the_others_fail_for_their_own_sake() {
    assert_eq!(verdict_on_payload(payload().to_string()).map(drop), Ok(()));
}

#[test]
fn every_claim_is_required_and_typed() {
    let texts = ["iss", "sub", "jti", "client_id", "scope", "sid"];
    let numbers = ["exp", "iat", "nbf", "auth_time"];
    for claim in texts.iter().chain(&numbers).chain(&["aud"]) {
        let mut missing = payload();
        missing.as_object_mut().unwrap().remove(*claim);
        assert_eq!(verdict_on_payload(missing.to_string()).map(drop), Err(JSON), "no {claim}");
        for value in [json!(null), json!(true), json!({}), json!([1]), json!([[]]), json!({ "a": "b" })] {
            assert_eq!(verdict_with(claim, value.clone()), Err(JSON), "{claim}: {value}");
        }
    }
    for claim in texts {
        for value in [json!(1), json!(["a"])] {
            assert_eq!(verdict_with(claim, value.clone()), Err(JSON), "{claim}: {value}");
        }
    }
    for claim in ["iss", "sub", "jti", "client_id", "sid", "aud", "exp", "iat", "nbf", "auth_time"] {
        assert!(verdict_with(claim, json!("")).is_err(), "empty {claim}");
    }
}

#[test]
fn times_are_numbers_and_nothing_else() {
    for claim in ["exp", "iat", "nbf", "auth_time"] {
        for text in [
            "-1",
            "-0",
            "-1.5",
            "1e30",
            "1e400",
            "18446744073709551616",
            "\"1800000100\"",
            "[1800000100]",
            "01800000100",
            "+1800000100",
            "0x6b49d264",
            "NaN",
            "Infinity",
            "1_0",
        ] {
            assert_eq!(verdict_with_text(claim, text), Err(JSON), "{claim}: {text}");
        }
    }
}

#[test]
fn row_74_a_fraction_never_makes_a_token_good_for_longer() {
    let with = |exp: &str, nbf: &str| {
        let mut payload = payload();
        payload["iat"] = json!(NOW - 60);
        let text = payload.to_string();
        let [exp_now, nbf_now] = ["exp", "nbf"].map(|name| format!("\"{name}\":{}", payload[name]));
        let text = text.replace(&exp_now, &format!("\"exp\":{exp}"));
        verdict_on_payload(text.replace(&nbf_now, &format!("\"nbf\":{nbf}")))
            .map(|claims| claims.expires_at())
    };
    assert_eq!((NOW, LEEWAY), (1_800_000_000, 10), "the texts below are made for these");
    for (exp, counts) in [
        ("1800000100.5", 1_800_000_100),
        ("1800000100.0", 1_800_000_100),
        ("1.8000001e9", 1_800_000_100),
        ("1800000001.999999999999999", 1_800_000_001),
    ] {
        assert_eq!(with(exp, "1800000000"), Ok(counts), "{exp}");
    }
    for exp in ["1799999999.5", "1799999999.99999999999999999999", "1800000000.0", "1800000000.9", "1.8e9"] {
        assert_eq!(with(exp, "1799999900"), Err(InvalidToken::Expired), "{exp}");
    }
    assert!(with("1800000100", "1800000009.5").is_ok() && with("1800000100", "1.800000010e9").is_ok());
    for nbf in ["1800000010.5", "1800000010.00000000000000000001"] {
        assert_eq!(with("1800000100", nbf), Err(InvalidToken::NotYetValid), "{nbf}");
    }
    for iat in ["1799999999.5", "1800000010.9"] {
        assert_eq!(verdict_with_text("iat", iat), Ok(()), "{iat}");
    }
    assert_eq!(verdict_with_text("exp", "18446744073709551615.0"), Err(InvalidToken::TooLongLived));
}

#[test]
fn expiry_is_exact_and_never_endless() {
    for exp in [NOW + 1, NOW + MAX_LIFE] {
        assert_eq!(verdict_with("exp", json!(exp)), Ok(()), "{exp}");
    }
    for exp in [0, 1, NOW - LEEWAY - 1, NOW - 1] {
        assert!(verdict_with("exp", json!(exp)).is_err(), "{exp}");
    }
    let mut expired = payload();
    expired["iat"] = json!(NOW - 60);
    expired["exp"] = json!(NOW);
    assert_eq!(verdict_on_payload(expired.to_string()).map(drop), Err(InvalidToken::Expired));
    for exp in [NOW + MAX_LIFE + 1, 1 << 63, u64::MAX - 1, u64::MAX] {
        assert_eq!(verdict_with("exp", json!(exp)), Err(InvalidToken::TooLongLived), "{exp}");
    }
}

#[test]
fn the_future_is_allowed_within_the_leeway_alone() {
    for claim in ["nbf", "iat"] {
        assert_eq!(verdict_with(claim, json!(NOW + LEEWAY)), Ok(()), "{claim}");
        for seconds in [NOW + LEEWAY + 1, NOW + 61] {
            assert_eq!(verdict_with(claim, json!(seconds)), Err(InvalidToken::NotYetValid), "{claim}");
        }
    }
    assert_eq!(verdict_with("nbf", json!(u64::MAX)), Err(InvalidToken::NotYetValid));
    for iat in [NOW + 601, u64::MAX] {
        let issued_after = InvalidToken::Claims(InvalidClaims::IssuedAfterExpiry);
        assert_eq!(verdict_with("iat", json!(iat)), Err(issued_after), "{iat}");
    }
}

#[test]
fn the_issuer_is_compared_byte_for_byte() {
    for iss in [
        "https://gateway.example/",
        "https://Gateway.example",
        "HTTPS://gateway.example",
        "http://gateway.example",
        "https://gateway.example:443",
        "https://gatewаy.example",
        "https://gateway.exampl",
        "https://gateway.example.evil",
        " https://gateway.example",
        "",
    ] {
        assert_eq!(verdict_with("iss", json!(iss)), Err(InvalidToken::Issuer), "{iss}");
    }
    assert_eq!(verdict_with("iss", json!([ISSUER])), Err(JSON));
}

#[test]
fn the_audience_is_one_text_or_up_to_sixteen() {
    let bridge = Audience::parse("bridge").unwrap();
    let verdict = |aud: &Value| -> Result<bool, InvalidToken> {
        let mut payload = payload();
        payload["aud"] = aud.clone();
        Ok(verdict_on_payload(payload.to_string())?.audiences().contains(&bridge))
    };
    let sixteen: Vec<_> = (1..16).map(|n| n.to_string()).chain(["bridge".into()]).collect();
    for aud in [json!("bridge"), json!(["bridge"]), json!(["x", "bridge"]), json!(sixteen)] {
        assert_eq!(verdict(&aud), Ok(true), "{aud}");
    }
    for other in ["Bridge", "bridge.evil", "bridg", "evil.bridge", "bridge/", "mcp"] {
        assert_eq!(verdict(&json!(other)), Ok(false), "{other}");
        assert_eq!(verdict(&json!([other])), Ok(false), "{other}");
    }
    for malformed in
        [json!("bridge "), json!([]), json!([1]), json!(["bridge", 1]), json!({}), json!([["bridge"]])]
    {
        assert!(matches!(verdict(&malformed), Err(InvalidToken::Claims(_))), "{malformed}");
    }
    let seventeen: Vec<_> = (1..17).map(|n| n.to_string()).chain(["bridge".into()]).collect();
    let too_many = InvalidToken::Claims(InvalidClaims::Audiences);
    assert_eq!(verdict(&json!(seventeen)), Err(too_many));
    assert_eq!(verdict(&json!(vec!["b"; 1000])), Err(too_many));
    assert_eq!(verdict(&json!(vec!["b"; 10_000])), Err(InvalidToken::TooLong));
}

#[test]
fn repeated_claims_are_refused_however_they_are_spelt() {
    let good = payload().to_string();
    for (plain, escaped) in [
        (r#""exp":1800000100"#, r#""\u0065xp":1800000100"#),
        (r#""aud":"bridge""#, r#""a\u0075d":"bridge""#),
        (r#""sub":"mallory""#, r#""\u0073ub":"mallory""#),
        (r#""sid":"sess_1""#, r#""si\u0064":"sess_1""#),
        (r#""iss":"https://gateway.example""#, r#""\u0069ss":"https://gateway.example""#),
    ] {
        for member in [plain, escaped] {
            for spoilt in
                [good.replacen('{', &format!("{{{member},"), 1), good.replace('}', &format!(",{member}}}"))]
            {
                assert_eq!(verdict_on_payload(&spoilt).map(drop), Err(JSON), "{spoilt}");
            }
        }
    }
}

#[test]
fn kinds_of_subject_cannot_pass_for_each_other() {
    let wrong = Err(InvalidToken::Claims(InvalidClaims::Subject));
    assert_eq!(verdict_with("owner", json!("alice@example.com")), wrong, "an owner beside a person");
    assert_eq!(verdict_with("owner", json!(null)), Err(JSON));
    let mut workload = payload();
    workload["sub"] = json!("sp_bridge");
    let workload = verdict_on_payload(workload.to_string()).unwrap().subject;
    assert!(
        matches!(&workload, Subject::Workload { user } if user.as_str() == "client:sp_bridge"),
        "{workload:?}"
    );
    assert_eq!(verdict_with("sub", json!("a\u{0}b")), wrong);

    let mut hook: Value = serde_json::from_slice(&hook_claims().to_json()).unwrap();
    let subject = verdict_on_payload(hook.to_string()).unwrap().subject;
    assert!(matches!(subject, Subject::HookClient { owner } if owner.as_str() == "alice@example.com"));
    hook["sub"] = json!("alice@example.com");
    assert_eq!(verdict_on_payload(hook.to_string()).map(drop), wrong);
    hook["sub"] = hook["client_id"].clone();
    hook.as_object_mut().unwrap().remove("owner");
    assert_eq!(verdict_on_payload(hook.to_string()).map(drop), wrong, "a hook client without its owner");
}

#[test]
fn the_payload_is_one_json_object_in_utf_8() {
    let good = payload().to_string();
    // In the order of the struct they are read into, which could be read from an array too.
    let values =
        ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "sid", "auth_time", "owner"]
            .map(|name| if name == "owner" { "alice".into() } else { payload()[name].clone() });
    let mut values = values.to_vec();
    values[1] = values[7].clone();
    let utf_16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let invalid_utf_8 = [good.trim_end_matches('}').as_bytes(), b",\"x\":\"\xff\"}"].concat();
    let lone_surrogate = good.replace("sp_bridge", r"\ud800");
    let deep = good.replacen('{', &format!("{{\"aud\":{}", "[".repeat(4000)), 1);
    let texts = [
        format!("{good}x"),
        format!("{good}{good}"),
        format!("\u{feff}{good}"),
        format!("// comment\n{good}"),
        format!("[{good}]"),
        good.replace('}', ",}"),
        good.replace('"', "'"),
        json!(values).to_string(),
        lone_surrogate,
        deep,
        "[".repeat(5000),
        "{\"a\":".repeat(1000),
        String::new(),
        "null".into(),
        "{}".into(),
    ];
    let bytes = texts.into_iter().map(String::into_bytes).chain([utf_16, invalid_utf_8, vec![0xff; 100]]);
    for payload in bytes {
        assert_eq!(
            verdict_on_payload(&payload).map(drop),
            Err(JSON),
            "{}",
            String::from_utf8_lossy(&payload)
        );
    }
}

#[test]
fn other_claims_are_ignored_however_deep_or_many() {
    let good = payload().to_string();
    let nested = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    let many: String = (0..400).map(|n| format!("\"m{n}\":0,")).collect();
    for extra in [r#""x":1,"#, &format!("\"x\":{nested},"), &many] {
        assert_eq!(verdict_on_payload(good.replacen('{', &format!("{{{extra}"), 1)).map(drop), Ok(()));
    }
    let endless = format!("{{\"x\":{}", "[".repeat(100_000));
    assert_eq!(verdict_on_payload(endless).map(drop), Err(InvalidToken::TooLong));
}
