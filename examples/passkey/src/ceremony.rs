//! The two ceremonies of WebAuthn: a passkey is created, and a person signs in with one.
//!
//! Passkeys are *discoverable*: the authenticator knows whose they are, so nobody types a name to sign in. Each use
//! needs *user verification*: a fingerprint, a face or a PIN.

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;
use url::{Host, Url};
use webauthn_rp::bin::{Decode as _, Encode as _};
use webauthn_rp::request::auth::AuthenticationVerificationOptions;
use webauthn_rp::request::register::{
    CredProtect, PublicKeyCredentialCreationOptions, PublicKeyCredentialUserEntity,
    RegistrationVerificationOptions, UserHandle, Username,
};
use webauthn_rp::request::{AsciiDomain, ExtensionInfo, RpId, TimedCeremony as _};
use webauthn_rp::response::CredentialId;
use webauthn_rp::response::register::{DynamicState, StaticState};
use webauthn_rp::{
    AuthenticatedCredential, DiscoverableAuthentication, DiscoverableAuthenticationServerState,
    DiscoverableCredentialRequestOptions, Registration, RegistrationServerState,
};

use crate::store::Passkey;

/// The bytes of a user handle. They are random: a handle says nothing about a person.
const HANDLE: usize = 16;

/// Who asks for passkeys: the relying party.
#[derive(Debug)]
pub struct RelyingParty {
    id: RpId,
    /// The one origin whose pages may use the passkeys.
    origin: String,
}

/// What goes to the browser, and what the gateway keeps to judge the answer.
pub struct Begun {
    pub challenge: [u8; 16],
    pub state: Vec<u8>,
    /// `PublicKeyCredentialCreationOptionsJSON` or `PublicKeyCredentialRequestOptionsJSON`.
    pub options: Value,
}

/// An answer of a browser, not judged yet.
pub struct Answer<A> {
    pub challenge: [u8; 16],
    answer: A,
}

pub type Created = Answer<Registration>;
pub type Asserted = Answer<DiscoverableAuthentication<HANDLE>>;

/// The answer of a browser is refused. The reason is for the log alone.
#[derive(Debug)]
pub struct Refused(pub String);

impl RelyingParty {
    /// The gateway that people reach at `issuer`.
    pub fn of(issuer: &Url) -> Result<Self> {
        let Some(Host::Domain(name)) = issuer.host() else {
            let port = issuer.port().map(|port| format!(":{port}")).unwrap_or_default();
            return Err(anyhow!(
                "browsers have no passkeys for an IP address, and --issuer is {issuer}: write a name, for example \
                 --issuer http://localhost{port}"
            ));
        };
        let id =
            AsciiDomain::try_from(name.to_owned()).ok().context("the host of --issuer is no domain name")?;
        Ok(Self { id: RpId::Domain(id), origin: issuer.origin().ascii_serialization() })
    }

    /// Begins to create a passkey for a new person. `None`: nobody can have that name.
    pub fn begin_creation(&self, name: &str) -> Result<Option<Begun>> {
        let Ok(username) = Username::try_from(name) else { return Ok(None) };
        let handle = UserHandle::<HANDLE>::new();
        let user = PublicKeyCredentialUserEntity { name: username, id: &handle, display_name: None };
        let mut options = PublicKeyCredentialCreationOptions::first_passkey(&self.id, user);
        // Asked for, and not enforced: most authenticators of phones and computers do not know this extension, and a
        // browser that must enforce it lets nobody use them. Each sign-in requires user verification anyway.
        options.extensions.cred_protect =
            CredProtect::UserVerificationRequired(ExtensionInfo::AllowDontEnforceValue);
        let (server, client) = options.start_ceremony().map_err(|error| anyhow!("{error}"))?;
        Ok(Some(Begun {
            challenge: server.sent_challenge().0.to_le_bytes(),
            state: server.encode()?,
            options: serde_json::to_value(&client)?,
        }))
    }

    /// Judges a new passkey. `state` is what [`Self::begin_creation`] returned.
    pub fn create(&self, state: &[u8], name: String, created: &Created) -> Result<Passkey, Refused> {
        let server = RegistrationServerState::<HANDLE>::decode(state).map_err(refused)?;
        let origins = [self.origin.as_str()];
        let options = RegistrationVerificationOptions::<&str, &str> {
            allowed_origins: &origins,
            // Browsers may add extensions of their own (WebAuthn §9).
            error_on_unsolicited_extensions: false,
            ..RegistrationVerificationOptions::default()
        };
        let credential = server.verify(&self.id, &created.answer, &options).map_err(refused)?;
        Ok(Passkey {
            id: credential.id().as_ref().to_vec(),
            handle: credential.user_id().as_ref().to_vec(),
            static_state: credential.static_state().encode().map_err(refused)?,
            dynamic_state: credential.dynamic_state().encode().map_err(refused)?.to_vec(),
            version: 0,
            name,
        })
    }

    /// Begins a sign-in, with whatever passkey the person chooses.
    pub fn begin_sign_in(&self) -> Result<Begun> {
        let options = DiscoverableCredentialRequestOptions::passkey(&self.id);
        let (server, client) = options.start_ceremony().map_err(|error| anyhow!("{error}"))?;
        Ok(Begun {
            challenge: server.sent_challenge().0.to_le_bytes(),
            state: server.encode()?,
            options: serde_json::to_value(&client)?,
        })
    }

    /// Judges a sign-in with `passkey`, and returns its new state. A counter that does not advance is refused: the
    /// passkey was copied.
    pub fn sign_in(&self, state: &[u8], passkey: &Passkey, asserted: &Asserted) -> Result<Vec<u8>, Refused> {
        let server = DiscoverableAuthenticationServerState::decode(state).map_err(refused)?;
        let handle: [u8; HANDLE] = passkey.handle.as_slice().try_into().map_err(refused)?;
        let handle = UserHandle::<HANDLE>::decode(handle).map_err(refused)?;
        let dynamic = passkey.dynamic_state.as_slice().try_into().map_err(refused)?;
        let mut credential = AuthenticatedCredential::new(
            CredentialId::<&[u8]>::decode(passkey.id.as_slice()).map_err(refused)?,
            &handle,
            StaticState::decode(&passkey.static_state).map_err(refused)?,
            DynamicState::decode(dynamic).map_err(refused)?,
        )
        .map_err(refused)?;
        let origins = [self.origin.as_str()];
        let options = AuthenticationVerificationOptions::<&str, &str> {
            allowed_origins: &origins,
            error_on_unsolicited_extensions: false,
            ..AuthenticationVerificationOptions::default()
        };
        server.verify(&self.id, &asserted.answer, &mut credential, &options).map_err(refused)?;
        Ok(credential.dynamic_state().encode().map_err(refused)?.to_vec())
    }
}

impl Created {
    pub fn parse(json: &Value) -> Result<Self, Refused> {
        let answer = Registration::from_json_relaxed(json.to_string().as_bytes()).map_err(refused)?;
        let challenge = answer.challenge_relaxed().map_err(refused)?;
        Ok(Self { challenge: challenge.0.to_le_bytes(), answer })
    }
}

impl Asserted {
    pub fn parse(json: &Value) -> Result<Self, Refused> {
        let json = json.to_string();
        let answer =
            DiscoverableAuthentication::<HANDLE>::from_json_relaxed(json.as_bytes()).map_err(refused)?;
        let challenge = answer.challenge_relaxed().map_err(refused)?;
        Ok(Self { challenge: challenge.0.to_le_bytes(), answer })
    }

    /// Which passkey the browser says that it used.
    pub fn passkey_id(&self) -> &[u8] {
        self.answer.raw_id().into_inner()
    }
}

fn refused(error: impl std::fmt::Display) -> Refused {
    Refused(error.to_string())
}
