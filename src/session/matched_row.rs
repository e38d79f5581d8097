//! Which row of its session a token was held against.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::store::RowMark;

/// The row that fitted a token last, if one did.
#[derive(Debug)]
pub(crate) struct MatchedRow(AtomicI64);

impl MatchedRow {
    /// No row was made then.
    const NONE: i64 = i64::MIN;

    pub(crate) fn mark(&self) -> Option<RowMark> {
        let time = self.0.load(Ordering::Acquire);
        (time != Self::NONE).then(|| RowMark::made_at(time))
    }

    /// `row` is of the user, the client and the call source that are remembered with the token.
    pub(crate) fn remember(&self, row: RowMark) {
        self.0.store(row.time(), Ordering::Release);
    }
}

impl Default for MatchedRow {
    fn default() -> Self {
        Self(AtomicI64::new(Self::NONE))
    }
}
