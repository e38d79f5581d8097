//! Models of the fence and of the batches: loom tries every order of events that threads and memory allow.
//!
//! The modules below are the real ones, compiled once more with loom's atomics and locks.

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

/// A store with one session. Both the log and the row of the session show the revocation at once.
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
    fence: RevocationFence,
    store: Store,
    session: SessionId,
    user: UserId,
    client: ClientId,
}

impl Fenced {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            fence: RevocationFence::with_places(1),
            store: Store::default(),
            session: SessionId::parse("s").unwrap(),
            user: UserId::parse("u").unwrap(),
            client: ClientId::parse("c").unwrap(),
        })
    }

    /// One reading of the log, as the watcher does it. Returns whether it found the revocation.
    fn read_log(&self, started: Moment, max_lag: Duration, all: bool) -> bool {
        let found = self.store.is_revoked();
        let entry = [Revocation::Session(self.session.clone())];
        let page = match found {
            true if all => None,
            true => Some(&entry[..]),
            false => Some(&[][..]),
        };
        self.fence.take_in(page, started, max_lag);
        found
    }

    /// A request that looks the session up. Returns whether the request after it is let in by the cached verdict.
    fn is_let_in_from_memory(&self, now: Moment) -> bool {
        let mark = self.fence.mark(&self.session, &self.user, &self.client);
        let is_live = !self.store.is_revoked();
        let (steady, wall) = self.fence.nanoseconds(now);
        is_live && self.fence.vouch_for(&mark, steady, wall)
    }
}

/// Before the request only a reading that has not started yet can prove anything. If that reading found the revocation,
/// no request is let in by a verdict that was cached before it.
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
        let is_let_in = fenced.is_let_in_from_memory(now);
        revoker.join().unwrap();
        let found = watcher.join().unwrap();
        assert!(!(is_let_in && found), "let in though the reading that proves it found the revocation");
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

/// Without this test, the tests above could hold because no request is ever let in.
#[test]
fn what_is_not_revoked_is_let_in_from_memory_under_some_order() {
    let let_in = Arc::new(AtomicUsize::new(0));
    let count = let_in.clone();
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
    assert!(let_in.load(SeqCst) > 0);
}

/// Tries all orders in which the threads take turns a few times. A verdict has many fields: to try all orders takes
/// minutes.
fn in_few_turns(model: impl Fn() + Sync + Send + 'static) {
    let mut orders = loom::model::Builder::new();
    orders.preemption_bound = Some(2);
    orders.check(model);
}

/// Looks the session up again and again, and stores each verdict in the same place.
fn remember_often(fenced: &Fenced, cached: &CachedVerdict, started: Moment, times: u64) {
    for time in 1..=times {
        let mark = fenced.fence.mark(&fenced.session, &fenced.user, &fenced.client);
        if !fenced.store.is_revoked() {
            cached.remember(&fenced.fence, &FenceReading { mark, started }, Duration::from_secs(60 * time));
        }
    }
}

/// Fields of several verdicts are read as one verdict. After the reading that found the revocation, none lets a request
/// in.
#[test]
fn no_parts_of_verdicts_make_one_that_outlives_a_revocation() {
    in_few_turns(|| {
        let (fenced, cached) = (Fenced::new(), Arc::new(CachedVerdict::default()));
        let now = Moment::now();
        let remembering = thread::spawn({
            let (fenced, cached) = (fenced.clone(), cached.clone());
            move || remember_often(&fenced, &cached, now, 2)
        });
        fenced.store.revoke();
        assert!(fenced.read_log(now, Duration::from_secs(1), false), "the revocation was there");
        assert!(!cached.is_good(&fenced.fence, now), "let in after the reading");
        remembering.join().unwrap();
        assert!(!cached.is_good(&fenced.fence, now), "let in later");
    });
}

/// Without this test, the test above could hold because no request is ever let in.
#[test]
fn parts_of_verdicts_are_good_while_nobody_is_revoked() {
    let let_in = Arc::new(AtomicUsize::new(0));
    let count = let_in.clone();
    in_few_turns(move || {
        let (fenced, cached) = (Fenced::new(), Arc::new(CachedVerdict::default()));
        let now = Moment::now();
        let remembering = thread::spawn({
            let (fenced, cached) = (fenced.clone(), cached.clone());
            move || remember_often(&fenced, &cached, now, 2)
        });
        fenced.read_log(now, Duration::from_secs(1), false);
        count.fetch_add(cached.is_good(&fenced.fence, now).into(), SeqCst);
        remembering.join().unwrap();
        assert!(cached.is_good(&fenced.fence, now));
    });
    assert!(let_in.load(SeqCst) > 0);
}

/// The query that answers; `None` inside when no query will.
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

/// What a model of the batches counts. Its time moves on with every event.
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

    /// Runs queries as the task of `lookups` does. With `breaks`, the first one ends early.
    fn run(&self, mut running: Running<Started>, breaks: bool) {
        self.most_running.fetch_max(self.running.fetch_add(1, SeqCst) + 1, SeqCst);
        while let Some(batch) = running.batch() {
            assert!(!batch.sessions().is_empty());
            let (sessions, is_seen) = (batch.sessions().to_vec(), batch.is_seen());
            let started = self.tick();
            // Other threads run before this query is answered.
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

/// Several threads ask at once. With `breaks`, the first one ends its query early. Each thread must get a fresh answer.
fn all_are_answered(askers: usize, max_running: usize, breaks: bool) {
    loom::model(move || {
        let batches = Batches::<Started>::new(max_running);
        let seen = Arc::new(Seen::default());
        let asking: Vec<_> = (0..askers)
            .map(|asker| {
                let (batches, seen) = (batches.clone(), seen.clone());
                thread::spawn(move || {
                    // Two of the threads ask for the same session.
                    let session = key(&format!("s{}", asker / 2));
                    let asked = seen.tick();
                    // All but the first have seen the rows of their sessions.
                    let (answer, running) = batches.join(&session, asker > 0);
                    if let Some(running) = running {
                        seen.run(running, breaks && asker == 0);
                    }
                    (session, asker > 0, asked, answer)
                })
            })
            .collect();
        // A thread may get its answer from the query of another thread: so all threads end before the answers are read.
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
