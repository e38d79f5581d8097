//! The pages that people see. Here they are only rendered: what they show, the endpoints find out.

mod consent;
mod device;
mod devices;
#[expect(unreachable_pub, reason = "the macro of askama makes public types beside a filter")]
mod filters;
mod frame;
mod login_url;
mod message;
mod moment;
mod notice;
mod operators;
mod page;
mod phrase;
#[cfg(test)]
mod samples;
mod settings;
#[cfg(test)]
mod tests;
mod texts;

pub(crate) use consent::ConsentView;
pub(crate) use device::{DeviceConfirmView, DeviceEntryView, Mistake};
pub(crate) use devices::{DeviceRow, DevicesView};
pub(crate) use message::{AuthorizeProblem, MessageView};
pub(crate) use notice::Notice;
pub(crate) use operators::{EventRow, Events, FoundPerson, Health, OperatorsView, PersonView};
pub(crate) use page::Page;
pub use settings::Pages;
pub use texts::{
    ConsentTexts, DeviceTexts, DevicesTexts, HealthTexts, MessageTexts, NoticeTexts, OperatorTexts,
    SharedTexts, Texts,
};
