//! The fence: a table of counters that revocations move on.
//!
//! It has a fixed size and no lock. Two ids that share a place share an epoch: a revocation of one costs the other a
//! look-up, no more.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::{Duration, Instant};

use super::sync::{AtomicU32, AtomicU64, Ordering};
use crate::clock::Moment;
use crate::id::{ClientId, SessionId, UserId};
use crate::store::Revocation;

/// The epochs of all sessions, users and clients, and how long they are proven.
pub(super) struct RevocationFence {
    hasher: RandomState,
    table: Box<[AtomicU32]>,
    overall: AtomicU32,
    /// When this was made; steady times are kept as nanoseconds since then.
    made: Instant,
    steady_bound: AtomicU64,
    wall_bound: AtomicU64,
}

/// The epochs of one session, its user and its client, as they were at one moment.
pub(super) struct Mark {
    pub(super) places: [u32; 3],
    pub(super) epochs: [u32; 3],
    pub(super) overall: u32,
}

/// Keeps a session, a user and a client of one name apart.
#[derive(Hash)]
enum Subject<'a> {
    Session(&'a SessionId),
    User(&'a UserId),
    Client(&'a ClientId),
}

impl RevocationFence {
    /// 256 KiB; of a million sessions, a revocation makes sixteen look again.
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

    /// Reads the epochs: do so before the query whose answer they shall fence.
    pub(super) fn mark(&self, session: &SessionId, user: &UserId, client: &ClientId) -> Mark {
        let subjects = [Subject::Session(session), Subject::User(user), Subject::Client(client)];
        let places = subjects.map(|subject| self.place(&subject));
        Mark { epochs: self.read(&places), overall: self.overall.load(Ordering::Acquire), places }
    }

    /// Whether nothing that `mark` is about was revoked between it and `max_lag` before the moment of these
    /// [`nanoseconds`](Self::nanoseconds).
    pub(super) fn vouch_for(&self, mark: &Mark, steady: u64, wall: u64) -> bool {
        // First how fresh, then what: a reading is counted only after all it found has moved its epoch.
        self.are_proven(steady, wall)
            && self.read(&mark.places) == mark.epochs
            && self.overall.load(Ordering::Acquire) == mark.overall
    }

    /// Whether every revocation acknowledged `max_lag` before `now` has moved its epoch: by either clock.
    pub(super) fn are_proven_at(&self, now: Moment) -> bool {
        let (steady, wall) = self.nanoseconds(now);
        self.are_proven(steady, wall)
    }

    fn are_proven(&self, steady: u64, wall: u64) -> bool {
        steady < self.steady_bound.load(Ordering::Acquire) && wall < self.wall_bound.load(Ordering::Acquire)
    }

    /// A moment by both clocks, as it is compared: since this was made, and since the Unix epoch.
    pub(super) fn nanoseconds(&self, moment: Moment) -> (u64, u64) {
        let steady = nanoseconds(moment.steady().saturating_duration_since(self.made));
        (steady, nanoseconds(moment.wall()))
    }

    /// Moves on the epoch of all that was revoked, every one for `None`, and only then counts the reading, which found all
    /// that was revoked before `started`.
    pub(super) fn take_in(&self, revoked: Option<&[Revocation]>, started: Moment, max_lag: Duration) {
        match revoked {
            Some(revoked) => revoked.iter().for_each(|revocation| self.move_on(revocation)),
            None => {
                self.overall.fetch_add(1, Ordering::Release);
            }
        }
        let (steady, wall) = self.nanoseconds(started);
        let max_lag = nanoseconds(max_lag);
        self.steady_bound.store(steady.saturating_add(max_lag), Ordering::Release);
        self.wall_bound.store(wall.saturating_add(max_lag), Ordering::Release);
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
