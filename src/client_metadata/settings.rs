//! What a host says about client metadata documents.

use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::client_url::{authority, is_plain_host};
use crate::id::{FirstInvalid, TextOr};
use crate::validate::{BuildError, Setting, check_count, check_deadline, check_life};

/// Accepts OAuth clients whose id is the URL of a document about them: client metadata documents
/// (draft-ietf-oauth-client-id-metadata-document).
///
/// See the [module](super).
///
/// ```
/// use bridge_auth::client_metadata::ClientMetadata;
///
/// let clients = ClientMetadata::from_hosts(["claude.ai", "vscode.dev"]);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
#[must_use = "give it to BridgeBuilder::client_metadata"]
pub struct ClientMetadata {
    /// `None`: any host.
    pub(super) hosts: Option<Vec<String>>,
    pub(super) max_documents: u32,
    pub(super) longest_life: Duration,
    pub(super) timeout: Duration,
    pub(super) roots: Vec<Vec<u8>>,
    pub(super) allowed: Vec<IpNet>,
    pub(super) invalid: FirstInvalid,
}

impl ClientMetadata {
    /// How many documents are kept unless the host says otherwise.
    pub(crate) const MAX_DOCUMENTS: u32 = 1000;
    /// The longest time that a document may be used without a new fetch.
    pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

    /// Accepts clients of any https host with a public address.
    ///
    /// Then anybody can have a client: the consent page is what protects a person. It names the host of the client.
    pub fn open() -> Self {
        Self {
            hosts: None,
            max_documents: Self::MAX_DOCUMENTS,
            longest_life: Self::DAY,
            timeout: Duration::from_secs(5),
            roots: Vec::new(),
            allowed: Vec::new(),
            invalid: FirstInvalid::default(),
        }
    }

    /// Accepts clients of these hosts only, such as `claude.ai`.
    ///
    /// A host is compared as a whole, so `claude.ai` says nothing about `www.claude.ai`. It stands for port 443 alone:
    /// for another port write `host:port`. There are no wildcards, because whoever may publish pages under any name of
    /// a domain could then make clients.
    pub fn from_hosts<T: Into<String>>(hosts: impl IntoIterator<Item = T>) -> Self {
        Self { hosts: Some(hosts.into_iter().map(Into::into).collect()), ..Self::open() }
    }

    /// How many documents are kept, and how long a document may be used without a new fetch. Default: 1000 documents,
    /// 24 hours.
    ///
    /// A document is kept for as long as its `Cache-Control: max-age` says, but for at least 60 seconds and at most
    /// `longest_life`. It is kept for an hour when the server does not say. While no newer one can be had it stays in use
    /// for `longest_life`, see the [module](super#how-long-a-document-counts).
    ///
    /// Each document takes at most about 10 KiB.
    pub fn cache(mut self, max_documents: u32, longest_life: Duration) -> Self {
        self.max_documents = max_documents;
        self.longest_life = longest_life;
        self
    }

    /// How long a fetch may take in all, from the name to the last byte. Default: 5 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Trusts another certificate authority, beside those that the operating system trusts: a company's own.
    ///
    /// `pem` has one or more certificates.
    pub fn root_certificate_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.roots.push(pem.as_ref().to_owned());
        self
    }

    /// Fetches documents from these addresses too, although they are not public. Default: none.
    ///
    /// **Danger:** everyone who can sign in can then make the gateway send a `GET` to every https service at these
    /// addresses. Name the smallest networks that will do, and use [`from_hosts`](Self::from_hosts).
    pub fn danger_allow_addresses<N: TextOr<IpNet>>(mut self, networks: impl IntoIterator<Item = N>) -> Self {
        let read = |network| self.invalid.read("the allowed network", network);
        self.allowed.extend(networks.into_iter().filter_map(read));
        self
    }

    pub(super) fn check(&self) -> Result<(), BuildError> {
        self.invalid.check()?;
        let max = Setting::new("the maximum of kept client documents", "ClientMetadata::cache");
        check_count(max, self.max_documents, &(1..=1_000_000), "1 to 1 000 000")?;
        let life = Setting::new("the longest life of a client document", "ClientMetadata::cache");
        check_life(life, self.longest_life, 60, Self::DAY, "60 seconds to 24 hours, in whole seconds")?;
        check_deadline(Setting::new("the timeout of a fetch", "ClientMetadata::timeout"), self.timeout)?;
        self.hosts.iter().flatten().try_for_each(|host| check_host(host))
    }
}

/// Refuses a host that no client id could have.
fn check_host(host: &str) -> Result<(), BuildError> {
    let is_host = |url: Url| authority(&url) == host && is_plain_host(&url);
    if Url::parse(&format!("https://{host}/")).is_ok_and(is_host) {
        return Ok(());
    }
    Err(BuildError::Text {
        what: "the host of clients",
        value: host.to_owned(),
        allowed: "a host name in lower case, with a port if that is not 443",
    })
}
