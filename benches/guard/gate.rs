//! The gate: one table of the instructions over the floor, and an error for each figure above its limit.

use std::collections::HashMap;
use std::process::{Command, ExitCode, Stdio};

use serde::Deserialize;
use serde_json::Value;

use crate::cases::REQUESTS;
use crate::scenes::{Host, Limit, SCENES, Scene, scenes};

/// The other benchmarks of `main.rs`, besides `floor` and `guard`.
const OTHERS: &[&str] = match cfg!(peers) {
    true => &["by_hand", "jwt_authorizer", "axum_jwt_auth", "axum_login"],
    false => &["by_hand"],
};

/// Whether limits are checked. They are promises of the crate's own build. With the peers, axum has more features, so
/// the floor is different.
const JUDGED: bool = cfg!(not(peers));

/// gungraun's report of one benchmark.
#[derive(Deserialize)]
struct Summary {
    function_name: String,
    /// `scene_` and the index of the scene among the scenes of the benchmark.
    id: String,
    profiles: Value,
}

/// The instructions of each benchmark in each of its scenes.
struct Counts(HashMap<(String, usize), i64>);

/// Runs this program's benchmarks with `arguments` for gungraun, and checks the limits.
pub fn run<'a>(arguments: impl Iterator<Item = &'a String>) -> ExitCode {
    let program = std::env::current_exe().unwrap();
    let mut benchmarks = Command::new(program);
    benchmarks
        .args(["--bench", "--output-format=json", "--parallel=auto"])
        .args(arguments.filter(|word| *word != "--bench"));
    let output = benchmarks.stderr(Stdio::inherit()).output().unwrap();
    if !output.status.success() {
        eprintln!("gate: the benchmarks did not finish ({})", output.status);
        return ExitCode::FAILURE;
    }
    judge(&Counts::read(&output.stdout))
}

fn judge(counts: &Counts) -> ExitCode {
    println!("\nInstructions for each request. All columns except the floor are counted over the floor:\n");
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
                "Budgets are in bold, and a fiftieth more is let through. Every other limit is the measured figure and a tenth more.",
            false =>
                "With the peers no limit is checked: the limits are for the crate's own build, `.ci/bench`.",
        }
    );
    for line in &missed {
        eprintln!("gate: missed: {line}");
    }
    if missed.is_empty() && !counts.0.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Counts {
    /// Reads the summaries, one after the other.
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
        // The new figure. The report may also contain the figure of an older run.
        let count = metric["values"]["new"].as_i64();
        let name = self.function_name;
        let count = count.unwrap_or_else(|| panic!("{name} {number} has no count: {metric}"));
        ((name, number), count / REQUESTS)
    }
}
