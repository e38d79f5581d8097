//! The drill's own book: what it takes for forbidden, for lost, and for an outage.

use std::time::Duration;

use crate::ledger::{Pages, Span, Verdict};
use crate::outage::Outage;

const STRICT: usize = 0;
const WATCHED: usize = 1;

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn span(sent: u64, answered: u64) -> Span {
    Span { sent: at(sent), answered: at(answered) }
}

/// A strict gateway with a `max_proof_age` of 1 s, a watched gateway with a `max_lag` of 500 ms, and twenty sessions
/// that were opened at 10 ms.
fn book() -> Pages {
    let mut pages = Pages::default();
    pages.add_gateway("strict".to_owned(), at(1000), true);
    pages.add_gateway("watched".to_owned(), at(500), false);
    for number in 0..20 {
        pages.opened(format!("session-{number}"), "token".to_owned(), at(10));
    }
    pages
}

/// The same, with a session that was asked to be revoked at 100 ms, which was answered at 200 ms.
fn revoked(acknowledged: bool) -> (Pages, usize) {
    let mut pages = book();
    let (session, _) = pages.pick_to_revoke(at(100)).expect("there are sessions");
    pages.revocation(session, span(100, 200), acknowledged);
    (pages, session)
}

#[test]
fn one_let_in_later_than_the_mode_allows_is_forbidden() {
    for (gateway, sent, forbidden) in
        [(STRICT, 1200, 0), (STRICT, 1201, 1), (WATCHED, 700, 0), (WATCHED, 701, 1)]
    {
        let (mut pages, session) = revoked(true);
        pages.called(session, gateway, span(sent, sent + 5), Verdict::LetIn);
        assert_eq!(pages.counts.forbidden, forbidden, "{gateway} {sent}");
    }
}

#[test]
fn with_one_undisturbed_primary_a_strict_gateway_has_no_time() {
    let let_in = |sent: u64, fault: u64, gateway| {
        let mut pages = book();
        pages.calm(at(50));
        let (session, _) = pages.pick_to_revoke(at(100)).expect("there are sessions");
        pages.revocation(session, span(100, 200), true);
        if fault <= sent {
            pages.fault(at(fault));
        }
        pages.called(session, gateway, span(sent, sent + 5), Verdict::LetIn);
        pages.counts.forbidden
    };
    assert_eq!(let_in(200, 5000, STRICT), 0, "not sent after it");
    assert_eq!(let_in(201, 5000, STRICT), 1);
    assert_eq!(let_in(201, 201, STRICT), 0, "something is wrong");
    assert_eq!(let_in(201, 5000, WATCHED), 0);
}

#[test]
fn one_let_in_before_the_acknowledgement_is_known_is_judged_when_it_is() {
    let mut pages = book();
    let (session, _) = pages.pick_to_revoke(at(100)).expect("there are sessions");
    pages.called(session, STRICT, span(1300, 1310), Verdict::LetIn);
    assert_eq!(pages.counts.forbidden, 0);
    pages.revocation(session, span(100, 200), true);
    assert_eq!(pages.counts.forbidden, 1);
}

#[test]
fn an_unanswered_revocation_binds_nobody() {
    let (mut pages, session) = revoked(false);
    pages.called(session, STRICT, span(9000, 9010), Verdict::LetIn);
    pages.recovered(session, STRICT, span(9100, 9110), Verdict::LetIn);
    pages.recovered(session, WATCHED, span(9100, 9110), Verdict::Refused);
    let counts = pages.counts;
    assert_eq!((counts.forbidden, counts.lost_sessions, counts.lost_revocations), (0, 0, 0));
}

#[test]
fn what_was_acknowledged_and_is_gone_after_the_recovery_is_lost_once() {
    let (mut pages, session) = revoked(true);
    pages.recovered(session, WATCHED, span(600, 610), Verdict::LetIn);
    assert_eq!(pages.counts.lost_revocations, 0, "the mode allows it");
    for gateway in [STRICT, WATCHED] {
        pages.recovered(session, gateway, span(5000, 5010), Verdict::LetIn);
    }
    assert_eq!(pages.counts.lost_revocations, 1);
    let live = usize::from(session == 0);
    pages.recovered(live, STRICT, span(5000, 5010), Verdict::LetIn);
    assert_eq!(pages.counts.lost_sessions, 0);
    pages.recovered(live, STRICT, span(5000, 5010), Verdict::Refused);
    assert_eq!(pages.counts.lost_sessions, 1);
}

#[test]
fn an_outage_lasts_from_the_first_failure_to_what_is_sent_after_it_and_good() {
    let mut outage = Outage::since(at(1000));
    outage.note(span(900, 1100), false);
    outage.note(span(1010, 1020), true);
    outage.note(span(1050, 3000), false);
    assert!(outage.recovery().is_none(), "it is not over");
    outage.note(span(1060, 1900), true);
    outage.note(span(1500, 1600), false);
    outage.note(span(2000, 2100), true);
    let recovery = outage.recovery().expect("it is over");
    assert_eq!((recovery.first, recovery.steady), (at(850), at(1050)));
    assert!(outage.is_over(at(1600)));
    assert!(!outage.is_over(at(2000)), "nothing was tried since");
    outage.note(span(2200, 2300), false);
    assert!(!outage.is_over(at(1600)));
    outage.note(span(2400, 2500), true);
    assert!(outage.is_over(at(1600)));
}
