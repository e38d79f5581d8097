//! The pages of the repository, as text.

use std::fs;
use std::path::{Path, PathBuf};

/// A file or folder of the repository.
pub fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn read(path: &str) -> String {
    fs::read_to_string(at(path)).unwrap()
}

/// The fenced blocks of a page in their order, each with the language of its fence.
pub fn fenced(page: &str) -> Vec<(&str, &str)> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, fenced)) = rest.split_once("\n```") {
        let (language, body) = fenced.split_once('\n').expect("a fence has a line of its own");
        let (block, after) =
            body.split_once("\n```").unwrap_or_else(|| panic!("a fence of {language} is open"));
        blocks.push((language, block));
        rest = after;
    }
    blocks
}

/// The table that the documentation and the recorders get: name, kind, unit and help of each metric.
pub fn metrics() -> Vec<[&'static str; 4]> {
    let rows = include_str!("../../src/telemetry/metrics.md").lines().skip(2);
    let cells = |row: &'static str| {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        <[&str; 4]>::try_from(cells).expect("a row has four cells")
    };
    rows.map(cells).collect()
}
