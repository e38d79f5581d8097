//! The company whose people the gateway lets in: its identity provider says who they are, and when they have left. Its
//! agents act for its people.

use std::str::FromStr;

use anyhow::{Context as _, Error, Result};
use bridge_auth::external_issuer::{
    ExternalIssuer, ExternalSessions, ExternalSubject, GlobalTokenRevocation, HttpJwks, IdentityAssertions,
    SecurityEvents,
};
use bridge_auth::id::ClientSecret;
use bridge_auth::issue::{RegisteredClient, TokenExchange};
use bridge_auth::{BridgeBuilder, Scopes, UserId};
use clap::Args;

use super::login::SCOPES;

/// Where the gateway takes in what identity providers revoke.
pub const REVOCATIONS: &str = "/v1/auth/revocations";
/// Where it takes in security events that are pushed (RFC 8935).
pub const EVENTS: &str = "/v1/auth/revocations/events";
/// Where it is asked to revoke all that a person has.
const GLOBAL_REVOCATION: &str = "/v1/auth/revocations/global-token-revocation";
/// The client id of the gateway at the identity provider.
const CLIENT_ID: &str = "gateway";

/// The company.
#[derive(Args, Clone)]
pub struct CompanyOptions {
    /// The issuer of a company's identity provider: it says who its people are (identity assertions), and when they have
    /// left (security events)
    #[arg(long, env = "BRIDGE_AUTH_IDENTITY_PROVIDER", value_name = "URL")]
    pub identity_provider: Option<String>,

    /// Where the keys of the identity provider are [default: /jwks.json under its issuer]
    #[arg(
        long,
        env = "BRIDGE_AUTH_IDENTITY_PROVIDER_KEYS",
        value_name = "URL",
        requires = "identity_provider"
    )]
    pub identity_provider_keys: Option<String>,

    /// A program that may act for people: its client id, a colon, and its secret of at least 32 characters; may be
    /// repeated; better set by the variable, because other users of the machine can read the command line
    #[arg(
        long,
        env = "BRIDGE_AUTH_AGENT",
        value_name = "ID:SECRET",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub agent: Vec<Agent>,
}

/// A program that may act for people.
#[derive(Clone)]
pub struct Agent {
    pub id: String,
    pub secret: String,
}

impl CompanyOptions {
    /// Lets in whom the identity provider vouches for, until it says that they have left. Agents may exchange people's
    /// tokens for their own.
    pub fn join(&self, mut bridge: BridgeBuilder, gateway: &str) -> Result<BridgeBuilder> {
        if let Some(issuer) = &self.identity_provider {
            let keys = HttpJwks::new(self.keys_of(issuer))?;
            let provider = ExternalIssuer::new(issuer, keys, ExternalSessions::None)
                // Its people have the same ids here. A host with ids of its own looks them up.
                .people(|who: &ExternalSubject| UserId::parse(who.subject.as_deref()?).ok())
                .identity_assertions(
                    IdentityAssertions::new().register_unknown_people(Scopes::parse(SCOPES)?),
                )
                .security_events(SecurityEvents::new(gateway))
                // Two more ways in which identity providers say that somebody is out. A company needs one.
                .global_token_revocation(GlobalTokenRevocation::new(format!("{gateway}{GLOBAL_REVOCATION}")))
                .backchannel_logout(CLIENT_ID);
            bridge = bridge.trust(provider);
        }
        if !self.agent.is_empty() {
            bridge = bridge.token_exchange(TokenExchange::new());
        }
        Ok(self.agent.iter().fold(bridge, |bridge, agent| bridge.client(agent.client())))
    }

    fn keys_of(&self, issuer: &str) -> String {
        let own = || format!("{}/jwks.json", issuer.trim_end_matches('/'));
        self.identity_provider_keys.clone().unwrap_or_else(own)
    }
}

impl Agent {
    /// An agent with a secret that nobody else has.
    pub fn random(id: &str) -> Self {
        Self { id: id.to_owned(), secret: ClientSecret::random().expose().to_owned() }
    }

    fn client(&self) -> RegisteredClient {
        RegisteredClient::new(self.id.as_str(), self.id.as_str())
            .secret(self.secret.as_str())
            .exchanges_tokens(true)
    }
}

impl FromStr for Agent {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (id, secret) = text.split_once(':').context("write ID:SECRET")?;
        Ok(Self { id: id.to_owned(), secret: secret.to_owned() })
    }
}
