//! Hook clients: a person's bridge provisions them, and their secret or key lets them in.

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
use crate::telemetry::{audit, note_reason};
use crate::token::{KeyError, Subject, VerifyingKey};

/// A hook client and its public key.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HookKey {
    /// The client id: `bridge:<user id>`.
    pub id: ClientId,
    /// The key of the device that asked: a JWK with its public members and `alg`.
    pub jwk: String,
    /// The scopes that the client may ask for.
    pub scopes: Scopes,
    /// The URL at which it gets its tokens.
    pub token_endpoint: Url,
    /// When the key ends at the latest, as with [`HookClient::secret_expires_at`].
    pub key_expires_at: SystemTime,
}

/// A hook client and its new secret, which is shown once.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HookClient {
    /// The client id: `bridge:<user id>`.
    pub id: ClientId,
    /// The secret of the device that asked.
    pub secret: ClientSecret,
    /// The scopes that the client may ask for.
    pub scopes: Scopes,
    /// The URL at which it gets its tokens.
    pub token_endpoint: Url,
    /// When the secret ends at the latest: at the absolute end of its device's session. When that session ends earlier,
    /// for any reason, the secret ends with it.
    pub secret_expires_at: SystemTime,
}

/// Why no client was provisioned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// The bridge has no token endpoint ([`BridgeBuilder::token_endpoint`](crate::BridgeBuilder::token_endpoint)).
    #[error(
        "provisioning is off, because the bridge has no token endpoint: set BridgeBuilder::token_endpoint"
    )]
    Off,
    /// The caller is a hook client, or has a delegated token. Only a person's bridge can provision one.
    #[error("the caller is a hook client or has a delegated token: only a person's bridge can provision one")]
    NotAUser,
    /// The caller lacks a scope that [provisioning requires](crate::BridgeBuilder::provisioning_requires).
    #[error("the caller lacks a scope: provisioning requires {required}")]
    InsufficientScope {
        /// All scopes that are required.
        required: Scopes,
    },
    /// The key is private or too weak, or it does not name one algorithm that fits it.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The session or its user is no longer valid.
    #[error("the session has ended or its user is disabled: link the bridge again")]
    SessionNotLive,
    /// As many devices as the limit allows have a credential and a live session.
    #[error("as many devices as max_devices allows have a credential: end the session of one of them first")]
    TooManyDevices,
    /// Two or more other calls are giving the device a credential at this moment. Try again.
    #[error("other calls are giving this device a credential right now: try again")]
    Overlapped,
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a hook client was not let in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientAccessError {
    /// The client is unknown, its secret is wrong, or its owner is disabled (RFC 6749 §5.2 `invalid_client`). The
    /// caller is not told which.
    #[error("the client is unknown, its secret is wrong, or its owner is disabled")]
    InvalidClient,
    /// The client asks for a scope that it does not hold (RFC 6749 §5.2 `invalid_scope`).
    #[error("the client asks for a scope that it does not hold")]
    InvalidScope,
    /// The session of the client's device is bound to another resource (RFC 8707 §2 `invalid_target`).
    #[error("the session of the client's device is bound to another resource")]
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
    /// Each device has its own secret. A session stands for a device. A new secret leaves the one before it valid for
    /// the [overlap](crate::BridgeBuilder::secret_overlap). A secret is valid only while the session of its device is
    /// live.
    ///
    /// # Errors
    ///
    /// [`ProvisionError`].
    ///
    /// # Cancel safety
    ///
    /// Nobody knows a secret that was stored but not returned. The secret before it stays valid for the overlap.
    pub async fn provision_client(&self, caller: &Caller) -> Result<HookClient, ProvisionError> {
        let secret = ClientSecret::random();
        let (id, token_endpoint, given) =
            self.provision(caller, ClientCredential::Secret(self.hash(&secret))).await?;
        let (scopes, secret_expires_at) = (given.scopes, given.ends_at);
        Ok(HookClient { id, secret, scopes, token_endpoint, secret_expires_at })
    }

    /// Does the same with a public key instead of a secret (`private_key_jwt`, RFC 7523).
    ///
    /// So nothing is shown that could be stolen.
    ///
    /// `jwk` is a public key that names its algorithm: Ed25519, P-256, or RSA of 2048 to 4096 bits. Its other members
    /// are not kept. A key belongs to the device that brought it last.
    ///
    /// # Errors
    ///
    /// [`ProvisionError`].
    ///
    /// # Cancel safety
    ///
    /// The key is stored or not. The credential before it stays valid for the overlap.
    pub async fn provision_client_key(&self, caller: &Caller, jwk: &str) -> Result<HookKey, ProvisionError> {
        let key = VerifyingKey::from_jwk(jwk)?;
        let (thumbprint, jwk) = key.to_jwk().ok_or(KeyError::Private)?;
        let credential = ClientCredential::Key(ClientKey { thumbprint, jwk: jwk.clone() });
        let (id, token_endpoint, given) = self.provision(caller, credential).await?;
        let (scopes, key_expires_at) = (given.scopes, given.ends_at);
        Ok(HookKey { id, jwk, scopes, token_endpoint, key_expires_at })
    }

    /// Gives the calling device its credential. Returns the client id, the token endpoint, and what was given.
    async fn provision(
        &self,
        caller: &Caller,
        credential: ClientCredential,
    ) -> Result<(ClientId, Url, ProvisionedClient), ProvisionError> {
        let token_endpoint = self.settings.endpoints.token.clone().ok_or(ProvisionError::Off)?;
        if caller.kind() != CallerKind::User || caller.actor().is_some() {
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

    /// Gives a credential. When two other calls overlap with this one, it waits a moment and begins again, so that
    /// their answers come first.
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
    /// Without `scopes` the client gets all scopes that it holds. All hooks of a device share one session. This call
    /// renews that session, and it ends with the session of the device. Each token has its own expiry.
    ///
    /// # Errors
    ///
    /// [`ClientAccessError`].
    ///
    /// # Cancel safety
    ///
    /// The session is opened or not, never half. A session whose token was not returned expires by itself.
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

    /// Opens access for a hook client that has proved who it is. When `audience` is given, the token is for that
    /// audience alone.
    pub(crate) async fn hook_access(
        &self,
        held: Client,
        proof: ClientProof,
        scopes: Option<Scopes>,
        audience: Option<Audience>,
        origin: Origin,
    ) -> Result<Access, ClientAccessError> {
        // The host may have removed scopes after the client was provisioned.
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
        // The hooks of a bridge are bound to the resource that the bridge is bound to.
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
            _ => {
                note_reason("session_ended", "the credential or the session of its device has just ended");
                Self::InvalidClient
            }
        }
    }
}
