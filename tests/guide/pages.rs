//! Every page is in the documentation, its links lead somewhere, and the code that it shows is what runs.

use std::collections::BTreeSet;

use super::page::{folder, names, read};
use crate::support::pages::fenced;

/// `[label]: target` lines.
fn definitions(text: &str) -> Vec<(&str, &str)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: "));
    lines.collect()
}

/// The lines that are no code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        is_code ^= line.starts_with("```");
        !is_code
    })
}

/// The labels of `[label]` links, code left out.
fn references(page: &str) -> BTreeSet<&str> {
    let mut labels = BTreeSet::new();
    for line in prose(page) {
        if line.starts_with('[') && line.contains("]: ") {
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
        let titles = prose(&page).filter(|line| line.starts_with("# ")).count();
        assert!(page.starts_with("# ") && titles == 1, "{name}");
        let says = page.contains("\n## What goes wrong\n") || name == "metrics-and-logs.md";
        assert!(says, "{name} does not say what goes wrong");
        assert!(page.lines().all(|line| line.len() <= 160 || line.starts_with('|')), "{name} has long lines");
    }
}

#[test]
fn what_runs_in_these_tests_is_what_the_pages_show() {
    let shown =
        [("testing.md", include_str!("testing.rs")), ("streams-and-websockets.md", include_str!("chat.rs"))];
    for (name, file) in shown {
        let page = read(name);
        let shows = fenced(&page).contains(&("rust", file.trim_end()));
        assert!(shows, "docs/guide/{name} shows other code than tests/guide runs");
    }
}
