//! The people, bridges and hooks that the promises are about.

use std::time::Duration;

use bridge_auth::id::{
    ClientId, ClientSecret, CodeHash, ExchangeCode, RefreshHash, RefreshToken, SecretHash,
};
use bridge_auth::store::{
    ClientCredential, ClientProof, NewCode, NewSession, OpenSession, OpenSessionError, OpenedSession,
    ProvisionClient, ProvisionClientError, RedeemCode, RefreshSession, RefreshSessionError, RequestedId,
    RowState, SessionKey, SessionLimit, SessionState, Store, WhenFull,
};
use bridge_auth::{Scopes, SessionId, UserId};

use crate::support::known;

pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(60 * 60);
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub fn scopes(text: &str) -> Scopes {
    Scopes::parse(text).unwrap()
}

pub fn session_id(text: &str) -> SessionId {
    SessionId::parse(text).unwrap()
}

pub fn client_id(text: &str) -> ClientId {
    ClientId::parse(text).unwrap()
}

/// A user who may do everything the tests ask for.
pub async fn user(store: &dyn Store, name: &str) -> UserId {
    let user = UserId::parse(name).unwrap();
    store.put_user(&known(&user, &scopes("admin read write"))).await.unwrap();
    user
}

pub fn new_code(user: &UserId) -> NewCode {
    let hash = ExchangeCode::random().hash();
    NewCode::new(hash, user.clone(), client_id("sp_bridge"), scopes("read write"), 2 * MINUTE)
}

/// A code that was issued to `user`.
pub async fn code(store: &dyn Store, user: &UserId) -> CodeHash {
    let code = new_code(user);
    store.issue_code(code.clone()).await.unwrap();
    code.hash
}

pub fn redeem(hash: CodeHash) -> RedeemCode {
    RedeemCode::new(hash, new_session())
}

/// A bridge's session of one hour with an id that the server made.
pub fn new_session() -> NewSession {
    NewSession::new(RequestedId::Fresh(SessionId::random()), client_id("sp_bridge"), HOUR)
        .max_life(HOUR * 24 * 30)
        .limit(SessionLimit::new(100, WhenFull::Evict))
}

/// The same with an id that the bridge declares.
pub fn declared(id: &str) -> NewSession {
    changed(new_session(), |new| new.id = RequestedId::Declared(session_id(id)))
}

/// Opens `session` for `user`, for whom the host vouches.
pub async fn vouch(
    store: &dyn Store,
    user: &UserId,
    session: NewSession,
) -> Result<OpenedSession, OpenSessionError> {
    store
        .open_session(OpenSession::Vouched { user: user.clone(), scopes: scopes("read write"), session })
        .await
}

/// A live session of `user`'s bridge.
pub async fn sign_in(store: &dyn Store, user: &UserId) -> SessionId {
    vouch(store, user, new_session()).await.unwrap().id
}

/// A request for a secret of `user`'s hooks, asked for by `session`.
pub fn new_secret(user: &UserId, session: &SessionId) -> ProvisionClient {
    ProvisionClient::new(
        ClientId::for_hooks_of(user),
        user.clone(),
        session.clone(),
        ClientCredential::Secret(ClientSecret::random().hash(None)),
    )
    .scopes(scopes("hook:govern hook:track"))
    .overlap(MINUTE)
    .max_devices(10)
}

/// The hash that `provision` asks for.
pub fn secret_of(provision: &ProvisionClient) -> SecretHash {
    match &provision.credential {
        ClientCredential::Secret(secret) => *secret,
        ClientCredential::Key(_) => panic!("a key is no secret"),
    }
}

/// A secret that was provisioned.
pub async fn provision(
    store: &dyn Store,
    user: &UserId,
    session: &SessionId,
) -> Result<SecretHash, ProvisionClientError> {
    let secret = new_secret(user, session);
    store.provision_client(secret.clone()).await.map(|_| secret_of(&secret))
}

/// Opens a session of `user`'s hooks.
pub async fn open_hook(
    store: &dyn Store,
    user: &UserId,
    secret: SecretHash,
) -> Result<OpenedSession, OpenSessionError> {
    let session = changed(new_session(), |new| new.client = ClientId::for_hooks_of(user));
    store
        .open_session(OpenSession::Client {
            owner: user.clone(),
            proof: ClientProof::Secret(secret),
            scopes: scopes("hook:track"),
            session,
        })
        .await
}

/// Whether `secret` is a live one of `user`'s hooks.
pub async fn is_good(store: &dyn Store, user: &UserId, secret: &SecretHash) -> bool {
    let client = ClientId::for_hooks_of(user);
    store.verify_client(&client, &ClientProof::Secret(*secret)).await.unwrap().is_some()
}

/// Gives `session` its first refresh token.
pub fn refreshable(session: NewSession) -> (NewSession, RefreshHash) {
    let token = RefreshToken::random().hash();
    (session.refresh(token), token)
}

/// A session of one hour of `user`'s bridge, which may be refreshed for 30 days, and its refresh token.
pub async fn sign_in_to_stay(store: &dyn Store, user: &UserId) -> (SessionId, RefreshHash) {
    let (session, token) = refreshable(new_session());
    (vouch(store, user, session).await.unwrap().id, token)
}

/// The bridge uses `token` and would have a new one.
pub fn refresh(token: RefreshHash) -> RefreshSession {
    RefreshSession::new(token, RefreshToken::random().hash(), client_id("sp_bridge"), HOUR).grace(30 * SECOND)
}

/// Uses `token`; what came of it and the token that takes its place.
pub async fn rotate(
    store: &dyn Store,
    token: RefreshHash,
) -> Result<(OpenedSession, RefreshHash), RefreshSessionError> {
    let new = refresh(token);
    store.refresh_session(new.clone()).await.map(|refreshed| (refreshed, new.successor))
}

/// What a look-up says of `session`, and one of its row alone, too.
pub async fn state(store: &dyn Store, session: &SessionId) -> Option<SessionState> {
    let found = store.session_statuses(std::slice::from_ref(session)).await.unwrap().found;
    let status = found.into_iter().next();
    let row = row(store, session).await;
    assert_eq!(row.map(|row| (row.row, row.state)), status.map(|status| (status.row, status.state)));
    row.map(|row| row.state)
}

/// What a look-up of its row alone says of `session`.
pub async fn row(store: &dyn Store, session: &SessionId) -> Option<RowState> {
    store.row_states(&[SessionKey::of(session.clone())]).await.unwrap().found.pop()
}

/// `value` with something else in a field that its constructor asks for.
pub fn changed<T>(mut value: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut value);
    value
}

/// The outcome of `future`, or `None` when it was dropped on its way: in every second round after a few steps, however fast the
/// machine is, and else only if it takes long.
pub async fn cut_off<T>(round: u32, future: impl Future<Output = T>) -> Option<T> {
    if round % 2 == 1 {
        return tokio::time::timeout(SECOND / 1000 * (round % 20), future).await.ok();
    }
    let steps = async {
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        outcome = future => Some(outcome),
        () = steps => None,
    }
}
