//! How SQLite runs each statement. No statement may become slower because of dead rows.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, StatementStatus, TransactionBehavior};

use super::delegated_sessions::Exchange;
use super::store_clock::StoreClock;
use super::transaction::Transaction;
use super::{clients, codes, connect, delegated_sessions, device_grants, devices, hook_sessions, provision};
use super::{refresh_rotation, refresh_tokens, revocations, sessions, sweep, users};
use crate::id::{
    AssertionHash, ClientId, ClientSecret, DeviceCode, ExchangeCode, RefreshHash, RefreshToken, Scopes,
    SessionId, UserCode, UserId,
};
use crate::store::{
    ClientCredential, ClientProof, DecideDeviceGrant, Decision, DeviceQuery, EventAction, KeyQuery,
    KnownUser, NewCode, NewDeviceGrant, NewSession, Origin, PollDeviceGrant, ProvisionClient, RedeemCode,
    RefreshSession, RequestedId, RevocationCursor, Revoke, SecurityEvent, SessionKey, SessionLimit,
    SpentAssertion, UserQuery, WhenFull,
};

thread_local! {
    static STATEMENTS: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Notes a statement that runs on this thread.
pub(super) fn note(sql: &str) {
    STATEMENTS.with_borrow_mut(|statements| statements.insert(sql.to_owned()));
}

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A file on which operations run one after the other.
struct File {
    connection: Connection,
    user: UserId,
}

impl File {
    fn open(folder: &tempfile::TempDir) -> Self {
        let opened = connect::prepare(&folder.path().join("bridges.db"), HOUR).unwrap();
        Self { connection: opened.connection, user: UserId::parse("alice").unwrap() }
    }

    fn run<T, E: std::fmt::Debug>(&mut self, operation: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> T {
        let tx =
            Transaction::begin(&mut self.connection, TransactionBehavior::Immediate, &StoreClock::default())
                .unwrap();
        let done = operation(&tx).unwrap();
        tx.commit().unwrap();
        done
    }

    /// The steps in which SQLite would run `sql`.
    fn plan(&self, sql: &str) -> Vec<String> {
        let mut statement = self.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.raw_query().mapped(|row| row.get("detail")).collect::<Result<_, _>>();
        steps.unwrap()
    }
}

fn new_session(client: &str) -> NewSession {
    let id = RequestedId::Fresh(SessionId::random());
    NewSession::new(id, ClientId::parse(client).unwrap(), HOUR).limit(SessionLimit::new(2, WhenFull::Evict))
}

fn known(user: &UserId) -> KnownUser {
    KnownUser::new(user.clone(), Scopes::parse("read").unwrap()).label("Alice@Example.com")
}

fn use_token(presented: RefreshHash, grace: Duration) -> RefreshSession {
    RefreshSession {
        presented,
        successor: RefreshToken::random().hash(),
        client: ClientId::parse("sp_bridge").unwrap(),
        scopes: None,
        resource: None,
        origin: Origin::unknown(),
        life: HOUR,
        grace,
    }
}

/// Makes people, codes and sessions. Returns a live session and its refresh token.
fn sign_in(file: &mut File) -> (SessionId, RefreshHash) {
    let user = file.user.clone();
    let scopes = Scopes::parse("read").unwrap();
    file.run(|tx| users::is_put(tx, &known(&user)));
    file.run(|tx| users::put(tx, &known(&user)));
    file.run(|tx| users::set_disabled(tx, &user, false));
    let hash = ExchangeCode::random().hash();
    let client = ClientId::parse("sp_bridge").unwrap();
    let ticket = AssertionHash::of_ticket(SessionId::random().as_str());
    let code = NewCode::new(hash, user.clone(), client, scopes.clone(), HOUR).ticket(ticket, HOUR);
    file.run(|tx| codes::issue(tx, &code));
    file.run(|tx| codes::user(tx, &hash));
    let redeem = RedeemCode::new(hash, new_session("sp_bridge"));
    for _ in 0..2 {
        file.run(|tx| codes::redeem(tx, &redeem));
    }
    let mut last = new_session("sp_bridge");
    for _ in 0..4 {
        let token = RefreshToken::random().hash();
        last = NewSession { refresh: Some(token), ..new_session("sp_bridge") };
        file.run(|tx| sessions::open(tx, &user, &scopes, &last));
    }
    let again = NewSession { id: RequestedId::Declared(last.id.id().clone()), ..last.clone() };
    let again = NewSession { refresh: Some(RefreshToken::random().hash()), ..again };
    file.run(|tx| sessions::open(tx, &user, &scopes, &again));
    file.run(|tx| sessions::statuses(tx, &[last.id.id().clone(), SessionId::random()]));
    file.run(|tx| sessions::row_states(tx, &[SessionKey::of(last.id.id().clone())]));
    for after in [None, Some("1.sess")] {
        let query = DeviceQuery { after: after.map(|after| after.parse().unwrap()), limit: 2 };
        file.run(|tx| devices::of_user(tx, &user, &query));
    }
    (last.id.id().clone(), again.refresh.unwrap())
}

/// Polls a device grant before it is allowed, too fast, and after.
fn allow_device(file: &mut File) {
    let (user, client) = (file.user.clone(), ClientId::parse("sp_bridge").unwrap());
    let (device_code, user_code) = (DeviceCode::random().hash(), UserCode::random());
    let new = NewDeviceGrant::new(device_code, user_code, client.clone());
    file.run(|tx| device_grants::start(tx, &new));
    file.run(|tx| device_grants::waiting(tx, &user_code));
    for _ in 0..2 {
        file.run(|tx| device_grants::look(tx, &device_code, &client));
        file.run(|tx| device_grants::count(tx, &device_code, &client));
    }
    let allow = Decision::Allow(Scopes::parse("read").unwrap());
    file.run(|tx| device_grants::decide(tx, &DecideDeviceGrant::new(user_code, client, user, allow)));
    file.run(|tx| device_grants::collect(tx, &PollDeviceGrant::new(device_code, new_session("sp_bridge"))));
    file.run(|tx| users::list(tx, &UserQuery::new("al")));
}

fn use_hooks(file: &mut File, device: &SessionId) {
    let user = file.user.clone();
    let secret = ClientSecret::random().hash(None);
    let new = ProvisionClient {
        client: ClientId::for_hooks_of(&user),
        owner: user.clone(),
        session: device.clone(),
        credential: ClientCredential::Secret(secret),
        scopes: Scopes::default(),
        overlap: HOUR,
        max_devices: 8,
    };
    let newest = file.run(|tx| provision::newest(tx, &new));
    file.run(|tx| provision::provision(tx, &new, newest));
    let session = new_session(new.client.as_str());
    let proof = ClientProof::Secret(secret);
    let wish = hook_sessions::Wish { owner: user, proof, scopes: Scopes::default(), session };
    let told = Origin::unknown().user_agent("curl");
    let other =
        hook_sessions::Wish { session: NewSession { origin: told, ..wish.session.clone() }, ..wish.clone() };
    for wish in [&wish, &wish, &other] {
        file.run(|tx| hook_sessions::look(tx, wish));
        file.run(|tx| hook_sessions::open(tx, wish));
    }
    file.run(|tx| clients::verify(tx, &new.client, &proof)).expect("it is good");
    let query = KeyQuery { algorithm: "EdDSA".to_owned(), key_id: None };
    file.run(|tx| clients::keys(tx, &new.client, &query));
}

/// Hangs a chain on a session, ends others than the chain's, and does what events say.
fn delegate(file: &mut File, device: &SessionId) {
    let user = file.user.clone();
    let mut parent = device.clone();
    for n in 0..2 {
        let assertion = AssertionHash::of_ticket(&format!("assertion {n}"));
        let assertion = SpentAssertion::new(assertion, HOUR, SystemTime::now() + HOUR);
        let session = new_session("planner").assertion(assertion);
        let id = session.id.id().clone();
        let scopes = Scopes::parse("read").unwrap();
        let exchange = Exchange { user: user.clone(), parent, actor: None, scopes, session };
        file.run(|tx| delegated_sessions::open(tx, &exchange));
        parent = id;
    }
    let query = DeviceQuery { after: None, limit: 2 };
    let devices = file.run(|tx| devices::of_user(tx, &user, &query)).devices;
    assert_eq!(devices.iter().map(|device| device.delegated).sum::<u64>(), 2);
    file.run(|tx| revocations::revoke(tx, &Revoke::Others { user: user.clone(), keep: device.clone() }));
    for action in [EventAction::Revoke(Revoke::Session(parent)), EventAction::Disable(user.clone())] {
        let event = AssertionHash::of_ticket(&format!("{action:?}"));
        let event = SecurityEvent::new(event, HOUR, action);
        for _ in 0..2 {
            file.run(|tx| revocations::apply(tx, &event));
        }
    }
    file.run(|tx| users::set_disabled(tx, &user, false));
}

/// Uses a token once, again, and then by two parties; and uses a token from before rounds were stored.
fn use_refresh_tokens(file: &mut File, token: RefreshHash) {
    file.run(|tx| refresh_tokens::user(tx, &token));
    file.run(|tx| refresh_rotation::refresh(tx, &use_token(token, HOUR)));
    file.connection.execute("UPDATE refresh_tokens SET rounds = NULL, parent = NULL", []).unwrap();
    let mut next = token;
    for grace in [HOUR, Duration::ZERO] {
        let again = use_token(token, grace);
        next = again.successor;
        file.run(|tx| refresh_rotation::refresh(tx, &again));
        file.run(|tx| refresh_rotation::look(tx, &next));
    }
    file.run(|tx| refresh_rotation::refresh(tx, &use_token(next, HOUR)));
    file.run(|tx| refresh_rotation::refresh(tx, &use_token(token, Duration::ZERO)));
}

fn end(file: &mut File, device: &SessionId) {
    let user = file.user.clone();
    for target in [
        Revoke::Session(device.clone()),
        Revoke::SessionOf { user: user.clone(), session: device.clone() },
        Revoke::Others { user: user.clone(), keep: SessionId::random() },
        Revoke::User(user.clone()),
        Revoke::Client(ClientId::parse("sp_bridge").unwrap()),
    ] {
        file.run(|tx| revocations::revoke(tx, &target));
    }
    file.run(|tx| revocations::since(tx, RevocationCursor::default(), 1000));
}

/// All statements of these operations, and a file without rows that was never analysed.
fn statements() -> (BTreeSet<String>, tempfile::TempDir, File) {
    let folder = tempfile::tempdir().unwrap();
    let mut file = File::open(&folder);
    STATEMENTS.take();
    let (device, token) = sign_in(&mut file);
    allow_device(&mut file);
    use_hooks(&mut file, &device);
    use_refresh_tokens(&mut file, token);
    let (delegating, _) = sign_in(&mut file);
    delegate(&mut file, &delegating);
    end(&mut file, &device);
    let statements = STATEMENTS.take();
    let folder = tempfile::tempdir().unwrap();
    let file = File::open(&folder);
    (statements, folder, file)
}

#[test]
fn no_statement_reads_what_is_dead() {
    let (statements, _folder, file) = statements();
    assert!(statements.len() > 40, "{} statements", statements.len());
    for sql in statements {
        let plan = file.plan(&sql);
        for step in &plan {
            // A scan may only read a result of the statement, a parameter, or one row for each table.
            let scanned = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            let few = ["json_each", "family", "page", "labelled", "CONSTANT", "sqlite_sequence"];
            let is_own = scanned.is_none_or(|name| few.contains(&name));
            assert!(is_own, "{sql}\n{plan:#?}");
            assert!(!step.contains("AUTOMATIC"), "{sql}\n{plan:#?}");
            // These indexes are for the sweep. Other statements would read nearly all live rows or all dead rows with
            // them.
            assert!(!step.contains("_by_expiry"), "{sql}\n{plan:#?}");
            let bounded = ["live_sessions_", "open_codes_", "allowed_device_grants_"]
                .iter()
                .any(|index| step.contains(index));
            assert!(!bounded || step.contains("=? AND expires_at>?"), "{sql}\n{plan:#?}");
        }
    }
}

#[test]
fn a_sweep_begins_with_what_expired_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = File::open(&folder);
    STATEMENTS.take();
    file.run(|tx| sweep::sweep(tx, 10));
    for sql in STATEMENTS.take() {
        let plan = file.plan(&sql);
        let is_scan = |step: &&String| step.starts_with("SCAN ") && !step.starts_with("SCAN dead");
        assert_eq!(plan.iter().find(is_scan), None, "{sql}\n{plan:#?}");
        assert!(plan.iter().any(|step| step.contains("_by_") || step.contains("CONSTANT")), "{sql}");
    }
}

#[test]
fn the_state_of_a_seen_row_is_read_from_its_index_alone() {
    let (folder, key) = (tempfile::tempdir().unwrap(), SessionKey::of(SessionId::random()));
    let mut file = File::open(&folder);
    STATEMENTS.take();
    file.run(|tx| sessions::row_states(tx, &[key]));
    let sql = STATEMENTS.take().pop_last().unwrap();
    assert_eq!(file.plan(&sql), ["SEARCH sessions USING COVERING INDEX session_states (id=?)"]);
}

#[test]
fn a_statement_is_planned_once_on_an_analysed_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = File::open(&folder);
    STATEMENTS.take();
    sign_in(&mut file);
    file.connection.execute_batch("ANALYZE").unwrap();
    for sql in STATEMENTS.take() {
        let mut statement = file.connection.prepare(&sql).unwrap();
        for value in 0..3 {
            for place in 1..=statement.parameter_count() {
                statement.raw_bind_parameter(place, value).unwrap();
            }
            // Whether a value does is not asked here.
            let _ = statement.raw_query().next();
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
    }
}
