//! What the fuzz targets share: a gateway on a SQLite file, and requests from the bytes of a client.

#![allow(clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

mod gateway;
mod jwt;
mod wire;

pub use gateway::{AGENT_SECRET, Gateway, ISSUER, Live};
pub use jwt::{Signer, bearer, halves};
pub use wire::{answer_is_sound, request};
