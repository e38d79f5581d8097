//! Fifteen pages, each for one question of a host.
//!
//! Their source is in the folder `docs/guide` of the repository. Every piece of Rust in them compiles, and the tests run
//! it where it needs no server.
//!
//! | page | question |
//! |---|---|
//! | [`first_gateway`] | How do I build a gateway, first on SQLite and then on PostgreSQL? |
//! | [`your_login`] | How does my own login tell the bridge who is signed in? |
//! | [`signing_in`] | How do programs that speak OAuth sign in, with pages that I need not write? |
//! | [`hooks`] | How do scripts on a person's machine get in, and how far? |
//! | [`delegation_and_offboarding`] | How does a company let its people and their agents in, and out at once? |
//! | [`scopes`] | How do I require scopes, for a route and in a handler's signature? |
//! | [`streams_and_websockets`] | What ends a stream or a WebSocket when its session ends? |
//! | [`proxies_cors_layer_order`] | Which layer goes outside the guard, and which inside? |
//! | [`several_gateways`] | What must gateways of one database have in common? |
//! | [`testing`] | How do I test my handlers? |
//! | [`metrics_and_logs`] | What does each metric, audit event and log line mean? |
//! | [`rotation`] | How do I replace keys, the pepper and client secrets? |
//! | [`configuration_file`] | How does a configuration file hold all settings? |
//! | [`from_a_hand_written_guard`] | How do I replace my own JWT middleware? |
//! | [`from_axum_login`] | How does this go together with `axum-login`? |

// Of two definitions of a link the first counts. So `links.md` leads to the modules, and the definitions at the end of each
// page lead to files, for those who read it in the repository. A doctest that fails names `links.md` and its own module.
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/guide/first-gateway.md")]
pub mod first_gateway {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/guide/your-login.md")]
pub mod your_login {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/guide/signing-in.md")]
pub mod signing_in {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/guide/hooks.md")]
pub mod hooks {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/guide/delegation-and-offboarding.md")]
pub mod delegation_and_offboarding {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/guide/scopes.md")]
pub mod scopes {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/guide/streams-and-websockets.md")]
pub mod streams_and_websockets {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/guide/proxies-cors-layer-order.md")]
pub mod proxies_cors_layer_order {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/guide/several-gateways.md")]
pub mod several_gateways {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/guide/testing.md")]
pub mod testing {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/guide/metrics-and-logs.md")]
pub mod metrics_and_logs {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/guide/rotation.md")]
pub mod rotation {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/guide/configuration-file.md")]
pub mod configuration_file {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/guide/from-a-hand-written-guard.md")]
pub mod from_a_hand_written_guard {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/guide/from-axum-login.md")]
pub mod from_axum_login {}
