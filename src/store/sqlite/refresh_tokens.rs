//! Refresh tokens: stored and found, and what is known about their use.

use std::net::IpAddr;

use rusqlite::{Row, params};

use super::transaction::{Transaction, optional_text, text};
use crate::id::{Audience, RefreshHash, Scopes, SessionId, UserId};
use crate::store::StoreError;

/// A token, with what the row of its session says.
pub(super) struct Token {
    pub(super) session: SessionId,
    pub(super) scopes: Scopes,
    pub(super) resource: Option<Audience>,
    pub(super) generation: i64,
    pub(super) issued_at: i64,
    /// `None` if the token was never used.
    pub(super) used: Option<Used>,
    /// The token that it was given for. `None` for the first token of a session, and for tokens from before parents
    /// were stored.
    pub(super) parent: Option<Parent>,
}

/// How a token was used.
pub(super) struct Used {
    /// How many rounds it has begun; at least 1.
    pub(super) rounds: i64,
    /// Its last round.
    pub(super) last: Round,
    /// Whether one of its successors was ever used.
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
    /// The round of the parent in which the token was given.
    round: i64,
    /// How many rounds the parent has begun.
    rounds: i64,
    last: Round,
}

/// What may be done with a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PossibleUse {
    /// Its use begins this round.
    Begins(i64),
    /// It is used once more in this round, which began at the given time.
    Joins(i64, Round),
    /// Two parties hold it. The other one began this round.
    Reused(Round),
}

impl Token {
    /// Whether it is good for its first use.
    pub(super) fn is_unused(&self) -> bool {
        self.used.is_none() && self.retired_by().is_none()
    }

    /// What may be done with it now. `grace` is in milliseconds.
    pub(super) fn judge(&self, now: i64, grace: i64) -> PossibleUse {
        let last = self.used.as_ref().map(|used| &used.last);
        if let Some(retired) = self.retired_by() {
            return PossibleUse::Reused(last.unwrap_or(retired).clone());
        }
        match &self.used {
            None => PossibleUse::Begins(1),
            Some(used) if now < used.last.at + grace => PossibleUse::Joins(used.rounds, used.last.clone()),
            // Its answer was lost: none of its successors was used.
            Some(used) if !used.is_followed => PossibleUse::Begins(used.rounds + 1),
            Some(used) => PossibleUse::Reused(used.last.clone()),
        }
    }

    /// The round that its parent began after the token was given, if there is one.
    fn retired_by(&self) -> Option<&Round> {
        self.parent.as_ref().filter(|parent| parent.rounds > parent.round).map(|parent| &parent.last)
    }
}

/// The user of a token; `None` when the token is not stored, or was forgotten.
pub(super) fn user(tx: &Transaction<'_>, hash: &RefreshHash) -> Result<Option<UserId>, StoreError> {
    tx.row(
        "SELECT session.user_id FROM refresh_tokens AS token
         CROSS JOIN sessions AS session ON session.id = token.session_id
         WHERE token.hash = ? AND token.generation >= session.first_generation",
        [hash.as_bytes()],
        |row| text(row, "user_id", UserId::parse),
    )
}

/// A token that is stored and was not forgotten.
pub(super) fn find(tx: &Transaction<'_>, hash: &RefreshHash) -> Result<Option<Token>, StoreError> {
    let sql = "SELECT token.session_id, token.generation, token.issued_at,
                      token.rounds, token.round_at, token.round_from, token.is_followed,
                      token.parent, token.parent_round, parent.rounds AS parent_rounds,
                      parent.round_at AS parent_round_at, parent.round_from AS parent_round_from,
                      session.scopes, session.resource
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
        Ok((token, rounds.is_none()))
    })?;
    match found {
        Some((token, true)) => from_before(tx, token).map(Some),
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

/// Writes that `presented` was used in a round, and stores its successor.
pub(super) fn succeed(
    tx: &Transaction<'_>,
    presented: &RefreshHash,
    token: &Token,
    (round, begun): (i64, &Round),
    successor: &RefreshHash,
) -> Result<(), StoreError> {
    let parent = token.parent.as_ref();
    // For a token from before rounds were stored, this stores what only the generations told until now.
    tx.execute(
        "UPDATE refresh_tokens SET rounds = ?2, round_at = ?3, round_from = ?4, is_followed = ?5,
                                   parent = ?6, parent_round = ?7
         WHERE hash = ?1",
        params![
            presented.as_bytes(),
            round,
            begun.at,
            begun.from.map(|address| address.to_string()),
            token.used.as_ref().is_some_and(|used| used.is_followed),
            parent.map(|parent| &parent.hash),
            parent.map(|parent| parent.round),
        ],
    )?;
    if let Some(parent) = parent {
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

/// Completes a token whose row is from before rounds were stored: the generations of its session tell how it was used.
///
/// A token that was made before has no parent: so these tokens tell which uses were made before. Later uses are stored
/// exactly.
fn from_before(tx: &Transaction<'_>, token: Token) -> Result<Token, StoreError> {
    let (session, generation) = (token.session.as_str(), token.generation);
    // The next generation was made when this token was first used.
    let used = tx.row(
        "SELECT min(issued_at) AS used_at, EXISTS (
             SELECT 1 FROM refresh_tokens WHERE session_id = ?1 AND generation >= ?2 + 2) AS is_followed
         FROM refresh_tokens WHERE session_id = ?1 AND generation = ?2 + 1 AND parent IS NULL",
        params![session, generation],
        |row| {
            let used_at: Option<i64> = row.get("used_at")?;
            let is_followed = row.get("is_followed")?;
            Ok(used_at.map(|at| Used { rounds: 1, last: Round { at, from: None }, is_followed }))
        },
    )?;
    // If a token that may be its parent has begun another round since, this token is retired.
    let parent = tx.row(
        "SELECT hash AS parent, 1 AS parent_round, rounds AS parent_rounds,
                round_at AS parent_round_at, round_from AS parent_round_from
         FROM refresh_tokens WHERE session_id = ?1 AND generation = ?2 - 1 AND rounds > 0
         ORDER BY rounds DESC LIMIT 1",
        params![session, generation],
        Parent::read,
    )?;
    Ok(Token { used: used.flatten(), parent: parent.flatten(), ..token })
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
