//! The endpoints that bridges and operators call, as tower services.
//!
//! The macro `service!` makes each service from an async function. The services differ only in their answers.
//! `dispatch` leads to all endpoints that bridges call.

mod admin;
mod answer;
mod assertion_grant;
mod capabilities;
mod cross_site;
mod device_authorization;
mod dispatch;
mod endpoint;
mod endpoint_caller;
mod exchange;
mod forward_auth;
mod future;
mod gateway_login;
mod health;
mod introspect;
mod issue_code;
mod jwks;
mod oauth;
mod oauth_client;
mod openapi;
mod pages;
mod probes;
mod rate_limited;
mod refused;
mod request_body;
mod revocations;
mod revoke;
mod routes;
mod session_origin;
mod sessions;
mod state;
mod token;
mod token_exchange;
mod well_known;

pub use crate::client_address::{ForwardedHeader, PeerAddr};
pub use admin::Operator;
pub use forward_auth::ForwardAuthService;
pub use future::EndpointFuture;
pub(crate) use gateway_login::{MessagesApiError, client_of_gateway_login};
pub use health::Health;
pub(crate) use pages::SignInPages;
pub(crate) use state::ServiceState;

use endpoint::Endpoint;
use future::service;

service! {
    /// `POST /code`: a signed-in person gets an exchange code for their bridge.
    ///
    /// The host's own login puts the person into the extensions of the request, as [`SignedIn`](crate::SignedIn).
    /// Without it the answer is 401.
    ///
    /// A request that a browser sends for a page of another site is refused with 403:
    ///
    /// - `Origin`, where it is sent, must be the issuer's own origin or one of
    ///   [`BridgeBuilder::trusted_origins`](crate::BridgeBuilder::trusted_origins), whatever `Host` says.
    /// - `Sec-Fetch-Site`, where it is sent, must be `same-origin` or `none`. It may have any value when the page is of
    ///   a trusted origin.
    CodeService => |state, request| dispatch::serve(state, Endpoint::Code, request)
}

service! {
    /// `POST /session`: a bridge exchanges its code for access.
    ///
    /// This endpoint reads the declared `x-session-id`. So put no [`BridgeAuthLayer`](crate::BridgeAuthLayer) around
    /// it, not even an optional one: the layer removes all identity headers, and this one too.
    SessionService => |state, request| dispatch::serve(state, Endpoint::Session, request)
}

service! {
    /// `POST /oauth-client`: a person's bridge gets an OAuth client for its hooks.
    ///
    /// The secret is shown once.
    ///
    /// The client gets a secret when there is no body, or when the body names no key. With
    /// `{"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[…one…]}}` (RFC 7591 §2) it gets no secret. Then
    /// it proves who it is with that public key: Ed25519, P-256, or RSA of 2048 to 4096 bits with its `alg`. Any other
    /// body is refused with 400 `invalid_client_metadata`.
    ///
    /// A device has at most two credentials: the new one, and the one before it for the
    /// [overlap](crate::BridgeBuilder::secret_overlap). They end with the session of the device, and at
    /// `client_secret_expires_at` at the latest.
    ///
    /// - A client that [may not manage devices](crate::issue::RegisteredClient::manages_devices) is refused with 403.
    /// - A caller without the scopes that [provisioning requires](crate::BridgeBuilder::provisioning_requires) is
    ///   refused with 403.
    /// - When the [maximum of devices](crate::BridgeBuilder::max_devices) have credentials, the answer is 409 and lists
    ///   them in `devices`.
    ///
    /// Mount it behind [`Bridge::layer`](crate::Bridge::layer). Without the layer every answer is 500.
    OauthClientService => |state, request| dispatch::serve(state, Endpoint::OauthClient, request)
}

service! {
    /// `GET /capabilities`: what this bridge offers, as it is configured.
    CapabilitiesService => |state, request| dispatch::serve(state, Endpoint::Capabilities, request)
}

service! {
    /// `GET /sessions` and `DELETE /sessions/{id}`: a person lists their own devices, and ends one of them.
    ///
    /// The list has each live session with its credentials and its hook session, newest first. `limit` is the number of
    /// sessions on a page: 1 to 1000, 100 by default. `cursor` takes the `next_cursor` of the page before.
    ///
    /// A client that the host [registered](crate::issue::RegisteredClient::manages_devices) for somebody else, or that has a
    /// metadata document, is refused with 403: the person's other devices are not its business.
    ///
    /// Mount it with `nest_service` under any path, or at `/sessions` and `/sessions/{id}` under the prefix of the
    /// bridge. Put it behind [`Bridge::layer`](crate::Bridge::layer): without the layer every answer is 500.
    SessionsService => |state, request| routes::sessions(state, request)
}

service! {
    /// `POST /logout`: ends the session that the request belongs to.
    ///
    /// Mount it behind [`Bridge::layer`](crate::Bridge::layer). Without the layer every answer is 500. Hook clients may
    /// log out where the layer [admits them](crate::BridgeAuthLayer::admit_hook_clients).
    LogoutService => |state, request| dispatch::serve(state, Endpoint::Logout, request)
}

service! {
    /// `GET /.well-known/jwks.json`: the public keys, as a JWK set (RFC 7517 §5).
    JwksService => |state, request| dispatch::serve(state, Endpoint::Jwks, request)
}

service! {
    /// `POST /token`: the token endpoint (RFC 6749 §3.2).
    ///
    /// It is on when [`BridgeBuilder::token_endpoint`](crate::BridgeBuilder::token_endpoint) is set.
    ///
    /// | grant | who | parameters |
    /// |---|---|---|
    /// | `client_credentials` | a hook client | `scope`, `resource` |
    /// | `authorization_code` | a client that people may link | `client_id`, `code` (the exchange code), `code_verifier`, `resource` |
    /// | `refresh_token`, where [refresh tokens](crate::BridgeBuilder::refresh_tokens) are on | a client that people may link | `client_id`, `refresh_token`, `scope`, `resource` |
    /// | `urn:ietf:params:oauth:grant-type:device_code`, where [that is on](crate::BridgeBuilder::device_authorization_endpoint) | a client that people may link | `client_id`, `device_code`, `resource` |
    ///
    /// A hook client proves who it is by one of `client_secret_basic`, `client_secret_post` and `private_key_jwt`
    /// (RFC 7523; its `aud` is the issuer, as a text or as a list of one). The bridge is a client that people may link. It is public: PKCE proves that
    /// the code is its own.
    /// `resource` (RFC 8707) is one of the audiences that are URLs. It becomes the only audience of the token.
    TokenService => |state, request| dispatch::serve(state, Endpoint::Token, request)
}

service! {
    /// `POST /device_authorization`: a program without a browser gets a device code and a user code (RFC 8628 §3.1).
    ///
    /// It is on when [`BridgeBuilder::device_authorization_endpoint`](crate::BridgeBuilder::device_authorization_endpoint)
    /// is set. The person types the user code on the page of [`DevicePageService`], and the program polls
    /// [`TokenService`].
    DeviceAuthorizationService => |state, request| dispatch::serve(state, Endpoint::DeviceAuthorization, request)
}

service! {
    /// `GET /device` and `POST /device`: the page on which a person lets a program in by its user code (RFC 8628 §3.3).
    ///
    /// It is on with [`DeviceAuthorizationService`]. People type its URL, so mount it at a short path and name that in
    /// [`BridgeBuilder::verification_uri`](crate::BridgeBuilder::verification_uri).
    ///
    /// The host's own login puts the person into the extensions of the request, as [`SignedIn`](crate::SignedIn).
    /// Without it the person is sent to the [login](crate::pages::Pages::new), and comes back to the same page. A form
    /// that a browser sends for a page of another site is refused with 403, as at [`CodeService`]. `GET` changes
    /// nothing.
    DevicePageService => |state, request| dispatch::serve(state, Endpoint::DevicePage, request)
}

service! {
    /// `GET /authorize` and `POST /authorize`: a program sends a person here to be let in (OAuth 2.1 §4.1).
    ///
    /// It is on when [`BridgeBuilder::pages`](crate::BridgeBuilder::pages) and
    /// [`BridgeBuilder::authorization_endpoint`](crate::BridgeBuilder::authorization_endpoint) are set. PKCE with `S256`
    /// is required. The person is found as at [`DevicePageService`], and says yes or no each time.
    ///
    /// Errors go to the program only when its redirect URI is known to be its own. Before that they are a page with the
    /// status 400.
    AuthorizeService => |state, request| dispatch::serve(state, Endpoint::Authorize, request)
}

service! {
    /// `GET /devices` and `POST /devices`: the page on which a person sees their devices, and ends them.
    ///
    /// It is on when [`BridgeBuilder::pages`](crate::BridgeBuilder::pages) is set. The person is found as at
    /// [`DevicePageService`]. When you mount it elsewhere, name its URL in
    /// [`BridgeBuilder::devices_uri`](crate::BridgeBuilder::devices_uri).
    DevicesPageService => |state, request| dispatch::serve(state, Endpoint::DevicesPage, request)
}

service! {
    /// `POST /introspect`: whether a token is valid now (RFC 7662).
    ///
    /// It is on when [`BridgeBuilder::introspection_endpoint`](crate::BridgeBuilder::introspection_endpoint) is set.
    ///
    /// - A hook client may ask about its own tokens.
    /// - A [resource server](crate::BridgeBuilder::resource_server) may ask about access tokens for its audiences. It
    ///   may ask about the bridge's refresh tokens when one of its audiences is a default audience of bridges.
    ///
    /// For all other tokens the answer is `{"active":false}`, as for tokens that are no longer valid. Each call asks
    /// the session row, whatever freshness the bridge has.
    IntrospectionService => |state, request| dispatch::serve(state, Endpoint::Introspect, request)
}

service! {
    /// `POST /revoke`: ends a token and the session that it belongs to (RFC 7009).
    ///
    /// It is on when [`BridgeBuilder::revocation_endpoint`](crate::BridgeBuilder::revocation_endpoint) is set.
    ///
    /// A client can end the tokens that it was given. The bridge names itself with `client_id`. An expired access token
    /// is already invalid: the answer is 200, and nothing ends. A token of another client is refused with
    /// `invalid_grant`, and stays valid.
    RevocationService => |state, request| dispatch::serve(state, Endpoint::Revoke, request)
}

service! {
    /// What identity providers call when somebody leaves, or must sign in again.
    ///
    /// | call | what | answer |
    /// |---|---|---|
    /// | `POST /events` | a security event token (RFC 8417, RFC 8935) of an issuer with [`security_events`](crate::external_issuer::ExternalIssuer::security_events) | 202 |
    /// | `POST /global-token-revocation` | `{"sub_id"}` of an issuer with [`global_token_revocation`](crate::external_issuer::ExternalIssuer::global_token_revocation) | 204, or 404 when nobody here is meant |
    /// | `POST /backchannel-logout` | a logout token of an issuer with [`backchannel_logout`](crate::external_issuer::ExternalIssuer::backchannel_logout) | 200 |
    ///
    /// Each is 404 until an issuer is configured for it. When the answer says that it is done, it is done: this gateway
    /// answers 401 to what was revoked, and the others do as [`Freshness`](crate::Freshness) promises. A message that
    /// comes again is done once. Who is meant is for [`ExternalIssuer::people`](crate::external_issuer::ExternalIssuer::people)
    /// to say. A message about somebody whom the host does not know is no error of the first and the last endpoint: the audit
    /// event `revocation_unmapped` tells of it.
    ///
    /// A message that is refused has the error of its own standard: `{"err","description"}` (RFC 8935 §2.3), a problem
    /// document, or `{"error","error_description"}`. Too many valid messages of one issuer are answered with 429
    /// ([`revocations_per_minute`](crate::external_issuer::ExternalIssuer::revocations_per_minute)). When something cannot
    /// be found out now, the answer is 503, and the sender tries again.
    ///
    /// It knows its paths with the prefix of the bridge and without it. So you can nest it anywhere. No other service
    /// includes it.
    ///
    /// ```no_run
    /// # fn mount(bridge: bridge_auth::Bridge) -> axum::Router {
    /// axum::Router::new()
    ///     .nest_service("/v1/auth/bridge", bridge.service())
    ///     .nest_service("/idp", bridge.revocations_service())
    /// # }
    /// ```
    RevocationsService => |state, request| routes::revocations(state, request)
}

service! {
    /// The documents that OAuth clients discover, at the root of the host.
    ///
    /// | path | answer |
    /// |---|---|
    /// | `/.well-known/oauth-authorization-server`, and the issuer's path behind it | the metadata of RFC 8414, when there is a [token endpoint](crate::BridgeBuilder::token_endpoint) |
    /// | `/.well-known/oauth-protected-resource`, and a resource's path behind it | the metadata of RFC 9728, for each [protected resource](crate::BridgeBuilder::protected_resource) |
    /// | `/.well-known/jwks.json` | the public keys, as [`JwksService`] gives them |
    ///
    /// Every value comes from the configuration. Nothing in a request (`Host`, `X-Forwarded-*`) changes a byte of an
    /// answer. Pages of every origin may read the metadata. Caches may keep all documents for five minutes.
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
    /// No other service includes it. Mount it where you want it, or nowhere.
    ///
    /// ```no_run
    /// # fn mount(bridge: bridge_auth::Bridge) -> axum::Router {
    /// axum::Router::new().route_service("/v1/auth/bridge/openapi.json", bridge.openapi_service())
    /// # }
    /// ```
    OpenApiService => |state, request| dispatch::serve(state, Endpoint::OpenApi, request)
}

service! {
    /// The probes of a balancer or a supervisor: whether the process answers, and whether it can judge requests now.
    ///
    /// The last segment of the path says which, wherever it is mounted:
    ///
    /// | path | answer |
    /// |---|---|
    /// | `live`, `livez` or `healthz` | 200 `{"status":"live"}` for as long as the process answers. It asks no database: a restart repairs none |
    /// | `ready` or `readyz` | 200 `{"status":"ready"}`, or 503 `{"status":"not_ready","code","reason"}` |
    /// | `watcher` | 200 `{"status","proven","age_ms","faults","last_fault"}`: how fresh the verdicts are, from [`Bridge::watch_status`](crate::Bridge::watch_status). A member that is not known is left out |
    ///
    /// A gateway is ready when its store answers within the [deadline](crate::BridgeBuilder::store_deadline), takes
    /// writes, and proves that it is still the primary (unless [no proof is asked
    /// for](crate::BridgeBuilder::danger_without_proof)). It is not ready once it [drains](Health::drain). `code` is
    /// `draining`, or `store_` and a [`StoreErrorKind`](crate::store::StoreErrorKind). A fault that may pass has
    /// `Retry-After`. Each change is logged once, with its cause.
    ///
    /// It has no guard, so it is made to be called by anybody: all probes within a quarter of a second share one look at
    /// the store, and no answer names a version, a server, a path or a person. It takes `GET` and `HEAD`. No cache may
    /// store an answer.
    ///
    /// ```no_run
    /// # fn mount(bridge: bridge_auth::Bridge) -> axum::Router {
    /// axum::Router::new().nest_service("/health", bridge.health_service())
    /// # }
    /// ```
    HealthService => |state, request| probes::serve(state, request)
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
    /// | `POST /device_authorization` | a program without a browser | 200 `{"device_code","user_code",…}` (RFC 8628 §3.2) | [`DeviceAuthorizationService`] |
    /// | `GET`, `POST /device` | a signed-in person | a page | [`DevicePageService`] |
    /// | `GET`, `POST /authorize` | a signed-in person | a page, then 303 to the program | [`AuthorizeService`] |
    /// | `GET`, `POST /devices` | a signed-in person | a page | [`DevicesPageService`] |
    /// | `POST /introspect` | an OAuth client that proves itself | 200 `{"active",…}` (RFC 7662 §2.2) | [`IntrospectionService`] |
    /// | `POST /revoke` | the OAuth client of the token | 200 `{}` (RFC 7009 §2.2) | [`RevocationService`] |
    /// | `GET /capabilities` | anyone | 200 `{"modes"}` | [`CapabilitiesService`] |
    /// | `GET /.well-known/jwks.json` | anyone | 200, a JWK set | [`JwksService`] |
    /// | `GET /.well-known/oauth-…` | anyone | 200, metadata | [`WellKnownService`] |
    ///
    /// Times are Unix seconds. Caches may keep only the key set and the metadata. `POST /session` and the OAuth
    /// endpoints answer errors in the format of OAuth (RFC 6749 §5.2). The pages answer with pages. All other endpoints
    /// answer with problem documents (RFC 9457) that have the member `code`. An endpoint that is not configured answers 404. At most 16 KiB
    /// of a body are read, for as long as the caller takes to send them. Put a time-out around this service.
    ///
    /// ```no_run
    /// # fn mount(bridge: bridge_auth::Bridge) -> axum::Router {
    /// axum::Router::new()
    ///     .nest_service("/v1/auth/bridge", bridge.service())
    ///     .route_service("/.well-known/{*document}", bridge.well_known_service())
    /// # }
    /// ```
    ///
    /// It knows its paths with the prefix ([`BridgeBuilder::prefix`](crate::BridgeBuilder::prefix)) and without it. So
    /// you can nest it at the prefix, use it as a fallback, or use nothing else. Paths are compared byte for byte: a
    /// doubled or trailing slash, a dot segment or an encoded letter makes another path, and the answer is 404.
    ///
    /// The bridge's own layer, for its first audience, guards the endpoints that need a caller. Of these, hook clients
    /// may call only `POST /logout`. Put no required layer outside of this service: `POST /session` has no token. You
    /// may put an [optional](crate::BridgeAuthLayer::optional) layer of the same bridge there. But that layer removes
    /// declared session ids before `POST /session` sees them. It also keeps hook clients from logging out, unless it
    /// [admits them](crate::BridgeAuthLayer::admit_hook_clients).
    BridgeService => |state, request| routes::all(state, request)
}

service! {
    /// What operators call: a page for people, and JSON for programs.
    ///
    /// Nest it behind your own guard, or give it a host of its own.
    ///
    /// Your guard says who the operator is: it puts an [`Operator`] into the extensions of the request. Without one
    /// every answer is 401. A write that a browser sends for a page of another site is refused with 403, as at
    /// [`CodeService`].
    ///
    /// | call | answer |
    /// |---|---|
    /// | `GET /users?q=`, with `limit` (1 to 1000, 100 by default) and `after`: the people whose id or label begins with `q` | 200 `{"users","next_after"}` |
    /// | `GET /users/{id}` | 200 `{"id","label","disabled"}` |
    /// | `GET /users/{id}/events`: the last 100 that the [audit trail](crate::BridgeBuilder::audit_trail) kept, newest first | 200 `{"events":[{"at","name","fields"}]}` |
    /// | `GET /users/{id}/sessions`, with `limit` and `cursor` as in [`SessionsService`] | 200 `{"sessions","next_cursor"}` |
    /// | `DELETE /users/{id}/sessions` | 200 `{"revoked"}`, how many |
    /// | `DELETE /clients/{id}/sessions`: of all its users; the client of all bridges is [`bridge_client_id`](crate::BridgeBuilder::bridge_client_id) | 200 `{"revoked"}`, how many |
    /// | `POST /users/{id}/disable`, `POST /users/{id}/enable` | 204 |
    /// | `DELETE /sessions/{id}` | 204 |
    /// | `GET /health`: what [`Bridge::watch_status`](crate::Bridge::watch_status) says | 200 `{"proven","age_ms","faults",…}` |
    ///
    /// A user id or client id in the path is percent-decoded once. The answer for an unknown id is 404, with these
    /// exceptions: an unknown user has no sessions and no events, and for an unknown client 0 sessions are revoked.
    /// Without an audit trail the events are 404 with the code `events_not_kept`.
    ///
    /// The page is `GET /`, and its forms are `POST /`. It is on when [`BridgeBuilder::pages`](crate::BridgeBuilder::pages)
    /// is set. `?q=` searches, and `?user=` shows one person. Its links and forms stay on the path where you mount it.
    /// With axum's `nest_service("/admin", …)` it answers at `/admin` and at `/admin/`.
    ///
    /// Revoking the sessions of a client may change every session in the database, and may take up to 75 s. Give that
    /// one call as much time.
    AdminService => |state, request| admin::endpoints::serve(state, request)
}
