//! The revocation fence: a table of counters that revocations move on.
//!
//! The table has a fixed size and no lock. The value of a counter is an *epoch*. Two ids may share a counter: then a
//! revocation of one costs the other a look-up, nothing more.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::{Duration, Instant};

use super::sync::{AtomicU32, AtomicU64, Ordering};
use crate::clock::Moment;
use crate::id::{ClientId, SessionId, UserId};
use crate::store::Revocation;

/// The epochs of all sessions, users and clients, and until when they are proven.
pub(super) struct RevocationFence {
    hasher: RandomState,
    table: Box<[AtomicU32]>,
    /// An epoch that all verdicts share: it makes every one of them invalid.
    overall: AtomicU32,
    /// When this was made. Steady times are kept as nanoseconds since then.
    made: Instant,
    steady_bound: AtomicU64,
    wall_bound: AtomicU64,
}

/// The epochs of a session, its user and its client, as they were at one moment.
pub(super) struct Mark {
    /// Which counters these are.
    pub(super) places: [u32; 3],
    pub(super) epochs: [u32; 3],
    pub(super) overall: u32,
}

/// Tells apart a session, a user and a client with the same text as id.
#[derive(Hash)]
enum Subject<'a> {
    Session(&'a SessionId),
    User(&'a UserId),
    Client(&'a ClientId),
}

impl RevocationFence {
    /// 256 KiB. Of a million sessions, one revocation makes sixteen ask the store again.
    const PLACES: usize = 1 << 16;

    pub(super) fn new() -> Self {
        Self::with_places(Self::PLACES)
    }

    pub(super) fn with_places(places: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            table: (0..places).map(|_| AtomicU32::new(0)).collect(),
            overall: AtomicU32::new(0),
            made: Instant::now(),
            steady_bound: AtomicU64::new(0),
            wall_bound: AtomicU64::new(0),
        }
    }

    /// Reads the epochs. The caller must do so before it starts the query whose verdict they protect.
    pub(super) fn mark(&self, session: &SessionId, user: &UserId, client: &ClientId) -> Mark {
        let subjects = [Subject::Session(session), Subject::User(user), Subject::Client(client)];
        let places = subjects.map(|subject| self.place(&subject));
        Mark { epochs: self.read(&places), overall: self.overall.load(Ordering::Acquire), places }
    }

    /// Whether the session, user and client of `mark` were not revoked between `mark` and the moment `max_lag` before now.
    /// `steady` and `wall` are the [`nanoseconds`](Self::nanoseconds) of now.
    pub(super) fn vouch_for(&self, mark: &Mark, steady: u64, wall: u64) -> bool {
        // First the proof, then the epochs: a reading counts only after it has moved all the epochs that it found.
        self.are_proven(steady, wall)
            && self.read(&mark.places) == mark.epochs
            && self.overall.load(Ordering::Acquire) == mark.overall
    }

    /// Whether every revocation that was acknowledged `max_lag` before `now` has moved its epoch, by both clocks.
    pub(super) fn are_proven_at(&self, now: Moment) -> bool {
        let (steady, wall) = self.nanoseconds(now);
        self.are_proven(steady, wall)
    }

    fn are_proven(&self, steady: u64, wall: u64) -> bool {
        steady < self.steady_bound.load(Ordering::Acquire) && wall < self.wall_bound.load(Ordering::Acquire)
    }

    /// A moment by both clocks, in nanoseconds: since this was made, and since the Unix epoch.
    pub(super) fn nanoseconds(&self, moment: Moment) -> (u64, u64) {
        let steady = nanoseconds(moment.steady().saturating_duration_since(self.made));
        (steady, nanoseconds(moment.wall()))
    }

    /// Moves on the epochs of `revoked`, or every epoch for `None`. Only then it counts the reading, which found all
    /// that was revoked before `started`.
    pub(super) fn take_in(&self, revoked: Option<&[Revocation]>, started: Moment, max_lag: Duration) {
        match revoked {
            Some(revoked) => revoked.iter().for_each(|revocation| self.move_on(revocation)),
            None => self.move_all_on(),
        }
        let (steady, wall) = self.nanoseconds(started);
        let max_lag = nanoseconds(max_lag);
        self.steady_bound.store(steady.saturating_add(max_lag), Ordering::Release);
        self.wall_bound.store(wall.saturating_add(max_lag), Ordering::Release);
    }

    /// Moves on every epoch.
    pub(super) fn move_all_on(&self) {
        self.overall.fetch_add(1, Ordering::Release);
    }

    /// Moves on the epoch of what was revoked.
    pub(super) fn move_on(&self, revocation: &Revocation) {
        let subject = match revocation {
            Revocation::Session(session) => Subject::Session(session),
            Revocation::User(user) => Subject::User(user),
            Revocation::Client(client) => Subject::Client(client),
        };
        self.table[self.place(&subject) as usize].fetch_add(1, Ordering::Release);
    }

    fn place(&self, subject: &Subject<'_>) -> u32 {
        // The remainder is less than the length of the table.
        (self.hasher.hash_one(subject) % self.table.len() as u64) as u32
    }

    fn read(&self, places: &[u32; 3]) -> [u32; 3] {
        places.map(|place| self.table[place as usize].load(Ordering::Acquire))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into())
}

impl fmt::Debug for RevocationFence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RevocationFence")
    }
}
