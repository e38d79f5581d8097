//! The scopes that a token is asked for (RFC 6749 §3.3).

use super::error::INVALID_SCOPE;
use super::form::Form;
use crate::id::Scopes;
use crate::service::answer::EndpointError;

/// The scopes that the form asks for. `None`: all scopes.
pub(in crate::service) fn asked(form: &Form) -> Result<Option<Scopes>, EndpointError> {
    let Some(text) = form.value("scope") else { return Ok(None) };
    let scopes = Scopes::parse(text).map_err(|_| INVALID_SCOPE)?;
    let repeats = scopes.iter().count() < text.split(' ').count();
    if repeats { Err(INVALID_SCOPE) } else { Ok(Some(scopes)) }
}
