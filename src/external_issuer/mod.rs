//! External issuers: access tokens of other authorization servers at the guard, and their assertions at the token endpoint.
//!
//! [`BridgeBuilder::trust`](crate::BridgeBuilder::trust) makes a bridge accept the tokens of an [`ExternalIssuer`]
//! beside its own. The exact `iss` of a token chooses the issuer. Then only the keys, algorithms and audiences of that
//! issuer count, and the token is checked as strictly as one of the bridge's own (RFC 9068).
//!
//! # Who such a caller is
//!
//! An external token names no session of this gateway, and its `sub` is not a person of this gateway. The host says
//! what the token means, with [`ExternalSessions`]:
//!
//! - [`ExternalSessions::mapped`]: the host maps each verified token to a session row. The caller is then a
//!   [`Caller`](crate::Caller) like any other. It is the user of the row, and it is let in as long as the session is
//!   live.
//! - [`ExternalSessions::None`]: there is no session, so nothing can be revoked before the token expires. The caller is
//!   an [`ExternalCaller`], and never a [`Caller`](crate::Caller). Only layers with
//!   [`admit_external`](crate::BridgeAuthLayer::admit_external) let it in. Its only identity header is `x-trace-id`.
//!   Every extractor of a person of this gateway refuses it.
//!
//! # Keys
//!
//! A [`JwksSource`] fetches the keys. `HttpJwks` (feature `jwks-http`) fetches them over https. A fetch starts
//!
//! - when the first token comes,
//! - every [`refresh_every`](ExternalIssuer::refresh_every) after that,
//! - when a token names an unknown key, but not more often than
//!   [`refresh_at_most_every`](ExternalIssuer::refresh_at_most_every). A token that comes too soon makes the next fetch
//!   start as soon as it may.
//!
//! A token with an unknown key waits for a fetch that is running or may start now, at most
//! [`keys_deadline`](ExternalIssuer::keys_deadline). Then
//!
//! | the answer is | when |
//! |---|---|
//! | 401 | a fetch has shown that the issuer has no such key: the one that the token waited for, or the last one, for [`refresh_every`](ExternalIssuer::refresh_every) |
//! | 503 with `Retry-After` | no fetch has succeeded yet, or the keys are due and cannot be fetched |
//!
//! So a key that the issuer uses before it could be fetched is called unknown for as long as `refresh_at_most_every` (30
//! s): publish a key before you sign with it. The other rule, 503 for every unknown key between two fetches, would let
//! anybody take the gateway out of its balancer with made-up key ids.
//!
//! Tokens with known keys never wait. When no keys are younger than [`stale_for`](ExternalIssuer::stale_for), all tokens
//! of the issuer are answered 503. When the issuer removes a key, the next fetch makes the key useless, for cached
//! verdicts too.
//!
//! # Assertions
//!
//! An issuer may also say who gets access here, in an assertion that a client presents at the token endpoint (RFC 7523).
//! Then the access has a session of this gateway, and ends when that is revoked.
//!
//! - [`identity_assertions`](ExternalIssuer::identity_assertions): the identity provider says which person may use which
//!   client. [`people`](ExternalIssuer::people) says who the person is here.
//! - [`workloads`](ExternalIssuer::workloads): a platform says which program it is, and no person stands behind it.
//!
//! The exact `iss` of an assertion chooses the issuer here too. The token of a SPIFFE workload may have no `iss`: then the trust
//! domain in its `sub` chooses the issuer ([`spiffe_trust_domain`](ExternalIssuer::spiffe_trust_domain)).
//!
//! ```
//! # use bridge_auth::external_issuer::{ExternalIssuer, ExternalSubject, IdentityAssertions, JwksSource};
//! # use bridge_auth::external_issuer::ExternalSessions;
//! # use bridge_auth::issue::RegisteredClient;
//! # use bridge_auth::{BridgeBuilder, UserId};
//! # fn with(builder: BridgeBuilder, source: impl JwksSource, secret: String) -> BridgeBuilder {
//! let company = ExternalIssuer::new("https://login.company.example", source, ExternalSessions::None)
//!     .people(|who: &ExternalSubject| UserId::parse(who.subject.as_deref()?).ok())
//!     .identity_assertions(IdentityAssertions::new().register_unknown_people("tools:read"));
//! builder.trust(company).client(RegisteredClient::new("agent", "The company's agent").secret(secret))
//! # }
//! ```
//!
//! # Scopes
//!
//! The scopes of a token are in `scope`, unless the host names [other claims](ExternalIssuer::scopes_from), such as `scp`
//! and `roles`. Only those that the host [allows](ExternalIssuer::allow_scopes) count.
//!
//! ```
//! use bridge_auth::external_issuer::{ExternalCaller, ExternalIssuer, ExternalSessions, JwksError, JwksSource};
//! use bridge_auth::store::SqliteStore;
//! use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
//! use bridge_auth::{Bridge, Scopes};
//! use bytes::Bytes;
//!
//! /// The keys of a partner who does not publish them over https.
//! #[derive(Debug)]
//! struct PartnerKeys(Bytes);
//!
//! #[async_trait::async_trait]
//! impl JwksSource for PartnerKeys {
//!     async fn fetch(&self) -> Result<Bytes, JwksError> {
//!         Ok(self.0.clone())
//!     }
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! # let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa)?)?;
//! # let store = SqliteStore::open("gateway.db").await?;
//! let partner = PartnerKeys(std::fs::read("partner.jwks.json")?.into());
//! let partner = ExternalIssuer::new("https://login.partner.example", partner, ExternalSessions::None)
//!     .audience("https://gateway.example/mcp", "mcp")
//!     .allow_scopes(Scopes::parse("tools:read")?);
//! let bridge = Bridge::builder("https://gateway.example", keys, store).trust(partner).build()?;
//!
//! async fn tools(caller: ExternalCaller) -> String {
//!     format!("{} of {}", caller.subject(), caller.issuer())
//! }
//! let app: axum::Router = axum::Router::new()
//!     .route("/tools", axum::routing::get(tools))
//!     .layer(bridge.layer("mcp")?.admit_external());
//! # Ok(())
//! # }
//! ```

mod asserted;
mod caller;
mod identity_assertions;
mod issuer;
mod issuer_revocations;
mod jwks_fetch;
#[cfg(feature = "jwks-http")]
mod jwks_http;
mod jwks_source;
mod people;
mod revocation_settings;
mod session_mapping;
mod token;
mod trusted_issuer;
mod trusted_issuers;
mod workloads;

pub(crate) use asserted::{Asserted, AssertedSubject, AssertionRefusal};
pub use caller::ExternalCaller;
pub use identity_assertions::IdentityAssertions;
pub use issuer::ExternalIssuer;
pub(crate) use issuer::Gateway;
#[cfg(feature = "jwks-http")]
pub use jwks_http::HttpJwks;
pub use jwks_source::{JwksError, JwksSource};
pub use people::{ExternalSubject, PeopleMapper};
pub(crate) use revocation_settings::TrustedEvents;
pub use revocation_settings::{GlobalTokenRevocation, SecurityEvents};
pub use session_mapping::{ExternalSessions, SessionMapper};
pub(crate) use token::ExternalToken;
pub(crate) use trusted_issuer::{TrustedIssuer, Unverified};
pub(crate) use trusted_issuers::TrustedIssuers;
pub use workloads::{Workload, WorkloadMapper};

#[cfg(all(fuzzing, feature = "jwks-http"))]
#[doc(hidden)]
pub use crate::event_stream::fuzz_answers;
#[cfg(feature = "jwks-http")]
pub use crate::event_stream::{
    EventStream, EventStreamError, FollowedStream, StreamHealth, StreamStatus, TransmitterToken,
};
pub use crate::token::external::ExternalClaims;
