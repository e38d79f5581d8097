//! Why a configuration is refused.

use crate::id::InvalidId;

/// Why a [`Bridge`](crate::Bridge), or a layer of it, was not built: a configuration that could not be safe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The issuer is not a URL that RFC 8414 §2 allows, or longer than 255 characters.
    #[error("the issuer {0:?} must be an https URL without query and fragment (http is for loopback alone)")]
    Issuer(String),
    /// There is no audience, so that every token would be good nowhere, or so many that no token could hold them.
    #[error("there must be between 1 and 16 audiences, of 1024 characters in all")]
    Audiences,
    /// A layer requires an audience that this bridge issues no token for: it would refuse everyone.
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
    /// A duration or count lies outside what is safe.
    #[error("{what} must be {allowed}")]
    OutOfRange {
        /// Which setting.
        what: &'static str,
        /// What it may be.
        allowed: &'static str,
    },
    /// A text cannot stand in a challenge or a path.
    #[error("{what} {value:?} must be {allowed}")]
    Text {
        /// Which setting.
        what: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// An issuer is trusted twice, or is this bridge itself: the `iss` of a token must say whose it is.
    #[error("the issuer {0:?} is trusted already")]
    IssuerTwice(String),
    /// No TLS client could be made to fetch the keys of another issuer with.
    #[error("no TLS client could be made")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The key ring failed its self-test.
    #[error(transparent)]
    Key(#[from] crate::token::KeyError),
}
