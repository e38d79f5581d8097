//! Device grants (RFC 8628).

use std::time::Duration;

use crate::store::NewDeviceGrant;
use crate::validate::{BuildError, Setting, check_life};

#[derive(Debug, Clone, Copy)]
pub(crate) struct DeviceGrantSettings {
    /// How long a person may take to decide, and a program to collect.
    pub(crate) life: Duration,
    /// How long a program waits between two polls.
    pub(crate) interval: Duration,
}

impl Default for DeviceGrantSettings {
    fn default() -> Self {
        Self { life: NewDeviceGrant::LIFE, interval: NewDeviceGrant::INTERVAL }
    }
}

impl DeviceGrantSettings {
    pub(super) fn check(&self) -> Result<(), BuildError> {
        let life = Setting::new("the life of a device code", "BridgeBuilder::device_code_life");
        let (longest, allowed) = (Duration::from_secs(1800), "1 to 1800 seconds, in whole seconds");
        check_life(life, self.life, 1, longest, allowed)
    }
}
