//! The README, as a reader tries it: each block as it stands, in an environment that holds nothing of this machine's settings.

mod reader;

use std::sync::LazyLock;

use self::reader::{Reader, Server};
use crate::support::pages::{at, fenced, read};
use crate::support::process::{example, executable, run};

static README: LazyLock<String> = LazyLock::new(|| read("README.md"));

/// A fenced block.
struct Block {
    language: &'static str,
    text: String,
}

/// What a reader does with a block.
enum Use {
    Looks,
    RunsTheDemo,
    SetsUpTheProject,
    CopiesTheProgram,
    CopiesTheTest,
    StartsAServer,
    Walks,
    /// Something that this test does not do, for this reason.
    Excused(&'static str),
}

impl Block {
    fn first_line(&self) -> &str {
        self.text.lines().next().unwrap()
    }

    fn usage(&self) -> Use {
        match (self.language, self.first_line()) {
            // The configuration of programs that are not here.
            ("text" | "json" | "toml", _) => Use::Looks,
            ("rust,no_run", _) => Use::CopiesTheProgram,
            ("rust", "#[cfg(test)]") => Use::CopiesTheTest,
            ("sh", ".ci/test") => Use::Excused("it runs this test, so it would never end"),
            ("sh", "cargo run -p example-gateway -- --demo") => Use::RunsTheDemo,
            ("sh", first) if first.starts_with("cargo new ") || first.starts_with("cargo add ") => {
                Use::SetsUpTheProject
            }
            ("sh", first) if first.contains(" cargo run") => Use::StartsAServer,
            ("sh", first) if first.contains("curl ") || first.starts_with("oauth=") => Use::Walks,
            (language, first) => panic!("no test runs this block: {language:?}, {first:?}"),
        }
    }
}

fn blocks() -> impl Iterator<Item = Block> {
    fenced(&README).into_iter().map(|(language, text)| Block { language, text: format!("{text}\n") })
}

/// The blocks of the page in their order, run by one reader.
#[tokio::test]
async fn every_block_of_the_readme_does_what_it_says_in_an_empty_environment() {
    let reader = Reader::new();
    let mut server = None;
    let (mut copied, mut walks, mut excused) = (String::new(), 0, Vec::new());
    for block in blocks() {
        match block.usage() {
            Use::Looks => {}
            Use::RunsTheDemo => assert_demo(&reader.run(&block.text).await),
            Use::SetsUpTheProject => {
                reader.run(&block.text).await;
            }
            Use::CopiesTheProgram => copied = block.text,
            // `cargo test` runs the example's test.
            Use::CopiesTheTest => copied = format!("{copied}\n{}", block.text),
            Use::StartsAServer => {
                // The one before is stopped first.
                drop(server.take());
                server = Some(reader.start(&block.text).await);
            }
            Use::Walks => {
                walk(&reader, server.as_ref(), &block.text).await;
                walks += 1;
            }
            Use::Excused(why) => excused.push((block.first_line().to_owned(), why)),
        }
    }
    let example = read("examples/quickstart.rs");
    assert_eq!(copied, example, "README.md and examples/quickstart.rs must hold the same program and test");
    assert_eq!(walks, 3, "the page has three walks");
    assert_eq!(excused.len(), 1, "a block that is not run has a good reason: {excused:?}");
}

fn assert_demo(printed: &str) {
    assert!(printed.starts_with('✓'), "{printed}");
    let last = printed.lines().last().unwrap();
    assert!(last.starts_with("25 of 25 proved"), "{last}");
}

/// Runs the lines of a walk in one shell. Each line answers as its comment says, and the last one is refused.
async fn walk(reader: &Reader, server: Option<&Server>, script: &str) {
    assert!(server.is_some(), "the page starts a server first");
    // A walk may use what an earlier one of the same terminal has left in files; its variables are its own.
    let answers = reader.run_lines(script).await;
    let mut last = None;
    for (line, answer) in script.lines().zip(&answers) {
        last = expected(line);
        match last {
            Some(expected) => assert!(answers_with(answer, expected), "{line}\nanswered: {answer}"),
            None => assert_eq!(answer.trim(), "", "this line prints, and does not say what: {line}"),
        }
    }
    assert_eq!(last, Some("401"), "a walk ends in a refusal");
    let refusal = answers.last().unwrap();
    assert!(refusal.contains("invalid_token"), "{refusal}");
}

/// What the comment of a line promises: what stands between the arrow and an explanation.
fn expected(line: &str) -> Option<&str> {
    let (_, promised) = line.split_once("# → ")?;
    let end = [" (", ": "].iter().filter_map(|mark| promised.find(mark)).min();
    Some(promised[..end.unwrap_or(promised.len())].trim())
}

/// A status is that of the answer, an object is the whole answer; everything else stands somewhere in it.
fn answers_with(answer: &str, expected: &str) -> bool {
    let is_status = expected.len() == 3 && expected.bytes().all(|byte| byte.is_ascii_digit());
    if is_status {
        answer.starts_with(&format!("HTTP/1.1 {expected} "))
    } else if expected.starts_with('{') {
        answer.trim() == expected
    } else {
        answer.contains(expected)
    }
}

#[test]
fn a_promise_ends_where_its_explanation_begins() {
    assert_eq!(expected("curl x  # → 401"), Some("401"));
    assert_eq!(expected("curl x  # → 204: the session is revoked"), Some("204"));
    assert_eq!(expected(r#"curl x  # → "active":true (RFC 7662)"#), Some(r#""active":true"#));
    assert_eq!(expected("curl x  # shown once"), None);
}

#[test]
fn another_status_than_the_promised_one_is_noticed() {
    assert!(answers_with("HTTP/1.1 401 Unauthorized\r\n", "401"));
    assert!(!answers_with("HTTP/1.1 200 OK\r\n\r\nabout 401", "401"));
    assert!(!answers_with("alice", "bob"));
    assert!(answers_with("{\"active\":false}\n", r#"{"active":false}"#));
    assert!(!answers_with(r#"[{"active":false}]"#, r#"{"active":false}"#));
}

/// The command `cargo run …` in a piece of one line, without the variables before it.
fn cargo_run(piece: &str) -> Option<&str> {
    let (variables, _) = piece.split_once("cargo run ")?;
    let is_command = !piece.contains('\n') && variables.split_whitespace().all(|word| word.contains('='));
    is_command.then_some(&piece[variables.len()..])
}

#[test]
fn a_command_may_have_variables_before_it() {
    assert_eq!(cargo_run("cargo run --example x"), Some("cargo run --example x"));
    assert_eq!(cargo_run("A=1 B=2 cargo run --example x"), Some("cargo run --example x"));
    assert_eq!(cargo_run(" and then cargo run -p x"), None);
    assert_eq!(cargo_run("sh\ncargo run -p x"), None);
}

/// `cargo run …` within a sentence or a table: the program exists, and explains itself where the page says so.
#[tokio::test]
async fn every_command_in_a_sentence_of_the_readme_exists() {
    let commands: Vec<_> = README.split('`').filter_map(cargo_run).collect();
    assert!(commands.len() >= 6, "{commands:?}");
    let home = tempfile::tempdir().unwrap();
    for command in commands {
        let (program, arguments) = command.split_once(" -- ").unwrap_or((command, ""));
        let name = program.rsplit(' ').next().unwrap();
        let package = program.contains(" -p ").then(|| name.strip_prefix("example-").unwrap());
        if let Some(folder) = package {
            let folder = format!("examples/{}", folder.replace('-', "_"));
            assert!(at(&folder).join("Cargo.toml").exists(), "{command}");
        } else {
            assert!(executable(name).exists(), "{command}");
        }
        if let Some(login) = arguments.strip_prefix("--login ") {
            assert!(at(&format!("examples/{login}")).join("Cargo.toml").exists(), "{command}");
        } else if let Some(program) = package.filter(|program| ["gateway", "bridge"].contains(program)) {
            let help = run(example(program, home.path()).args(arguments.split(' '))).await;
            assert!(help.status.success() && arguments.ends_with("--help"), "{command}");
        }
    }
}
