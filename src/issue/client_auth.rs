//! Client authentication: whether a client is who it says (RFC 6749 §2.3).

use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::issuer::Issuer;
use super::settings::ResourceServer;
use crate::clock::Clock;
use crate::id::{AssertionHash, ClientId, ClientSecret, SecretHash};

use crate::store::{Client, ClientProof, KeyQuery, StoreError, within_deadline};
use crate::telemetry::audit;
use crate::token::ClientAssertion;

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
        let outcome = match shown {
            ShownClient::Secret { ids, secret } => self.of_secret(ids, secret).await,
            ShownClient::Assertion { id, assertion } => self.of_assertion(id.as_ref(), assertion).await,
            ShownClient::Nothing(id) if self.is_public(id) => Ok(OauthClient::Linkable(id.clone())),
            ShownClient::Nothing(_) => Err(ClientAuthError::InvalidClient),
        };
        if let Err(ClientAuthError::InvalidClient) = &outcome {
            audit!(
                "client_refused",
                client_id =
                    shown.id().filter(|id| self.has_form_of_a_client(id)).map(tracing::field::display),
                method = shown.method()
            );
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
    fn has_form_of_a_client(&self, id: &ClientId) -> bool {
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
        for id in ids {
            if let Some(server) =
                self.settings.clients.resource_servers.iter().find(|server| server.client == *id)
            {
                if server.secret.matches(&secret.hash(None)) {
                    return Ok(OauthClient::ResourceServer(server.clone()));
                }
                continue;
            }
            if let Some(client) = self.settings.clients.registered(id) {
                if client.has_secret(secret) {
                    return Ok(OauthClient::Linkable(client.id.clone()));
                }
                continue;
            }
            if let Some(client) = self.verified(id, &proof).await? {
                return Ok(OauthClient::Hook(client, proof));
            }
        }
        Err(ClientAuthError::InvalidClient)
    }

    /// Authenticates a client by an assertion.
    ///
    /// Until a key has verified it, an assertion only says where to look for that key. It counts as used only after
    /// that, so nobody can use up the assertion of another client.
    async fn of_assertion(&self, id: Option<&ClientId>, text: &str) -> Result<OauthClient, ClientAuthError> {
        const INVALID: ClientAuthError = ClientAuthError::InvalidClient;
        let deadline = self.settings.deadlines.read;
        let assertion = ClientAssertion::parse(text).map_err(|_| INVALID)?;
        let client = assertion.client();
        if id.is_some_and(|id| id != client) {
            return Err(INVALID);
        }
        let query = KeyQuery {
            algorithm: assertion.algorithm().to_owned(),
            key_id: assertion.key_id().map(str::to_owned),
        };
        let keys = within_deadline(deadline, self.store.client_keys(client, &query)).await?;
        let jwks = keys.iter().map(|key| key.jwk.as_str());
        let key = assertion.signed_by(jwks).await.and_then(|index| keys.get(index)).ok_or(INVALID)?;
        let now = self.clock.now();
        let left =
            assertion.check(&self.settings.issuer, now, self.settings.tokens.leeway).map_err(|_| INVALID)?;
        let proof = ClientProof::Key(key.thumbprint);
        let verified = self.verified(client, &proof).await?.ok_or(INVALID)?;
        let used = AssertionHash::of(client, assertion.id());
        if !within_deadline(deadline, self.store.spend_assertion(&used, left)).await? {
            return Err(INVALID);
        }
        Ok(OauthClient::Hook(verified, proof))
    }

    async fn verified(&self, id: &ClientId, proof: &ClientProof) -> Result<Option<Client>, StoreError> {
        within_deadline(self.settings.deadlines.read, self.store.verify_client(id, proof)).await
    }
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
