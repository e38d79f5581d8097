//! Every page is in the documentation, its links lead somewhere, and the test that it shows is one that runs.

use std::collections::BTreeSet;
use std::path::Path;

use super::page::{code, folder, names, read};

/// `[label]: target` lines.
fn definitions(text: &str) -> Vec<(&str, &str)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: "));
    lines.collect()
}

/// The labels of `[label]` links, code left out.
fn references(page: &str) -> BTreeSet<&str> {
    let mut labels = BTreeSet::new();
    let mut is_code = false;
    for line in page.lines() {
        is_code ^= line.starts_with("```");
        let is_definition = line.starts_with('[') && line.contains("]: ");
        if is_code || is_definition {
            continue;
        }
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('[') {
            let Some((label, after)) = after.split_once(']') else { break };
            // Between two backticks it is code, unless the label itself is.
            if before.matches('`').count() % 2 == 0 {
                labels.insert(label);
            }
            rest = after;
        }
    }
    labels
}

#[test]
fn every_page_is_a_module_of_the_documentation() {
    let guide = include_str!("../../src/guide/mod.rs");
    for name in names() {
        let module = name.trim_end_matches(".md").replace('-', "_");
        assert!(
            guide.contains(&format!("docs/guide/{name}\")]\npub mod {module} {{}}")),
            "{name} is not shown"
        );
        assert!(guide.contains(&format!("| [`{module}`] |")), "{name} is not in the list");
    }
}

#[test]
fn every_link_leads_somewhere_in_the_repository_and_in_the_documentation() {
    let shown: BTreeSet<_> =
        definitions(include_str!("../../src/guide/links.md")).into_iter().map(|(label, _)| label).collect();
    for name in names() {
        let page = read(&name);
        let defined = definitions(&page);
        let labels: BTreeSet<_> = defined.iter().map(|(label, _)| *label).collect();
        assert_eq!(
            references(&page),
            labels,
            "{name}: the links at its end are others than those in its text"
        );
        for (label, target) in defined {
            assert!(folder().join(target).exists(), "{name}: {target} does not exist");
            assert!(shown.contains(label), "{name}: src/guide/links.md has no [{label}]");
        }
    }
}

#[test]
fn every_page_has_one_title_and_says_what_goes_wrong() {
    for name in names() {
        let page = read(&name);
        assert!(page.starts_with("# ") && !page[1..].contains("\n# "), "{name}");
        let says = page.contains("\n## What goes wrong\n") || name == "metrics-and-logs.md";
        assert!(says, "{name} does not say what goes wrong");
        assert!(page.lines().all(|line| line.len() <= 160 || line.starts_with('|')), "{name} has long lines");
    }
}

#[test]
fn the_example_test_of_the_page_is_one_that_runs() {
    let file = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guide/testing.rs"))
        .unwrap();
    let page = read("testing.md");
    let shown = code(&page, &["rust"]);
    assert_eq!(
        shown.first().map(|(_, code)| *code),
        Some(file.trim_end()),
        "docs/guide/testing.md shows another"
    );
}
