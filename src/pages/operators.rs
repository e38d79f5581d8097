//! The operators' pages.

use std::time::{Duration, SystemTime};

use askama::Template;
use http::StatusCode;

use super::devices::DeviceRow;
use super::filters;
use super::frame::{Frame, Person};
use super::notice::Notice;
use super::page::{Forms, Page};
use super::phrase::plain;
use super::settings::Pages;
use super::texts::{DevicesTexts, HealthTexts, OperatorTexts};

/// The page with the search and the state of the gateway.
#[derive(Debug)]
pub(crate) struct OperatorsView<'a> {
    /// The name of the operator.
    pub(crate) operator: &'a str,
    /// What was searched for.
    pub(crate) query: &'a str,
    /// Who was found. `None`: nothing was searched for.
    pub(crate) found: Option<Vec<FoundPerson<'a>>>,
    /// The cursor of the next part of what was found.
    pub(crate) next: Option<&'a str>,
    pub(crate) health: Health<'a>,
    pub(crate) notice: Option<Notice>,
}

/// A person who was found.
#[derive(Debug)]
pub(crate) struct FoundPerson<'a> {
    pub(crate) id: &'a str,
    pub(crate) label: Option<&'a str>,
    pub(crate) is_disabled: bool,
}

/// The state of the gateway.
#[derive(Debug)]
pub(crate) struct Health<'a> {
    pub(crate) is_proven: bool,
    pub(crate) age: Option<Duration>,
    pub(crate) faults: u64,
    pub(crate) last_fault: Option<&'a str>,
    pub(crate) replication: Option<&'a str>,
    pub(crate) look_up_time: Option<Duration>,
    /// How many connections are in use, and how many there may be.
    pub(crate) connections: Option<(usize, usize)>,
    /// How many requests were answered 503.
    pub(crate) unavailable: u64,
}

/// The page with one person.
#[derive(Debug)]
pub(crate) struct PersonView<'a> {
    /// The name of the operator.
    pub(crate) operator: &'a str,
    /// The id of the person.
    pub(crate) id: &'a str,
    pub(crate) label: Option<&'a str>,
    pub(crate) is_disabled: bool,
    pub(crate) devices: Vec<DeviceRow<'a>>,
    /// The cursor of the next part of the devices.
    pub(crate) next: Option<&'a str>,
    pub(crate) events: Events<'a>,
    pub(crate) notice: Option<Notice>,
}

/// The last audit events of a person.
#[derive(Debug)]
pub(crate) enum Events<'a> {
    /// The host keeps none.
    NotKept,
    /// They cannot be read now.
    Unavailable,
    /// The newest first.
    Kept(Vec<EventRow<'a>>),
}

/// An audit event.
#[derive(Debug)]
pub(crate) struct EventRow<'a> {
    pub(crate) at: SystemTime,
    pub(crate) name: &'a str,
    pub(crate) details: &'a str,
}

#[derive(Template)]
#[template(path = "operators.html")]
struct OperatorsPage<'a> {
    frame: Frame<'a>,
    o: &'a OperatorTexts,
    view: &'a OperatorsView<'a>,
    health: Vec<(&'a str, String)>,
    notice: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "person.html")]
struct PersonPage<'a> {
    frame: Frame<'a>,
    o: &'a OperatorTexts,
    d: &'a DevicesTexts,
    view: &'a PersonView<'a>,
    notice: Option<&'a str>,
}

impl PersonPage<'_> {
    /// The events, or what to say in their place.
    fn events(&self) -> Result<&[EventRow<'_>], &str> {
        match &self.view.events {
            Events::NotKept => Err(&self.o.events_not_kept),
            Events::Unavailable => Err(&self.o.events_unavailable),
            Events::Kept(events) if events.is_empty() => Err(&self.o.no_events),
            Events::Kept(events) => Ok(events),
        }
    }
}

impl Health<'_> {
    /// Each figure with its name.
    fn lines<'t>(&self, t: &'t HealthTexts) -> Vec<(&'t str, String)> {
        let milliseconds =
            |time: Duration| plain(&t.milliseconds, &[("count", &time.as_millis().to_string())]);
        let in_use = |(count, limit): (usize, usize)| {
            plain(&t.in_use, &[("count", &count.to_string()), ("limit", &limit.to_string())])
        };
        let word = |word: &str| word.to_owned();
        let freshness = if self.is_proven { &t.proven } else { &t.not_proven };
        let lines: [(&str, Option<String>); 8] = [
            (&t.freshness, Some(word(freshness))),
            (&t.age, Some(self.age.map_or_else(|| word(&t.no_proof), milliseconds))),
            (&t.faults, Some(self.faults.to_string())),
            (&t.last_fault, self.last_fault.map(word)),
            (&t.unavailable, Some(self.unavailable.to_string())),
            (&t.look_up, self.look_up_time.map(milliseconds)),
            (&t.connections, self.connections.map(in_use)),
            (&t.replication, self.replication.map(word)),
        ];
        lines.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

impl Pages {
    /// The page with the search and the state of the gateway.
    pub(crate) fn operators(&self, view: &OperatorsView<'_>) -> Page {
        let health = view.health.lines(&self.texts.health);
        let notice = view.notice.map(|notice| notice.text(&self.texts.notices));
        let o = &self.texts.operators;
        let page = OperatorsPage { frame: self.operated_by(view.operator), o, view, health, notice };
        Page::new(StatusCode::OK, &page, &self.stylesheet, Forms::Here)
    }

    /// The page with one person.
    pub(crate) fn person(&self, view: &PersonView<'_>) -> Page {
        let notice = view.notice.map(|notice| notice.text(&self.texts.notices));
        let (o, d) = (&self.texts.operators, &self.texts.devices);
        let page = PersonPage { frame: self.operated_by(view.operator), o, d, view, notice };
        Page::new(StatusCode::OK, &page, &self.stylesheet, Forms::Here)
    }

    fn operated_by<'a>(&'a self, operator: &'a str) -> Frame<'a> {
        Frame { pages: self, person: Some(Person { name: operator, not_you: None }), has_form: true }
    }
}
