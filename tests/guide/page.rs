//! The pages, and the blocks in them that are made from the code.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the pages.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide")
}

pub fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

/// The names of all pages.
pub fn names() -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The text between the marks of `block`.
pub fn block<'p>(page: &'p str, block: &str) -> &'p str {
    let (_, rest) = page.split_once(&begin(block)).unwrap_or_else(|| panic!("the page has no block {block}"));
    rest.split_once(&end(block)).expect("the block has an end").0
}

/// The page with another text between the marks of `block`.
pub fn with_block(page: &str, name: &str, text: &str) -> String {
    let old = format!("{}{}{}", begin(name), block(page, name), end(name));
    page.replace(&old, &format!("{}{text}{}", begin(name), end(name)))
}

/// The pieces of code in a language, in their order, each with the language of its fence.
pub fn code<'p>(page: &'p str, languages: &[&str]) -> Vec<(&'p str, &'p str)> {
    let mut pieces = Vec::new();
    let mut rest = page;
    while let Some((_, fenced)) = rest.split_once("\n```") {
        let (language, body) = fenced.split_once('\n').expect("a fence has a line of its own");
        let (piece, after) =
            body.split_once("\n```").unwrap_or_else(|| panic!("a fence of {language} is open"));
        if languages.contains(&language) {
            pieces.push((language, piece));
        }
        rest = after;
    }
    pieces
}

fn begin(block: &str) -> String {
    format!("<!-- begin: {block} -->\n")
}

fn end(block: &str) -> String {
    format!("<!-- end: {block} -->")
}
