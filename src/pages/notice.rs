//! What a page says about what has just been done.

use super::texts::NoticeTexts;

/// What has just been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    DeviceEnded,
    OthersEnded,
    AllEnded,
    /// That device had no live session.
    AlreadyEnded,
    PersonDisabled,
    PersonEnabled,
    /// An operator asked for a person whom the gateway does not know.
    UnknownPerson,
}

impl Notice {
    pub(super) fn text(self, texts: &NoticeTexts) -> &str {
        match self {
            Self::DeviceEnded => &texts.device_ended,
            Self::OthersEnded => &texts.others_ended,
            Self::AllEnded => &texts.all_ended,
            Self::AlreadyEnded => &texts.already_ended,
            Self::PersonDisabled => &texts.person_disabled,
            Self::PersonEnabled => &texts.person_enabled,
            Self::UnknownPerson => &texts.unknown_person,
        }
    }
}
