//! Why a configuration is refused.

use crate::id::InvalidText;

/// Why a [`Bridge`](crate::Bridge), or one of its layers, was not built: its configuration could not be safe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The issuer is not a URL that RFC 8414 §2 allows, or is longer than 255 characters.
    #[error(
        "the issuer {0:?} must be an https URL of at most 255 characters without query, fragment and user (http is \
        for loopback only)"
    )]
    Issuer(String),
    /// There is no audience, so no token would be good anywhere. Or there are so many that no token could have them
    /// all.
    #[error(
        "there are {count} audiences, of {characters} characters in all: give 1 to 16, of at most 1024 characters in \
        all ({setter})"
    )]
    Audiences {
        /// How many there are.
        count: usize,
        /// How many characters they have in all.
        characters: usize,
        /// The method that sets them.
        setter: &'static str,
    },
    /// A layer requires an audience that this bridge issues no token for: the layer would refuse every request.
    #[error(
        "this bridge issues no token for the audience {0:?}: name it with BridgeBuilder::audiences or ::other_audiences"
    )]
    UnknownAudience(String),
    /// A text is not what a setting takes: an id, scopes, a URL, a network or a header name.
    #[error(transparent)]
    InvalidText(#[from] InvalidText),
    /// A duration or a count is outside the safe range.
    #[error("{what} is {value}: it must be {allowed} ({setter})")]
    OutOfRange {
        /// Which setting.
        what: &'static str,
        /// Its value. A secret is never shown: this is its length.
        value: String,
        /// The allowed values.
        allowed: &'static str,
        /// The method that sets it.
        setter: &'static str,
    },
    /// Refresh tokens would be given out, and no endpoint would accept them.
    #[error(
        "`POST /session` would give refresh tokens, and nothing would accept them: name the token endpoint with \
        BridgeBuilder::token_endpoint, or leave out BridgeBuilder::session_refresh_tokens"
    )]
    NoTokenEndpoint,
    /// Identity assertions are accepted, and something that they cannot do without is missing.
    #[error("ExternalIssuer::identity_assertions needs {needs}")]
    IdentityAssertions {
        /// What is missing.
        needs: &'static str,
    },
    /// The device grant is on, and something that it cannot do without is missing.
    #[error("BridgeBuilder::device_authorization_endpoint needs {needs}")]
    DeviceGrant {
        /// What is missing.
        needs: &'static str,
    },
    /// Token exchange is on, and there is no endpoint for it.
    #[error(
        "BridgeBuilder::token_exchange needs the token endpoint: name it with BridgeBuilder::oauth or ::token_endpoint"
    )]
    TokenExchange,
    /// The login of Claude Code could not work with these settings.
    #[error("BridgeBuilder::gateway_login needs {needs}")]
    GatewayLogin {
        /// What it needs.
        needs: &'static str,
    },
    /// A text cannot be used in a challenge or a path, or as the name of a claim.
    #[error("{what} {value:?} must be {allowed}")]
    Text {
        /// Which setting.
        what: &'static str,
        /// Its value.
        value: String,
        /// The allowed values.
        allowed: &'static str,
    },
    /// An issuer is trusted twice, or is this bridge itself. The `iss` of a token must identify one issuer.
    #[error("the issuer {0:?} is trusted already: name each issuer once, and not this bridge")]
    IssuerTwice(String),
    /// The people of an external issuer are not known, and something needs them.
    #[error("it is not known who the people of the issuer {0:?} are: set ExternalIssuer::people")]
    NoPeople(String),
    /// A SPIFFE trust domain is of no use to an issuer without workloads.
    #[error("the SPIFFE trust domain {0:?} is of no use without workloads: set ExternalIssuer::workloads")]
    NoWorkloads(String),
    /// A SPIFFE trust domain is that of two issuers. A SPIFFE ID must identify one.
    #[error(
        "the SPIFFE trust domain {0:?} has an issuer already: name it at one issuer (ExternalIssuer::spiffe_trust_domain)"
    )]
    TrustDomainTwice(String),
    /// No TLS client could be made. It would fetch the keys of other issuers, or the documents of OAuth clients.
    #[error("no TLS client could be made to fetch the keys of other issuers or the documents of clients")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The key ring failed its self-test.
    #[error(transparent)]
    Key(#[from] crate::token::KeyError),
}
