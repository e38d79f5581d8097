//! The cached verdict of one session. Every request reads it without a lock and without following a pointer.

use std::fmt;
use std::time::Duration;

use super::revocation_fence::{Mark, RevocationFence};
use super::sync::{AtomicU32, AtomicU64, Ordering};
use crate::clock::Moment;

/// The verdict "live" of one session, with the epochs that were read before its query. Empty until a verdict is stored.
///
/// The fields are written and read one by one, so a reader may see fields of several verdicts. The check is still
/// correct. Epochs only grow: if all the fields are current, they are also the fields of the newest verdict. The expiry
/// of a session never moves to an earlier time: so the expiry of any of the verdicts holds.
#[derive(Default)]
pub(crate) struct CachedVerdict {
    places: [AtomicU32; 3],
    epochs: [AtomicU32; 3],
    overall: AtomicU32,
    /// When the session expires by the wall clock, in nanoseconds.
    wall: AtomicU64,
    /// The same by the steady clock; zero while no verdict is stored. Written last and read first.
    steady: AtomicU64,
}

/// The epochs as they were before a query, and the moment when they were read.
pub(crate) struct FenceReading {
    pub(super) mark: Mark,
    pub(super) started: Moment,
}

impl CachedVerdict {
    /// Stores that the session was live at `reading`, and that it expires `expires_in` after it.
    pub(super) fn remember(&self, fence: &RevocationFence, reading: &FenceReading, expires_in: Duration) {
        let Some(expires_at) = reading.started.checked_add(expires_in) else { return };
        let (steady, wall) = fence.nanoseconds(expires_at);
        for (kept, place) in self.places.iter().zip(reading.mark.places) {
            kept.store(place, Ordering::Relaxed);
        }
        for (kept, epoch) in self.epochs.iter().zip(reading.mark.epochs) {
            kept.store(epoch, Ordering::Relaxed);
        }
        self.overall.store(reading.mark.overall, Ordering::Relaxed);
        self.wall.store(wall, Ordering::Relaxed);
        self.steady.store(steady, Ordering::Release);
    }

    /// Whether the stored verdict has not expired at `now`, and `fence` vouches for it.
    pub(super) fn is_good(&self, fence: &RevocationFence, now: Moment) -> bool {
        let expires_at = self.steady.load(Ordering::Acquire);
        let (steady, wall) = fence.nanoseconds(now);
        if steady >= expires_at || wall >= self.wall.load(Ordering::Relaxed) {
            return false;
        }
        let read = |parts: &[AtomicU32; 3]| parts.each_ref().map(|part| part.load(Ordering::Relaxed));
        let overall = self.overall.load(Ordering::Relaxed);
        let mark = Mark { places: read(&self.places), epochs: read(&self.epochs), overall };
        fence.vouch_for(&mark, steady, wall)
    }
}

impl fmt::Debug for CachedVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CachedVerdict")
    }
}
