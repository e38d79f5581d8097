//! The OAuth endpoints over HTTP: each row of the checklist that is theirs, under its own name.

mod audit;
mod client_auth;
mod code;
mod empty_password;
pub mod given;
mod introspection;
mod limits;
mod one_address;
mod private_key_jwt;
mod refresh;
mod revocation;
mod stock_rust;
mod token;
pub mod token_exchange;
