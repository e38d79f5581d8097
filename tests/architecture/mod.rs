//! The page ARCHITECTURE.md, held against what the code imports.
//!
//! An import is every path in the code for use that leads to another file of `src`: in a `use` line, a type, an
//! expression, an attribute or a macro call. It counts for the file that defines the name, not for one that passes the
//! name on by `pub use`. Tests, doc comments and the `pub use` lines themselves do not count. A macro that is called by
//! its name alone, and not imported, is not seen: pass macros on by `pub(crate) use`.

mod arrows;
mod floors;
pub mod house;
mod imports;
mod marks;
mod mentions;
mod names;
mod small;

use std::fs;
use std::path::Path;

use self::arrows::arrows;
use self::floors::{Floors, chains, missing_in_table};
use self::house::House;

fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(crate_folder().join("ARCHITECTURE.md")).unwrap()
}

#[track_caller]
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "{} found:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn every_room_stands_on_exactly_one_floor_of_the_page() {
    let house = House::read(crate_folder()).unwrap();
    assert_none(&Floors::read(&page()).unwrap().misplaced(&house));
}

#[test]
fn every_import_goes_to_a_lower_floor() {
    let mut house = House::read(crate_folder()).unwrap();
    let arrows = arrows(&mut house);
    assert_none(&Floors::read(&page()).unwrap().turned(&house, &arrows));
}

#[test]
fn no_files_form_a_circle() {
    let mut house = House::read(crate_folder()).unwrap();
    assert_none(&chains(&arrows(&mut house)));
}

#[test]
fn the_table_of_the_house_names_every_room() {
    let house = House::read(crate_folder()).unwrap();
    assert_none(&missing_in_table(&page(), &house));
}
