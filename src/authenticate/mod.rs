//! The read side: headers in, [`Caller`](crate::Caller) or [`Rejection`](crate::Rejection) out.

mod actor_token;
mod admitted;
mod authenticator;
mod bearer;
mod external;
mod live;
mod pending;
mod recognize;
mod requirements;
mod session_end;
mod state;
mod token_cache;
mod token_end;
mod token_source;

pub(crate) use admitted::Admitted;
pub use authenticator::Authenticator;
pub(crate) use bearer::{after_scheme, has_query_token, is_bare_token};
pub(crate) use pending::{Begun, Pending};
pub(crate) use recognize::Recognized;
pub use session_end::SessionEnd;
pub(crate) use state::AuthState;
pub use token_end::TokenEnd;
pub use token_source::TokenSource;
