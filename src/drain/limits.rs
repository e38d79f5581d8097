//! How much is drained.

use std::time::Duration;

/// How much of a body is read and thrown away after the request was answered.
///
/// A client that sends more, or that takes longer, finds its connection closed, or its stream reset. It may have read the answer before: the
/// answer is sent at once, and never waits for the body.
///
/// A refused request holds its connection, or its stream of HTTP/2, for as long as these limits allow, and no memory
/// beside it. The body of a gRPC call is not drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "hand it to BridgeBuilder::drain_refused or BridgeAuthLayer::drain_refused"]
pub struct DrainLimits {
    pub(super) bytes: u64,
    pub(super) within: Duration,
}

impl DrainLimits {
    /// The longest time that counts.
    const LONGEST: Duration = Duration::from_secs(600);

    /// Drains nothing: the connection is closed as soon as the request is answered. Choose it where a proxy in front
    /// reads each body whole before it asks the gateway.
    pub fn off() -> Self {
        Self { bytes: 0, within: Duration::ZERO }
    }

    /// At most this many bytes of one body. Default: 32 MiB, which is as much as the largest request of the usual model
    /// APIs.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// At most for this long, from the answer on. Default: 30 s. More than 10 minutes count as 10 minutes.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within.min(Self::LONGEST);
        self
    }

    pub(super) fn are_off(self) -> bool {
        self.bytes == 0 || self.within.is_zero()
    }
}

impl Default for DrainLimits {
    fn default() -> Self {
        Self { bytes: 32 << 20, within: Duration::from_secs(30) }
    }
}
