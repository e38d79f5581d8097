use super::*;
use crate::id::ClientId;
use governor::clock::FakeRelativeClock;

const MINUTE: Duration = Duration::from_secs(60);

fn limits(settings: RateLimits) -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    (Limits::new(settings, clock.clone()).unwrap(), clock)
}

fn at(address: &str) -> Option<IpAddr> {
    Some(address.parse().unwrap())
}

/// How many failed attempts are let through.
fn failures(limits: &Limits<FakeRelativeClock>, from: &str) -> usize {
    let fails = || limits.attempt(at(from)).map(|()| limits.failed(at(from)));
    (0..10_000).take_while(|_| fails().is_ok()).count()
}

#[test]
fn a_failure_is_dearer_than_a_success_and_time_makes_good() {
    let (limits, clock) = limits(RateLimits::default());
    assert!((0..1200).all(|_| limits.attempt(at("192.0.2.1")).is_ok()));
    let refused = limits.attempt(at("192.0.2.1")).unwrap_err();
    assert!(refused.by == "address" && refused.wait <= Duration::from_millis(50), "{refused:?}");
    assert_eq!(failures(&limits, "192.0.2.2"), 60);
    clock.advance(MINUTE);
    assert_eq!(failures(&limits, "192.0.2.2"), 60);
    clock.advance(Duration::from_secs(1));
    assert_eq!(failures(&limits, "192.0.2.2"), 1);
}

#[test]
fn a_crowd_of_failures_at_once_owes_all_of_them() {
    let (limits, clock) = limits(RateLimits::default());
    let crowd = (0..1500).filter(|_| limits.attempt(at("192.0.2.1")).is_ok()).count();
    (0..crowd).for_each(|_| limits.failed(at("192.0.2.1")));
    let wait = limits.attempt(at("192.0.2.1")).unwrap_err().wait;
    assert!(wait > 18 * MINUTE && wait < 21 * MINUTE, "{wait:?}");
    clock.advance(wait);
    assert!(limits.attempt(at("192.0.2.1")).is_ok());
}

#[test]
fn addresses_of_one_ipv6_network_are_one_and_of_ipv4_each_is_its_own() {
    let (limits, _) = limits(RateLimits::default());
    assert_eq!(failures(&limits, "2001:db8::1"), 60);
    assert_eq!(failures(&limits, "2001:db8::ffff:1"), 0);
    assert_eq!(failures(&limits, "2001:db8:0:1::1"), 60);
    assert_eq!(failures(&limits, "192.0.2.1"), 60);
    assert_eq!(failures(&limits, "::ffff:192.0.2.1"), 0);
    assert_eq!(failures(&limits, "192.0.2.2"), 60);
}

#[test]
fn ipv4_addresses_behind_a_translator_are_not_one() {
    let (limits, _) = limits(RateLimits::default());
    assert_eq!(failures(&limits, "64:ff9b::198.51.100.1"), 60);
    assert_eq!(failures(&limits, "64:ff9b::198.51.100.2"), 60);
    assert_eq!(failures(&limits, "198.51.100.1"), 0);
}

#[test]
fn a_client_under_attack_is_refused_where_it_has_just_failed_and_nowhere_else() {
    let (limits, clock) = limits(RateLimits::default());
    let client = ClientId::parse("bridge:alice").unwrap();
    let attackers: Vec<_> = (0..200).map(|n| at(&format!("198.51.100.{n}"))).collect();
    for attacker in &attackers {
        limits.client_attempt(*attacker, &client).unwrap();
        limits.client_failed(*attacker, &client);
    }
    for attacker in &attackers {
        let refused = limits.client_attempt(*attacker, &client).unwrap_err();
        assert_eq!((refused.by, refused.wait), ("client", MINUTE));
    }
    assert!((0..1000).all(|_| limits.client_attempt(at("192.0.2.1"), &client).is_ok()));
    assert!(limits.client_attempt(attackers[0], &ClientId::parse("bridge:bob").unwrap()).is_ok());
    clock.advance(MINUTE);
    assert!(limits.client_attempt(attackers[0], &client).is_ok());
}

#[test]
fn a_client_that_is_not_under_attack_may_mistype() {
    let (limits, _) = limits(RateLimits::default());
    let client = ClientId::parse("bridge:alice").unwrap();
    for _ in 0..20 {
        limits.client_attempt(at("192.0.2.1"), &client).unwrap();
        limits.client_failed(at("192.0.2.1"), &client);
    }
    assert!(limits.client_attempt(at("192.0.2.1"), &client).is_ok());
}

fn bridge() -> ClientId {
    ClientId::parse("sp_bridge").unwrap()
}

#[test]
fn what_is_given_back_was_never_taken() {
    let (limits, clock) = limits(RateLimits::default().per_address(2));
    for _ in 0..1000 {
        limits.attempt(at("192.0.2.1")).unwrap();
        limits.give_back(at("192.0.2.1"));
    }
    // Nobody gains anything by it: there are two attempts as before.
    assert!(limits.attempt(at("192.0.2.1")).is_ok() && limits.attempt(at("192.0.2.1")).is_ok());
    assert!(limits.attempt(at("192.0.2.1")).is_err());
    limits.give_back(at("192.0.2.1"));
    assert!(limits.attempt(at("192.0.2.1")).is_ok() && limits.attempt(at("192.0.2.1")).is_err());
    limits.give_back(at("192.0.2.9"));
    limits.give_back(None);
    clock.advance(MINUTE);
    assert!(
        (0..2).all(|_| limits.attempt(at("192.0.2.9")).is_ok()) && limits.attempt(at("192.0.2.9")).is_err()
    );
}

#[test]
fn a_client_that_proves_itself_does_not_use_up_its_own_limit() {
    let (limits, _) = limits(RateLimits::default().per_client(10));
    for _ in 0..1000 {
        assert_eq!(limits.client_attempt(at("192.0.2.1"), &bridge()), Ok(true));
        limits.client_succeeded(&bridge());
    }
    limits.client_attempt(at("192.0.2.1"), &bridge()).unwrap();
    limits.client_failed(at("192.0.2.1"), &bridge());
    assert!(limits.client_attempt(at("192.0.2.1"), &bridge()).is_err(), "failures count as before");
    assert_eq!(limits.client_attempt(at("192.0.2.2"), &bridge()), Ok(false));
}

#[test]
fn a_refresh_token_is_limited_once_it_was_refused_and_no_other_with_it() {
    let (limits, clock) = limits(RateLimits::default());
    let show = |text| limits.refresh_with(&bridge(), text);
    assert!((0..1000).all(|_| show("good").is_ok()), "a good one has no limit");
    assert!(!limits.refresh_refused(show("dead").unwrap()), "the first time it may be a guess");
    for _ in 0..10 {
        assert!(limits.refresh_refused(show("dead").unwrap()));
    }
    let refused = show("dead").unwrap_err();
    assert!(refused.by == "refresh_token" && refused.wait <= Duration::from_secs(6), "{refused:?}");
    assert!(show("good").is_ok());
    let other = ClientId::parse("editor").unwrap();
    assert!(
        limits.refresh_with(&other, "dead").is_ok(),
        "what one client did is not counted against another"
    );
    clock.advance(MINUTE);
    assert!(limits.refresh_refused(show("dead").unwrap()), "it is no guess later either");
}

#[test]
fn a_client_that_introspects_has_a_limit_of_its_own() {
    let (limits, _) = limits(RateLimits::default().introspections_per_client(5));
    assert!((0..5).all(|_| limits.introspection_by(&bridge()).is_ok()));
    assert_eq!(limits.introspection_by(&bridge()).unwrap_err().by, "introspection");
    assert!(limits.introspection_by(&ClientId::parse("api").unwrap()).is_ok());
}

#[test]
fn who_has_no_address_is_not_limited_by_it() {
    let (limits, _) = limits(RateLimits::default());
    for _ in 0..5000 {
        limits.attempt(None).unwrap();
        limits.failed(None);
    }
    assert!(Limits::new(RateLimits::off(), MonotonicClock).is_none());
}

#[test]
fn attack_a97_a_million_keys_stay_within_the_bound() {
    let (limits, _) = limits(RateLimits::default().max_keys(10_000));
    for n in 0..250_000_u32 {
        let address = Some(IpAddr::from(n.to_be_bytes()));
        let _ = limits.attempt(address);
        let client = ClientId::parse(format!("bridge:{n}")).unwrap();
        limits.client_failed(address, &client);
        let _ = limits.code_for(&UserId::parse(format!("{n}")).unwrap());
        let token = limits.refresh_with(&bridge(), &n.to_string()).unwrap();
        limits.refresh_refused(token);
        let _ = limits.refresh_with(&bridge(), &n.to_string());
    }
    for limiter in [&limits.addresses, &limits.clients, &limits.people] {
        assert!(limiter.keys() <= 10_000, "{}", limiter.keys());
    }
    for remembered in [limits.failures.len(), limits.refused_tokens.len()] {
        assert!(remembered <= 10_000, "{remembered}");
    }
}

#[test]
fn only_callers_who_owe_nothing_are_forgotten() {
    let (limits, clock) = limits(RateLimits::default());
    let client = ClientId::parse("bridge:alice").unwrap();
    for number in 0..1000_u32 {
        limits.attempt(Some(IpAddr::from(number.to_be_bytes()))).unwrap();
    }
    assert_eq!(failures(&limits, "192.0.2.1"), 60);
    limits.client_failed(at("192.0.2.1"), &client);
    let known = || limits.addresses.keys() + limits.failures.len();
    assert_eq!(known(), 1002);
    clock.advance(Duration::from_secs(1));
    limits.forget_rested();
    assert_eq!(known(), 2);
    assert!(failures(&limits, "192.0.2.1") <= 1, "what it owes is not forgotten");
    clock.advance(2 * MINUTE);
    limits.forget_rested();
    assert_eq!(known(), 0);
}
