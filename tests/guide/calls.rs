//! What the code counts and logs: metrics, audit events and lines of the log.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::TokenTree;

use super::source::{SourceFile, arguments, each, is_ident, is_punct, parentheses, text};

/// Functions of `telemetry` that measure, with the kind of metric.
const MEASURES: [(&str, &str); 5] = [
    ("count", "counter"),
    ("record", "histogram"),
    ("record_answer", "histogram"),
    ("gauge_at", "gauge"),
    ("gauge_by", "gauge"),
];

/// Where the values of a label stand that is no literal in the call: the expression, the file, and the function that lists them.
const REASONS: [(&str, &[(&str, &str)]); 5] = [
    ("reason", &[("src/rejection/reason.rs", "reason"), ("src/token/error.rs", "reason")]),
    ("fault.kind().as_str()", &[("src/store/error.rs", "as_str")]),
    ("cause.as_str()", &[("src/store/error.rs", "as_str")]),
    ("was.as_str()", &[("src/store/tick.rs", "as_str")]),
    // Fields, not functions.
    ("by", &[("src/rate_limit/mod.rs", "by")]),
];

/// Messages that the code makes of more than one literal.
const COMPUTED: [(&str, &str); 6] = [
    ("{self}", "(the text of the answer: which layer is missing)"),
    ("{MISSING_LAYER}", "(the text of the answer: which layer is missing)"),
    ("{OTHER_BRIDGE}", "(the text of the answer: the layer and the endpoints are of two bridges)"),
    ("another_era(was)", "(the database crashed or another server took over, and what may be undone)"),
    ("replication.promise()", "(what the database promises when another server takes over)"),
    // Each caller of `log_fault` has a row.
    ("{what}", ""),
];

/// The levels, the worst first.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// A metric: its kind, and the values of its label.
#[derive(Default)]
pub struct Metric {
    pub kind: &'static str,
    pub reasons: BTreeSet<String>,
}

/// The fields of an audit event, and whether all events of that name have them.
pub type Fields = Vec<(String, bool)>;

/// A line of the log.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// The place of its level among [`LEVELS`].
    level: usize,
    pub target: String,
    pub message: String,
    pub fields: Vec<String>,
}

impl Line {
    pub fn level(&self) -> String {
        LEVELS[self.level].to_uppercase()
    }
}

/// All metrics by their names.
pub fn metrics(files: &[SourceFile]) -> BTreeMap<String, Metric> {
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    for file in files {
        each(&file.tokens, &mut |trees, at| {
            for (function, kind) in MEASURES {
                let Some(call) = parentheses(trees.get(at + 1)).filter(|_| is_ident(trees.get(at), function))
                else {
                    continue;
                };
                let arguments = arguments(call);
                let Some(name) = arguments.first().and_then(|first| metric_name(file, first)) else {
                    continue;
                };
                let metric = metrics.entry(name).or_default();
                metric.kind = kind;
                if kind == "counter" {
                    metric.reasons.extend(reasons(files, &arguments[1]));
                }
            }
        });
    }
    let events = audit_events(files).into_keys().collect();
    metrics.get_mut("bridge_auth_audit_total").unwrap().reasons = events;
    metrics
}

/// The name of a metric: a literal, or a constant of the file.
fn metric_name(file: &SourceFile, argument: &[TokenTree]) -> Option<String> {
    let name = match argument {
        [literal @ TokenTree::Literal(_)] => text(literal),
        [TokenTree::Ident(constant)] => file.texts_of(&constant.to_string()).pop(),
        _ => None,
    };
    name.filter(|name| name.starts_with("bridge_auth_"))
}

fn reasons(files: &[SourceFile], argument: &[TokenTree]) -> Vec<String> {
    if let Some(literal) = argument.first().and_then(text) {
        return vec![literal];
    }
    let expression = plain(argument);
    if expression == "$event" {
        return Vec::new();
    }
    let listed = REASONS.iter().find(|(known, _)| *known == expression);
    let (_, places) =
        listed.unwrap_or_else(|| panic!("add {expression} to REASONS: where do its values stand?"));
    let texts = |(name, list): &(&str, &str)| {
        let file = files.iter().find(|file| file.name == *name).unwrap_or_else(|| panic!("{name} has gone"));
        let texts = if *list == "by" { file.texts_of(list) } else { file.texts_in_fn(list) };
        assert!(!texts.is_empty(), "{name} has no {list} with values");
        texts
    };
    places.iter().flat_map(texts).collect()
}

/// All audit events by their names.
pub fn audit_events(files: &[SourceFile]) -> BTreeMap<String, Fields> {
    let mut events: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for file in files {
        each(&file.tokens, &mut |trees, at| {
            let call = parentheses(trees.get(at + 2));
            if is_ident(trees.get(at), "audit") && is_punct(trees.get(at + 1), '!') {
                let arguments = arguments(call.expect("audit! has parentheses"));
                let event = text(&arguments[0][0]).expect("the name of an audit event is a literal");
                events
                    .entry(event)
                    .or_default()
                    .push(arguments[1..].iter().map(|field| field_name(field)).collect());
            }
        });
    }
    events.into_iter().map(|(event, calls)| (event, united(&calls))).collect()
}

fn united(calls: &[Vec<String>]) -> Fields {
    let mut fields: Fields = Vec::new();
    for field in calls.iter().flatten() {
        if fields.iter().all(|(known, _)| known != field) {
            fields.push((field.clone(), calls.iter().all(|call| call.contains(field))));
        }
    }
    fields
}

/// All lines of the log but the audit events, the worst level first.
pub fn lines(files: &[SourceFile]) -> BTreeSet<Line> {
    let mut lines = BTreeSet::new();
    for file in files.iter().filter(|file| file.name != "src/telemetry/audit.rs") {
        each(&file.tokens, &mut |trees, at| {
            lines.extend(log_line(file, trees, at));
            lines.extend(fault_line(trees, at));
        });
    }
    lines
}

/// A call of one of tracing's macros.
fn log_line(file: &SourceFile, trees: &[TokenTree], at: usize) -> Option<Line> {
    let level = LEVELS.iter().position(|level| is_ident(trees.get(at), level))?;
    let call = parentheses(trees.get(at + 2)).filter(|_| is_punct(trees.get(at + 1), '!'))?;
    let arguments = arguments(call);
    let at = arguments.iter().position(|argument| text(&argument[0]).is_some());
    let at = at.unwrap_or_else(|| panic!("a line of {} has no message", file.name));
    let (fields, message) = arguments.split_at(at);
    let message = message_of(&message.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    let fields = fields.iter().map(|field| field_name(field)).collect();
    Some(Line { level, target: file.target(), message, fields })
}

/// The message; `None` when the callers of the function say it.
fn message_of(arguments: &[&[TokenTree]]) -> Option<String> {
    let format = text(&arguments[0][0]).unwrap();
    let made_of = if format == "{}" { plain(arguments[1]) } else { format.clone() };
    if format.starts_with("{what}") {
        return None;
    }
    let computed =
        COMPUTED.iter().find(|(known, _)| *known == made_of).map(|(_, message)| (*message).to_owned());
    assert!(computed.is_some() || !format.starts_with("{}"), "add {made_of} to COMPUTED: what does it say?");
    Some(computed.unwrap_or(format))
}

/// A call of `log_fault`, which says the message with a level of its own.
fn fault_line(trees: &[TokenTree], at: usize) -> Option<Line> {
    let call = parentheses(trees.get(at + 1)).filter(|_| is_ident(trees.get(at), "log_fault"))?;
    if is_ident(trees.get(at.wrapping_sub(1)), "fn") {
        return None;
    }
    let message = text(&arguments(call)[1][0]).expect("the message of a fault is a literal");
    let fields = ["error", "causes"].map(str::to_owned).to_vec();
    Some(Line { level: 1, target: "bridge_auth::store::fault_log".to_owned(), message, fields })
}

/// The name of a field: what stands before `=`, or a variable's name behind `%` or `?`.
fn field_name(field: &[TokenTree]) -> String {
    let name = field.split(|tree| is_punct(Some(tree), '=')).next().unwrap_or_default();
    plain(name).trim_start_matches(['%', '?']).to_owned()
}

/// The tokens as text, without spaces.
fn plain(trees: &[TokenTree]) -> String {
    trees.iter().map(|tree| tree.to_string().replace(' ', "")).collect()
}
