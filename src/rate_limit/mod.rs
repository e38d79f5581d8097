//! Rate limits: how often secrets and codes may be tried, and how often a session may call endpoints that write.

mod limiter;
mod network;
mod one_limit;
mod refused_tokens;

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock, Reference};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use self::limiter::Limiter;
use self::network::network;
pub(crate) use self::one_limit::OneLimit;
use self::refused_tokens::RefusedTokens;
pub(crate) use self::refused_tokens::ShownToken;
use crate::id::{ClientId, SessionId, UserId};
use crate::validate::{BuildError, Setting, check_count};

/// How often secrets and codes may be tried, and how often codes may be asked for.
///
/// - `/token`, `/introspect`, `/revoke` and `/session` check a secret or a code. They are limited by the address of the
///   caller (IPv6: by its /64), and by the client that they name.
/// - `/code` is limited by person, and so are the pages `/device`, `/authorize` and `/devices`.
/// - `/logout`, `/sessions` and `/oauth-client` are limited by session.
///
/// Beyond a limit the answer is 429 with `Retry-After`, before anything is done.
///
/// - **A failed attempt costs 20 attempts** ([`failure_cost`](Self::failure_cost)), and the balance may go below zero.
///   So an attacker who guesses is soon refused for longer, but never for more than an hour. A declared session id that
///   is taken (409) is a failed attempt too.
/// - **What cannot be a guess costs no more than an attempt.** Many people may be behind one address:
///
///   | at the endpoints that check a secret or a code | costs the address |
///   |---|---|
///   | success, or a request that is malformed | 1 |
///   | wrong secret, wrong or used code, unknown refresh token; also a device grant that is started | 20 |
///   | a refresh token that was issued here, and is used, retired, another client's, or of a session that has ended | 1 |
///   | a refresh token that was refused before | 1, ten times a minute; beyond that 0, and 429 |
///   | a question of a client that has proved itself at `/introspect`, whatever the answer is | 0, and 1 beyond [the client's own limit](Self::introspections_per_client) |
/// - **Nobody is locked out by others.** When many addresses guess at the secret of a client, this client is refused
///   only at addresses that have just failed.
/// - **A refusal of a known caller is slow.** A refusal by person or by session is held back for a second, or for as
///   long as the limit would last if that is less. At most 256 refusals are held back at a time. So a program that asks
///   in a loop leaves the machine to others.
/// - **Memory is bounded.** When there are more keys than [`max_keys`](Self::max_keys), the least used ones are
///   forgotten.
///
/// Each gateway counts for itself, in memory. A caller whose address is not known is limited only by its person and its
/// session: otherwise one attacker could lock out all such callers. So set
/// [`BridgeBuilder::peer_address`](crate::BridgeBuilder::peer_address). Behind a proxy also set
/// [`BridgeBuilder::trusted_proxies`](crate::BridgeBuilder::trusted_proxies): otherwise all clients of the proxy have
/// one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(default, deny_unknown_fields)
)]
#[must_use = "hand it to BridgeBuilder::rate_limits"]
pub struct RateLimits {
    pub(crate) on: bool,
    pub(crate) per_address: u32,
    pub(crate) per_client: u32,
    pub(crate) introspections_per_client: u32,
    pub(crate) codes_per_person: u32,
    pub(crate) calls_per_session: u32,
    pub(crate) user_codes: u32,
    pub(crate) device_grants: u32,
    pub(crate) failure_cost: u32,
    pub(crate) max_keys: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            on: true,
            per_address: 1200,
            per_client: 600,
            introspections_per_client: 12_000,
            codes_per_person: 60,
            calls_per_session: 120,
            user_codes: 12_000,
            device_grants: 6000,
            failure_cost: 20,
            max_keys: 100_000,
        }
    }
}

impl RateLimits {
    /// No limits: for a gateway behind a proxy that limits.
    pub fn off() -> Self {
        Self { on: false, ..Self::default() }
    }

    /// How many attempts an address may make in a minute, and at once. Default: 1200.
    pub fn per_address(mut self, attempts: u32) -> Self {
        self.per_address = attempts;
        self
    }

    /// How many attempts may be made for a client in a minute, from all addresses together. Beyond that, addresses that
    /// failed within the last minute are refused. Default: 600.
    pub fn per_client(mut self, attempts: u32) -> Self {
        self.per_client = attempts;
        self
    }

    /// How many questions about tokens a client that has proved itself may ask in a minute, and at once (`/introspect`).
    /// Default: 12 000. Each question asks the store.
    pub fn introspections_per_client(mut self, questions: u32) -> Self {
        self.introspections_per_client = questions;
        self
    }

    /// How many codes a person may ask for in a minute, and at once. As many pages may they open, and as many devices end.
    /// Default: 60.
    pub fn codes_per_person(mut self, codes: u32) -> Self {
        self.codes_per_person = codes;
        self
    }

    /// How many calls of `/sessions` and `/oauth-client` a session may make in a minute, and at once. `/logout` has the
    /// same limit of its own, and so have the decisions of a person on pages. Default: 120.
    pub fn calls_per_session(mut self, calls: u32) -> Self {
        self.calls_per_session = calls;
        self
    }

    /// How many user codes all people together may try in a minute (RFC 8628 §5.1), and at once. A code that nobody has
    /// costs as much as [`failure_cost`](Self::failure_cost) says. Default: 12 000, so 600 wrong codes a minute. With a
    /// thousand programs that wait, somebody who guesses at this rate hits one of them in about a month.
    pub fn user_codes(mut self, codes: u32) -> Self {
        self.user_codes = codes;
        self
    }

    /// How many device grants all programs together may start in a minute, and at once. Each takes a row for an hour or so,
    /// and anybody may start one. Default: 6000.
    pub fn device_grants(mut self, grants: u32) -> Self {
        self.device_grants = grants;
        self
    }

    /// How many attempts a failed attempt counts for. Default: 20.
    pub fn failure_cost(mut self, attempts: u32) -> Self {
        self.failure_cost = attempts;
        self
    }

    /// How many addresses, how many clients, how many people, how many sessions and how many refused refresh tokens are
    /// remembered; each takes about 100 bytes. Default: 100 000.
    pub fn max_keys(mut self, keys: u32) -> Self {
        self.max_keys = keys;
        self
    }

    pub(crate) fn check(&self) -> Result<(), BuildError> {
        for (what, setter, count) in [
            ("the rate limit of an address", "RateLimits::per_address", self.per_address),
            ("the rate limit of a client", "RateLimits::per_client", self.per_client),
            (
                "the rate limit of introspection",
                "RateLimits::introspections_per_client",
                self.introspections_per_client,
            ),
            ("the rate limit of a person", "RateLimits::codes_per_person", self.codes_per_person),
            ("the rate limit of a session", "RateLimits::calls_per_session", self.calls_per_session),
            ("the rate limit of user codes", "RateLimits::user_codes", self.user_codes),
            ("the rate limit of device grants", "RateLimits::device_grants", self.device_grants),
            ("the maximum of remembered keys", "RateLimits::max_keys", self.max_keys),
        ] {
            check_count(Setting::new(what, setter), count, &(1..=10_000_000), "1 to 10 000 000")?;
        }
        let cost = Setting::new("the cost of a failed attempt", "RateLimits::failure_cost");
        check_count(cost, self.failure_cost, &(1..=10_000), "1 to 10 000")
    }
}

/// A refusal by a rate limit, and how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimited {
    /// The limit that was reached: one of a bounded set.
    pub(crate) by: &'static str,
    pub(crate) wait: Duration,
}

/// The limits of one gateway.
pub(crate) struct Limits<C: Clock + Clone = MonotonicClock> {
    addresses: Limiter<C>,
    clients: Limiter<C>,
    /// Questions of clients that have proved themselves.
    introspections: Limiter<C>,
    refused_tokens: RefusedTokens<C>,
    people: Limiter<C>,
    sessions: Limiter<C>,
    /// User codes that were tried, by everyone together.
    user_codes: Limiter<C>,
    /// Device grants that were started, by everyone together.
    device_grants: Limiter<C>,
    /// Documents of clients that a person made the gateway look for.
    documents: Limiter<C>,
    /// When an address last failed for a client.
    failures: Cache<u64, C::Instant>,
    keys: RandomState,
    clock: C,
    failure_cost: u32,
    has_warned: AtomicBool,
    /// One permit for each refusal that may be held back at a time.
    holds: Semaphore,
}

impl<C: Clock + Clone> Limits<C> {
    /// How long a failure counts against an address while its client is under attack.
    const MEMORY: Duration = Duration::from_secs(60);
    /// How many refusals are held back at a time. More would take the places for requests that the host has.
    const MOST_HELD: usize = 256;
    /// How often a minute a person may make the gateway look for the document of a client.
    const DOCUMENTS_PER_PERSON: u32 = 20;
    /// The longest time that a refusal is held back.
    const LONGEST_HOLD: Duration = Duration::from_secs(1);

    /// The limits; `None` when they are off.
    pub(crate) fn new(settings: RateLimits, clock: C) -> Option<Self> {
        let max_keys = usize::try_from(settings.max_keys).unwrap_or(usize::MAX);
        let limiter = |per_minute| Some(Limiter::new(NonZeroU32::new(per_minute)?, max_keys, clock.clone()));
        Some(Self {
            addresses: limiter(settings.per_address).filter(|_| settings.on)?,
            clients: limiter(settings.per_client)?,
            introspections: limiter(settings.introspections_per_client)?,
            refused_tokens: RefusedTokens::new(max_keys, clock.clone()),
            people: limiter(settings.codes_per_person)?,
            sessions: limiter(settings.calls_per_session)?,
            user_codes: Limiter::new(NonZeroU32::new(settings.user_codes)?, 1, clock.clone()),
            device_grants: Limiter::new(NonZeroU32::new(settings.device_grants)?, 1, clock.clone()),
            documents: limiter(Self::DOCUMENTS_PER_PERSON)?,
            failures: Cache::new(max_keys),
            keys: RandomState::new(),
            failure_cost: settings.failure_cost,
            has_warned: AtomicBool::new(false),
            holds: Semaphore::new(Self::MOST_HELD),
            clock,
        })
    }

    /// An attempt from `address` begins.
    pub(crate) fn attempt(&self, address: Option<IpAddr>) -> Result<(), RateLimited> {
        match address {
            Some(address) => {
                let checked = self.addresses.spend(self.key(network(address)));
                checked.map_err(|wait| RateLimited { by: "address", wait })
            }
            None => {
                if !self.has_warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "callers without a known address have no rate limit by address: set BridgeBuilder::peer_address"
                    );
                }
                Ok(())
            }
        }
    }

    /// The attempt from `address` failed.
    pub(crate) fn failed(&self, address: Option<IpAddr>) {
        if let Some(address) = address {
            self.addresses.owe(self.key(network(address)), self.failure_cost.saturating_sub(1));
        }
    }

    /// The attempt from `address` counts for nothing.
    pub(crate) fn give_back(&self, address: Option<IpAddr>) {
        if let Some(address) = address {
            self.addresses.give_back(self.key(network(address)));
        }
    }

    /// The attempt from `address` is an attempt to prove to be `client`. Returns whether it counts for the client.
    pub(crate) fn client_attempt(
        &self,
        address: Option<IpAddr>,
        client: &ClientId,
    ) -> Result<bool, RateLimited> {
        let Some(address) = address else { return Ok(false) };
        if self.clients.spend(self.key(client)).is_ok() {
            return Ok(true);
        }
        let failed = self.failures.get(&self.key((network(address), client)));
        let since = failed.map_or(Self::MEMORY, |failed| self.clock.now().duration_since(failed).into());
        match Self::MEMORY.saturating_sub(since) {
            Duration::ZERO => Ok(false),
            wait => Err(RateLimited { by: "client", wait }),
        }
    }

    /// The attempt to prove to be `client` failed.
    pub(crate) fn client_failed(&self, address: Option<IpAddr>, client: &ClientId) {
        let Some(address) = address else { return };
        self.clients.owe(self.key(client), self.failure_cost.saturating_sub(1));
        self.failures.insert(self.key((network(address), client)), self.clock.now());
    }

    /// `client` has proved itself by an attempt that counted for it. Now it counts for nothing.
    pub(crate) fn client_succeeded(&self, client: &ClientId) {
        self.clients.give_back(self.key(client));
    }

    /// `client` has proved itself, and asks about a token.
    pub(crate) fn introspection_by(&self, client: &ClientId) -> Result<(), RateLimited> {
        let checked = self.introspections.spend(self.key(client));
        checked.map_err(|wait| RateLimited { by: "introspection", wait })
    }

    /// `client` shows the refresh token `text`. Only a token that was refused before has a limit.
    pub(crate) fn refresh_with(&self, client: &ClientId, text: &str) -> Result<ShownToken, RateLimited> {
        let shown = self.refused_tokens.show(self.key((client, text)));
        shown.map_err(|wait| RateLimited { by: "refresh_token", wait })
    }

    /// The refresh token was refused. Returns whether it was refused before too: then it is no new guess.
    pub(crate) fn refresh_refused(&self, token: ShownToken) -> bool {
        self.refused_tokens.refuse(token)
    }

    /// `person` asks for a code.
    pub(crate) fn code_for(&self, person: &UserId) -> Result<(), RateLimited> {
        self.people.spend(self.key(person)).map_err(|wait| RateLimited { by: "person", wait })
    }

    /// `person` answers a program on a page.
    pub(crate) fn decision_of(&self, person: &UserId) -> Result<(), RateLimited> {
        self.sessions.spend(self.key((person, "decision"))).map_err(|wait| RateLimited { by: "person", wait })
    }

    /// `person` opens a page that costs work. It counts apart: another site can make a browser open pages, and must not keep
    /// the person from deciding, or from ending a device.
    pub(crate) fn page_for(&self, person: &UserId) -> Result<(), RateLimited> {
        self.people.spend(self.key((person, "page"))).map_err(|wait| RateLimited { by: "person", wait })
    }

    /// `person` ends a device.
    pub(crate) fn end_for(&self, person: &UserId) -> Result<(), RateLimited> {
        self.people.spend(self.key((person, "end"))).map_err(|wait| RateLimited { by: "person", wait })
    }

    /// `person` makes the gateway look for the document of a client.
    pub(crate) fn document_for(&self, person: &UserId) -> Result<(), RateLimited> {
        self.documents.spend(self.key(person)).map_err(|wait| RateLimited { by: "person", wait })
    }

    /// Somebody starts a device grant: a row that anybody may cause.
    pub(crate) fn device_grant(&self) -> Result<(), RateLimited> {
        self.device_grants.spend(EVERYONE).map_err(|wait| RateLimited { by: "device_grants", wait })
    }

    /// `session` calls an endpoint that writes for it. Its logout counts apart: an attacker who has the token too, and
    /// calls without end, must not keep the owner from ending the session.
    pub(crate) fn call_of(&self, session: &SessionId, is_logout: bool) -> Result<(), RateLimited> {
        self.sessions
            .spend(self.key((session, is_logout)))
            .map_err(|wait| RateLimited { by: "session", wait })
    }

    /// A token of `person` is exchanged. Each new token has a session of its own: so the sessions of a person count together.
    pub(crate) fn exchange_for(&self, person: &UserId) -> Result<(), RateLimited> {
        self.sessions.spend(self.key((person, "exchange"))).map_err(|wait| RateLimited { by: "person", wait })
    }

    /// Somebody at `address` tries a user code. An address has a limit for this alone: another site can make a browser try
    /// codes, and must not keep the programs of that address from their tokens.
    pub(crate) fn guess(&self, address: Option<IpAddr>) -> Result<(), RateLimited> {
        if let Some(address) = address {
            let checked = self.addresses.spend(self.key((network(address), "user code")));
            checked.map_err(|wait| RateLimited { by: "address", wait })?;
        }
        self.user_codes.spend(EVERYONE).map_err(|wait| RateLimited { by: "user_codes", wait })
    }

    /// Nobody has the user code that was tried.
    pub(crate) fn guess_failed(&self, address: Option<IpAddr>) {
        let more = self.failure_cost.saturating_sub(1);
        if let Some(address) = address {
            self.addresses.owe(self.key((network(address), "user code")), more);
        }
        self.user_codes.owe(EVERYONE, more);
    }

    /// Forgets the callers whose balance is full again: a new caller has the same balance.
    pub(crate) fn forget_rested(&self) {
        let Self { addresses, clients, introspections, people, sessions, documents, .. } = self;
        let many = [addresses, clients, introspections, people, sessions, documents];
        many.iter().for_each(|limiter| limiter.forget_rested());
        self.refused_tokens.forget_rested();
        let now = self.clock.now();
        self.failures.retain(|_, failed| Duration::from(now.duration_since(*failed)) < Self::MEMORY);
    }

    /// How many addresses are remembered.
    #[cfg(test)]
    pub(crate) fn addresses(&self) -> usize {
        self.addresses.keys()
    }

    /// Holds back the refusal of a known caller: so a caller in a loop leaves the machine to others.
    pub(crate) async fn hold(&self, limited: &RateLimited) {
        if let Ok(_place) = self.holds.try_acquire() {
            sleep(limited.wait.min(Self::LONGEST_HOLD)).await;
        }
    }

    /// The key that stands for `source`. It has a fixed size, whatever a caller sends. It cannot be predicted: so
    /// nobody can choose to share the key of another caller.
    fn key(&self, source: impl Hash) -> u64 {
        self.keys.hash_one(source)
    }
}

/// The key of a limit that all callers share.
const EVERYONE: u64 = 0;

#[cfg(test)]
mod tests;
