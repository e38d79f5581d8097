//! Whether a text is a token that was issued here.

use super::state::AuthState;
use crate::token::InvalidToken;

/// What a text that has the form of a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recognized {
    /// Issued here, whether or not it is still good.
    Ours,
    /// It names a key of ours, and was not issued here: a signature was checked to find that out.
    Forged,
    /// Somebody else's, or none.
    Other,
}

impl AuthState {
    /// Whether `token` was issued here, whether or not it has expired or its session has ended.
    pub(crate) fn recognize(&self, token: &str) -> Recognized {
        if self.token_cache.get(self.token_cache.place(token.as_bytes())).is_some() {
            return Recognized::Ours;
        }
        match self.verifier.verify_at_any_time(token) {
            Ok(_) => Recognized::Ours,
            Err(
                InvalidToken::TooLong
                | InvalidToken::Malformed
                | InvalidToken::Header
                | InvalidToken::Type
                | InvalidToken::Algorithm
                | InvalidToken::UnknownKey,
            ) => Recognized::Other,
            Err(_) => Recognized::Forged,
        }
    }
}
