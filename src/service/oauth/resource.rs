//! The resource that a token is asked for (RFC 8707).

use super::error::INVALID_TARGET;
use super::form::Form;
use crate::audience::Audiences;
use crate::id::Audience;
use crate::service::answer::EndpointError;

/// The audience of the resource that the form names. `None`: it names none.
///
/// A token has one resource (RFC 9700 §2.3). So two different resources are refused.
pub(in crate::service) fn audience(
    audiences: &Audiences,
    form: &Form,
) -> Result<Option<Audience>, EndpointError> {
    let mut named = form.values("resource").map(|text| audiences.named_by(text).ok_or(INVALID_TARGET));
    let Some(first) = named.next().transpose()? else { return Ok(None) };
    match named.all(|other| other.is_ok_and(|other| other == first)) {
        true => Ok(Some(first.clone())),
        false => Err(INVALID_TARGET),
    }
}
