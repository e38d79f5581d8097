//! The gate: one table of what was measured over the floor, and an error where that is more than the limit.

use std::collections::HashMap;
use std::process::{Command, ExitCode, Stdio};

use serde::Deserialize;
use serde_json::Value;

use crate::cases::REQUESTS;
use crate::scenes::{Host, Limit, SCENES, Scene, scenes};

/// The benchmarks of `main.rs` beside `floor` and `guard`.
const OTHERS: &[&str] = match cfg!(peers) {
    true => &["by_hand", "jwt_authorizer", "axum_jwt_auth", "axum_login"],
    false => &["by_hand"],
};

/// The limits are promises of the crate's own build. With the peers more features of axum are on, and the floor is another.
const JUDGED: bool = cfg!(not(peers));

/// What gungraun says of one benchmark.
#[derive(Deserialize)]
struct Summary {
    function_name: String,
    /// `scene_` and its number among those that the benchmark has.
    id: String,
    profiles: Value,
}

/// Instructions of each benchmark in each of its scenes.
struct Counts(HashMap<(String, usize), i64>);

/// Runs this program's benchmarks, with `arguments` for gungraun, and judges.
pub fn run<'a>(arguments: impl Iterator<Item = &'a String>) -> ExitCode {
    let program = std::env::current_exe().unwrap();
    let mut benchmarks = Command::new(program);
    benchmarks
        .args(["--bench", "--output-format=json", "--parallel=auto"])
        .args(arguments.filter(|word| *word != "--bench"));
    let output = benchmarks.stderr(Stdio::inherit()).output().unwrap();
    if !output.status.success() {
        eprintln!("gate: the benchmarks did not run to their end ({})", output.status);
        return ExitCode::FAILURE;
    }
    judge(&Counts::read(&output.stdout))
}

fn judge(counts: &Counts) -> ExitCode {
    println!("\nInstructions a request; all but the floor's are over the floor:\n");
    let names = OTHERS.iter().map(|name| format!(" {} |", name.replace('_', "-"))).collect::<String>();
    println!("| scene | floor | guard | over the floor | limit |{names}");
    println!("|---|--:|--:|--:|--:|{}", "--:|".repeat(OTHERS.len()));
    let mut missed = Vec::new();
    for scene in &SCENES {
        let Some(floor) = counts.of("floor", scene) else { continue };
        let Some(guard) = counts.of("guard", scene) else {
            missed.push(format!("{}: the guard was not measured", scene.name));
            continue;
        };
        let (over, most) = (guard - floor, scene.limit.most());
        let limit = match scene.limit {
            _ if !JUDGED => String::new(),
            Limit::Budget(budget) => format!("**{budget}**"),
            Limit::Measured(_) => most.to_string(),
        };
        let others = OTHERS.iter().map(|name| match counts.of(name, scene) {
            Some(count) => format!(" {} |", count - floor),
            None => " |".to_owned(),
        });
        println!("| {} | {floor} | {guard} | {over} | {limit} |{}", scene.name, others.collect::<String>());
        if JUDGED && over > most {
            missed.push(format!("{}: {over} instructions over the floor, the limit is {most}", scene.name));
        }
    }
    println!(
        "\n{}",
        match JUDGED {
            true =>
                "Budgets are in bold, and a fiftieth more is let through. The other limits are what was measured and a tenth more.",
            false =>
                "Nothing is judged with the peers: the limits are of the crate's own build, `.ci/bench`.",
        }
    );
    for line in &missed {
        eprintln!("gate: missed: {line}");
    }
    if missed.is_empty() && !counts.0.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Counts {
    /// One summary after the other.
    fn read(json: &[u8]) -> Self {
        let summaries = serde_json::Deserializer::from_slice(json).into_iter::<Summary>();
        Self(summaries.map(|summary| summary.unwrap().count()).collect())
    }

    fn of(&self, benchmark: &str, scene: &Scene) -> Option<i64> {
        let number = scenes(scene.host).position(|other| other.name == scene.name)?;
        let benchmark = match scene.host {
            Host::Axum => benchmark.to_owned(),
            Host::Tower => format!("tower_{benchmark}"),
        };
        self.0.get(&(benchmark, number)).copied()
    }
}

impl Summary {
    fn count(self) -> ((String, usize), i64) {
        let number = self.id.rsplit('_').next().unwrap().parse().unwrap();
        let metric = &self.profiles[0]["data"]["total"]["metrics"]["Ir"];
        // What was measured now: beside it may stand what was measured before.
        let count = metric["values"]["new"].as_i64();
        let name = self.function_name;
        let count = count.unwrap_or_else(|| panic!("{name} {number} has no count: {metric}"));
        ((name, number), count / REQUESTS)
    }
}
