//! Many at once present one assertion. One gets access.

use bridge_auth::external_issuer::IdentityAssertions;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use futures_util::future::join_all;

use super::Ahead;
use super::provider::{assertion_claims, clients, is_refused, know, present, provider, sign};
use super::server::AuthorizationServer;
use crate::support::bridge::{builder_with, user};
use crate::support::gateway::Gateway;
use crate::support::{Backend, Listed};

crate::store::promises![of_64_who_present_an_assertion_at_two_gateways_at_once_one_gets_access];

async fn of_64_who_present_an_assertion_at_two_gateways_at_once_one_gets_access(backend: impl Backend) {
    let clock = Ahead::default();
    let server = AuthorizationServer::start(clock.clone()).await;
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let node = async || {
        let builder = clients(builder_with(&backend, keys.clone()).await.clock(clock.clone()));
        let trusted = provider(&server).identity_assertions(IdentityAssertions::new());
        Gateway::over(builder.trust(trusted).build().unwrap()).await
    };
    let gateways = [node().await, node().await];
    know(&gateways[0].bridge, "alice").await;
    for _ in 0..3 {
        let assertion = sign(&server, &assertion_claims(&server, "idp|alice"));
        let before = backend.open().await.sessions_of(&user("alice")).await.unwrap().len();
        let racers = (0..64).map(|racer| present(&gateways[racer % 2], &assertion, &[]));
        let (won, lost): (Vec<_>, Vec<_>) =
            join_all(racers).await.into_iter().partition(|answer| answer.status == 200);
        assert_eq!((won.len(), lost.len()), (1, 63), "{:?}", lost.first());
        assert!(lost.iter().all(is_refused), "{lost:?}");
        let after = backend.open().await.sessions_of(&user("alice")).await.unwrap().len();
        assert_eq!(after, before + 1, "and one session is open");
    }
}
