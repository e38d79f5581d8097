//! What ARCHITECTURE.md says: the floors of the rooms, and the table of the house.

use std::collections::{BTreeMap, BTreeSet};

use super::arrows::{Arrow, Arrows, circles};
use super::house::House;

/// The first line of the block that lists the floors.
const FENCE: &str = "```text floors";

/// The floors of a page, the highest first.
pub struct Floors(Vec<Vec<String>>);

impl Floors {
    /// Reads the one block of the page that lists floors.
    pub fn read(page: &str) -> Result<Self, String> {
        let fence = format!("\n{FENCE}\n");
        let mut blocks = page.split(&fence).skip(1);
        let (Some(block), None) = (blocks.next(), blocks.next()) else {
            return Err(format!("ARCHITECTURE.md needs one block that begins with {FENCE}, and only one."));
        };
        let lines = block.lines().take_while(|line| !line.starts_with("```"));
        let lines = lines.map(|line| line.split_once('#').map_or(line, |(rooms, _)| rooms));
        let rooms = |line: &str| -> Vec<String> {
            line.split(',').map(str::trim).filter(|room| !room.is_empty()).map(str::to_owned).collect()
        };
        Ok(Self(lines.map(rooms).filter(|rooms| !rooms.is_empty()).collect()))
    }

    /// The floor of each room, counted from the ground, which is 1. The crate root stands above all.
    fn heights(&self) -> BTreeMap<&str, usize> {
        let mut heights: BTreeMap<_, _> = [("lib", self.0.len() + 1)].into();
        for (height, rooms) in self.0.iter().rev().enumerate() {
            heights.extend(rooms.iter().map(|room| (room.as_str(), height + 1)));
        }
        heights
    }

    /// Rooms that stand nowhere or twice, and names that are no room.
    pub fn misplaced(&self, house: &House) -> Vec<String> {
        let rooms = house.rooms();
        let mut problems = Vec::new();
        let mut known = BTreeSet::new();
        for room in self.0.iter().flatten().map(String::as_str) {
            if room == "lib" {
                problems.push(
                    "lib: src/lib.rs stands above all floors. Take it out of ARCHITECTURE.md.".to_owned(),
                );
            } else if !rooms.contains(room) {
                problems.push(format!("{room}: ARCHITECTURE.md gives it a floor, but src has no such room."));
            } else if !known.insert(room) {
                problems.push(format!("{room}: ARCHITECTURE.md gives it two places."));
            }
        }
        for room in rooms.difference(&known) {
            problems.push(format!(
                "{room}: ARCHITECTURE.md gives it no floor. Add it to the block `text floors`."
            ));
        }
        problems.sort();
        problems
    }

    /// Imports that do not go down.
    pub fn turned(&self, house: &House, arrows: &Arrows) -> Vec<String> {
        let heights = self.heights();
        let rooms: BTreeMap<_, _> =
            house.files.iter().enumerate().map(|(id, file)| (file.name.as_str(), house.room(id))).collect();
        let mut problems = Vec::new();
        for ((from, to), arrows) in arrows {
            let (room, other) = (rooms[from.as_str()], rooms[to.as_str()]);
            let (Some(here), Some(there)) = (heights.get(room), heights.get(other)) else { continue };
            if room == other || here > there {
                continue;
            }
            let why = if here == there {
                format!(
                    "{room} and {other} stand on one floor ({here}). \
                     Move the type down, or one of the rooms in ARCHITECTURE.md."
                )
            } else {
                format!(
                    "{room} (floor {here}) stands below {other} (floor {there}). \
                     Move the type down, or the room up in ARCHITECTURE.md."
                )
            };
            problems.extend(
                arrows.iter().map(|arrow| (from, arrow, format!("{}: {why}", told(from, to, arrow)))),
            );
        }
        problems.sort();
        problems.into_iter().map(|(_, _, problem)| problem).collect()
    }
}

fn told(from: &str, to: &str, arrow: &Arrow) -> String {
    let passed_on = if arrow.is_passed_on { format!(", which {to} defines") } else { String::new() };
    format!("{from}:{} imports {}{passed_on}", arrow.line, arrow.path)
}

/// Files that need each other, as chains.
pub fn chains(arrows: &Arrows) -> Vec<String> {
    let chain = |circle: Vec<&str>| {
        let links = circle.windows(2).filter_map(|pair| {
            let arrow = arrows.get(&(pair[0].to_owned(), pair[1].to_owned()))?.first()?;
            Some(format!("\n    {}", told(pair[0], pair[1], arrow)))
        });
        format!(
            "{}: a circle. Move what they share into a file below them.{}",
            circle.join(" → "),
            links.collect::<String>()
        )
    };
    circles(arrows).into_iter().map(chain).collect()
}

/// Rooms that the first column of the table of the house does not name, and paths in it that do not exist.
pub fn missing_in_table(page: &str, house: &House) -> Vec<String> {
    let section = page.split("\n## ").find(|section| section.starts_with("The house\n")).unwrap_or_default();
    let cells = section.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    let paths: BTreeSet<_> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let mut problems = Vec::new();
    for room in house.rooms() {
        if !paths.contains(format!("src/{room}.rs").as_str())
            && !paths.contains(format!("src/{room}/").as_str())
        {
            problems.push(format!("{room}: the table of \"The house\" in ARCHITECTURE.md does not name it."));
        }
    }
    for path in paths.iter().filter(|path| path.starts_with("src/") && !house.folder.join(path).exists()) {
        problems.push(format!(
            "{path}: the table of \"The house\" in ARCHITECTURE.md names it, and it does not exist."
        ));
    }
    problems.sort();
    problems
}
