//! The reader of imports, tried on small crates: what counts as an arrow, and which file it leads to.

use std::fs;
use std::path::Path;

use super::arrows::arrows;
use super::floors::chains;
use super::house::House;

/// A crate of these files in a folder of its own.
pub fn small_crate(files: &[(&str, &str)]) -> tempfile::TempDir {
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

#[test]
fn a_name_counts_for_the_file_that_defines_it() {
    let direct = arrows_of_low("use crate::high::High;\nuse crate::high::inner::Deep;\n");
    assert_eq!(direct, ["low:2 crate::high::inner::Deep high/inner", "low:1 crate::high::High high/mod"]);

    let passed_on = arrows_of_low("use crate::high::{\n    High as Other,\n    Deep,\n    renamed,\n};\n");
    assert_eq!(
        passed_on,
        [
            "low:3 crate::high::Deep high/inner",
            "low:4 crate::high::renamed high/inner",
            "low:2 crate::high::High high/mod",
        ]
    );
}

#[test]
fn a_name_is_followed_through_every_room_that_passes_it_on() {
    let told = arrows_of(&[
        ("src/lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\npub use a::*;\n"),
        ("src/a.rs", "pub use crate::b::*;\n"),
        ("src/b.rs", "pub(crate) use crate::c::Thing as Named;\nuse crate::c::Hidden;\nfn b(_: Hidden) {}\n"),
        ("src/c.rs", "pub struct Thing;\npub struct Hidden;\n"),
        ("src/d.rs", "use crate::Named;\nuse crate::a::Named as Again;\n"),
    ]);
    assert_eq!(told, ["b:2 crate::c::Hidden c", "d:1 crate::Named c"]);
}

#[test]
fn a_room_that_uses_what_it_passes_on_imports_it_from_the_other_room() {
    let told =
        arrows_of_low("pub use crate::high::Deep;\npub use crate::high::High;\npub fn low(_: Deep) {}\n");
    assert_eq!(told, ["low:3 Deep high/inner"]);
}

#[test]
fn a_folder_does_not_import_what_it_passes_on_from_its_own_files() {
    let told = arrows_of(&[
        ("src/lib.rs", "mod room;\n"),
        ("src/room/mod.rs", "mod part;\npub use part::Part;\npub fn room() -> Part { part::make() }\n"),
        ("src/room/part.rs", "pub struct Part;\npub fn make() -> Part { Part }\n"),
    ]);
    assert_eq!(told, ["room/mod:3 part::make room/part"]);
}

#[test]
fn names_brought_in_by_a_star_count_for_the_files_that_define_them() {
    let told = arrows_of_low("use crate::high::*;\nfn low(_: Deep) {}\n");
    assert_eq!(told, ["low:2 Deep high/inner", "low:1 crate::high::* high/mod"]);
}

#[test]
fn names_in_an_imported_module_count_for_its_file() {
    let told = arrows_of_low("use crate::high;\nfn low() { high::renamed() }\n");
    assert_eq!(told, ["low:2 high::renamed high/inner", "low:1 crate::high high/mod"]);

    let told = arrows_of_low("fn low() {\n    use crate::high::{self as up};\n    up::renamed()\n}\n");
    assert_eq!(told, ["low:3 up::renamed high/inner", "low:2 crate::high high/mod"]);
}

#[test]
fn paths_in_types_expressions_patterns_and_attributes_count() {
    for line in [
        "struct Low(Vec<crate::high::High>);",
        "fn low<T: Into<crate::high::High>>(_: T) {}",
        "impl From<u8> for crate::high::High { fn from(_: u8) -> Self { todo!() } }",
        "fn low() { let f = crate::high::high; f() }",
        "fn low(x: u8) { match x { crate::high::LIMIT => {} _ => {} } }",
        "#[crate::high::attribute] fn low() {}",
        "#[derive(crate::high::Derived)] struct Low;",
        "#[serde(with = \"crate::high\")] struct Low;",
        "#[default = crate::high::high()] struct Low;",
        "type Low = <crate::high::High as Iterator>::Item;",
        "fn low() { super::high::high() }",
        "mod inline { fn low() { super::super::high::high() } }",
    ] {
        let told = arrows_of_low(line);
        assert!(told.len() == 1 && told[0].ends_with(" high/mod"), "{line}: {told:?}");
    }
}

#[test]
fn paths_in_macro_calls_and_macro_bodies_count() {
    for line in [
        "macro_rules! low { () => { $crate::high::High } }",
        "macro_rules! low { ($name:ident) => { use $crate::high::{High, High as Again}; $name::new() } }",
        "fn low() { tracing::info!(count = crate::high::high(), \"told\") }",
        "fn low() { assert_eq!(1, 1, \"{}\", { let x = [super::high::high()]; x.len() }) }",
        "service! { Low => crate::high::high }",
        "fn low() { crate::high::call!() }",
        "use crate::high::High; fn low() { vec![High; 3] }",
    ] {
        let told = arrows_of_low(line);
        assert!(told.len() == 1 && told[0].ends_with(" high/mod"), "{line}: {told:?}");
    }
}

#[test]
fn what_is_no_import_does_not_count() {
    let told = arrows_of_low(
        r#"
        //! Speaks of [`High`](crate::high::High).
        /// And of `crate::high::High`.
        pub(in crate::high) struct Low;
        pub use crate::high::Deep;
        use ::high::High;
        use std::fmt;
        macro_rules! low { ($high:ident) => { pub(in crate::high) fn low() { $high::new(); Self::high::<u8>() } } }
        fn low(high: u8) { println!("crate::high::High {high}", x.crate_high) }
        "#,
    );
    assert_eq!(told, [""; 0]);
}

#[test]
fn what_is_compiled_for_tests_only_does_not_count() {
    for line in [
        "#[cfg(test)] mod tests { use crate::high::High; }",
        "#[cfg(test)] use crate::high::High;",
        "#[cfg(all(test, unix))] fn low(_: crate::high::High) {}",
        "#[cfg(loom)] use crate::high::High;",
        "#[cfg(any(test, loom, not(not(test))))] use crate::high::High;",
        "#[test] fn low() { crate::high::high() }",
        "fn low() { #[cfg(test)] crate::high::high(); #[cfg(test)] { crate::high::high() } }",
        "fn low() { #[cfg(test)] let x = crate::high::high(); }",
        "struct Low { #[cfg(test)] high: crate::high::High }",
        "impl Low { #[cfg(test)] fn low() { crate::high::high() } }",
        "fn low() { match 1 { #[cfg(test)] 1 => crate::high::high(), _ => {} } }",
    ] {
        assert_eq!(arrows_of_low(line), [""; 0], "{line}");
    }
    for line in [
        "#[cfg(not(test))] use crate::high::High;",
        "#[cfg(any(test, unix))] use crate::high::High;",
        "#[cfg(feature = \"test\")] use crate::high::High;",
        "#[cfg(all(not(test), unix))] use crate::high::High;",
    ] {
        assert_eq!(arrows_of_low(line).len(), 1, "{line}");
    }
}

#[test]
fn the_files_of_test_modules_do_not_count() {
    let told = arrows_of(&[
        ("src/lib.rs", "mod a;\nmod b;\n#[cfg(test)]\nmod fixture;\n"),
        ("src/a.rs", "#[cfg(test)]\nmod tests;\npub struct A;\n"),
        ("src/a/tests.rs", "mod more;\nuse crate::b::B;\n"),
        ("src/a/tests/more.rs", "use crate::b::B;\n"),
        ("src/b.rs", "pub struct B;\n"),
        ("src/fixture.rs", "use crate::b::B;\n"),
    ]);
    assert_eq!(told, [""; 0]);
}

#[test]
fn super_super_leads_to_the_module_two_above() {
    let told = arrows_of(&[
        ("src/lib.rs", "mod room;\n"),
        ("src/room/mod.rs", "mod a;\nmod b;\n"),
        ("src/room/a.rs", "pub struct A;\n"),
        ("src/room/b.rs", "mod c;\n"),
        ("src/room/b/c.rs", "use super::super::a::A;\nmod inner {\n    use super::super::super::a::A;\n}\n"),
    ]);
    assert_eq!(told, ["room/b/c:1 super::super::a::A room/a"]);
}

#[test]
fn a_module_with_a_path_is_read_where_it_stands() {
    let told = arrows_of(&[
        ("src/lib.rs", "mod a;\nmod b;\n"),
        ("src/a/mod.rs", "#[path = \"unix.rs\"]\nmod system;\npub use system::A;\n"),
        ("src/a/unix.rs", "use crate::b::B;\npub struct A;\n"),
        ("src/b.rs", "pub struct B;\n"),
    ]);
    assert_eq!(told, ["a/unix:1 crate::b::B b"]);
}

#[test]
fn an_exported_macro_counts_for_the_file_that_defines_it() {
    let told = arrows_of(&[
        ("src/lib.rs", "mod a;\nmod b;\n"),
        ("src/a.rs", "#[macro_export]\nmacro_rules! count { () => {} }\n"),
        ("src/b.rs", "fn b() {\n    crate::count!();\n}\n"),
    ]);
    assert_eq!(told, ["b:2 crate::count a"]);
}

#[test]
fn a_file_that_no_mod_line_leads_to_is_told() {
    let folder = small_crate(&[("src/lib.rs", ""), ("src/lost.rs", "")]);
    let error = House::read(folder.path()).err().unwrap();
    assert_eq!(error.to_string(), "src/lost.rs: no `mod` line leads to this file");
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
    let told = chains(&arrows(&mut House::read(folder.path()).unwrap()));
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
    let told = chains(&arrows(&mut House::read(folder.path()).unwrap()));
    let circles: Vec<_> = told.iter().filter_map(|chain| chain.split(": ").next()).collect();
    assert_eq!(circles, ["src/a.rs → src/b.rs → src/a.rs", "src/c.rs → src/d.rs → src/c.rs"]);
}
