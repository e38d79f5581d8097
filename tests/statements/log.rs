//! The plans that the server really ran, as its log tells them.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio_postgres::Client;

use crate::support::postgres::Cluster;

/// The name by which the log knows the connections of a store.
pub const OURS: &str = "ours";

/// One statement that ran, also one inside a function.
#[derive(Debug)]
pub struct Statement {
    /// What auto_explain tells: the text, the plan with what it really read, settings, and whether it was compiled.
    pub explained: Value,
    /// The function that it stands in, without its schema; `None` where the store itself sent it.
    pub function: Option<String>,
}

/// The log of a cluster, read on from where it was read before.
pub struct Log {
    file: PathBuf,
    read: u64,
}

impl Statement {
    pub fn text(&self) -> &str {
        self.explained["Query Text"].as_str().unwrap()
    }
}

/// A cluster whose planner, compiler and statistics are as PostgreSQL ships them, but that nobody ever analyses.
pub fn stock_cluster() -> Cluster {
    let settings = [
        "autovacuum = off",
        "track_functions = all",
        "log_line_prefix = '<%a> '",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_nested_statements = on",
        "auto_explain.log_analyze = on",
        "auto_explain.log_timing = off",
        "auto_explain.log_verbose = on",
        "auto_explain.log_settings = on",
        "auto_explain.log_format = json",
    ];
    Cluster::start_with(&settings.map(str::to_owned))
}

/// From now on, whoever connects to the database of `admin` has every plan written to the log.
///
/// # Panics
///
/// When the server has no auto_explain, or cannot compile statements: then the plans would tell nothing.
pub async fn explain_all(admin: &Client) -> Log {
    admin.batch_execute("LOAD 'auto_explain'").await.unwrap_or_else(|error| {
        panic!(
            "this test needs PostgreSQL's module auto_explain, and the server said {error:?}. On Debian it comes with \
             `apt-get install postgresql`; elsewhere install the package of PostgreSQL's contrib modules"
        )
    });
    let sql =
        "SELECT current_setting('jit')::boolean AND pg_jit_available(), current_setting('data_directory'),
        current_database()";
    let row = admin.query_one(sql, &[]).await.unwrap();
    assert!(
        row.get::<_, bool>(0),
        "this test needs a server that compiles statements: install PostgreSQL's LLVM package (Debian's `postgresql` has it)"
    );
    let explain =
        format!("ALTER DATABASE {} SET session_preload_libraries = 'auto_explain'", row.get::<_, &str>(2));
    admin.batch_execute(&explain).await.unwrap();
    Log { file: Path::new(row.get::<_, &str>(1)).with_file_name("log"), read: 0 }
}

impl Log {
    /// The statements of the stores that ran since this was asked last.
    pub fn take(&mut self) -> Vec<Statement> {
        let mut file = File::open(&self.file).unwrap();
        file.seek(SeekFrom::Start(self.read)).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        // Another backend may be in the middle of a line.
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        self.read += bytes.len() as u64;
        statements(&String::from_utf8(bytes).unwrap())
    }
}

/// An entry is a line with the prefix, and the lines after it that begin with a tab.
fn statements(log: &str) -> Vec<Statement> {
    let mut found: Vec<Statement> = Vec::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(line) = line.strip_prefix(&format!("<{OURS}> ")) else { continue };
        if line.starts_with("LOG:  duration: ") && line.ends_with("plan:") {
            let mut json = String::new();
            while let Some(line) = lines.next_if(|line| line.starts_with('\t')) {
                json.push_str(&line[1..]);
                json.push('\n');
            }
            found.push(Statement { explained: serde_json::from_str(&json).unwrap(), function: None });
        } else if let (Some(innermost), Some(last)) = (line.strip_prefix("CONTEXT:  "), found.last_mut()) {
            let outer = std::iter::from_fn(|| lines.next_if(|line| line.starts_with('\t')));
            let context: Vec<_> = std::iter::once(innermost).chain(outer.map(|line| &line[1..])).collect();
            last.function = context.iter().find_map(|line| function(line));
        }
    }
    found
}

/// The function that a line of a context names.
fn function(context: &str) -> Option<String> {
    let name = if let Some(rest) = context.strip_prefix("PL/pgSQL function ") {
        rest.split('(').next()
    } else {
        context.strip_prefix("SQL function \"").and_then(|rest| rest.split('"').next())
    };
    name.map(|name| name.trim_start_matches("bridge_auth.").to_owned())
}

#[test]
fn the_log_of_the_server_is_understood() {
    let log = "<ours> LOG:  duration: 0.1 ms  plan:\n\t{\n\t  \"Query Text\": \"SELECT\\n1\"\n\t}\n\
        <ours> CONTEXT:  SQL statement \"SELECT\n\t1\"\n\
        \tPL/pgSQL function bridge_auth.lock_user(text) line 6 at SQL statement\n\
        \tPL/pgSQL function bridge_auth.revoke_user(text,boolean) line 3 during statement block local variable initialization\n\
        <> LOG:  duration: 0.1 ms  plan:\n\t{\n\t  \"Query Text\": \"another's\"\n\t}\n\
        <ours> LOG:  duration: 0.1 ms  plan:\n\t{\n\t  \"Query Text\": \"SELECT 2\"\n\t}\n";
    let found = statements(log);
    let found: Vec<_> =
        found.iter().map(|statement| (statement.text(), statement.function.as_deref())).collect();
    assert_eq!(found, [("SELECT\n1", Some("lock_user")), ("SELECT 2", None)]);
}
