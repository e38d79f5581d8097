//! One of each page, for tests.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::id::Scopes;

/// What callers chose in the samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen<'a> {
    pub(super) person: &'a str,
    pub(super) program: &'a str,
    pub(super) device: &'a str,
    pub(super) site: &'a str,
    pub(super) host: &'a str,
    pub(super) user_agent: &'a str,
    pub(super) resource: &'a str,
    pub(super) code: &'a str,
    pub(super) id: &'a str,
    pub(super) label: &'a str,
    pub(super) event: &'a str,
    pub(super) details: &'a str,
}

impl<'a> Chosen<'a> {
    /// The same text everywhere.
    pub(super) fn all(text: &'a str) -> Self {
        Self {
            person: text,
            program: text,
            device: text,
            site: text,
            host: text,
            user_agent: text,
            resource: text,
            code: text,
            id: text,
            label: text,
            event: text,
            details: text,
        }
    }

    /// As long as programs and hosts may make them, without a space where a line could end.
    pub(super) fn long() -> Chosen<'static> {
        Chosen {
            person: "Wolfeschlegelsteinhausenbergerdorffwelchevoralternwarengewissenhaftschaferswessenschafe",
            program: "AProgramWithAnExtraordinarilyLongNameThatHasNoSpaceAnywhereBecauseItsMakerLikesNone",
            device: "build-agent-0123456789abcdef0123456789abcdef0123456789abcdef.internal.company.example",
            site: "https://an-extraordinarily-long-name-of-a-host-that-has-no-end.tools.company.example/code",
            host: "login.company.example.an-extraordinarily-long-name-of-a-host.that-has-no-end.evil.example",
            user_agent: "Mozilla/5.0_(X11;_Linux_x86_64)_AppleWebKit/537.36_(KHTML,_like_Gecko)_Chrome/156.0",
            resource: "https://gateway.company.example/an/extraordinarily/long/path/that/has/no/space/mcp",
            code: "BCDF-GHJK",
            id: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            label: "wolfeschlegelsteinhausenbergerdorffwelchevoralternwarengewissenhaft@company.example",
            event: "an_event_with_an_extraordinarily_long_name_that_has_no_space",
            details: "session_id=sess_0123456789abcdef0123456789abcdef client=https://mcp.tools.example/an/extra\
                ordinarily/long/path/that/has/no/space/client.json address=2001:db8:ffff:ffff:ffff:ffff:ffff:ffff \
                reason=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        }
    }

    /// As in use.
    pub(super) fn usual() -> Chosen<'static> {
        Chosen {
            person: "Alice Doe",
            program: "Claude Code",
            device: "Alice’s laptop",
            site: "https://claude.example/code",
            host: "mcp.tools.example",
            user_agent: "claude-code/2.1.4 (linux; x64)",
            resource: "https://gateway.example/mcp",
            code: "BCDF-GHJK",
            id: "alice",
            label: "alice.doe@company.example",
            event: "session_opened",
            details: "session_id=sess_0123456789abcdef0123456789abcdef client=sp_bridge address=203.0.113.7",
        }
    }
}

pub(super) const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

fn ago(hours: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_688_640 - hours * 3600)
}

fn row<'a>(chosen: &Chosen<'a>, scopes: &'a Scopes, is_this_one: bool) -> DeviceRow<'a> {
    DeviceRow {
        id: chosen.id,
        name: chosen.device,
        program: chosen.program,
        user_agent: Some(chosen.user_agent),
        address: Some(ADDRESS),
        scopes,
        created_at: ago(700),
        renewed_at: ago(2),
        ends_at: ago(0),
        is_this_one,
        has_hooks: is_this_one,
        has_agents: is_this_one,
    }
}

/// One of each page.
pub(super) fn all(pages: &Pages, chosen: &Chosen<'_>) -> Vec<(&'static str, Page)> {
    let mut all = signing_in(pages, chosen);
    all.extend(lists(pages, chosen));
    all.extend(messages(chosen).map(|(name, view)| (name, pages.message(&view))));
    all
}

fn signing_in(pages: &Pages, chosen: &Chosen<'_>) -> Vec<(&'static str, Page)> {
    let scopes = Scopes::parse("models:use other:scope").unwrap();
    let not_you = pages.switch_account_url("/device");
    let (person, not_you) = (chosen.person, &*not_you);
    let entry = |mistake, typed| pages.device_entry(&DeviceEntryView { person, not_you, mistake, typed });
    let confirm = DeviceConfirmView {
        person,
        not_you,
        code: chosen.code,
        program: chosen.program,
        site: Some(chosen.site),
        address: Some(ADDRESS),
        user_agent: Some(chosen.user_agent),
        scopes: &scopes,
        resource: Some(chosen.resource),
        ticket: chosen.code,
    };
    let known = ConsentView {
        person,
        not_you,
        program: chosen.program,
        site: Some(chosen.site),
        client_host: None,
        redirect_host: chosen.host,
        redirect_is_loopback: true,
        scopes: &scopes,
        resource: None,
        ticket: chosen.code,
    };
    let unverified = ConsentView {
        client_host: Some(chosen.host),
        redirect_is_loopback: false,
        resource: Some(chosen.resource),
        ..known
    };
    vec![
        ("device-entry", entry(None, "")),
        ("device-not-a-code", entry(Some(Mistake::NotACode), chosen.code)),
        ("device-unknown-code", entry(Some(Mistake::Unknown), chosen.code)),
        ("device-confirm", pages.device_confirm(&confirm)),
        ("consent", pages.consent(&known)),
        ("consent-unverified", pages.consent(&unverified)),
    ]
}

fn lists(pages: &Pages, chosen: &Chosen<'_>) -> Vec<(&'static str, Page)> {
    let scopes = Scopes::parse("models:use").unwrap();
    let not_you = pages.switch_account_url("/devices");
    let devices = |first, second, has_this_one, notice| {
        let second = DeviceRow { name: "", ..row(chosen, &scopes, second) };
        pages.devices(&DevicesView {
            person: chosen.person,
            not_you: &not_you,
            devices: vec![row(chosen, &scopes, first), second],
            has_this_one,
            notice,
            next: Some(chosen.id),
        })
    };
    let none = DevicesView {
        person: chosen.person,
        not_you: &not_you,
        devices: Vec::new(),
        has_this_one: false,
        notice: Some(Notice::OthersEnded),
        next: None,
    };
    let mut all = vec![
        ("devices", devices(true, false, true, Some(Notice::DeviceEnded))),
        ("devices-not-this-one", devices(false, false, false, Some(Notice::AlreadyEnded))),
        ("devices-none", pages.devices(&none)),
        ("operators", operators(pages, chosen, true)),
        ("operators-nobody", operators(pages, chosen, false)),
    ];
    for (name, notice, is_disabled, has_events) in [
        ("person", Some(Notice::AllEnded), false, Some(true)),
        ("person-disabled", Some(Notice::PersonDisabled), true, None),
        ("person-enabled", Some(Notice::PersonEnabled), false, Some(false)),
        ("person-unavailable", None, false, None),
    ] {
        let event = || EventRow { at: ago(3), name: chosen.event, details: chosen.details };
        let view = PersonView {
            operator: chosen.person,
            id: chosen.id,
            label: has_events.map(|_| chosen.label),
            is_disabled,
            devices: if is_disabled { Vec::new() } else { vec![row(chosen, &scopes, false)] },
            next: has_events.map(|_| chosen.id),
            events: match has_events {
                Some(true) => Events::Kept(vec![event(), event()]),
                Some(false) => Events::Kept(Vec::new()),
                None if is_disabled => Events::NotKept,
                None => Events::Unavailable,
            },
            notice,
        };
        all.push((name, pages.person(&view)));
    }
    all
}

fn operators(pages: &Pages, chosen: &Chosen<'_>, is_found: bool) -> Page {
    let person = |is_disabled| FoundPerson { id: chosen.id, label: Some(chosen.label), is_disabled };
    let time = is_found.then_some(Duration::from_millis(34));
    pages.operators(&OperatorsView {
        operator: chosen.person,
        query: chosen.id,
        found: Some(if is_found { vec![person(false), person(true)] } else { Vec::new() }),
        next: is_found.then_some(chosen.id),
        health: Health {
            is_proven: is_found,
            age: time,
            faults: 2,
            last_fault: Some(chosen.event),
            replication: Some(chosen.event),
            look_up_time: time,
            connections: Some((3, 16)),
            unavailable: 0,
        },
        notice: (!is_found).then_some(Notice::UnknownPerson),
    })
}

fn messages<'a>(chosen: &Chosen<'a>) -> [(&'static str, MessageView<'a>); 16] {
    let problem = |what| MessageView::BadRequest { what };
    [
        ("allowed", MessageView::DeviceAllowed { program: chosen.program }),
        ("denied", MessageView::DeviceDenied),
        ("code-expired", MessageView::CodeExpired),
        ("page-expired", MessageView::PageExpired),
        ("answered", MessageView::ConsentUsed),
        ("unknown-client", problem(AuthorizeProblem::UnknownClient)),
        ("client-metadata", problem(AuthorizeProblem::ClientMetadata)),
        ("redirect-missing", problem(AuthorizeProblem::RedirectMissing)),
        ("redirect-unknown", problem(AuthorizeProblem::RedirectUnknown)),
        ("malformed", problem(AuthorizeProblem::Malformed)),
        ("return", MessageView::ReturnToProgram { host: chosen.program, link: "https://program.example/cb" }),
        ("cross-site", MessageView::CrossSite),
        ("too-many", MessageView::TooManyAttempts { seconds: 42 }),
        ("unavailable", MessageView::Unavailable { retry_after: Some(1) }),
        ("misconfigured", MessageView::Unavailable { retry_after: None }),
        ("disabled", MessageView::AccountDisabled),
    ]
}
