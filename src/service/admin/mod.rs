//! What operators call: JSON for programs, and the page for people.
//!
//! `endpoints` leads to all of it, `path` says what a path names, and `acts` is what an operator can do.

pub(super) mod acts;
pub(super) mod endpoints;
pub(super) mod events;
mod health;
mod operator;
mod path;
mod people;

pub use operator::Operator;
