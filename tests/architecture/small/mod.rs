//! The reader of imports, tried on small crates.

mod circles;
mod names;
mod page;
mod paths;

use std::fs;
use std::path::Path;

use super::arrows::arrows;
use super::house::House;

/// A crate of these files in a folder of its own.
fn small_crate(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// Every arrow as `from:line path to`, without `src/` and `.rs`.
fn arrows_of(files: &[(&str, &str)]) -> Vec<String> {
    let folder = small_crate(files);
    let mut house = House::read(folder.path()).unwrap();
    let short = |name: &str| name.trim_start_matches("src/").trim_end_matches(".rs").to_owned();
    let mut told = Vec::new();
    for ((from, to), arrows) in arrows(&mut house) {
        told.extend(
            arrows
                .iter()
                .map(|arrow| format!("{}:{} {} {}", short(&from), arrow.line, arrow.path, short(&to))),
        );
    }
    told
}

/// The arrows of `src/low.rs`, beside a room `high` that holds a type, a function, a macro and a file.
fn arrows_of_low(low: &str) -> Vec<String> {
    arrows_of(&[
        ("src/lib.rs", "mod high;\nmod low;\n"),
        (
            "src/high/mod.rs",
            "pub mod inner;\npub use inner::{Deep, deep as renamed};\npub struct High;\npub fn high() {}\n",
        ),
        ("src/high/inner.rs", "pub struct Deep;\npub fn deep() {}\n"),
        ("src/low.rs", low),
    ])
}
