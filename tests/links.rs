//! The pages for people: what they link to is there.

use std::collections::HashSet;

use crate::support::pages::{at, read};

const PAGES: [&str; 8] = [
    "README.md",
    "CONTRIBUTING.md",
    "ARCHITECTURE.md",
    "OPERATIONS.md",
    "SECURITY.md",
    "BENCHMARKS.md",
    "CHANGELOG.md",
    "RELEASING.md",
];

#[test]
fn every_link_of_the_pages_leads_to_a_file_and_a_heading() {
    let mut found = 0;
    for page in PAGES {
        let text = read(page);
        for target in targets(&text).filter(|target| !target.contains("://")) {
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { page } else { path };
            assert!(at(path).exists(), "{page}: there is no {path}");
            let is_there = heading.is_empty() || headings(&read(path)).contains(heading);
            assert!(is_there, "{page}: {path} has no heading #{heading}");
            found += 1;
        }
    }
    assert!(found > 30, "only {found} links were found");
}

/// What stands in the round brackets of each link and picture.
pub fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0))
}

/// The names by which a page's headings can be linked to.
fn headings(text: &str) -> HashSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| slug(line.trim_start_matches('#').trim())).collect()
}

/// As GitHub makes it: lower case, without punctuation, with hyphens for spaces.
fn slug(heading: &str) -> String {
    let lower = heading.to_lowercase();
    let kept = lower.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
