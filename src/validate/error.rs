//! Why a configuration is refused.

use crate::id::InvalidId;

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
    #[error("the number of audiences must be 1 to 16, with at most 1024 characters in all")]
    Audiences,
    /// A layer requires an audience that this bridge issues no token for: the layer would refuse every request.
    #[error(
        "this bridge issues no token for the audience {0:?}: name it with BridgeBuilder::audiences or ::other_audiences"
    )]
    UnknownAudience(String),
    /// An identifier is malformed.
    #[error("{what} {value:?} {reason}")]
    Id {
        /// Which setting.
        what: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: InvalidId,
    },
    /// A duration or a count is outside the safe range.
    #[error("{what} must be {allowed}")]
    OutOfRange {
        /// Which setting.
        what: &'static str,
        /// The allowed values.
        allowed: &'static str,
    },
    /// A text cannot be used in a challenge or a path.
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
    /// No TLS client could be made. It would fetch the keys of other issuers.
    #[error("no TLS client could be made to fetch the keys of other issuers")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The key ring failed its self-test.
    #[error(transparent)]
    Key(#[from] crate::token::KeyError),
}
