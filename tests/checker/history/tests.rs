use super::*;

const LAG: Duration = Duration::from_millis(100);
const MAX_PROOF_AGE: Duration = Duration::from_millis(50);

fn span(sent: u64, answered: u64) -> Span {
    Span { sent: Duration::from_millis(sent), answered: Duration::from_millis(answered) }
}

fn call(session: usize, sent: u64, verdict: Verdict) -> Call {
    Call { session, gateway: 0, span: span(sent, sent + 5), verdict }
}

fn revocation(session: Option<usize>, sent: u64, acknowledged: bool) -> Revocation {
    Revocation { what: "test", of_colleague: false, session, span: span(sent, sent + 10), acknowledged }
}

/// Sessions opened from 0 to 10 ms and from 500 to 510 ms.
fn history(revocations: Vec<Revocation>, call: Call) -> History {
    let openings = vec![span(0, 10), span(500, 510)];
    History { openings, calls: vec![call], revocations, ..History::default() }
}

fn breaks(history: &History, max_lag: Duration) -> bool {
    breaks_beside(&[], history, max_lag)
}

fn breaks_beside(doubled: &[Span], history: &History, max_lag: Duration) -> bool {
    !history.violations(&Promise { max_lag, max_proof_age: MAX_PROOF_AGE }, doubled).is_empty()
}

#[test]
fn one_let_in_too_late_is_a_violation() {
    for named in [Some(0), None] {
        let at = |sent| history(vec![revocation(named, 200, true)], call(0, sent, Verdict::LetIn));
        assert!(!breaks(&at(209), Duration::ZERO), "sent before the answer");
        assert!(breaks(&at(211), Duration::ZERO));
        assert!(!breaks(&at(309), LAG));
        assert!(breaks(&at(311), LAG));
    }
}

#[test]
fn beside_a_second_primary_a_strict_gateway_may_let_in_until_its_proof_is_too_old() {
    let at = |sent| history(vec![revocation(Some(0), 200, true)], call(0, sent, Verdict::LetIn));
    for doubled in [span(100, 900), span(0, 205), span(205, 900)] {
        assert!(!breaks_beside(&[doubled], &at(259), Duration::ZERO));
        assert!(breaks_beside(&[doubled], &at(261), Duration::ZERO));
        assert!(!breaks_beside(&[doubled], &at(309), LAG));
        assert!(breaks_beside(&[doubled], &at(311), LAG));
    }
    for doubled in [span(0, 199), span(211, 900)] {
        assert!(breaks_beside(&[doubled], &at(212), Duration::ZERO), "there was one primary");
    }
}

#[test]
fn a_later_revocation_may_bind_where_an_earlier_one_does_not_yet() {
    let both = vec![revocation(Some(0), 200, true), revocation(Some(0), 220, true)];
    let seen = history(both, call(0, 240, Verdict::LetIn));
    assert!(breaks_beside(&[span(0, 215)], &seen, Duration::ZERO));
    assert!(!breaks_beside(&[span(0, 225)], &seen, Duration::ZERO));
}

#[test]
fn beside_a_second_primary_a_new_session_may_be_unknown_until_the_proof_is_too_old() {
    let at = |sent| history(vec![], call(1, sent, Verdict::Refused));
    let doubled = [span(400, 900)];
    assert!(!breaks_beside(&doubled, &at(559), Duration::ZERO));
    assert!(breaks_beside(&doubled, &at(561), Duration::ZERO));
    assert!(!breaks_beside(&doubled, &at(609), LAG));
    assert!(breaks_beside(&doubled, &at(611), LAG));
    let known_before = history(vec![], call(0, 520, Verdict::Refused));
    assert!(breaks_beside(&doubled, &known_before, LAG));
}

#[test]
fn what_was_not_acknowledged_or_is_another_sessions_binds_nobody() {
    let unanswered = history(vec![revocation(Some(0), 200, false)], call(0, 900, Verdict::LetIn));
    assert!(!breaks(&unanswered, LAG));
    let of_another = history(vec![revocation(Some(1), 600, true)], call(0, 900, Verdict::LetIn));
    assert!(!breaks(&of_another, LAG));
    let opened_later = history(vec![revocation(None, 200, true)], call(1, 900, Verdict::LetIn));
    assert!(!breaks(&opened_later, LAG));
}

#[test]
fn a_refusal_needs_a_revocation_that_may_have_happened() {
    let refused = |revocations, session, sent| history(revocations, call(session, sent, Verdict::Refused));
    assert!(breaks(&refused(vec![], 0, 100), LAG));
    assert!(!breaks(&refused(vec![revocation(Some(0), 100, false)], 0, 100), LAG));
    assert!(breaks(&refused(vec![revocation(Some(0), 200, true)], 0, 100), LAG), "it was revoked later");
    assert!(breaks(&refused(vec![revocation(None, 200, true)], 1, 600), LAG), "it was opened later");
    assert!(!breaks(&refused(vec![revocation(None, 495, true)], 1, 600), LAG), "it was being opened");
}

/// Session 1 hangs on session 0.
fn of_two(revocations: Vec<Revocation>, call: Call) -> History {
    History { parents: [(1, 0)].into(), ..history(revocations, call) }
}

#[test]
fn whoever_hangs_on_a_session_ends_with_it_and_not_the_other_way_round() {
    let end = |named, sent| vec![revocation(Some(named), sent, true)];
    assert!(breaks(&of_two(end(0, 600), call(1, 700, Verdict::LetIn)), Duration::ZERO));
    assert!(!breaks(&of_two(end(0, 600), call(1, 611, Verdict::LetIn)), LAG));
    assert!(!breaks(&of_two(end(0, 600), call(1, 700, Verdict::Refused)), Duration::ZERO));
    assert!(!breaks(&of_two(end(1, 600), call(0, 700, Verdict::LetIn)), Duration::ZERO));
    assert!(breaks(&of_two(end(1, 600), call(0, 700, Verdict::Refused)), Duration::ZERO));
    // It was being opened when the other one ended: it may live or not.
    assert!(!breaks(&of_two(end(0, 505), call(1, 700, Verdict::LetIn)), Duration::ZERO));
    assert!(!breaks(&of_two(end(0, 505), call(1, 700, Verdict::Refused)), Duration::ZERO));
}

#[test]
fn over_several_links_too() {
    let openings = vec![span(0, 10), span(20, 30), span(40, 50)];
    let at = |verdict| History {
        openings: openings.clone(),
        parents: [(1, 0), (2, 1)].into(),
        calls: vec![call(2, 200, verdict)],
        revocations: vec![revocation(Some(0), 100, true)],
        ..History::default()
    };
    assert!(breaks(&at(Verdict::LetIn), Duration::ZERO));
    assert!(!breaks(&at(Verdict::Refused), Duration::ZERO));
}

/// Session 2 is a colleague's. Session 1 was exchanged from session 0 by them, and session 3 from session 1.
fn acted(revocation: Revocation, session: usize, verdict: Verdict) -> History {
    History {
        openings: vec![span(0, 10), span(40, 50), span(20, 30), span(60, 70)],
        parents: [(1, 0), (3, 1)].into(),
        actors: [(1, 2)].into(),
        colleagues: [2].into(),
        calls: vec![call(session, 200, verdict)],
        revocations: vec![revocation],
        ..History::default()
    }
}

#[test]
fn whoever_acts_by_a_token_of_their_own_takes_along_what_they_act_by() {
    let of_colleague = Revocation { of_colleague: true, ..revocation(None, 100, true) };
    for end in [revocation(Some(2), 100, true), of_colleague] {
        for (session, is_ended) in [(0, false), (1, true), (2, true), (3, true)] {
            let breaks_if = |verdict| breaks(&acted(end.clone(), session, verdict), Duration::ZERO);
            assert_eq!(breaks_if(Verdict::LetIn), is_ended, "{session}");
            assert_eq!(breaks_if(Verdict::Refused), !is_ended, "{session}");
        }
    }
    // The colleague goes on without the person.
    for end in [revocation(Some(0), 100, true), revocation(None, 100, true)] {
        assert!(!breaks(&acted(end.clone(), 2, Verdict::LetIn), Duration::ZERO));
        assert!(breaks(&acted(end.clone(), 2, Verdict::Refused), Duration::ZERO));
        assert!(breaks(&acted(end, 3, Verdict::LetIn), Duration::ZERO));
    }
}

#[test]
fn an_answer_that_is_none_of_the_three_or_never_comes_is_a_violation() {
    assert!(!breaks(&history(vec![], call(0, 100, Verdict::Unavailable)), LAG));
    assert!(breaks(&history(vec![], call(0, 100, Verdict::Other("500".to_owned()))), LAG));
    let late = Call { span: span(100, 16_000), ..call(0, 100, Verdict::Unavailable) };
    assert!(breaks(&history(vec![], late), LAG));
}

#[test]
fn a_revocation_is_in_force_when_none_is_let_in_any_more() {
    let mut seen = history(vec![revocation(Some(0), 200, true)], call(0, 220, Verdict::LetIn));
    seen.calls.push(call(0, 230, Verdict::Refused));
    seen.calls.push(call(0, 240, Verdict::LetIn));
    seen.calls.push(call(0, 250, Verdict::Unavailable));
    seen.calls.push(Call { gateway: 1, ..call(0, 211, Verdict::Refused) });
    let delay = |last_let_in, in_force| Delay {
        last_let_in: Duration::from_millis(last_let_in),
        in_force: Duration::from_millis(in_force),
    };
    assert_eq!(seen.delays(), [delay(30, 40), delay(0, 1)]);
}
