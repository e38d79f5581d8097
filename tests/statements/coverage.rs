//! Whether everything was asked: each operation of the trait, each statement of the store, each statement of each function.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tokio_postgres::Client;

use super::log::Statement;

/// Functions that no gateway of this version calls, and why they are there.
const OLD: [(&str, &str); 2] = [
    ("provision_client", "gateways from before V10 call it"),
    ("default_max_life", "the default for gateways from before V7"),
];

/// Operations that have no call of their own in `operations.rs`: a bridge makes them by itself, or they ask the server nothing.
const BY_THE_BRIDGE: [&str; 2] = ["tick", "pool_status"];

/// Statements that are not planned with the others, by how they begin, and why.
const APART: [(&str, &str); 5] = [
    (
        "SELECT state IS DISTINCT FROM 'idle' AS waits FROM pg_stat_activity",
        "of a tick that is not answered: a view of the server's own, in memory",
    ),
    (
        "SELECT CASE WHEN schema.oid IS NULL AND NOT has_database_privilege",
        "once, before a migration: the catalogue",
    ),
    (
        "SELECT held.pid, activity.application_name",
        "while a migration waits: views of the server's own, in memory",
    ),
    ("SELECT pg_advisory_xact_lock", "once, before a migration: no table"),
    ("SELECT set_config(name, '0', {is_local})", "once, before a migration: no table"),
];

/// What functions do once in the life of a database, before anybody looks at plans, and why it is not planned with the others.
const BEFORE_ALL: [(&str, &str); 1] =
    [("INTO bridge_auth.log_era", "an insert into a table of one row, by the first connection")];

/// All that was seen of the store's statements, without what spaces and comments they have.
#[derive(Default)]
pub struct Seen {
    texts: BTreeSet<String>,
    of_functions: BTreeMap<String, BTreeSet<String>>,
}

impl Seen {
    pub fn add(&mut self, statements: &[Statement]) {
        for statement in statements {
            let texts = match &statement.function {
                Some(function) => self.of_functions.entry(function.clone()).or_default(),
                None => &mut self.texts,
            };
            texts.insert(plain(statement.text()));
        }
    }

    /// The statements in the store's own source that were not seen.
    pub fn missing_statements(&self) -> Vec<String> {
        let mut missing = Vec::new();
        visit_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/postgres"), &mut |source| {
            for literal in literals(source).iter().map(|literal| plain(literal)) {
                let is_apart = APART.iter().any(|(start, _)| literal.starts_with(start));
                if is_statement(&literal) && !is_apart && !self.has(&literal) {
                    missing.push(literal);
                }
            }
        });
        missing
    }

    /// The statements inside functions that were not seen.
    pub async fn missing_in_functions(&self, admin: &Client) -> Vec<String> {
        let mut missing = Vec::new();
        for (name, body) in functions(admin).await {
            let seen = self.of_functions.get(&name);
            for fragment in fragments(&body) {
                let is_seen = seen.is_some_and(|texts| texts.iter().any(|text| text.contains(&fragment)));
                if !is_seen && !BEFORE_ALL.iter().any(|(start, _)| fragment.starts_with(start)) {
                    missing.push(format!("{name}: {fragment}"));
                }
            }
        }
        missing
    }

    /// Whether one text has all of `literal`, in its order; what a format string fills in may be anything.
    fn has(&self, literal: &str) -> bool {
        let parts: Vec<_> =
            literal.split('{').map(|part| part.split_once('}').map_or(part, |(_, rest)| rest)).collect();
        self.texts.iter().any(|text| {
            let mut rest = text.as_str();
            parts.iter().all(|part| match rest.split_once(part.trim()) {
                Some((_, after)) => {
                    rest = after;
                    true
                }
                None => false,
            })
        })
    }
}

/// The operations of the trait that are not among `performed`.
pub fn missing_operations(performed: &BTreeSet<&str>) -> Vec<String> {
    let source = include_str!("../../src/store/contract.rs");
    let body = source.split_once("pub trait Store").unwrap().1.split_once("\n}").unwrap().0;
    let names = body.lines().filter_map(|line| {
        let line = line.strip_prefix("    async fn ").or_else(|| line.strip_prefix("    fn "))?;
        Some(line.split(['(', '<']).next().unwrap().to_owned())
    });
    let names: Vec<_> = names.collect();
    assert!(names.len() > 15, "the trait's source is read wrongly: {names:?}");
    names
        .into_iter()
        .filter(|name| !performed.contains(name.as_str()) && !BY_THE_BRIDGE.contains(&name.as_str()))
        .collect()
}

/// The functions that were never called. What a backend has counted is told when it ends, if not before.
pub async fn uncalled_functions(admin: &Client) -> Vec<String> {
    let sql = "SELECT f.proname FROM pg_proc AS f LEFT JOIN pg_stat_user_functions AS called ON called.funcid = f.oid
        WHERE f.pronamespace = 'bridge_auth'::regnamespace AND coalesce(called.calls, 0) = 0 AND f.proname <> ALL ($1)
        ORDER BY 1";
    let old: Vec<_> = OLD.iter().map(|(name, _)| *name).collect();
    let rows = admin.query(sql, &[&old]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn functions(admin: &Client) -> Vec<(String, String)> {
    let sql = "SELECT proname::text, prosrc FROM pg_proc WHERE pronamespace = 'bridge_auth'::regnamespace";
    let rows = admin.query(sql, &[]).await.unwrap();
    let all = rows.iter().map(|row| (row.get::<_, String>(0), row.get(1)));
    all.filter(|(name, _)| OLD.iter().all(|(old, _)| name != old)).collect()
}

/// The rest of each line that names a table or a function after a word of SQL.
fn fragments(body: &str) -> Vec<String> {
    let body = without_comments(body);
    let words = ["FROM bridge_auth.", "JOIN bridge_auth.", "INTO bridge_auth.", "UPDATE bridge_auth."];
    let fragment = |line: &str| {
        let start = words.iter().filter_map(|word| line.find(word)).min()?;
        Some(plain(&line[start..]).trim_end_matches([';', ')', ' ']).to_owned())
    };
    let with_end = |line: &str| line.split(" THEN").next().unwrap().split(" LOOP").next().unwrap().to_owned();
    body.lines().map(with_end).filter_map(|line| fragment(&line)).collect()
}

fn visit_sources(folder: &Path, visit: &mut impl FnMut(&str)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit_sources(&path, visit);
        } else if path.file_name().is_some_and(|name| name != "migrate.rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            visit(source.split("#[cfg(test)]").next().unwrap());
        }
    }
}

/// The string literals of a Rust source, roughly: enough for sources that have no raw strings.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let code: String =
        source.split_inclusive('\n').filter(|line| !line.trim_start().starts_with("//")).collect();
    let mut rest = code.as_str();
    while let Some(start) = rest.find('"') {
        if rest[..start].ends_with('\'') {
            rest = &rest[start + 1..];
            continue;
        }
        let body = &rest[start + 1..];
        let mut escaped = false;
        let end = body.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.expect("a literal ends");
        found.push(body[..end].replace("\\\n", " ").replace("\\\"", "\""));
        rest = &body[end + 1..];
    }
    found
}

fn is_statement(text: &str) -> bool {
    let first = text.split(' ').next().unwrap_or_default();
    ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].contains(&first) && text.len() > first.len()
}

fn plain(sql: &str) -> String {
    without_comments(sql).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn without_comments(sql: &str) -> String {
    sql.lines().map(|line| line.split("--").next().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn statements_are_found_in_sources_and_in_functions() {
    let source =
        "// \"SELECT 1\"\nlet a = \"SELECT 2\"; let b = (\"WITH x\n    SELECT \\\"y\\\"\", '\"', \"no\");";
    assert_eq!(literals(source), ["SELECT 2", "WITH x\n    SELECT \"y\"", "no"]);
    let body = "-- FROM bridge_auth.a\n IF (SELECT x FROM  bridge_auth.b  WHERE y) THEN\n DELETE FROM bridge_auth.c;";
    assert_eq!(
        fragments(&body.replace("FROM  ", "FROM ")),
        ["FROM bridge_auth.b WHERE y", "FROM bridge_auth.c"]
    );
    let seen = Seen { texts: BTreeSet::from(["SELECT f(1, 'x')".to_owned()]), ..Seen::default() };
    assert!(seen.has("SELECT f({n}, {})") && !seen.has("SELECT g({n})"));
}
