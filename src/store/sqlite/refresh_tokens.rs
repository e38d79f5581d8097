//! Refresh tokens: stored, found, and what is known of their use.

use std::net::IpAddr;

use rusqlite::{Row, params};

use super::transaction::{Transaction, optional_text, text};
use crate::id::{Audience, RefreshHash, Scopes, SessionId, UserId};
use crate::store::StoreError;

/// A token, and what the row of its session says.
pub(super) struct Token {
    pub(super) session: SessionId,
    pub(super) scopes: Scopes,
    pub(super) resource: Option<Audience>,
    pub(super) generation: i64,
    pub(super) issued_at: i64,
    /// Nothing for one that was never used.
    pub(super) used: Option<Used>,
    /// What it was given for. Nothing for a session's first, and for those from before parents were stored.
    pub(super) parent: Option<Parent>,
}

/// How a token was used.
pub(super) struct Used {
    /// How many rounds it has begun; at least 1.
    pub(super) rounds: i64,
    /// Its present round.
    pub(super) last: Round,
    /// Whether a token that it was answered with was ever used.
    pub(super) is_followed: bool,
}

/// When and from where a round began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) at: i64,
    pub(super) from: Option<IpAddr>,
}

/// The token that a token was given for.
pub(super) struct Parent {
    hash: Vec<u8>,
    /// The round of it that the token was given in.
    round: i64,
    /// How many rounds it has begun.
    rounds: i64,
    last: Round,
}

/// What a token is good for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It begins this round.
    Begins(i64),
    /// It is used once more in this round, which began then.
    Joins(i64, Round),
    /// Two hold it: the other one began this round.
    Reused(Round),
}

impl Token {
    /// Whether it is good for its one use.
    pub(super) fn is_unused(&self) -> bool {
        self.used.is_none() && self.retired_by().is_none()
    }

    /// What it is good for now. `grace` is in milliseconds.
    pub(super) fn judge(&self, now: i64, grace: i64) -> Verdict {
        let last = self.used.as_ref().map(|used| &used.last);
        if let Some(retired) = self.retired_by() {
            return Verdict::Reused(last.unwrap_or(retired).clone());
        }
        match &self.used {
            None => Verdict::Begins(1),
            Some(used) if now < used.last.at + grace => Verdict::Joins(used.rounds, used.last.clone()),
            // Its answer was lost: whoever has it never used it.
            Some(used) if !used.is_followed => Verdict::Begins(used.rounds + 1),
            Some(used) => Verdict::Reused(used.last.clone()),
        }
    }

    /// The round that its parent began after it was given.
    fn retired_by(&self) -> Option<&Round> {
        self.parent.as_ref().filter(|parent| parent.rounds > parent.round).map(|parent| &parent.last)
    }
}

/// Whose token it is; nothing when it is not stored, or forgotten.
pub(super) fn user(tx: &Transaction<'_>, hash: &RefreshHash) -> Result<Option<UserId>, StoreError> {
    tx.row(
        "SELECT session.user_id FROM refresh_tokens AS token
         CROSS JOIN sessions AS session ON session.id = token.session_id
         WHERE token.hash = ? AND token.generation >= session.first_generation",
        [hash.as_bytes()],
        |row| text(row, "user_id", UserId::parse),
    )
}

/// A token that is stored and not forgotten.
pub(super) fn find(tx: &Transaction<'_>, hash: &RefreshHash) -> Result<Option<Token>, StoreError> {
    let sql = "SELECT token.session_id, token.generation, token.issued_at,
                      token.rounds, token.round_at, token.round_from, token.is_followed,
                      token.parent, token.parent_round, parent.rounds AS parent_rounds,
                      parent.round_at AS parent_round_at, parent.round_from AS parent_round_from,
                      session.scopes, session.resource, session.rotated_at
               FROM refresh_tokens AS token
               CROSS JOIN sessions AS session ON session.id = token.session_id
               LEFT JOIN refresh_tokens AS parent ON parent.hash = token.parent
               WHERE token.hash = ? AND token.generation >= session.first_generation";
    let found = tx.row(sql, [hash.as_bytes()], |row: &Row<'_>| {
        let rounds: Option<i64> = row.get("rounds")?;
        let token = Token {
            session: text(row, "session_id", SessionId::parse)?,
            scopes: text(row, "scopes", Scopes::parse)?,
            resource: optional_text(row, "resource", Audience::parse)?,
            generation: row.get("generation")?,
            issued_at: row.get("issued_at")?,
            used: rounds.filter(|rounds| *rounds > 0).map(|rounds| Used::read(row, rounds)).transpose()?,
            parent: Parent::read(row)?,
        };
        let rotated_at: Option<i64> = row.get("rotated_at")?;
        Ok((token, rounds.is_none().then_some(rotated_at)))
    })?;
    match found {
        Some((token, Some(rotated_at))) => {
            let used = used_before(tx, &token, rotated_at)?;
            Ok(Some(Token { used, ..token }))
        }
        found => Ok(found.map(|(token, _)| token)),
    }
}

/// Stores the first token of a session.
pub(super) fn put_first(
    tx: &Transaction<'_>,
    hash: &RefreshHash,
    session: &SessionId,
    generation: i64,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO refresh_tokens (hash, session_id, generation, issued_at, rounds, is_followed)
         VALUES (?, ?, ?, ?, 0, FALSE)",
        params![hash.as_bytes(), session.as_str(), generation, tx.now],
    )
    .map(drop)
}

/// Writes that `presented` was used in a round, and stores what it is answered with.
pub(super) fn succeed(
    tx: &Transaction<'_>,
    presented: &RefreshHash,
    token: &Token,
    (round, begun): (i64, &Round),
    successor: &RefreshHash,
) -> Result<(), StoreError> {
    // Of a token from before, it is written down now what was known by the generations alone.
    tx.execute(
        "UPDATE refresh_tokens SET rounds = ?, round_at = ?, round_from = ?, is_followed = ? WHERE hash = ?",
        params![
            round,
            begun.at,
            begun.from.map(|address| address.to_string()),
            token.used.as_ref().is_some_and(|used| used.is_followed),
            presented.as_bytes(),
        ],
    )?;
    if let Some(parent) = &token.parent {
        tx.execute("UPDATE refresh_tokens SET is_followed = TRUE WHERE hash = ?", [&parent.hash])?;
    }
    tx.execute(
        "INSERT INTO refresh_tokens
            (hash, session_id, generation, issued_at, parent, parent_round, rounds, is_followed)
         VALUES (?, ?, ?, ?, ?, ?, 0, FALSE)",
        params![
            successor.as_bytes(),
            token.session.as_str(),
            token.generation + 1,
            tx.now,
            presented.as_bytes(),
            round
        ],
    )
    .map(drop)
}

/// How a token was used whose row is from before rounds were stored: the generations that came after it tell.
fn used_before(
    tx: &Transaction<'_>,
    token: &Token,
    rotated_at: Option<i64>,
) -> Result<Option<Used>, StoreError> {
    let newest: Option<i64> = tx
        .row(
            "SELECT max(generation) FROM refresh_tokens WHERE session_id = ?",
            [token.session.as_str()],
            |row| row.get(0),
        )?
        .flatten();
    let later = newest.map_or(0, |newest| newest - token.generation);
    Ok((later > 0).then(|| Used {
        rounds: 1,
        last: Round { at: rotated_at.unwrap_or(token.issued_at), from: None },
        is_followed: later > 1,
    }))
}

impl Used {
    fn read(row: &Row<'_>, rounds: i64) -> rusqlite::Result<Self> {
        let last = Round { at: row.get("round_at")?, from: optional_text(row, "round_from", str::parse)? };
        Ok(Self { rounds, last, is_followed: row.get("is_followed")? })
    }
}

impl Parent {
    fn read(row: &Row<'_>) -> rusqlite::Result<Option<Self>> {
        let Some(hash) = row.get("parent")? else { return Ok(None) };
        let Some(rounds) = row.get("parent_rounds")? else { return Ok(None) };
        let last = Round {
            at: row.get("parent_round_at")?,
            from: optional_text(row, "parent_round_from", str::parse)?,
        };
        Ok(Some(Self { hash, round: row.get("parent_round")?, rounds, last }))
    }
}
