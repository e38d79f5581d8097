//! Client authentication: whether a client is who it says (RFC 6749 §2.3).

use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::issuer::Issuer;
use super::settings::ResourceServer;
use crate::clock::Clock;
use crate::id::{AssertionHash, ClientId, ClientSecret, SecretHash};

use crate::store::{Client, ClientProof, KeyQuery, StoreError, within_deadline};
use crate::telemetry::{audit, note, note_reason, quoted};
use crate::token::{ClientAssertion, InvalidToken};

/// What a client shows to prove who it is, by one method.
pub(crate) enum ShownClient {
    /// A secret (`client_secret_basic`, `client_secret_post`), and the ids that the sent name may stand for, the
    /// likeliest first.
    Secret { ids: Vec<ClientId>, secret: ClientSecret },
    /// A signed assertion (`private_key_jwt`, RFC 7523 §2.2), and the client id from beside it, or else from within it.
    Assertion { id: Option<ClientId>, assertion: Zeroizing<String> },
    /// A client id alone (`none`).
    Nothing(ClientId),
}

/// A client that has proved who it is.
#[derive(Debug)]
pub(crate) enum OauthClient {
    /// A client that people link: the bridge itself, a registered client, or one that is known by a metadata document.
    /// Everyone can claim to be a public client. So what it asks for must prove the rest.
    Linkable(ClientId),
    /// A hook client, and its proof.
    Hook(Client, ClientProof),
    /// A server of the host.
    ResourceServer(ResourceServer),
}

/// Why it is not known who a client is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientAuthError {
    #[error("the client did not prove who it is")]
    InvalidClient,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Issuer {
    /// The client, when it proves who it is. An unknown client takes the same work as a wrong secret.
    ///
    /// # Cancel safety
    ///
    /// An assertion is spent or not. A spent assertion is refused from then on.
    pub(crate) async fn authenticate_client(
        &self,
        shown: &ShownClient,
    ) -> Result<OauthClient, ClientAuthError> {
        if let Some(id) = shown.id().filter(|id| self.may_be_logged(id)) {
            note(|known| known.claimed_client = Some(id.clone()));
        }
        let outcome = match shown {
            ShownClient::Secret { ids, secret } => self.of_secret(ids, secret).await,
            ShownClient::Assertion { id, assertion } => self.of_assertion(id.as_ref(), assertion).await,
            ShownClient::Nothing(id) if self.is_public(id) => Ok(OauthClient::Linkable(id.clone())),
            ShownClient::Nothing(_) => {
                Err(refused("no_proof", "it shows an id alone, and no public client has it"))
            }
        };
        match &outcome {
            Ok(client) => note_proved(client),
            Err(ClientAuthError::InvalidClient) => {
                audit!(
                    "client_refused",
                    client_id = shown.id().filter(|id| self.may_be_logged(id)).map(tracing::field::display),
                    method = shown.method()
                );
            }
            Err(ClientAuthError::Store(_)) => {}
        }
        outcome
    }

    /// Whether `id` is a client that people link and that has no secret.
    fn is_public(&self, id: &ClientId) -> bool {
        match self.settings.clients.registered(id) {
            Some(client) => !client.is_confidential(),
            None => *id == self.settings.bridge_client || self.is_described(id),
        }
    }

    /// Whether `id` may stand in the log without a proof. A client that mixes up two fields may send a secret as its
    /// id.
    pub(crate) fn may_be_logged(&self, id: &ClientId) -> bool {
        let settings = &self.settings;
        id.is_for_hooks()
            || *id == settings.bridge_client
            || settings.clients.registered(id).is_some()
            || settings.clients.resource_servers.iter().any(|server| server.client == *id)
    }

    /// The stored form of `secret`.
    pub(super) fn hash(&self, secret: &ClientSecret) -> SecretHash {
        secret.hash(self.settings.clients.pepper.as_ref().map(ExposeSecret::expose_secret))
    }

    async fn of_secret(
        &self,
        ids: &[ClientId],
        secret: &ClientSecret,
    ) -> Result<OauthClient, ClientAuthError> {
        let proof = ClientProof::Secret(self.hash(secret));
        let mut fault = None;
        for id in ids {
            if let Some(server) =
                self.settings.clients.resource_servers.iter().find(|server| server.client == *id)
            {
                if server.secret.matches(&secret.hash(None)) {
                    return Ok(OauthClient::ResourceServer(server.clone()));
                }
                fault = Some("the secret of the resource server is wrong");
                continue;
            }
            if let Some(client) = self.settings.clients.registered(id) {
                if client.has_secret(secret) {
                    return Ok(OauthClient::Linkable(client.id.clone()));
                }
                fault = Some(match client.is_confidential() {
                    true => "the secret of the registered client is wrong",
                    false => "the registered client is public, and has no secret",
                });
                continue;
            }
            if let Some(client) = self.verified(id, &proof).await? {
                return Ok(OauthClient::Hook(client, proof));
            }
        }
        let is_for_hooks = ids.iter().any(ClientId::is_for_hooks);
        Err(match fault.or(is_for_hooks.then_some(NO_DEVICE)) {
            Some(detail) => refused("wrong_secret", detail),
            None => {
                refused("unknown_client", "no client has this id, or it is a public client with a secret")
            }
        })
    }

    /// Authenticates a client by an assertion.
    ///
    /// Until a key has verified it, an assertion only says where to look for that key. It counts as used only after
    /// that, so nobody can use up the assertion of another client.
    async fn of_assertion(&self, id: Option<&ClientId>, text: &str) -> Result<OauthClient, ClientAuthError> {
        let invalid = |fault| refused("invalid_assertion", format!("the assertion is {fault}"));
        let deadline = self.settings.deadlines.read;
        let assertion = ClientAssertion::parse(text).map_err(|fault| match fault {
            InvalidToken::Malformed => {
                invalid("no JWT whose iss and sub are the client, with aud, exp and jti".to_owned())
            }
            fault => invalid(format!("not accepted: {fault}")),
        })?;
        let client = assertion.client();
        if id.is_some_and(|id| id != client) {
            return Err(invalid("another client's than client_id says".to_owned()));
        }
        let query = KeyQuery {
            algorithm: assertion.algorithm().to_owned(),
            key_id: assertion.key_id().map(str::to_owned),
        };
        let keys = within_deadline(deadline, self.store.client_keys(client, &query)).await?;
        let jwks = keys.iter().map(|key| key.jwk.as_str());
        let signed_by = assertion.signed_by(jwks).await.and_then(|index| keys.get(index));
        let key = signed_by.ok_or_else(|| match keys.is_empty() {
            true => refused(
                "unknown_key",
                "the client has no key of this kid and alg, or there is no such client",
            ),
            false => refused("wrong_signature", "the signature does not match the keys of the client"),
        })?;
        let now = self.clock.now();
        let checked = assertion.check(&self.settings.issuer, now, self.settings.tokens.leeway);
        let left = checked.map_err(|fault| match fault {
            InvalidToken::Issuer => {
                let (sent, expected) = (quoted(assertion.audience()), quoted(&self.settings.issuer));
                invalid(format!("for another server: aud is {sent}, expected {expected}"))
            }
            fault => invalid(format!("{fault}: see exp, nbf and iat, and the clock of the client")),
        })?;
        let proof = ClientProof::Key(key.thumbprint);
        let verified = self.verified(client, &proof).await?;
        let verified = verified.ok_or_else(|| refused("session_ended", NO_DEVICE))?;
        let used = AssertionHash::of(client, assertion.id());
        if !within_deadline(deadline, self.store.spend_assertion(&used, left)).await? {
            return Err(refused("assertion_used", "an assertion with this jti was used before"));
        }
        Ok(OauthClient::Hook(verified, proof))
    }

    async fn verified(&self, id: &ClientId, proof: &ClientProof) -> Result<Option<Client>, StoreError> {
        within_deadline(self.settings.deadlines.read, self.store.verify_client(id, proof)).await
    }
}

/// Why the store knows no such credential. It does not say which, so that all take the same time.
const NO_DEVICE: &str = "no live device of this client has this credential: it is wrong or was replaced, the session of \
    its device has ended, or there is no such client";

/// The proof is no good. Only the log learns why.
fn refused(reason: &'static str, detail: impl Into<String>) -> ClientAuthError {
    note_reason(reason, detail);
    ClientAuthError::InvalidClient
}

/// Notes for the log who has proved what.
fn note_proved(client: &OauthClient) {
    note(|known| match client {
        OauthClient::Linkable(id) => known.claimed_client = Some(id.clone()),
        OauthClient::Hook(client, _) => {
            (known.claimed_client, known.client) = (None, Some(client.id.clone()));
            known.user = Some(client.owner.clone());
        }
        OauthClient::ResourceServer(server) => {
            (known.claimed_client, known.client) = (None, Some(server.client.clone()));
        }
    });
}

impl ShownClient {
    /// The client that this claims to be, when nothing must be decoded or believed for that.
    fn id(&self) -> Option<&ClientId> {
        match self {
            Self::Secret { ids, .. } => ids.last(),
            Self::Assertion { id, .. } => id.as_ref(),
            Self::Nothing(id) => Some(id),
        }
    }

    /// The client that this proves to be, if it is valid. `None` for an id alone, which everyone may show.
    pub(crate) fn proves(&self) -> Option<&ClientId> {
        match self {
            Self::Nothing(_) => None,
            _ => self.id(),
        }
    }

    const fn method(&self) -> &'static str {
        match self {
            Self::Secret { .. } => "client_secret",
            Self::Assertion { .. } => "private_key_jwt",
            Self::Nothing(_) => "none",
        }
    }
}
