//! The page on which a person sees their devices.

use std::net::IpAddr;
use std::time::SystemTime;

use askama::Template;
use http::StatusCode;

use super::filters;
use super::frame::Frame;
use super::notice::Notice;
use super::page::{Forms, Page};
use super::settings::Pages;
use super::texts::DevicesTexts;
use crate::id::Scopes;

/// The page on which a person sees their devices.
#[derive(Debug)]
pub(crate) struct DevicesView<'a> {
    pub(crate) person: &'a str,
    /// Where they go if they are somebody else.
    pub(crate) not_you: &'a str,
    pub(crate) devices: Vec<DeviceRow<'a>>,
    /// Whether the browser belongs to one of the person's devices, shown here or not.
    pub(crate) has_this_one: bool,
    pub(crate) notice: Option<Notice>,
    /// The cursor of the next part of the list.
    pub(crate) next: Option<&'a str>,
}

/// A device in a list.
#[derive(Debug)]
pub(crate) struct DeviceRow<'a> {
    /// The session.
    pub(crate) id: &'a str,
    /// The name of the device. When it is empty, the program's name stands there.
    pub(crate) name: &'a str,
    /// The name of the program.
    pub(crate) program: &'a str,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) scopes: &'a Scopes,
    pub(crate) created_at: SystemTime,
    pub(crate) renewed_at: SystemTime,
    pub(crate) ends_at: SystemTime,
    pub(crate) is_this_one: bool,
    pub(crate) has_hooks: bool,
    pub(crate) has_agents: bool,
}

impl DeviceRow<'_> {
    pub(super) fn title(&self) -> &str {
        if self.has_name() { self.name } else { self.program }
    }

    pub(super) fn has_name(&self) -> bool {
        !self.name.is_empty()
    }
}

#[derive(Template)]
#[template(path = "devices.html")]
struct DevicesPage<'a> {
    frame: Frame<'a>,
    d: &'a DevicesTexts,
    view: &'a DevicesView<'a>,
    notice: Option<&'a str>,
}

impl DevicesPage<'_> {
    /// Whether there is a device that `end_others` would end.
    fn has_others(&self) -> bool {
        self.view.next.is_some() || self.view.devices.iter().any(|device| !device.is_this_one)
    }
}

impl Pages {
    /// The page on which a person sees their devices.
    pub(crate) fn devices(&self, view: &DevicesView<'_>) -> Page {
        let frame = Frame::of_person(self, view.person, view.not_you);
        let notice = view.notice.map(|notice| notice.text(&self.texts.notices));
        let page = DevicesPage { frame, d: &self.texts.devices, view, notice };
        Page::new(StatusCode::OK, &page, &self.stylesheet, Forms::Here)
    }
}
