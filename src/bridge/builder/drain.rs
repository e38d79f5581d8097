//! What happens to bodies that nobody reads.

use super::BridgeBuilder;
use crate::drain::DrainLimits;

impl BridgeBuilder {
    /// How much of the body of a refused request is read and thrown away, so that the client hears the refusal. Default:
    /// [`DrainLimits::default`], 32 MiB within 30 s.
    ///
    /// Many clients send their whole request before they read the answer. When the connection is closed meanwhile, they
    /// find a broken pipe and never learn that their token has expired. The answer is sent at once. Its rest is drained
    /// behind it. It holds for the guard and for the endpoints.
    pub fn drain_refused(mut self, limits: DrainLimits) -> Self {
        self.drain = limits;
        self
    }
}
