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
    named_by(audiences, form.values("resource")).map_err(|NoTarget| INVALID_TARGET)
}

/// Two different resources, or one that no token is issued for.
pub(in crate::service) struct NoTarget;

/// The audience of the one resource that `values` name. `None`: there are no values.
pub(in crate::service) fn named_by<'v>(
    audiences: &Audiences,
    values: impl Iterator<Item = &'v str>,
) -> Result<Option<Audience>, NoTarget> {
    let mut named = values.map(|text| audiences.named_by(text).ok_or(NoTarget));
    let Some(first) = named.next().transpose()? else { return Ok(None) };
    match named.all(|other| other.is_ok_and(|other| other == first)) {
        true => Ok(Some(first.clone())),
        false => Err(NoTarget),
    }
}
