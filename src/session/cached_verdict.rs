//! What is remembered of one session's verdict, where every request reads it: no lock, and nothing to follow.

use std::fmt;
use std::time::Duration;

use super::revocation_fence::{Mark, RevocationFence};
use super::sync::{AtomicU32, AtomicU64, Ordering};
use crate::clock::Moment;

/// A session that was live when its epochs were read, if anything is remembered of it.
///
/// Its parts are written and read one by one, so a reader may see the parts of several verdicts. That is as good as one of
/// them: epochs only grow, so parts that are all the current ones are those of the newest verdict too. And a
/// session's expiry is never moved to an earlier time, so that of any verdict holds.
#[derive(Default)]
pub(crate) struct CachedVerdict {
    places: [AtomicU32; 3],
    epochs: [AtomicU32; 3],
    overall: AtomicU32,
    /// When it expires by the wall clock, in nanoseconds.
    wall: AtomicU64,
    /// The same by the steady clock; zero while nothing is remembered. Written last and read first.
    steady: AtomicU64,
}

/// The moment before a query, and the epochs as they were then.
pub(crate) struct FenceReading {
    pub(super) mark: Mark,
    pub(super) started: Moment,
}

impl CachedVerdict {
    /// Remembers that the session was live when `fence` stood, and expires `expires_in` later.
    pub(super) fn remember(&self, epochs: &RevocationFence, fence: &FenceReading, expires_in: Duration) {
        let Some(expires_at) = fence.started.checked_add(expires_in) else { return };
        let (steady, wall) = epochs.nanoseconds(expires_at);
        for (kept, place) in self.places.iter().zip(fence.mark.places) {
            kept.store(place, Ordering::Relaxed);
        }
        for (kept, epoch) in self.epochs.iter().zip(fence.mark.epochs) {
            kept.store(epoch, Ordering::Relaxed);
        }
        self.overall.store(fence.mark.overall, Ordering::Relaxed);
        self.wall.store(wall, Ordering::Relaxed);
        self.steady.store(steady, Ordering::Release);
    }

    /// Whether what is remembered has not expired at `now`, and `epochs` vouch for it.
    pub(super) fn is_good(&self, epochs: &RevocationFence, now: Moment) -> bool {
        let expires_at = self.steady.load(Ordering::Acquire);
        let (steady, wall) = epochs.nanoseconds(now);
        if steady >= expires_at || wall >= self.wall.load(Ordering::Relaxed) {
            return false;
        }
        let read = |parts: &[AtomicU32; 3]| parts.each_ref().map(|part| part.load(Ordering::Relaxed));
        let overall = self.overall.load(Ordering::Relaxed);
        let mark = Mark { places: read(&self.places), epochs: read(&self.epochs), overall };
        epochs.vouch_for(&mark, steady, wall)
    }
}

impl fmt::Debug for CachedVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CachedVerdict")
    }
}
