//! The row of its session that a token was compared with.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::store::RowMark;

/// The row that matched a token last, if one did.
#[derive(Debug)]
pub(crate) struct MatchedRow(AtomicI64);

impl MatchedRow {
    /// No row has this time.
    const NONE: i64 = i64::MIN;

    pub(crate) fn mark(&self) -> Option<RowMark> {
        let time = self.0.load(Ordering::Acquire);
        (time != Self::NONE).then(|| RowMark::made_at(time))
    }

    /// Remembers `row`. It has the user, the client and the call source of the token.
    pub(crate) fn remember(&self, row: RowMark) {
        self.0.store(row.time(), Ordering::Release);
    }
}

impl Default for MatchedRow {
    fn default() -> Self {
        Self(AtomicI64::new(Self::NONE))
    }
}
