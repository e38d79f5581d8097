//! Which file imports which, and the circles among them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::house::House;
use super::mentions::{Mention, mentions};
use super::names::Target;

/// One file needs a name of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    pub line: usize,
    /// The path as it is written.
    pub path: String,
    /// Whether the path names another module than the one that defines the name.
    pub is_passed_on: bool,
}

/// By the names of the two files.
pub type Arrows = BTreeMap<(String, String), BTreeSet<Arrow>>;

/// All arrows between the files of a house: for each name that a file imports, where it does so first.
pub fn arrows(house: &mut House) -> Arrows {
    let mut mentioned = Vec::new();
    for module in 0..house.modules.len() {
        if !house.modules[module].test_only && !house.modules[module].inline {
            mentioned.extend(mentions(house, module));
        }
    }
    let mut told = BTreeSet::new();
    let mut arrows = Arrows::new();
    for mention in &mentioned {
        let from = house.modules[mention.module].file;
        for target in house.resolve(mention.module, &mention.path) {
            let to = &house.modules[target.module];
            let is_own =
                house.room(to.file) == house.room(from) && house.passes_on(mention.module, &mention.path);
            if to.file == from || to.test_only || is_own || !told.insert((from, to.file, target.name.clone()))
            {
                continue;
            }
            let names = (house.files[from].name.clone(), house.files[to.file].name.clone());
            arrows.entry(names).or_default().insert(Arrow {
                line: mention.line,
                path: mention.path.join("::"),
                is_passed_on: is_passed_on(house, mention, &target),
            });
        }
    }
    arrows
}

fn is_passed_on(house: &House, mention: &Mention, target: &Target) -> bool {
    let definer = house.path_of(target.module);
    match house.anchor(mention.module, &mention.path) {
        Some((module, rest)) => ![&house.path_of(module), rest].concat().starts_with(&definer),
        None => definer.last().is_some_and(|name| !mention.path.contains(name)),
    }
}

/// Circles that share no arrow, the shortest first: each needs at least one arrow turned, and none is left beside them.
pub fn circles(arrows: &Arrows) -> Vec<Vec<&str>> {
    let mut left: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in arrows.keys() {
        left.entry(from).or_default().insert(to);
    }
    let mut circles = Vec::new();
    while let Some(circle) = left.keys().filter_map(|start| circle_from(&left, start)).min_by_key(Vec::len) {
        for pair in circle.windows(2) {
            if let Some(to) = left.get_mut(pair[0]) {
                to.remove(pair[1]);
            }
        }
        circles.push(circle);
    }
    circles.sort();
    circles
}

/// The shortest way from a file back to itself; the file stands at both ends.
fn circle_from<'a>(arrows: &BTreeMap<&'a str, BTreeSet<&'a str>>, start: &'a str) -> Option<Vec<&'a str>> {
    let mut waiting = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = waiting.pop_front() {
        for &to in way.last().and_then(|last| arrows.get(last)).into_iter().flatten() {
            if seen.insert(to) {
                let longer = [way.as_slice(), &[to]].concat();
                if to == start {
                    return Some(longer);
                }
                waiting.push_back(longer);
            }
        }
    }
    None
}
