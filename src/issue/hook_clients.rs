//! Hook clients: provisioned by a person's bridge, let in by their secret or key.

use std::time::{Duration, SystemTime};

use url::Url;

use super::access::{Access, Grant};
use super::client_auth::{ClientAuthError, OauthClient, ShownClient};
use super::issuer::Issuer;
use crate::caller::{Caller, CallerKind};
use crate::id::{Audience, ClientId, ClientSecret, Scopes};
use crate::store::{
    self, Client, ClientCredential, ClientKey, ClientProof, NewSession, OpenSession, OpenSessionError,
    Origin, ProvisionClient, ProvisionedClient, StoreError, within_deadline,
};
use crate::telemetry::audit;
use crate::token::{KeyError, Subject, VerifyingKey};

/// A hook client and the public key that it was given.
#[derive(Debug, Clone)]
pub struct HookKey {
    /// The client id: `bridge:<user id>`.
    pub id: ClientId,
    /// The key of the device that asked, as a JWK with its public members and `alg`.
    pub jwk: String,
    /// What the client may ask for.
    pub scopes: Scopes,
    /// Where it gets its tokens.
    pub token_endpoint: Url,
    /// When the key is dead at the latest, as with [`HookClient::secret_expires_at`].
    pub key_expires_at: SystemTime,
}

/// A hook client and its new secret, shown once.
#[derive(Debug, Clone)]
pub struct HookClient {
    /// The client id: `bridge:<user id>`.
    pub id: ClientId,
    /// The secret of the device that asked.
    pub secret: ClientSecret,
    /// What the client may ask for.
    pub scopes: Scopes,
    /// Where it gets its tokens.
    pub token_endpoint: Url,
    /// When the secret is dead at the latest: at the absolute end of the session of its device. It dies with that session,
    /// however that ends.
    pub secret_expires_at: SystemTime,
}

/// Why no client was provisioned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// The bridge has no token endpoint ([`BridgeBuilder::token_endpoint`](crate::BridgeBuilder::token_endpoint)).
    #[error("provisioning is off: the bridge has no token endpoint")]
    Off,
    /// The caller is a hook client: only a person's bridge provisions one.
    #[error("only a person's bridge provisions a hook client")]
    NotAUser,
    /// The caller lacks a scope that [provisioning requires](crate::BridgeBuilder::provisioning_requires).
    #[error("provisioning requires the scopes {required}")]
    InsufficientScope {
        /// All that is required.
        required: Scopes,
    },
    /// The key is private, too weak, or does not name one algorithm that fits it.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The session or its user is no longer good.
    #[error("the session is no longer live")]
    SessionNotLive,
    /// As many devices as may be have a credential and a live session.
    #[error("too many devices have a credential: revoke a session first")]
    TooManyDevices,
    /// The device is being given other credentials at this moment, by two calls or more. Try again.
    #[error("the device is being given other credentials right now")]
    Overlapped,
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a hook client was not let in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientAccessError {
    /// The client is unknown, the secret wrong, or the owner disabled: the caller is not told which
    /// (RFC 6749 §5.2 `invalid_client`).
    #[error("the client is not good")]
    InvalidClient,
    /// A scope is asked for that the client does not hold (RFC 6749 §5.2 `invalid_scope`).
    #[error("the client does not hold these scopes")]
    InvalidScope,
    /// The session of the client's device is bound to another resource (RFC 8707 §2 `invalid_target`).
    #[error("no token is issued for this resource")]
    Resource,
    /// The token could not be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Issuer {
    /// Provisions the hook client of the calling person, or gives it a new secret for the calling device.
    ///
    /// Each device, named by its session, has a secret of its own; a new one leaves the one before
    /// good for the overlap. A secret is good only while its device's session is live.
    ///
    /// # Errors
    ///
    /// [`ProvisionError`].
    ///
    /// # Cancel safety
    ///
    /// A secret that was stored but not returned is known to nobody; the one before stays good for the
    /// overlap.
    pub async fn provision_client(&self, caller: &Caller) -> Result<HookClient, ProvisionError> {
        let secret = ClientSecret::random();
        let (id, token_endpoint, given) =
            self.provision(caller, ClientCredential::Secret(self.hash(&secret))).await?;
        let (scopes, secret_expires_at) = (given.scopes, given.ends_at);
        Ok(HookClient { id, secret, scopes, token_endpoint, secret_expires_at })
    }

    /// The same with a public key in place of a secret (`private_key_jwt`, RFC 7523): nothing is shown that could be stolen.
    ///
    /// `jwk` is a public key of Ed25519, P-256, or RSA of 2048 to 4096 bits, which names its algorithm. What else it says is
    /// not kept. A key belongs to the device that brought it last.
    ///
    /// # Errors
    ///
    /// [`ProvisionError`].
    ///
    /// # Cancel safety
    ///
    /// The key is good or not; the credential before stays good for the overlap.
    pub async fn provision_client_key(&self, caller: &Caller, jwk: &str) -> Result<HookKey, ProvisionError> {
        let key = VerifyingKey::from_jwk(jwk)?;
        let (thumbprint, jwk) = key.to_jwk().ok_or(KeyError::Private)?;
        let credential = ClientCredential::Key(ClientKey { thumbprint, jwk: jwk.clone() });
        let (id, token_endpoint, given) = self.provision(caller, credential).await?;
        let (scopes, key_expires_at) = (given.scopes, given.ends_at);
        Ok(HookKey { id, jwk, scopes, token_endpoint, key_expires_at })
    }

    /// Gives the calling device its credential; the client's id, where it gets its tokens, and what it was given.
    async fn provision(
        &self,
        caller: &Caller,
        credential: ClientCredential,
    ) -> Result<(ClientId, Url, ProvisionedClient), ProvisionError> {
        let token_endpoint = self.settings.endpoints.token.clone().ok_or(ProvisionError::Off)?;
        if caller.kind() != CallerKind::User {
            return Err(ProvisionError::NotAUser);
        }
        let required = &self.settings.hooks.provisioning_scopes;
        if !caller.scopes().contains_all(required) {
            return Err(ProvisionError::InsufficientScope { required: required.clone() });
        }
        let id = ClientId::for_hooks_of(caller.user_id());
        let method = if credential.jwk().is_some() { "private_key_jwt" } else { "client_secret" };
        let provision = ProvisionClient {
            client: id.clone(),
            owner: caller.user_id().clone(),
            session: caller.session_id().clone(),
            credential,
            scopes: self.settings.hooks.scopes.clone(),
            overlap: self.settings.hooks.secret_overlap,
            max_devices: self.settings.hooks.max_devices,
        };
        let given = within_deadline(self.settings.deadlines.write, self.provisioned(provision)).await?;
        audit!("client_provisioned", client_id = %id, session_id = %caller.session_id(), method);
        Ok((id, token_endpoint, given))
    }

    /// Waits a moment and begins anew when two other calls were answered meanwhile, so that those are told first.
    async fn provisioned(
        &self,
        new: ProvisionClient,
    ) -> Result<ProvisionedClient, store::ProvisionClientError> {
        const TRIES: usize = 5;
        for _ in 1..TRIES {
            match self.store.provision_client(new.clone()).await {
                Err(store::ProvisionClientError::Overlapped) => {
                    tokio::time::sleep(Duration::from_millis(rand::random_range(20..100))).await;
                }
                answered => return answered,
            }
        }
        self.store.provision_client(new).await
    }

    /// Opens access for a hook client that shows its secret (`client_credentials`, RFC 6749 §4.4).
    ///
    /// Without `scopes` it gets all it holds. The hooks of a device have one session: it is renewed, and it ends with the
    /// session of the device. Each token has an expiry of its own.
    ///
    /// # Errors
    ///
    /// [`ClientAccessError`].
    ///
    /// # Cancel safety
    ///
    /// The session is opened or not, never half; one whose token was not returned expires by itself.
    pub async fn client_access(
        &self,
        client: &ClientId,
        secret: &ClientSecret,
        scopes: Option<Scopes>,
        origin: Origin,
    ) -> Result<Access, ClientAccessError> {
        let shown = ShownClient::Secret { ids: vec![client.clone()], secret: secret.clone() };
        match self.authenticate_client(&shown).await? {
            OauthClient::Hook(held, proof) => self.hook_access(held, proof, scopes, None, origin).await,
            _ => Err(ClientAccessError::InvalidClient),
        }
    }

    /// Opens access for a hook client that has proved who it is, for `audience` alone if one is named.
    pub(crate) async fn hook_access(
        &self,
        held: Client,
        proof: ClientProof,
        scopes: Option<Scopes>,
        audience: Option<Audience>,
        origin: Origin,
    ) -> Result<Access, ClientAccessError> {
        // What the host has taken away since the client was provisioned is gone.
        let allowed = held.scopes.intersection(&self.settings.hooks.scopes);
        let scopes = scopes.unwrap_or_else(|| allowed.clone());
        if !allowed.contains_all(&scopes) {
            return Err(ClientAccessError::InvalidScope);
        }
        let session = NewSession {
            client: held.id.clone(),
            life: self.settings.tokens.life,
            max_life: self.settings.tokens.life,
            ..self.new_session(None, origin)
        };
        let open = OpenSession::Client { owner: held.owner, proof, scopes, session };
        let opened = within_deadline(self.settings.deadlines.write, self.store.open_session(open)).await?;
        // What the bridge was linked for alone, its hooks are for too.
        let resource = opened.resource.clone().or_else(|| audience.clone());
        if audience.is_some() && audience != resource {
            return Err(ClientAccessError::Resource);
        }
        let grant = Grant {
            subject: Subject::HookClient { owner: opened.user.clone() },
            client: held.id,
            audiences: self.audiences_of(resource.as_ref()),
            token_life: self.settings.tokens.life,
        };
        let access = self.sign(opened, grant)?;
        audit!("client_access_opened", client_id = %access.client, session_id = %access.session);
        Ok(access)
    }
}

impl From<store::ProvisionClientError> for ProvisionError {
    fn from(error: store::ProvisionClientError) -> Self {
        match error {
            store::ProvisionClientError::SessionNotLive | store::ProvisionClientError::UserDisabled => {
                Self::SessionNotLive
            }
            store::ProvisionClientError::TooManyDevices => Self::TooManyDevices,
            store::ProvisionClientError::Overlapped => Self::Overlapped,
            store::ProvisionClientError::Store(fault) => Self::Store(fault),
        }
    }
}

impl From<ClientAuthError> for ClientAccessError {
    fn from(error: ClientAuthError) -> Self {
        match error {
            ClientAuthError::InvalidClient => Self::InvalidClient,
            ClientAuthError::Store(fault) => Self::Store(fault),
        }
    }
}

impl From<OpenSessionError> for ClientAccessError {
    fn from(error: OpenSessionError) -> Self {
        match error {
            OpenSessionError::Store(fault) => Self::Store(fault),
            _ => Self::InvalidClient,
        }
    }
}
