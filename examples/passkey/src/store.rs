//! What the login keeps: people and their passkeys, open challenges, and who is signed in.
//!
//! It is in the gateway's own PostgreSQL database when there is one, because every gateway behind a balancer must know
//! a challenge that another one made. Otherwise it is in a SQLite file beside the gateway's.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;

use crate::database::{Database, Row, Value};
use gateway::database::Database as GatewayDatabase;
use gateway::login::Person;
use gateway::login::logins::{LIFE, LoginStore};

/// How long a challenge may be answered, in seconds.
pub const CHALLENGE_LIFE: i64 = 300;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS passkey_people (
        handle {bytes} PRIMARY KEY,
        name TEXT NOT NULL,
        name_key TEXT NOT NULL UNIQUE,
        created_at BIGINT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS passkey_credentials (
        id {bytes} PRIMARY KEY,
        handle {bytes} NOT NULL REFERENCES passkey_people (handle),
        static_state {bytes} NOT NULL,
        dynamic_state {bytes} NOT NULL,
        version BIGINT NOT NULL,
        created_at BIGINT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS passkey_challenges (
        challenge {bytes} PRIMARY KEY,
        browser {bytes} NOT NULL,
        name TEXT NOT NULL,
        state {bytes} NOT NULL,
        expires_at BIGINT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS passkey_challenges_by_age ON passkey_challenges (expires_at);
    CREATE TABLE IF NOT EXISTS passkey_logins (
        key {bytes} PRIMARY KEY,
        person TEXT NOT NULL,
        expires_at BIGINT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS passkey_logins_by_age ON passkey_logins (expires_at);
";

/// The store of one gateway.
#[derive(Clone)]
pub struct Store(Database);

/// A challenge that was sent to a browser.
pub struct Challenge {
    pub challenge: [u8; 16],
    /// The SHA-256 of the cookie of the browser that asked.
    pub browser: [u8; 32],
    /// The name of the new person; empty in a sign-in.
    pub name: String,
    /// What the WebAuthn library must know to judge the answer.
    pub state: Vec<u8>,
}

/// A passkey, and whose it is.
pub struct Passkey {
    pub id: Vec<u8>,
    pub handle: Vec<u8>,
    /// The public key.
    pub static_state: Vec<u8>,
    /// The counter of signatures, among others.
    pub dynamic_state: Vec<u8>,
    /// How often the row was changed.
    pub version: i64,
    pub name: String,
}

impl Store {
    /// Opens the store of a gateway with `database`, and makes its tables if they are missing.
    pub async fn open(database: &GatewayDatabase) -> Result<Self> {
        let database = match database {
            GatewayDatabase::Sqlite(file) => Self::file(&file.with_extension("passkeys.db"))?,
            // The URL may hold a password, so no message repeats it.
            GatewayDatabase::Postgres(url) => {
                Database::postgres(url).context("cannot open the PostgreSQL database")?
            }
        };
        database.make_tables(TABLES).await.context("cannot make the tables of the passkeys")?;
        Ok(Self(database))
    }

    fn file(file: &Path) -> Result<Database> {
        Database::sqlite(file).with_context(|| format!("cannot open the database {}", file.display()))
    }

    /// Keeps a challenge. False: too many are open. They are bounded, so that a flood of them does not fill the disk.
    pub async fn open_challenge(&self, challenge: Challenge) -> Result<bool> {
        self.0.run("DELETE FROM passkey_challenges WHERE expires_at <= {now}", Vec::new()).await?;
        let sql = "INSERT INTO passkey_challenges (challenge, browser, name, state, expires_at)
            SELECT CAST($1 AS {bytes}), CAST($2 AS {bytes}), CAST($3 AS TEXT), CAST($4 AS {bytes}), {now} + CAST($5 AS BIGINT)
            WHERE (SELECT count(*) FROM passkey_challenges) < 10000";
        let Challenge { challenge, browser, name, state } = challenge;
        let values = vec![
            bytes(challenge),
            bytes(browser),
            Value::Text(name),
            Value::Bytes(state),
            Value::Number(CHALLENGE_LIFE),
        ];
        self.0.all_or_nothing(vec![(sql, values)]).await
    }

    /// Takes a challenge out, once: the second call finds nothing, whatever gateway it comes to. Only the browser finds
    /// it that asked for it, and only for what it asked for (`signs_in`, or creates a passkey).
    pub async fn take_challenge(
        &self,
        challenge: [u8; 16],
        browser: [u8; 32],
        signs_in: bool,
    ) -> Result<Option<(String, Vec<u8>)>> {
        let sql = "DELETE FROM passkey_challenges
            WHERE challenge = $1 AND browser = $2 AND (CASE name WHEN '' THEN 1 ELSE 0 END) = CAST($3 AS BIGINT)
            AND expires_at > {now}
            RETURNING name, state";
        let values = vec![bytes(challenge), bytes(browser), Value::Number(signs_in.into())];
        match self.0.run(sql, values).await?.pop() {
            None => Ok(None),
            Some(row) => match <[Value; 2]>::try_from(row) {
                Ok([Value::Text(name), Value::Bytes(state)]) => Ok(Some((name, state))),
                row => bail!("a challenge has an unexpected form: {row:?}"),
            },
        }
    }

    /// Adds a person with their first passkey. False: the name, or the id of the passkey, is in use.
    pub async fn add_person(&self, passkey: Passkey) -> Result<bool> {
        let Passkey { id, handle, static_state, dynamic_state, version, name } = passkey;
        // Names that look alike to a person are one name.
        let key = name.to_lowercase();
        let person =
            "INSERT INTO passkey_people (handle, name, name_key, created_at) VALUES ($1, $2, $3, {now})
            ON CONFLICT DO NOTHING";
        let credential =
            "INSERT INTO passkey_credentials (id, handle, static_state, dynamic_state, version, created_at)
            VALUES ($1, $2, $3, $4, $5, {now}) ON CONFLICT DO NOTHING";
        let states = [id, handle.clone(), static_state, dynamic_state].map(Value::Bytes);
        let statements = vec![
            (person, vec![Value::Bytes(handle), Value::Text(name), Value::Text(key)]),
            (credential, states.into_iter().chain([Value::Number(version)]).collect()),
        ];
        self.0.all_or_nothing(statements).await
    }

    pub async fn passkey(&self, id: &[u8]) -> Result<Option<Passkey>> {
        let sql = "SELECT c.id, c.handle, c.static_state, c.dynamic_state, c.version, p.name
            FROM passkey_credentials c JOIN passkey_people p ON p.handle = c.handle WHERE c.id = $1";
        self.0.run(sql, vec![Value::Bytes(id.to_vec())]).await?.pop().map(passkey).transpose()
    }

    /// Replaces the state of a passkey that still has `version`. False: another sign-in was faster. So of two sign-ins
    /// that were judged against one state, one wins.
    pub async fn advance(&self, id: &[u8], version: i64, state: &[u8]) -> Result<bool> {
        let sql = "UPDATE passkey_credentials SET dynamic_state = $1, version = version + 1 WHERE id = $2 AND version = $3";
        let values = vec![Value::Bytes(state.to_vec()), Value::Bytes(id.to_vec()), Value::Number(version)];
        self.0.all_or_nothing(vec![(sql, values)]).await
    }
}

#[async_trait]
impl LoginStore for Store {
    async fn add(&self, key: [u8; 32], person: &Person) -> Result<()> {
        self.0.run("DELETE FROM passkey_logins WHERE expires_at <= {now}", Vec::new()).await?;
        let sql = "INSERT INTO passkey_logins (key, person, expires_at) VALUES ($1, $2, {now} + CAST($3 AS BIGINT))";
        let life = Value::Number(LIFE.as_secs().try_into()?);
        self.0.run(sql, vec![bytes(key), Value::Text(serde_json::to_string(person)?), life]).await?;
        Ok(())
    }

    async fn find(&self, key: [u8; 32]) -> Result<Option<Person>> {
        let sql = "SELECT person FROM passkey_logins WHERE key = $1 AND expires_at > {now}";
        match self.0.run(sql, vec![bytes(key)]).await?.pop().as_deref() {
            None => Ok(None),
            Some([Value::Text(person)]) => Ok(Some(serde_json::from_str(person)?)),
            Some(row) => bail!("a login has an unexpected form: {row:?}"),
        }
    }

    async fn remove(&self, key: [u8; 32]) -> Result<()> {
        self.0.run("DELETE FROM passkey_logins WHERE key = $1", vec![bytes(key)]).await?;
        Ok(())
    }
}

fn bytes<const N: usize>(value: [u8; N]) -> Value {
    Value::Bytes(value.to_vec())
}

fn passkey(row: Row) -> Result<Passkey> {
    match <[Value; 6]>::try_from(row) {
        Ok(
            [
                Value::Bytes(id),
                Value::Bytes(handle),
                Value::Bytes(static_state),
                Value::Bytes(dynamic_state),
                Value::Number(version),
                Value::Text(name),
            ],
        ) => Ok(Passkey { id, handle, static_state, dynamic_state, version, name }),
        _ => bail!("a passkey has an unexpected form"),
    }
}
