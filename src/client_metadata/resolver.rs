//! Finds the addresses of a host, and refuses the host when one of them must not be reached.
//!
//! The connection goes to the addresses that this answers with. Nobody asks for them again, so a name that changes its
//! address in between (DNS rebinding) gains nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::addresses::Addresses;

/// Answers like another resolver, but only with addresses that may be reached.
pub(super) struct CheckedResolver {
    resolver: Arc<dyn Resolve>,
    addresses: Arc<Addresses>,
}

/// The operating system's resolver.
pub(super) struct SystemResolver;

/// A host has an address that must not be reached.
#[derive(Debug, thiserror::Error)]
#[error("the host has an address that is not public")]
pub(super) struct NotPublic;

impl CheckedResolver {
    /// The most addresses of one host that are tried. A name with a thousand addresses must not make the gateway knock
    /// at a thousand doors.
    const MOST_TRIED: usize = 4;

    pub(super) fn new(resolver: Arc<dyn Resolve>, addresses: Arc<Addresses>) -> Self {
        Self { resolver, addresses }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let answer = self.resolver.resolve(name);
        let addresses = self.addresses.clone();
        Box::pin(async move {
            let found: Vec<IpAddr> = answer.await?.map(|address| address.ip()).collect();
            // One address that is not public refuses the host, because an honest public host has none.
            if !found.iter().all(|address| addresses.may_reach(*address)) {
                return Err(NotPublic.into());
            }
            // Port 0 stands for the port of the URL. A resolver cannot choose another.
            let found = found.into_iter().take(Self::MOST_TRIED).map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(found) as Addrs)
        })
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
