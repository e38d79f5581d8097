//! The tables of `metrics-and-logs.md`, made from the code.
//!
//! `UPDATE_GUIDE=1 cargo test --all-features --test it guide::tables` writes them into the page.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use super::calls::{Fields, Line, Metric, audit_events, lines, metrics};
use super::page::{block, folder, names, read, with_block};
use super::source::{each, files, text};
use crate::support::pages;

const PAGE: &str = "metrics-and-logs.md";

fn metric_table() -> String {
    let mut table = "| metric | kind | unit | what it tells |\n|---|---|---|---|\n".to_owned();
    for [name, kind, unit, help] in pages::metrics() {
        let help = help.replace(['[', ']'], "");
        writeln!(table, "| {name} | {kind} | {unit} | {help} |").unwrap();
    }
    table
}

fn reason_table(metrics: &BTreeMap<String, Metric>) -> String {
    let mut table = "| counter | values |\n|---|---|\n".to_owned();
    for (name, metric) in metrics.iter().filter(|(_, metric)| metric.kind == "counter") {
        let values: Vec<_> = metric.reasons.iter().map(|reason| format!("`{reason}`")).collect();
        let values = if name == "bridge_auth_audit_total" {
            "the events of the table below".to_owned()
        } else {
            values.join(", ")
        };
        writeln!(table, "| `{name}` | {values} |").unwrap();
    }
    table
}

/// What the page says of each event, in the last column: that is written by hand.
fn told(page: &str) -> BTreeMap<&str, &str> {
    let rows = block(page, "audit").lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| {
        let (event, rest) = row.split_once('`')?;
        Some((event, rest.trim_end_matches(" |").rsplit_once("| ")?.1.trim()))
    })
    .collect()
}

fn audit_table(events: &BTreeMap<String, Fields>, told: &BTreeMap<&str, &str>) -> String {
    let mut table = "| event | fields | what happened |\n|---|---|---|\n".to_owned();
    for (event, fields) in events {
        let field = |(name, always): &(String, bool)| {
            if *always { format!("`{name}`") } else { format!("(`{name}`)") }
        };
        let fields: Vec<_> = fields.iter().map(field).collect();
        let what = told.get(event.as_str()).copied().unwrap_or_default();
        writeln!(table, "| `{event}` | {} | {what} |", fields.join(" ")).unwrap();
    }
    table
}

fn line_table<'l>(lines: impl IntoIterator<Item = &'l Line>) -> String {
    let mut table = "| level | target | message | fields |\n|---|---|---|---|\n".to_owned();
    for line in lines {
        let fields: Vec<_> = line.fields.iter().map(|field| format!("`{field}`")).collect();
        let message = line.message.replace('|', "\\|").replace('<', "&lt;");
        let target = line.target.trim_start_matches("bridge_auth::");
        writeln!(table, "| {} | `{target}` | {message} | {} |", line.level(), fields.join(" ")).unwrap();
    }
    table
}

/// The rows to take out and to put in, one a line.
fn changes(old: &str, new: &str) -> String {
    let only = |mark, of: &str, other: &str| -> String {
        let rows = of.lines().filter(|row| other.lines().all(|other| other != *row));
        rows.map(|row| format!("{mark} {row}\n")).collect()
    };
    let changes = only('-', old, new) + &only('+', new, old);
    if changes.is_empty() && old != new { format!("  the rows stand in this order:\n{new}") } else { changes }
}

#[test]
fn the_tables_of_the_page_are_what_the_code_says() {
    let (files, page) = (files(), read(PAGE));
    let (events, told) = (audit_events(&files), told(&page));
    let tables = [
        ("metrics", metric_table()),
        ("reasons", reason_table(&metrics(&files))),
        ("audit", audit_table(&events, &told)),
        ("logs", line_table(&lines(&files))),
    ];
    if std::env::var_os("UPDATE_GUIDE").is_some() {
        let page = tables.iter().fold(page.clone(), |page, (name, table)| with_block(&page, name, table));
        fs::write(folder().join(PAGE), page).unwrap();
    } else {
        for (name, table) in &tables {
            let changes = changes(block(&page, name), table);
            assert!(
                changes.is_empty(),
                "the table {name} of docs/guide/{PAGE} is not what the code says. \
                 Run the test with UPDATE_GUIDE=1, or change these rows:\n{changes}"
            );
        }
    }
    let untold: Vec<_> =
        events.keys().filter(|event| told.get(event.as_str()).is_none_or(|told| told.is_empty())).collect();
    assert!(untold.is_empty(), "say in docs/guide/{PAGE} what happened: {untold:?}");
}

/// What the page says that the log says: in the tables with such a column, and in sentences.
fn quoted(page: &str) -> Vec<&str> {
    let (mut column, mut quoted) = (None, Vec::new());
    for line in page.lines() {
        let cells: Vec<_> = line.split(" | ").collect();
        if !line.starts_with('|') {
            column = None;
            let said = line.split_once("log").and_then(|(_, rest)| rest.split_once("says `"));
            quoted.extend(said.and_then(|(_, said)| said.split('`').next()));
        } else if let Some(found) = cells.iter().position(|cell| *cell == "the log says") {
            column = Some(found);
        } else if let Some(cell) = column.and_then(|column| cells.get(column)) {
            quoted.extend(cell.split('`').skip(1).step_by(2));
        }
    }
    // Those with a value are fields.
    quoted.retain(|text| !text.contains('=') && !text.starts_with('"'));
    quoted
}

#[test]
fn what_the_pages_quote_of_the_log_is_what_the_code_says() {
    let files = files();
    let (events, lines) = (audit_events(&files), lines(&files));
    let mut count = 0;
    for name in names() {
        for text in quoted(&read(&name)) {
            let is_said = events.contains_key(text)
                || lines
                    .iter()
                    .any(|line| line.message == text || line.fields.iter().any(|field| field == text));
            assert!(is_said, "docs/guide/{name} quotes what no line of the log says: {text}");
            count += 1;
        }
    }
    assert!(count > 20, "only {count} quotes were found");
}

#[test]
fn every_metric_of_the_code_is_described_and_no_other() {
    let files = files();
    let counted: BTreeMap<_, _> =
        metrics(&files).into_iter().map(|(name, metric)| (name, metric.kind)).collect();
    let described = pages::metrics()
        .into_iter()
        .map(|[name, kind, ..]| (name.trim_matches('`').to_owned(), kind))
        .collect();
    assert_eq!(counted, described);
    // No metric has a name that the reader of the code did not find.
    for file in &files {
        each(&file.tokens, &mut |trees, at| {
            if let Some(name) = text(&trees[at]).filter(|text| text.starts_with("bridge_auth_")) {
                assert!(counted.contains_key(&name), "{}: nothing seems to count {name}", file.name);
            }
        });
    }
}
