//! The fence and the batches, under every order of events that threads and memory allow: loom goes through them.
//!
//! The modules below are those that run, compiled once more over loom's atomics and locks.

#[allow(dead_code, clippy::duplicate_mod, reason = "the model needs less of it")]
#[path = "batches.rs"]
mod batches;
#[allow(dead_code, clippy::duplicate_mod, reason = "the model needs less of it")]
#[path = "cached_verdict.rs"]
mod cached_verdict;
#[allow(dead_code, clippy::duplicate_mod, reason = "the model needs less of it")]
#[path = "revocation_fence.rs"]
mod revocation_fence;
mod sync {
    pub(super) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    pub(super) use loom::sync::{Mutex, MutexGuard};
}

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use loom::thread;

use self::batches::{Answer, Batches, Running};
use self::cached_verdict::{CachedVerdict, FenceReading};
use self::revocation_fence::RevocationFence;
use crate::clock::Moment;
use crate::id::{ClientId, SessionId, UserId};
use crate::store::{Revocation, SessionKey};

/// A store with one session, which knows its revocation by the log alone, as a look-up knows it by the row.
#[derive(Default)]
struct Store(sync::Mutex<bool>);

impl Store {
    fn revoke(&self) {
        *self.0.lock().unwrap() = true;
    }

    fn is_revoked(&self) -> bool {
        *self.0.lock().unwrap()
    }
}

struct Fenced {
    epochs: RevocationFence,
    store: Store,
    session: SessionId,
    user: UserId,
    client: ClientId,
}

impl Fenced {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            epochs: RevocationFence::with_places(1),
            store: Store::default(),
            session: SessionId::parse("s").unwrap(),
            user: UserId::parse("u").unwrap(),
            client: ClientId::parse("c").unwrap(),
        })
    }

    /// One reading of the log, as the watcher does it; whether it found the revocation.
    fn read_log(&self, started: Moment, max_lag: Duration, all: bool) -> bool {
        let found = self.store.is_revoked();
        let entry = [Revocation::Session(self.session.clone())];
        let page = match found {
            true if all => None,
            true => Some(&entry[..]),
            false => Some(&[][..]),
        };
        self.epochs.take_in(page, started, max_lag);
        found
    }

    /// A request that looks the session up, and one after it that may be let in by what was remembered.
    fn is_let_in_from_memory(&self, now: Moment) -> bool {
        let mark = self.epochs.mark(&self.session, &self.user, &self.client);
        let is_live = !self.store.is_revoked();
        let (steady, wall) = self.epochs.nanoseconds(now);
        is_live && self.epochs.vouch_for(&mark, steady, wall)
    }
}

/// The request comes when only a reading that is yet to start can prove anything. If that reading found the
/// revocation, nobody is let in by what was remembered before it.
fn no_reading_lets_in_what_it_found_revoked(all: bool) {
    loom::model(move || {
        let fenced = Fenced::new();
        let lag = Duration::from_secs(1);
        let now = Moment::now();
        let revoker = thread::spawn({
            let fenced = fenced.clone();
            move || fenced.store.revoke()
        });
        let watcher = thread::spawn({
            let fenced = fenced.clone();
            move || fenced.read_log(now, lag, all)
        });
        let layer_verdict = fenced.is_let_in_from_memory(now);
        revoker.join().unwrap();
        let found = watcher.join().unwrap();
        assert!(!(layer_verdict && found), "let in though the reading that proves it found the revocation");
    });
}

#[test]
fn the_fence_holds_for_one_entry() {
    no_reading_lets_in_what_it_found_revoked(false);
}

#[test]
fn the_fence_holds_when_all_is_forgotten() {
    no_reading_lets_in_what_it_found_revoked(true);
}

/// So that the test above does not hold because nobody is ever let in.
#[test]
fn what_is_not_revoked_is_let_in_from_memory_under_some_order() {
    let layer_verdict = Arc::new(AtomicUsize::new(0));
    let count = layer_verdict.clone();
    loom::model(move || {
        let fenced = Fenced::new();
        let now = Moment::now();
        let watcher = thread::spawn({
            let fenced = fenced.clone();
            move || fenced.read_log(now, Duration::from_secs(1), false)
        });
        count.fetch_add(fenced.is_let_in_from_memory(now).into(), SeqCst);
        watcher.join().unwrap();
    });
    assert!(layer_verdict.load(SeqCst) > 0);
}

/// Under all orders in which the threads take turns a few times: a verdict has so many parts that all orders take minutes.
fn in_few_turns(model: impl Fn() + Sync + Send + 'static) {
    let mut orders = loom::model::Builder::new();
    orders.preemption_bound = Some(2);
    orders.check(model);
}

/// Looks the session up again and again, and remembers each verdict in the one place.
fn remember_often(fenced: &Fenced, slot: &CachedVerdict, started: Moment, times: u64) {
    for time in 1..=times {
        let mark = fenced.epochs.mark(&fenced.session, &fenced.user, &fenced.client);
        if !fenced.store.is_revoked() {
            slot.remember(&fenced.epochs, &FenceReading { mark, started }, Duration::from_secs(60 * time));
        }
    }
}

/// Parts of several verdicts are read as one. Once the reading that found the revocation is over, none of them lets anyone in.
#[test]
fn no_parts_of_verdicts_make_one_that_outlives_a_revocation() {
    in_few_turns(|| {
        let (fenced, slot) = (Fenced::new(), Arc::new(CachedVerdict::default()));
        let now = Moment::now();
        let remembering = thread::spawn({
            let (fenced, slot) = (fenced.clone(), slot.clone());
            move || remember_often(&fenced, &slot, now, 2)
        });
        fenced.store.revoke();
        assert!(fenced.read_log(now, Duration::from_secs(1), false), "the revocation was there");
        assert!(!slot.is_good(&fenced.epochs, now), "let in after the reading");
        remembering.join().unwrap();
        assert!(!slot.is_good(&fenced.epochs, now), "let in later");
    });
}

/// So that the test above does not hold because nobody is ever let in.
#[test]
fn parts_of_verdicts_are_good_while_nobody_is_revoked() {
    let layer_verdict = Arc::new(AtomicUsize::new(0));
    let count = layer_verdict.clone();
    in_few_turns(move || {
        let (fenced, slot) = (Fenced::new(), Arc::new(CachedVerdict::default()));
        let now = Moment::now();
        let remembering = thread::spawn({
            let (fenced, slot) = (fenced.clone(), slot.clone());
            move || remember_often(&fenced, &slot, now, 2)
        });
        fenced.read_log(now, Duration::from_secs(1), false);
        count.fetch_add(slot.is_good(&fenced.epochs, now).into(), SeqCst);
        remembering.join().unwrap();
        assert!(slot.is_good(&fenced.epochs, now));
    });
    assert!(layer_verdict.load(SeqCst) > 0);
}

/// The query that answers, or that none ever will.
#[derive(Default)]
struct Started(OnceLock<Option<Query>>);

struct Query {
    started: usize,
    sessions: Vec<SessionKey>,
    is_seen: bool,
}

impl Answer for Started {
    fn abandon(&self) {
        let _ = self.0.set(None);
    }
}

/// What a model of the batches counts; its time goes on with every event.
#[derive(Default)]
struct Seen {
    time: AtomicUsize,
    running: AtomicUsize,
    most_running: AtomicUsize,
}

impl Seen {
    fn tick(&self) -> usize {
        self.time.fetch_add(1, SeqCst)
    }

    /// Runs queries as the task of `lookups` does; the first ends early when it `breaks`.
    fn run(&self, mut running: Running<Started>, breaks: bool) {
        self.most_running.fetch_max(self.running.fetch_add(1, SeqCst) + 1, SeqCst);
        while let Some(batch) = running.batch() {
            assert!(!batch.sessions().is_empty());
            let (sessions, is_seen) = (batch.sessions().to_vec(), batch.is_seen());
            let started = self.tick();
            // Others run before a query is answered.
            thread::yield_now();
            if breaks {
                break;
            }
            let query = Query { started, sessions, is_seen };
            assert!(batch.answer().0.set(Some(query)).is_ok(), "no query is answered twice");
            running.next();
        }
        self.running.fetch_sub(1, SeqCst);
    }
}

fn key(id: &str) -> SessionKey {
    SessionKey::of(SessionId::parse(id).unwrap())
}

/// Some ask at once, the first of whom may have its query broken; each must get an answer that is fresh.
fn all_are_answered(askers: usize, max_running: usize, breaks: bool) {
    loom::model(move || {
        let batches = Batches::<Started>::new(max_running);
        let seen = Arc::new(Seen::default());
        let asking: Vec<_> = (0..askers)
            .map(|asker| {
                let (batches, seen) = (batches.clone(), seen.clone());
                thread::spawn(move || {
                    // Two of them ask for the same.
                    let session = key(&format!("s{}", asker / 2));
                    let asked = seen.tick();
                    // All but the first have seen their rows.
                    let (answer, running) = batches.join(&session, asker > 0);
                    if let Some(running) = running {
                        seen.run(running, breaks && asker == 0);
                    }
                    (session, asker > 0, asked, answer)
                })
            })
            .collect();
        // One may be answered by the query of another, so all come to their end first.
        let asked: Vec<_> = asking.into_iter().map(|asker| asker.join().unwrap()).collect();
        for (session, has_seen, asked, answer) in asked {
            match answer.0.get().expect("nobody waits for ever") {
                Some(query) => {
                    assert!(query.started > asked, "the query started after it was asked for");
                    assert_eq!(query.sessions.iter().filter(|asked| **asked == session).count(), 1);
                    assert!(has_seen || !query.is_seen, "who has not seen the row is told whose it is");
                }
                None => assert!(breaks),
            }
        }
        assert!(seen.most_running.load(SeqCst) <= max_running);
        let (answer, running) = batches.join(&key("later"), true);
        seen.run(running.expect("every place is free again"), false);
        assert!(matches!(answer.0.get(), Some(Some(_))));
    });
}

#[test]
fn all_are_answered_by_one_query_at_a_time() {
    all_are_answered(3, 1, false);
}

#[test]
fn all_are_answered_by_two_queries_at_once() {
    all_are_answered(3, 2, false);
}

#[test]
fn all_are_answered_when_a_query_breaks() {
    all_are_answered(3, 1, true);
    all_are_answered(3, 2, true);
}
