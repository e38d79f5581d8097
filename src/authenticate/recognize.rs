//! Whether a text is a token that was issued here.

use super::state::AuthState;
use crate::token::InvalidToken;

/// What a text with the form of a token turns out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recognized {
    /// It was issued here, and may have expired.
    Ours,
    /// It names a key of ours, but was not issued here. A signature check showed this.
    Forged,
    /// It is an external issuer's token, or no token.
    Other,
}

impl AuthState {
    /// Whether `token` was issued here. Its expiry and its session make no difference.
    pub(crate) fn recognize(&self, token: &str) -> Recognized {
        if self.token_cache.get(self.token_cache.digest(token.as_bytes())).is_some() {
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
