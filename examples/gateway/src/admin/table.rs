//! The gateway's answers for the eyes of a person.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::command::Act;

/// What the operator reads: a table, or a sentence.
pub fn said(act: &Act, answer: &Value) -> String {
    match act {
        Act::Search { .. } => {
            rows(&["PERSON", "LABEL", "STATE"], &answer["users"], "Nobody was found.", |user| {
                let state = if user["disabled"] == true { "disabled" } else { "enabled" };
                vec![text(&user["id"]), text(&user["label"]), state.to_owned()]
            })
        }
        Act::Devices { user } => {
            let columns = ["SESSION", "DEVICE", "PROGRAM", "ADDRESS", "LINKED", "RENEWED", "ENDS"];
            let nothing = format!("Nothing is signed in as {}.", clean(user));
            rows(&columns, &answer["sessions"], &nothing, |session| {
                let origin = &session["origin"];
                vec![
                    text(&session["id"]),
                    text(&origin["device_name"]),
                    text(&session["client_id"]),
                    text(&origin["address"]),
                    moment(&session["created_at"]),
                    moment(&session["renewed_at"]),
                    moment(&session["expires_at"]),
                ]
            })
        }
        Act::Events { user } => {
            let nothing = format!("No events of {} are kept.", clean(user));
            rows(&["WHEN", "EVENT", "WHAT"], &answer["events"], &nothing, |event| {
                let fields = event["fields"].as_object().into_iter().flatten();
                let fields: Vec<_> = fields.map(|(name, value)| format!("{name}={}", text(value))).collect();
                vec![moment(&event["at"]), text(&event["name"]), fields.join(" ")]
            })
        }
        Act::Health => health(answer),
        Act::End { session } => format!("The session {} has ended.\n", clean(session)),
        Act::EndAll { user } => {
            format!("All of {} has ended: sessions: {}.\n", clean(user), text(&answer["revoked"]))
        }
        Act::Disable { user } => format!("{} is disabled, and all of them has ended.\n", clean(user)),
        Act::Enable { user } => format!("{} may link again.\n", clean(user)),
    }
}

fn health(answer: &Value) -> String {
    // An idle gateway that is strict makes no proofs, so none is at hand, and nothing is wrong.
    let first = match answer["proven"] == true {
        true => "A fresh proof that the database is the primary is at hand.\n",
        false => "No fresh proof is at hand: the next request gets one first.\n",
    };
    let members = answer.as_object().into_iter().flatten().filter(|(_, value)| !value.is_object());
    let pool = answer["pool"].as_object().into_iter().flatten();
    let pool = pool.map(|(name, value)| (format!("pool_{name}"), value));
    let refused = answer["unavailable"].as_object().into_iter().flatten();
    let refused = refused.map(|(cause, value)| (format!("503_{cause}"), value));
    let all = members.map(|(name, value)| (name.clone(), value)).chain(pool).chain(refused);
    all.fold(first.to_owned(), |all, (name, value)| all + &format!("{name:20} {}\n", text(value)))
}

/// A table with these columns, or `nothing`.
fn rows(columns: &[&str], list: &Value, nothing: &str, row: impl Fn(&Value) -> Vec<String>) -> String {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    if list.is_empty() {
        return format!("{nothing}\n");
    }
    let head = columns.iter().map(|column| (*column).to_owned()).collect();
    let table: Vec<Vec<String>> = std::iter::once(head).chain(list.iter().map(row)).collect();
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    let lines = table.iter().map(|row| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    });
    lines.collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => clean(text),
        other => other.to_string(),
    }
}

/// Programs choose some of these texts. No control character of theirs may steer the operator's terminal.
fn clean(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

/// A moment as a person says it.
fn moment(seconds: &Value) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let Some(then) = seconds.as_u64() else { return "-".to_owned() };
    let distance = now.abs_diff(then);
    let spoken = match distance {
        0..60 => format!("{distance} s"),
        60..3600 => format!("{} min", distance / 60),
        3600..86400 => format!("{} h", distance / 3600),
        _ => format!("{} days", distance / 86400),
    };
    if then > now { format!("in {spoken}") } else { format!("{spoken} ago") }
}
