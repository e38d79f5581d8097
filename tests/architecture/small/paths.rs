//! Which paths count as imports.

use super::{arrows_of, arrows_of_low};

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
        fn low(high: u8) { println!("{} crate::high::High", "crate::high::High") }
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
fn what_only_looks_like_a_path_in_a_macro_does_not_count() {
    let told = arrows_of_low(
        "use crate::high::{self, *};
        macro_rules! low { ($high:ident) => { $high::renamed() } }
        fn low() { println!(\"{}{}{}\", renamed, x.renamed(), x.high::<u8>::renamed()) }",
    );
    assert_eq!(told, ["low:1 crate::high high/mod"]);

    let told = arrows_of_low("use crate::high::*;\nfn low() { println!(\"{}\", 0..renamed()) }\n");
    assert_eq!(told, ["low:2 renamed high/inner", "low:1 crate::high::* high/mod"]);
}

#[test]
fn of_two_modules_of_one_name_the_one_for_tests_does_not_count() {
    let told = arrows_of(&[
        (
            "src/lib.rs",
            "#[cfg(not(loom))]\nmod a;\n#[cfg(loom)]\n#[path = \"loom.rs\"]\nmod a;\nmod b;\nmod c;\n",
        ),
        ("src/a.rs", "#[cfg(test)]\npub use crate::c::C as A;\n#[cfg(not(test))]\npub struct A;\n"),
        ("src/loom.rs", "pub struct A;\n"),
        ("src/b.rs", "use crate::a::A;\n"),
        ("src/c.rs", "pub struct C;\n"),
    ]);
    assert_eq!(told, ["b:1 crate::a::A a"]);
}
