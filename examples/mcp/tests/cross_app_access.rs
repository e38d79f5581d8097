//! Enterprise-managed authorization of MCP: a company vouches for its people, and takes that back. The clients are the two SDKs of
//! MCP, run by the scripts in the crate's `tests/stock`.

use bridge_auth::external_issuer::{
    ExternalIssuer, ExternalSessions, ExternalSubject, HttpJwks, IdentityAssertions, SecurityEvents,
};
use bridge_auth::issue::RegisteredClient;
use bridge_auth::{BridgeBuilder, Scopes, UserId};
use tokio::net::TcpListener;

use crate::server::Server;
use crate::stock;

const CLIENT: &str = "a-stock-client";
const SECRET: &str = "a-secret-that-has-at-least-32-characters";

/// Runs the script of a client, which is told of a server that trusts the identity provider of the script.
async fn runs(script: &str) {
    let provider = free_address().await;
    let (trusted, client) =
        (provider.clone(), RegisteredClient::new(CLIENT, "A stock client").secret(SECRET));
    let server =
        Server::start_with(|builder, issuer| with_company(builder, issuer, &trusted).client(client)).await;
    let mut command = stock::script(&crate::repository(), script);
    command
        .env("SERVER", server.url("/mcp"))
        .env("ISSUER", server.url(""))
        .env("PROVIDER", provider)
        .env("CLIENT_ID", CLIENT)
        .env("CLIENT_SECRET", SECRET);
    stock::succeeds(&mut command).await;
}

fn with_company(builder: BridgeBuilder, issuer: &str, provider: &str) -> BridgeBuilder {
    let keys = HttpJwks::new(format!("{provider}/jwks.json")).unwrap();
    let scopes = Scopes::parse("hook:track").unwrap();
    let company = ExternalIssuer::new(provider, keys, ExternalSessions::None)
        .people(|who: &ExternalSubject| UserId::parse(who.subject.as_deref()?).ok())
        .identity_assertions(IdentityAssertions::new().register_unknown_people(scopes))
        .security_events(SecurityEvents::new(issuer));
    builder.trust(company)
}

/// Where nobody listens yet.
async fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn the_typescript_sdk_is_let_in_by_the_company_and_out_when_it_says_so() {
    runs("mcp_cross_app_access.mjs").await;
}

#[tokio::test]
async fn the_python_sdk_is_let_in_by_the_company_and_out_when_it_says_so() {
    runs("mcp_identity_assertion.py").await;
}
