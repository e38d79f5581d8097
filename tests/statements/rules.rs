//! What no plan of ours may have, whatever the planner knows of the tables.

use std::collections::BTreeSet;

use serde_json::Value;

use super::log::Statement;

/// Tables that stay small, and why: reading one whole is right.
pub const SMALL: [(&str, &str); 4] = [
    ("swept_log", "one row, made by the migrations"),
    ("compatible", "one row, made by the migrations"),
    ("log_era", "one row, made by the first reader"),
    ("migrations", "one row for each migration"),
];

/// The most rows that a statement may be thought to have, at any step. Every one of ours is of one person, of one page
/// or of one shared look-up.
const MOST_EXPECTED: f64 = 1e6;

/// The most rows that a step may read of a table: the batch of a sweep, or all that may be live of one person.
const MOST_READ: f64 = 2000.0;

/// Of the log a watcher reads a page, and one more to know whether it is the last.
const MOST_READ_OF_THE_LOG: f64 = 10_001.0;

/// `jit_above_cost` as PostgreSQL ships it.
const COMPILED_ABOVE: f64 = 100_000.0;

/// What the tables held when a statement was planned.
#[derive(Clone, Copy, PartialEq)]
pub enum Tables {
    /// Next to nothing: then an index costs as much to read whole as by a key, and a plan for this once may do so. One that
    /// is kept may not.
    Empty,
    Filled,
}

/// What is wrong with these statements, each fault once.
pub fn faults(statements: &[Statement], tables: Tables) -> BTreeSet<String> {
    let mut faults = BTreeSet::new();
    for statement in statements {
        for fault in faults_of(&statement.explained, tables) {
            let place = statement.function.as_deref().unwrap_or("the store");
            let text = statement.text().split_whitespace().collect::<Vec<_>>().join(" ");
            faults.insert(format!("{fault}\n    in {place}: {text:.300}"));
        }
    }
    faults
}

fn faults_of(explained: &Value, tables: Tables) -> Vec<String> {
    let mut faults = Vec::new();
    let plan = &explained["Plan"];
    let cost = plan["Total Cost"].as_f64().unwrap();
    if !explained["JIT"].is_null() {
        faults.push("it was compiled".to_owned());
    } else if cost >= COMPILED_ABOVE && explained["Settings"]["jit"] != "off" {
        faults.push("it is thought to cost so much that it would be compiled".to_owned());
    }
    let is_for_once = explained["Settings"]["plan_cache_mode"] == "force_custom_plan";
    visit(plan, tables == Tables::Empty && is_for_once, &mut faults);
    faults
}

fn visit(step: &Value, may_read_indexes: bool, faults: &mut Vec<String>) {
    let number = |name: &str| step[name].as_f64().unwrap_or_default();
    if number("Plan Rows") > MOST_EXPECTED {
        faults.push(format!("a step is thought to have more than {MOST_EXPECTED:e} rows"));
    }
    let kind = step["Node Type"].as_str().unwrap();
    let table = step["Relation Name"].as_str().filter(|_| step["Schema"] == "bridge_auth");
    let index = step["Index Name"].as_str();
    let is_small = |name: &str| SMALL.iter().any(|(small, _)| name.starts_with(small));
    let grows = table.or(index).is_some_and(|name| !is_small(name));
    if grows && kind.ends_with("Scan") {
        let name = [table, index].into_iter().flatten().collect::<Vec<_>>().join(" by ");
        if kind == "Seq Scan" {
            faults.push(format!("the table {name} is read whole"));
        }
        if index.is_some() && step["Index Cond"].is_null() && !may_read_indexes {
            faults.push(format!("an index is read from end to end: {name}"));
        }
        let each = number("Actual Rows")
            + number("Rows Removed by Filter")
            + number("Rows Removed by Index Recheck");
        let read = each * number("Actual Loops");
        let most = if name.starts_with("revocations") { MOST_READ_OF_THE_LOG } else { MOST_READ };
        if read > most {
            faults.push(format!("more than {most} rows are read: {name}"));
        }
    }
    for inner in step["Plans"].as_array().into_iter().flatten() {
        visit(inner, may_read_indexes, faults);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(plan: &Value) -> Vec<String> {
        faults_of(&json!({ "Plan": plan }), Tables::Filled)
    }

    #[test]
    fn each_rule_finds_what_it_is_for() {
        let scan = |kind: &str, table: &str, more: Value| {
            let mut plan = json!({
                "Node Type": kind, "Relation Name": table, "Schema": "bridge_auth", "Total Cost": 8.0, "Plan Rows": 1,
                "Actual Rows": 1, "Actual Loops": 1,
            });
            plan.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            plan
        };
        let by_key = json!({ "Index Name": "sessions_pkey", "Index Cond": "(key = $1)" });
        assert!(of(&scan("Index Scan", "sessions", by_key.clone())).is_empty());
        assert!(of(&scan("Seq Scan", "swept_log", json!({}))).is_empty());
        assert_eq!(of(&scan("Seq Scan", "sessions", json!({}))).len(), 1);
        assert_eq!(of(&scan("Index Scan", "sessions", json!({ "Index Name": "sessions_pkey" }))).len(), 1);
        let whole = json!({
            "Plan": scan("Index Scan", "sessions", json!({ "Index Name": "sessions_pkey" })),
            "Settings": { "plan_cache_mode": "force_custom_plan" },
        });
        assert!(faults_of(&whole, Tables::Empty).is_empty());
        assert_eq!(faults_of(&whole, Tables::Filled).len(), 1);
        let inner = scan("Seq Scan", "codes", json!({}));
        assert_eq!(of(&json!({ "Node Type": "Limit", "Total Cost": 1.0, "Plans": [inner] })).len(), 1);
        let mut many = scan("Index Scan", "sessions", by_key);
        many["Rows Removed by Filter"] = json!(3000);
        assert_eq!(of(&many).len(), 1);
        assert_eq!(of(&json!({ "Node Type": "Result", "Total Cost": 1.0, "Plan Rows": 1e9 })).len(), 1);
        let dear = json!({ "Node Type": "Result", "Total Cost": 1e10 });
        assert_eq!(of(&dear).len(), 1);
        assert!(faults_of(&json!({ "Plan": dear, "Settings": { "jit": "off" } }), Tables::Filled).is_empty());
        let cheap = json!({ "Node Type": "Result", "Total Cost": 1.0 });
        assert_eq!(faults_of(&json!({ "Plan": cheap, "JIT": { "Functions": 3 } }), Tables::Filled).len(), 1);
    }
}
