//! Why there is no document for a client id.

/// There is no document that says who this client is.
///
/// A person may read the message. It has no text that comes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClientDocumentError {
    /// The client id is not the URL of a document.
    #[error("the client id is not the URL of a client metadata document: {0}")]
    NotAClientUrl(&'static str),
    /// The host accepts only clients of other hosts.
    #[error("clients of this host are not accepted here")]
    HostNotAllowed,
    /// The document, or the way to it, breaks a rule. It would break the rule again.
    #[error("the client metadata document is refused: {0}")]
    Refused(Refusal),
    /// The document could not be fetched now. This says nothing about the client.
    #[error("the client metadata document could not be fetched now")]
    Unavailable,
}

/// The rule that a document, or the way to it, breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("its host has an address that is not public")]
    AddressNotPublic,
    #[error("its server redirects, and no redirect is followed")]
    Redirect,
    #[error("its server answers with status {0} instead of 200")]
    Status(u16),
    #[error("its server sends it with a content encoding")]
    Encoded,
    #[error("it is longer than {} bytes", Refusal::MAX_BYTES)]
    TooLarge,
    #[error("it did not come in time")]
    TooSlow,
    #[error("its content type is not application/json, and does not end in +json")]
    ContentType,
    #[error("it is not a JSON object with members of the right types")]
    Malformed,
    #[error("its `client_id` is not the URL that it was fetched from")]
    OtherClientId,
    #[error(
        "it has a client secret or a private key, or asks for an authentication method other than `none`"
    )]
    Secret,
    #[error("it has no `redirect_uris` that can be used here")]
    NoRedirectUris,
    #[error("one of its `redirect_uris` is not https, http on loopback, or a private-use scheme with a dot")]
    RedirectUri,
    #[error("its `grant_types` do not have `authorization_code`")]
    GrantTypes,
    #[error("its `response_types` do not have `code`")]
    ResponseTypes,
    #[error("its `scope` is malformed")]
    Scope,
}

impl Refusal {
    /// The most bytes that a document may have: the recommendation of the draft, section "Maximum Response Size".
    pub(super) const MAX_BYTES: usize = 5 * 1024;
}

impl ClientDocumentError {
    /// Whether a later fetch may succeed, although nothing is repaired.
    pub(super) fn may_pass(self) -> bool {
        match self {
            Self::Unavailable | Self::Refused(Refusal::TooSlow) => true,
            Self::Refused(Refusal::Status(status)) => status == 429 || status >= 500,
            _ => false,
        }
    }
}
