//! The pages, and the blocks in them that are made from the code.

use std::fs;
use std::path::PathBuf;

use crate::support::pages::at;

/// The folder of the pages.
pub fn folder() -> PathBuf {
    at("docs/guide")
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

fn begin(block: &str) -> String {
    format!("<!-- begin: {block} -->\n")
}

fn end(block: &str) -> String {
    format!("<!-- end: {block} -->")
}
