//! Which file a name leads to.

use super::{arrows_of, arrows_of_low, small_crate};
use crate::architecture::house::House;

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
fn a_star_brings_in_no_private_names() {
    let told = arrows_of(&[
        ("src/lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\n"),
        ("src/a.rs", "use crate::d::Imported;\nstruct Own;\npub struct A(Imported, Own);\n"),
        ("src/b.rs", "pub struct Imported;\npub struct Own;\n"),
        ("src/c.rs", "use crate::a::*;\nuse crate::b::*;\nstruct C(A, Imported, Own);\n"),
        ("src/d.rs", "pub struct Imported;\n"),
    ]);
    let expected = [
        "a:1 crate::d::Imported d",
        "c:1 crate::a::* a",
        "c:3 A a",
        "c:2 crate::b::* b",
        "c:3 Imported b",
        "c:3 Own b",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_name_that_is_written_out_hides_that_of_a_star() {
    let told = arrows_of_low("use crate::high::*;\nuse std::fs::File as Deep;\nfn low(_: Deep) {}\n");
    assert_eq!(told, ["low:1 crate::high::* high/mod"]);
}

#[test]
fn a_file_that_takes_all_of_its_folder_imports_what_it_uses() {
    let told = arrows_of(&[
        ("src/lib.rs", "mod room;\n"),
        ("src/room/mod.rs", "mod a;\nmod b;\npub use a::A;\n"),
        ("src/room/a.rs", "pub struct A;\n"),
        ("src/room/b.rs", "use super::*;\nfn b(_: A) {}\n"),
    ]);
    assert_eq!(told, ["room/b:2 A room/a", "room/b:1 super::* room/mod"]);
}

#[test]
fn two_rooms_that_pass_on_all_of_each_other_end_the_search() {
    let told = arrows_of(&[
        ("src/lib.rs", "mod a;\nmod b;\nmod c;\n"),
        (
            "src/a.rs",
            "pub use crate::b::*;\npub use crate::a::Lost as Found;\npub use crate::a::Found as Lost;\n",
        ),
        ("src/b.rs", "pub use crate::a::*;\npub struct B;\n"),
        ("src/c.rs", "use crate::a::{B, Lost, Nothing};\n"),
    ]);
    assert_eq!(told, ["c:1 crate::a::Lost a", "c:1 crate::a::Nothing a", "c:1 crate::a::B b"]);
}

#[test]
fn what_a_macro_makes_counts_for_the_file_that_calls_it() {
    let told = arrows_of(&[
        ("src/lib.rs", "mod a;\nmod b;\nmod c;\npub use a::*;\npub use b::*;\n"),
        ("src/a.rs", "pub struct A;\n"),
        ("src/b.rs", "text_id! { /// An id.\n Made, 64 }\n"),
        ("src/c.rs", "use crate::Made;\nuse crate::b::Unseen;\n"),
    ]);
    assert_eq!(told, ["c:1 crate::Made b", "c:2 crate::b::Unseen b"]);
}

#[test]
fn of_a_module_and_a_function_of_one_name_a_path_goes_on_in_the_module() {
    let told = arrows_of(&[
        ("src/lib.rs", "mod a;\nmod b;\n"),
        ("src/a/mod.rs", "pub mod find;\npub fn find() {}\n"),
        ("src/a/find.rs", "pub struct Found;\n"),
        ("src/b.rs", "use crate::a::find::Found;\n"),
    ]);
    assert_eq!(told, ["b:1 crate::a::find::Found a/find"]);
}
