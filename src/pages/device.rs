//! The pages on which a person lets a device in by its code (RFC 8628 §3.3).

use std::net::IpAddr;

use askama::Template;
use http::StatusCode;

use super::filters;
use super::frame::Frame;
use super::page::{Forms, Page};
use super::phrase::Phrase;
use super::settings::Pages;
use super::texts::DeviceTexts;
use crate::id::Scopes;

/// The page with the form for the code.
#[derive(Debug)]
pub(crate) struct DeviceEntryView<'a> {
    pub(crate) person: &'a str,
    /// Where they go if they are somebody else.
    pub(crate) not_you: &'a str,
    /// What was wrong with the code that they typed.
    pub(crate) mistake: Option<Mistake>,
    /// What they typed.
    pub(crate) typed: &'a str,
}

/// What was wrong with a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// It is no code.
    NotACode,
    /// No program waits for an answer with this code. It may never have existed, or be too old, or be answered.
    Unknown,
}

/// The page that asks whether the device may come in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeviceConfirmView<'a> {
    pub(crate) person: &'a str,
    /// Where they go if they are somebody else.
    pub(crate) not_you: &'a str,
    /// As `XXXX-XXXX`.
    pub(crate) code: &'a str,
    /// The name of the program.
    pub(crate) program: &'a str,
    /// Its website. The host registered the program: others could name any site.
    pub(crate) site: Option<&'a str>,
    /// Where it asked from.
    pub(crate) address: Option<IpAddr>,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) scopes: &'a Scopes,
    pub(crate) resource: Option<&'a str>,
    pub(crate) ticket: &'a str,
}

#[derive(Template)]
#[template(path = "device_entry.html")]
struct EntryPage<'a> {
    frame: Frame<'a>,
    t: &'a DeviceTexts,
    typed: &'a str,
    mistake: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "device_confirm.html")]
struct ConfirmPage<'a> {
    frame: Frame<'a>,
    t: &'a DeviceTexts,
    view: &'a DeviceConfirmView<'a>,
}

impl ConfirmPage<'_> {
    fn heading(&self) -> Phrase<'_> {
        self.frame.phrase(&self.t.confirm_heading).with("program", self.view.program)
    }
}

impl Pages {
    /// The page with the form for the code.
    pub(crate) fn device_entry(&self, view: &DeviceEntryView<'_>) -> Page {
        let t = &self.texts.device;
        let mistake = view.mistake.map(|mistake| match mistake {
            Mistake::NotACode => &*t.not_a_code,
            Mistake::Unknown => &*t.unknown_code,
        });
        let status = if mistake.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        let frame = Frame::of_person(self, view.person, view.not_you);
        let page = EntryPage { frame, t, typed: view.typed, mistake };
        Page::new(status, &page, &self.stylesheet, Forms::Here)
    }

    /// The page that asks whether the device may come in.
    pub(crate) fn device_confirm(&self, view: &DeviceConfirmView<'_>) -> Page {
        let frame = Frame::of_person(self, view.person, view.not_you);
        let page = ConfirmPage { frame, t: &self.texts.device, view };
        Page::new(StatusCode::OK, &page, &self.stylesheet, Forms::Here)
    }
}
