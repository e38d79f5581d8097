//! The endpoints that bridges and operators call, as tower services.
//!
//! Each is a newtype over a [`Bridge`](crate::Bridge) that the macro `service!` makes of an async function; they differ
//! in nothing but what they answer. `endpoint` is the one way to all that bridges call.

mod admin;
mod answer;
mod body;
mod capabilities;
mod cross_site;
mod dispatch;
mod endpoint;
mod endpoint_caller;
mod exchange;
mod future;
mod introspect;
mod issue_code;
mod jwks;
mod oauth;
mod oauth_client;
mod openapi;
mod origin;
mod rate_limited;
mod revoke;
mod routes;
mod sessions;
mod state;
mod token;
mod well_known;

pub use admin::Operator;
pub use future::EndpointFuture;
pub(crate) use origin::AddressSettings;
pub use origin::PeerAddr;
pub(crate) use state::ServiceState;

use endpoint::Endpoint;
use future::service;

service! {
    /// `POST /code`: a signed-in person gets an exchange code for their bridge.
    ///
    /// The person is whom the host's own login has put into the request's extensions as
    /// [`SignedIn`](crate::SignedIn); without it the answer is 401. A request that a browser sends for a page of
    /// another site is refused with 403: `Origin`, where it is sent, must be the issuer's own, whatever `Host` says, or one
    /// of [`BridgeBuilder::trusted_origins`](crate::BridgeBuilder::trusted_origins); `Sec-Fetch-Site`, where it is sent, must
    /// be `same-origin` or `none`, but for the page of a trusted origin.
    CodeService => |state, request| dispatch::serve(state, Endpoint::Code, request)
}

service! {
    /// `POST /session`: a bridge trades its code for access.
    ///
    /// A declared `x-session-id` is read here, so put no [`BridgeAuthLayer`](crate::BridgeAuthLayer) around
    /// it, not even an optional one: that removes the header as it removes all identity headers.
    SessionService => |state, request| dispatch::serve(state, Endpoint::Session, request)
}

service! {
    /// `POST /oauth-client`: a person's bridge gets an OAuth client for its hooks; the secret is shown once.
    ///
    /// Without a body, or with one that names no key, the client gets a secret. With
    /// `{"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[…one…]}}` (RFC 7591 §2) it gets none, and proves
    /// itself with that public key: Ed25519, P-256, or RSA of 2048 to 4096 bits with its `alg`. Anything else is 400
    /// `invalid_client_metadata`.
    ///
    /// A device has at most two credentials, the new one and the one before for the
    /// [overlap](crate::BridgeBuilder::secret_overlap). They end with its session, at `client_secret_expires_at` at the
    /// latest. A caller without the scopes that [provisioning requires](crate::BridgeBuilder::provisioning_requires) is
    /// refused with 403. When as many devices have credentials as may, the answer is 409 and lists them in `devices`.
    ///
    /// Mount it behind [`Bridge::layer`](crate::Bridge::layer): without it every answer is 500.
    OauthClientService => |state, request| dispatch::serve(state, Endpoint::OauthClient, request)
}

service! {
    /// `GET /capabilities`: what this bridge really offers.
    CapabilitiesService => |state, request| dispatch::serve(state, Endpoint::Capabilities, request)
}

service! {
    /// `GET /sessions` and `DELETE /sessions/{id}`: a person's own devices, and the end of one.
    ///
    /// The list has each live session, with its credentials and the session of its hooks, newest first. `limit` (1 to 1000,
    /// 100 by default) says how many a page has, and `cursor` takes the `next_cursor` of the page before.
    ///
    /// Mount it with `nest_service` under any path that ends the way you like, or at `/sessions` and
    /// `/sessions/{id}` under the bridge's prefix, and behind [`Bridge::layer`](crate::Bridge::layer):
    /// without that every answer is 500.
    SessionsService => |state, request| routes::sessions(state, request)
}

service! {
    /// `POST /logout`: ends the session that the request belongs to.
    ///
    /// Mount it behind [`Bridge::layer`](crate::Bridge::layer): without it every answer is 500. Hook clients may log out
    /// where the layer [admits them](crate::BridgeAuthLayer::admit_hook_clients).
    LogoutService => |state, request| dispatch::serve(state, Endpoint::Logout, request)
}

service! {
    /// `GET /.well-known/jwks.json`: the public keys, as a JWK set (RFC 7517 §5).
    JwksService => |state, request| dispatch::serve(state, Endpoint::Jwks, request)
}

service! {
    /// `POST /token`: the token endpoint (RFC 6749 §3.2), where
    /// [`BridgeBuilder::token_endpoint`](crate::BridgeBuilder::token_endpoint) is set.
    ///
    /// | grant | who | what it takes |
    /// |---|---|---|
    /// | `client_credentials` | a hook client | `scope`, `resource` |
    /// | `authorization_code` | the bridge | `client_id`, `code` (the exchange code), `code_verifier`, `resource` |
    /// | `refresh_token`, where [refresh tokens](crate::BridgeBuilder::refresh_tokens) are on | the bridge | `client_id`, `refresh_token`, `scope`, `resource` |
    ///
    /// A hook client proves itself by one of `client_secret_basic`, `client_secret_post` and `private_key_jwt` (RFC 7523;
    /// its `aud` is the issuer). The bridge is a public client: PKCE proves that the code is its own. `resource` (RFC 8707)
    /// is one of the audiences that are URLs, and becomes the only one of the token.
    TokenService => |state, request| dispatch::serve(state, Endpoint::Token, request)
}

service! {
    /// `POST /introspect`: what a token is worth now (RFC 7662), where
    /// [`BridgeBuilder::introspection_endpoint`](crate::BridgeBuilder::introspection_endpoint) is set.
    ///
    /// A hook client may ask about its own tokens, a [resource server](crate::BridgeBuilder::resource_server) about those for
    /// one of its audiences, and about the bridge's refresh tokens when that is one of the bridge's; of all others the answer
    /// is `{"active":false}`, as of those that are no longer good. The session's row is asked each time, however the layer is set.
    IntrospectionService => |state, request| dispatch::serve(state, Endpoint::Introspect, request)
}

service! {
    /// `POST /revoke`: the end of a token, and of the session it belongs to (RFC 7009), where
    /// [`BridgeBuilder::revocation_endpoint`](crate::BridgeBuilder::revocation_endpoint) is set.
    ///
    /// A client ends the tokens it was given; the bridge names itself with `client_id`. An access token that has expired is no
    /// token any more: the answer is 200, and nothing ends. Another's are `invalid_grant`, and go on.
    RevocationService => |state, request| dispatch::serve(state, Endpoint::Revoke, request)
}

service! {
    /// The documents by which OAuth clients find their way, at the root of the host.
    ///
    /// | path | answer |
    /// |---|---|
    /// | `/.well-known/oauth-authorization-server`, and the issuer's path behind it | the metadata of RFC 8414, once there is a [token endpoint](crate::BridgeBuilder::token_endpoint) |
    /// | `/.well-known/oauth-protected-resource`, and a resource's path behind it | the metadata of RFC 9728, for each [protected resource](crate::BridgeBuilder::protected_resource) |
    /// | `/.well-known/jwks.json` | the public keys, as [`JwksService`] gives them |
    ///
    /// Every value is the configuration's: nothing that a request says (`Host`, `X-Forwarded-*`) changes a byte. The metadata
    /// may be read by pages of every origin, and all may be cached for five minutes.
    ///
    /// ```no_run
    /// # fn mount(bridge: bridge_auth::Bridge) -> axum::Router {
    /// axum::Router::new().route_service("/.well-known/{*document}", bridge.well_known_service())
    /// # }
    /// ```
    WellKnownService => |state, request| routes::well_known(state, request)
}

service! {
    /// `GET`: an OpenAPI 3.1 document of all endpoints that are on, with their paths under the bridge's prefix.
    ///
    /// It is part of no other service: mount it where you want it, or nowhere.
    ///
    /// ```no_run
    /// # fn mount(bridge: bridge_auth::Bridge) -> axum::Router {
    /// axum::Router::new().route_service("/v1/auth/bridge/openapi.json", bridge.openapi_service())
    /// # }
    /// ```
    OpenApiService => |state, request| dispatch::serve(state, Endpoint::OpenApi, request)
}

service! {
    /// All the endpoints that bridges call, as one service.
    ///
    /// | call | who | answer | alone |
    /// |---|---|---|---|
    /// | `POST /code` | a signed-in person | 201 `{"code","expires_at"}` | [`CodeService`] |
    /// | `POST /session` | a bridge with a code | 200 `{"token","ttl","expires_at","headers"}`, and `"refresh_token"` where [that is on](crate::BridgeBuilder::session_refresh_tokens) | [`SessionService`] |
    /// | `POST /oauth-client` | a person's bridge | 200 `{"client_id","client_secret","scopes","token_endpoint","client_secret_expires_at"}` | [`OauthClientService`] |
    /// | `GET /sessions` | a person's bridge | 200 `{"sessions"}` | [`SessionsService`] |
    /// | `DELETE /sessions/{id}` | a person's bridge | 204 | [`SessionsService`] |
    /// | `POST /logout` | any caller | 204 | [`LogoutService`] |
    /// | `POST /token` | an OAuth client | 200, a token (RFC 6749 §5.1) | [`TokenService`] |
    /// | `POST /introspect` | an OAuth client that proves itself | 200 `{"active",…}` (RFC 7662 §2.2) | [`IntrospectionService`] |
    /// | `POST /revoke` | the OAuth client of the token | 200 (RFC 7009 §2.2) | [`RevocationService`] |
    /// | `GET /capabilities` | anyone | 200 `{"modes"}` | [`CapabilitiesService`] |
    /// | `GET /.well-known/jwks.json` | anyone | 200, a JWK set | [`JwksService`] |
    /// | `GET /.well-known/oauth-…` | anyone | 200, metadata | [`WellKnownService`] |
    ///
    /// Times are Unix seconds. Nothing but key set and metadata may be cached. `POST /session` and the endpoints of OAuth
    /// word their errors as OAuth does (RFC 6749 §5.2), all others as problem documents (RFC 9457) with the member `code`.
    /// What is not configured is 404. At most 16 KiB of a body are read, for as long as the caller takes to send them: a
    /// time-out belongs outside.
    ///
    /// ```no_run
    /// # fn mount(bridge: bridge_auth::Bridge) -> axum::Router {
    /// axum::Router::new()
    ///     .nest_service("/v1/auth/bridge", bridge.service())
    ///     .route_service("/.well-known/{*document}", bridge.well_known_service())
    /// # }
    /// ```
    ///
    /// It knows its paths with the prefix ([`BridgeBuilder::prefix`](crate::BridgeBuilder::prefix)) and
    /// without it, so it can be nested there, be a fallback, or be all there is. Paths are compared byte for
    /// byte: a doubled or trailing slash, a dot segment or an encoded letter is another path, and 404.
    ///
    /// The endpoints that need a caller are behind the bridge's own layer, for its first audience; hook clients may log
    /// out, and no more. A layer of the same bridge outside of that does no harm, except that it hides declared session
    /// ids from `POST /session`, and keeps hook clients from logging out unless it
    /// [admits them](crate::BridgeAuthLayer::admit_hook_clients).
    BridgeService => |state, request| routes::all(state, request)
}

service! {
    /// The operators' endpoints, for the host to nest behind a guard of its own.
    ///
    /// The guard says who the operator is by putting an [`Operator`] into the request's extensions; without
    /// one every answer is 401. A write that a browser sends for a page of another site is refused with 403, as at
    /// [`CodeService`].
    ///
    /// | call | answer |
    /// |---|---|
    /// | `GET /users/{id}/sessions`, with `limit` and `cursor` as in [`SessionsService`] | 200 `{"sessions","next_cursor"}` |
    /// | `DELETE /users/{id}/sessions` | 200 `{"revoked"}`, how many |
    /// | `DELETE /clients/{id}/sessions`: of all its users; the client of all bridges is [`bridge_client_id`](crate::BridgeBuilder::bridge_client_id) | 200 `{"revoked"}`, how many |
    /// | `POST /users/{id}/disable`, `POST /users/{id}/enable` | 204 |
    /// | `DELETE /sessions/{id}` | 204 |
    ///
    /// A user id or client id in the path is percent-decoded once. What is unknown is 404, with two exceptions: the list of an
    /// unknown user's sessions is empty, and an unknown client had no sessions to revoke. A client may have every session there
    /// is, so revoking them may take up to 75 s: give that one call as much time.
    AdminService => |state, request| admin::serve(state, request)
}
