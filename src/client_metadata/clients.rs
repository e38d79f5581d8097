//! Finds the documents of clients: kept ones, or fetched ones.
//!
//! A request of a person makes the gateway fetch from a place that the person names. So all of it is bounded: the
//! fetches at once, the fetches in a minute, the fetches of one document after a failure, and what is kept.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::MonotonicClock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use quick_cache::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::addresses::Addresses;
use super::client_url::ClientUrl;
use super::document::ClientDocument;
use super::error::{ClientDocumentError, Refusal};
use super::source::{Answer, DocumentSource, FetchError};
use crate::clock::{Clock, HostClock};
use crate::id::ClientId;
use crate::telemetry;
#[cfg(feature = "client-metadata")]
use {
    super::{http_source::HttpSource, resolver::SystemResolver, settings::ClientMetadata},
    crate::validate::BuildError,
    governor::Quota,
    reqwest::dns::Resolve,
};

/// The clients that metadata documents describe.
pub(crate) struct MetadataClients {
    shared: Arc<Shared>,
}

/// What the requests and the fetches share.
struct Shared {
    /// `None`: any host.
    hosts: Option<Vec<String>>,
    addresses: Arc<Addresses>,
    source: Arc<dyn DocumentSource>,
    timeout: Duration,
    longest_life: Duration,
    kept: Cache<ClientId, Kept>,
    /// The documents whose last fetch failed, and when.
    failed: Cache<ClientId, (ClientDocumentError, Duration)>,
    /// The fetches that run now.
    running: Mutex<HashMap<ClientId, watch::Receiver<Option<Outcome>>>>,
    budget: RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<Started>>,
    clock: HostClock,
}

type Outcome = Result<Arc<ClientDocument>, ClientDocumentError>;
type Started = <MonotonicClock as governor::clock::Clock>::Instant;

#[derive(Clone)]
struct Kept {
    document: Arc<ClientDocument>,
    /// When the fetch ended, by the host's clock.
    at: Duration,
    fresh_for: Duration,
    may_be_stale: bool,
}

/// A fetch that runs. Dropping it tells that the fetch has ended, whatever the outcome is.
struct Running {
    shared: Arc<Shared>,
    id: ClientId,
}

#[cfg(feature = "client-metadata")]
impl MetadataClients {
    /// Does no I/O.
    pub(crate) fn new(settings: ClientMetadata, clock: HostClock) -> Result<Self, BuildError> {
        Self::with_resolver(settings, clock, Arc::new(SystemResolver))
    }

    /// The same, with another resolver. Its answers are checked like those of the operating system.
    pub(super) fn with_resolver(
        settings: ClientMetadata,
        clock: HostClock,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, BuildError> {
        settings.check()?;
        let addresses = Arc::new(Addresses::new(settings.allowed.clone()));
        let source = HttpSource::new(&settings, addresses.clone(), resolver)?;
        let max_documents = usize::try_from(settings.max_documents).unwrap_or(usize::MAX);
        let shared = Shared {
            hosts: settings.hosts,
            addresses,
            source: Arc::new(source),
            timeout: settings.timeout,
            longest_life: settings.longest_life,
            kept: Cache::new(max_documents),
            failed: Cache::new(Shared::MOST_FAILURES),
            running: Mutex::default(),
            budget: RateLimiter::direct_with_clock(Quota::per_minute(Shared::PER_MINUTE), MonotonicClock),
            clock,
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl MetadataClients {
    /// Whether `id` is the URL of a document. Ask for a client that is known here first: such a client may have a URL
    /// as its id too.
    pub(crate) fn is_metadata_client_id(id: &ClientId) -> bool {
        id.as_str().starts_with("https://")
    }

    /// Whether `id` keeps the rules for such a URL, on a host whose clients are accepted. Nothing is fetched.
    pub(crate) fn accepts(&self, id: &ClientId) -> bool {
        ClientUrl::parse(id).is_ok_and(|url| self.shared.check_host(&url).is_ok())
    }

    /// The document of the client.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the fetch to the requests that wait with it.
    pub(crate) async fn find(&self, id: &ClientId) -> Result<Arc<ClientDocument>, ClientDocumentError> {
        let url = ClientUrl::parse(id)?;
        self.shared.check_host(&url)?;
        let outcome = match self.shared.known(id) {
            Some(outcome) => outcome,
            None => self.shared.fetched(url).await,
        };
        match outcome {
            Err(error) if error.may_pass() => self.shared.stale(id).ok_or(error),
            outcome => outcome,
        }
    }
}

#[cfg(test)]
impl MetadataClients {
    /// How many documents are kept.
    pub(super) fn kept(&self) -> usize {
        self.shared.kept.len()
    }
}

impl Shared {
    /// How many fetches run at a time.
    const MOST_RUNNING: usize = 16;
    /// How many fetches begin in a minute, and at once.
    const PER_MINUTE: NonZeroU32 = NonZeroU32::new(60).expect("60 is not 0");
    /// How long a document is not asked for after a failure. It is a limit, and not a cache of errors: the draft allows
    /// no cache.
    const PAUSE: Duration = Duration::from_secs(10);
    /// How many failures are remembered: more than can happen in a pause.
    const MOST_FAILURES: usize = 256;

    fn check_host(&self, url: &ClientUrl) -> Result<(), ClientDocumentError> {
        let host = url.host();
        if self.hosts.as_ref().is_some_and(|hosts| !hosts.contains(&host)) {
            return Err(ClientDocumentError::HostNotAllowed);
        }
        // A host that is an address is never resolved.
        if url.address().is_some_and(|address| !self.addresses.may_reach(address)) {
            return Err(ClientDocumentError::Refused(Refusal::AddressNotPublic));
        }
        Ok(())
    }

    /// What is known without a fetch.
    fn known(&self, id: &ClientId) -> Option<Outcome> {
        if let Some(kept) = self.kept.get(id).filter(|kept| self.since(kept.at) < kept.fresh_for) {
            return Some(Ok(kept.document));
        }
        let (error, at) = self.failed.get(id)?;
        (self.since(at) < Self::PAUSE).then_some(Err(error))
    }

    /// The kept document, when no newer one can be had.
    fn stale(&self, id: &ClientId) -> Option<Arc<ClientDocument>> {
        let kept = self.kept.get(id)?;
        (kept.may_be_stale && self.since(kept.at) < self.longest_life).then_some(kept.document)
    }

    fn since(&self, at: Duration) -> Duration {
        self.clock.now().saturating_sub(at)
    }

    /// The outcome of the fetch that runs now, or of a new one.
    async fn fetched(self: &Arc<Self>, url: ClientUrl) -> Outcome {
        let mut running = self.join(url)?;
        match running.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(ClientDocumentError::Unavailable)),
            Err(_ended) => Err(ClientDocumentError::Unavailable),
        }
    }

    fn join(
        self: &Arc<Self>,
        url: ClientUrl,
    ) -> Result<watch::Receiver<Option<Outcome>>, ClientDocumentError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(joined) = running.get(url.id()) {
            return Ok(joined.clone());
        }
        let (sender, receiver) = watch::channel(None);
        // A fetch may have ended since the caller looked.
        if let Some(outcome) = self.known(url.id()) {
            sender.send_replace(Some(outcome));
            return Ok(receiver);
        }
        let runtime = Handle::try_current().map_err(|_| ClientDocumentError::Unavailable)?;
        if running.len() >= Self::MOST_RUNNING || self.budget.check().is_err() {
            telemetry::count("bridge_auth_client_documents_total", "limited");
            return Err(ClientDocumentError::Unavailable);
        }
        running.insert(url.id().clone(), receiver.clone());
        let run = Running { shared: self.clone(), id: url.id().clone() };
        runtime.spawn(async move {
            let outcome = run.shared.fetch(&url).await;
            run.shared.remember(&url, &outcome);
            sender.send_replace(Some(outcome.map(|kept| kept.document)));
        });
        Ok(receiver)
    }

    async fn fetch(&self, url: &ClientUrl) -> Result<Kept, ClientDocumentError> {
        let fetching = tokio::time::timeout(self.timeout, self.source.fetch(url.url()));
        let fetched = fetching.await.unwrap_or(Err(FetchError::Refused(Refusal::TooSlow)));
        let read = fetched.and_then(|Answer { json, life }| {
            let document = ClientDocument::read(url, &json).map_err(FetchError::Refused)?;
            Ok((document, life))
        });
        match read {
            Ok((document, life)) => {
                telemetry::count("bridge_auth_client_documents_total", "fetched");
                Ok(Kept {
                    document: Arc::new(document),
                    at: self.clock.now(),
                    fresh_for: life.within(self.longest_life),
                    may_be_stale: life.may_be_stale,
                })
            }
            Err(FetchError::Refused(refusal)) => {
                telemetry::count("bridge_auth_client_documents_total", "refused");
                tracing::info!(client = %url.id(), reason = %refusal, "the metadata document of a client is refused");
                Err(ClientDocumentError::Refused(refusal))
            }
            Err(FetchError::Unreachable(error)) => {
                telemetry::count("bridge_auth_client_documents_total", "unreachable");
                tracing::info!(client = %url.id(), error, "the metadata document of a client could not be fetched");
                Err(ClientDocumentError::Unavailable)
            }
        }
    }

    fn remember(&self, url: &ClientUrl, outcome: &Result<Kept, ClientDocumentError>) {
        match outcome {
            Ok(kept) => {
                self.failed.remove(url.id());
                self.kept.insert(url.id().clone(), kept.clone());
            }
            Err(error) => {
                if !error.may_pass() {
                    self.kept.remove(url.id());
                }
                self.failed.insert(url.id().clone(), (*error, self.clock.now()));
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl fmt::Debug for MetadataClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataClients").field("hosts", &self.shared.hosts).finish_non_exhaustive()
    }
}
