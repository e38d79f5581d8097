//! What is told of files that need each other.

use tempfile::TempDir;

use super::small_crate;
use crate::architecture::arrows::arrows;
use crate::architecture::floors::chains;
use crate::architecture::house::House;

fn told_of(folder: &TempDir) -> Vec<String> {
    chains(&arrows(&mut House::read(folder.path()).unwrap()))
}

fn circles_of(folder: &TempDir) -> Vec<String> {
    told_of(folder).iter().filter_map(|chain| Some(chain.split_once(": ")?.0.to_owned())).collect()
}

#[test]
fn a_circle_inside_a_room_is_told_as_a_chain() {
    let folder = small_crate(&[
        ("src/lib.rs", "mod room;\n"),
        ("src/room/mod.rs", "mod a;\nmod b;\nmod c;\npub use c::C;\n"),
        ("src/room/a.rs", "use super::b::B;\npub struct A;\n"),
        ("src/room/b.rs", "\nuse super::C;\npub struct B;\n"),
        ("src/room/c.rs", "pub struct C(super::a::A);\n"),
    ]);
    let told = told_of(&folder);
    let chain = "src/room/a.rs → src/room/b.rs → src/room/c.rs → src/room/a.rs: a circle. \
                 Move what they share into a file below them.\n    \
                 src/room/a.rs:1 imports super::b::B\n    \
                 src/room/b.rs:2 imports super::C, which src/room/c.rs defines\n    \
                 src/room/c.rs:1 imports super::a::A";
    assert_eq!(told, [chain]);
}

#[test]
fn every_circle_is_told_and_those_that_share_an_arrow_once() {
    let folder = small_crate(&[
        ("src/lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\n"),
        ("src/a.rs", "use crate::b::B;\npub struct A;\n"),
        ("src/b.rs", "use crate::a::A;\nuse crate::c::C;\npub struct B;\n"),
        ("src/c.rs", "use crate::a::A;\nuse crate::d::D;\npub struct C;\n"),
        ("src/d.rs", "use crate::c::C;\npub struct D;\n"),
    ]);
    assert_eq!(circles_of(&folder), ["src/a.rs → src/b.rs → src/a.rs", "src/c.rs → src/d.rs → src/c.rs"]);
}

#[test]
fn the_shortest_circle_is_told_first() {
    let folder = small_crate(&[
        ("src/lib.rs", "mod a;\nmod b;\nmod c;\n"),
        ("src/a.rs", "use crate::b::B;\npub struct A;\n"),
        ("src/b.rs", "use crate::c::C;\npub struct B;\n"),
        ("src/c.rs", "use crate::a::A;\nuse crate::b::B;\npub struct C;\n"),
    ]);
    assert_eq!(circles_of(&folder), ["src/b.rs → src/c.rs → src/b.rs"]);
}
