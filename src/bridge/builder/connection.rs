//! What a bridge makes of the connections that requests come on.

use super::BridgeBuilder;
use crate::client_address::ForwardedHeader;
use crate::drain::DrainLimits;

impl BridgeBuilder {
    /// The header in which the [trusted proxies](Self::trusted_proxies) say where a request came from. Default:
    /// `X-Forwarded-For`.
    ///
    /// Name the header that your proxies write, and let them remove or replace what a client sends under its name. The
    /// other header is never read.
    pub fn forwarded_header(mut self, header: ForwardedHeader) -> Self {
        self.addresses.forwarded_header = header;
        self
    }

    /// How much of a body is read and thrown away after the request was refused, so that the client hears the refusal.
    /// Default: [`DrainLimits::default`], 32 MiB within 30 s.
    ///
    /// Many clients send their whole request before they read the answer. When the connection is closed meanwhile, they
    /// find a broken pipe, and never learn that their token has expired. The answer is sent at once, and the body is
    /// drained behind it. The guard and the endpoints both do so.
    pub fn drain_refused(mut self, limits: DrainLimits) -> Self {
        self.drain = limits;
        self
    }
}
