//! Every text of every page. A host may replace each, for another language or in its own words.

mod define;
mod device;
mod devices;
mod messages;
mod operators;
mod shared;

pub use device::{ConsentTexts, DeviceTexts};
pub use devices::DevicesTexts;
pub use messages::MessageTexts;
pub use operators::{HealthTexts, OperatorTexts};
pub use shared::{NoticeTexts, SharedTexts};

use super::phrase::placeholders;
use crate::validate::BuildError;

/// Every text of every page, in English until the host replaces it.
///
/// Words in braces, such as `{program}`, are filled in by the page. The default of each text shows which words it may
/// have.
///
/// ```
/// use bridge_auth::pages::Texts;
///
/// let mut texts = Texts::default();
/// texts.shared.lang = "de".into();
/// texts.shared.allow = "Erlauben".into();
/// texts.shared.deny = "Ablehnen".into();
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Texts {
    /// What several pages have.
    pub shared: SharedTexts,
    /// `/device`: where a person lets a device in.
    pub device: DeviceTexts,
    /// `/authorize`: where a person lets a program in.
    pub consent: ConsentTexts,
    /// `/devices`: where a person sees their devices.
    pub devices: DevicesTexts,
    /// Results and errors.
    pub messages: MessageTexts,
    /// What has just been done.
    pub notices: NoticeTexts,
    /// The operators' pages.
    pub operators: OperatorTexts,
    /// The state of the gateway, on the operators' page.
    pub health: HealthTexts,
}

/// One text.
#[derive(Debug)]
pub(super) struct Text<'t> {
    pub(super) name: &'static str,
    pub(super) text: &'t str,
    pub(super) placeholders: &'static [&'static str],
}

impl Texts {
    pub(super) fn each(&self) -> Vec<Text<'_>> {
        let Self { shared, device, consent, devices, messages, notices, operators, health } = self;
        let groups = [
            shared.each(),
            device.each(),
            consent.each(),
            devices.each(),
            messages.each(),
            notices.each(),
            operators.each(),
            health.each(),
        ];
        groups.into_iter().flatten().collect()
    }

    #[cfg(test)]
    pub(super) fn each_mut(&mut self) -> Vec<&mut std::borrow::Cow<'static, str>> {
        let Self { shared, device, consent, devices, messages, notices, operators, health } = self;
        let groups = [
            shared.each_mut(),
            device.each_mut(),
            consent.each_mut(),
            devices.each_mut(),
            messages.each_mut(),
            notices.each_mut(),
            operators.each_mut(),
            health.each_mut(),
        ];
        groups.into_iter().flatten().collect()
    }

    /// Refuses empty texts, placeholders that no page fills in, and a language or month names that browsers or people
    /// could not read.
    pub(super) fn check(&self) -> Result<(), BuildError> {
        for text in self.each() {
            text.check()?;
        }
        self.shared.check()
    }
}

impl Text<'_> {
    fn check(&self) -> Result<(), BuildError> {
        let is_known = |placeholder: &str| self.placeholders.contains(&placeholder);
        if self.text.trim().is_empty() || !placeholders(self.text).all(is_known) {
            return Err(BuildError::Text {
                what: self.name,
                value: self.text.to_owned(),
                allowed: "a text that is not empty and has only the words in braces that its default has",
            });
        }
        Ok(())
    }
}
