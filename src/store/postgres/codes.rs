//! Exchange codes: issued, redeemed.

use std::time::SystemTime;

use tokio_postgres::Row;

use super::connections::Connections;
use super::error::failed;
use super::row::{Columns, micros};
use super::sessions::{SessionParams, opened};
use crate::id::{Audience, CodeChallenge, CodeHash, UserId};
use crate::store::{
    GrantRefusal, IssueCodeError, NewCode, OpenedSession, RedeemCode, RedeemError, StoreError,
};

pub(super) async fn issue(db: &Connections, code: &NewCode) -> Result<SystemTime, IssueCodeError> {
    let row = db
        .query_one(
            "SELECT outcome, ends_at FROM bridge_auth.issue_code($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            &[
                &code.hash.to_hex(),
                &code.user.as_str(),
                &code.scopes.to_string(),
                &code.challenge.as_ref().map(CodeChallenge::as_str),
                &micros(code.life),
                &i64::from(code.max_open.max(1)),
                &code.resource.as_ref().map(Audience::as_str),
                &code.client.as_str(),
                &code.redirect_uri,
                &code.ticket.as_ref().map(|(ticket, _)| ticket.as_bytes().as_slice()),
                &code.ticket.as_ref().map(|(_, life)| micros(*life)),
            ],
        )
        .await?;
    match row.column("outcome")? {
        "issued" => Ok(row.column("ends_at")?),
        "unknown_user" => Err(IssueCodeError::UnknownUser),
        "user_disabled" => Err(IssueCodeError::UserDisabled),
        "ticket_used" => Err(IssueCodeError::TicketUsed),
        other => Err(failed(format!("unknown outcome {other:?}")).into()),
    }
}

/// The user of the code; `None` when the code is unknown.
pub(super) async fn owner(db: &Connections, code: &CodeHash) -> Result<Option<UserId>, StoreError> {
    let sql = "SELECT user_id FROM bridge_auth.codes WHERE hash = $1";
    db.query(sql, &[&code.to_hex()]).await?.first().map(Columns::user).transpose()
}

pub(super) async fn redeem(db: &Connections, redeem: &RedeemCode) -> Result<OpenedSession, RedeemError> {
    let session = SessionParams::of(&redeem.session);
    let challenge = redeem.challenge.as_ref().map(CodeChallenge::as_str);
    let resource = redeem.resource.as_ref().map(Audience::as_str);
    // PostgreSQL takes no text with this character. No code was sent to such a URI, nor to an empty one.
    let redirect_uri = redeem.redirect_uri.as_deref().map(|uri| if uri.contains('\0') { "" } else { uri });
    let row = db
        .query_one(
            "SELECT * FROM bridge_auth.redeem_code($14, $15,
                ROW($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)::bridge_auth.new_session, $12, $13, $16,
                $17)",
            &session.and([&redeem.hash.to_hex(), &challenge, &resource, &redirect_uri]),
        )
        .await?;
    let refusal = match row.column("outcome")? {
        "opened" => return Ok(opened(&row)?),
        "session_taken" => return Err(RedeemError::SessionTaken),
        "too_many_sessions" => return Err(RedeemError::TooManySessions),
        "wrong_resource" => return Err(RedeemError::WrongResource),
        "unknown" => GrantRefusal::Unknown,
        "expired" => GrantRefusal::Expired,
        "replayed" => replayed(&row)?,
        "user_disabled" => GrantRefusal::UserDisabled,
        "wrong_verifier" => GrantRefusal::WrongVerifier,
        "wrong_client" => GrantRefusal::WrongClient,
        "wrong_redirect" => GrantRefusal::WrongRedirect,
        other => return Err(failed(format!("unknown outcome {other:?}")).into()),
    };
    Err(RedeemError::Refused(refusal))
}

fn replayed(row: &Row) -> Result<GrantRefusal, StoreError> {
    Ok(GrantRefusal::Replayed {
        user: row.user()?,
        session: row.session("session_id")?,
        first_used_at: row.column("first_used_at")?,
    })
}
