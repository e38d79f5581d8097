//! Which floors a page gives, and what is told when the code does otherwise.

use super::small_crate;
use crate::architecture::arrows::arrows;
use crate::architecture::floors::{Floors, missing_in_table};
use crate::architecture::house::House;

const FILES: &[(&str, &str)] = &[
    ("src/lib.rs", "mod face;\nmod ground;\nmod left;\nmod right;\npub use face::Face;\npub struct Root;\n"),
    ("src/face/mod.rs", "use crate::left::Left;\nuse crate::right::Right;\npub struct Face(Left, Right);\n"),
    ("src/left.rs", "use crate::ground::Ground;\npub struct Left(Ground);\n"),
    ("src/right.rs", "mod part;\npub use part::Right;\n"),
    ("src/right/part.rs", "use crate::ground::Ground;\npub struct Right(Ground);\n"),
    ("src/ground.rs", "pub struct Ground;\n"),
];

fn page(floors: &str) -> String {
    format!(
        "# Architecture\n\nThe floors:\n\n```text floors\n{floors}\n```\n\nMore.\n\n```text\nnot a floor\n```\n"
    )
}

/// What is told of the imports, with these files in place of those of the same name.
fn turned(floors: &str, files: &[(&str, &str)]) -> Vec<String> {
    let folder = small_crate(&[FILES, files].concat());
    let mut house = House::read(folder.path()).unwrap();
    let arrows = arrows(&mut house);
    Floors::read(&page(floors)).unwrap().turned(&house, &arrows)
}

fn misplaced(floors: &str) -> Vec<String> {
    let folder = small_crate(FILES);
    Floors::read(&page(floors)).unwrap().misplaced(&House::read(folder.path()).unwrap())
}

const FLOORS: &str = "face  # the front\nleft, right\n\n# below all\nground";

#[test]
fn a_page_that_tells_the_truth_passes() {
    assert_eq!(misplaced(FLOORS), [""; 0]);
    assert_eq!(turned(FLOORS, &[]), [""; 0]);
}

#[test]
fn an_arrow_that_is_turned_is_told_with_file_line_and_path() {
    let ground =
        ("src/ground.rs", "pub struct Ground;\n\nuse crate::right::Right;\nuse crate::{Face, Root};\n");
    assert_eq!(
        turned(FLOORS, &[ground]),
        [
            "src/ground.rs:3 imports crate::right::Right, which src/right/part.rs defines: ground (floor 1) stands below \
             right (floor 2). Move the type down, or the room up in ARCHITECTURE.md.",
            "src/ground.rs:4 imports crate::Face, which src/face/mod.rs defines: ground (floor 1) stands below \
             face (floor 3). Move the type down, or the room up in ARCHITECTURE.md.",
            "src/ground.rs:4 imports crate::Root: ground (floor 1) stands below \
             lib (floor 4). Move the type down, or the room up in ARCHITECTURE.md.",
        ]
    );
}

#[test]
fn a_page_that_is_turned_is_told_too() {
    let told = turned("left, right\nface\nground", &[]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with(
        "src/face/mod.rs:1 imports crate::left::Left: face (floor 2) stands below left (floor 3)."
    ));
}

#[test]
fn rooms_of_one_floor_do_not_import_each_other() {
    let left = ("src/left.rs", "pub struct Left(crate::right::part::Right);\n");
    assert_eq!(
        turned(FLOORS, &[left]),
        ["src/left.rs:1 imports crate::right::part::Right: left and right stand on one floor (2). \
          Move the type down, or one of the rooms in ARCHITECTURE.md."]
    );
}

#[test]
fn a_room_that_the_page_forgets_is_told() {
    assert_eq!(
        misplaced("face\nleft\nground"),
        ["right: ARCHITECTURE.md gives it no floor. Add it to the block `text floors`."]
    );
}

#[test]
fn a_name_that_is_no_room_or_stands_twice_is_told() {
    assert_eq!(
        misplaced("lib\nface\nleft, right, cellar\nleft\nground"),
        [
            "cellar: ARCHITECTURE.md gives it a floor, but src has no such room.",
            "left: ARCHITECTURE.md gives it two places.",
            "lib: src/lib.rs stands above all floors. Take it out of ARCHITECTURE.md.",
        ]
    );
}

#[test]
fn a_page_has_one_block_of_floors() {
    let error = "ARCHITECTURE.md needs one block that begins with ```text floors, and only one.";
    assert_eq!(Floors::read("# Architecture\n").err().as_deref(), Some(error));
    assert_eq!(Floors::read(&page("a").repeat(2)).err().as_deref(), Some(error));
}

#[test]
fn a_room_that_the_table_forgets_is_told() {
    let page = "# Architecture\n\n## The house\n\n| file | what it holds |\n|---|---|\n\
                | `src/lib.rs` | `src/ground.rs` |\n| `src/face/` | |\n| `src/right.rs`, `right/` | |\n| `src/gone/` | |\n\n\
                ## More\n\n| `src/left.rs` |\n";
    let folder = small_crate(FILES);
    let house = House::read(folder.path()).unwrap();
    assert_eq!(
        missing_in_table(page, &house),
        [
            "ground: the table of \"The house\" in ARCHITECTURE.md does not name it.",
            "left: the table of \"The house\" in ARCHITECTURE.md does not name it.",
            "src/gone/: the table of \"The house\" in ARCHITECTURE.md names it, and it does not exist.",
        ]
    );
}
