//! What an operator can do. Each act is written to the audit log with the operator's name.

use super::operator::Operator;
use crate::id::{ClientId, SessionId, UserId};
use crate::service::state::ServiceState;
use crate::store::StoreError;
use crate::telemetry::audit;

/// Ends all that a person has. Returns how many sessions ended; `None` when nobody knows the person.
pub(in crate::service) async fn end_all(
    state: &ServiceState,
    operator: &Operator,
    user: &UserId,
) -> Result<Option<u64>, StoreError> {
    let revoked = state.admin.revoke_user(user).await?;
    audit!("operator_revoked_user", operator = ?operator.name, user_id = %user, found = revoked.is_some());
    Ok(revoked)
}

/// Ends all sessions of a client. Returns how many.
pub(super) async fn end_client(
    state: &ServiceState,
    operator: &Operator,
    client: &ClientId,
) -> Result<u64, StoreError> {
    let revoked = state.admin.revoke_client(client).await?;
    audit!("operator_revoked_client", operator = ?operator.name, client_id = %client, sessions = revoked);
    Ok(revoked)
}

/// Ends one session. `false`: there is no such session.
pub(in crate::service) async fn end_session(
    state: &ServiceState,
    operator: &Operator,
    session: &SessionId,
) -> Result<bool, StoreError> {
    // The audit log says whose session it was, as far as that can be known now. The act itself does not wait for it.
    let (owner, found) = tokio::join!(state.admin.owner_of(session), state.admin.revoke_session(session));
    let (owner, found) = (owner.ok().flatten(), found?);
    audit!("operator_revoked_session", operator = ?operator.name, user_id = owner.map(tracing::field::display),
        session_id = %session, found);
    Ok(found)
}

/// Locks a person out. `false`: nobody knows the person.
pub(in crate::service) async fn disable(
    state: &ServiceState,
    operator: &Operator,
    user: &UserId,
) -> Result<bool, StoreError> {
    let found = state.admin.disable_user(user).await?;
    audit!("operator_disabled_user", operator = ?operator.name, user_id = %user, found);
    Ok(found)
}

/// Lets a person link again. `false`: nobody knows the person.
pub(in crate::service) async fn enable(
    state: &ServiceState,
    operator: &Operator,
    user: &UserId,
) -> Result<bool, StoreError> {
    let found = state.admin.enable_user(user).await?;
    audit!("operator_enabled_user", operator = ?operator.name, user_id = %user, found);
    Ok(found)
}
