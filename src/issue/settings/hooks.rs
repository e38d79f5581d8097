//! The OAuth clients of hooks.

use std::time::Duration;

use crate::id::Scopes;
use crate::store::ProvisionClient;
use crate::validate::{BuildError, Setting, check_count, check_life};

#[derive(Debug)]
pub(crate) struct HookSettings {
    /// The scopes that the hooks of any person may ask for.
    pub(crate) scopes: Scopes,
    /// The scopes that a caller must hold to provision a hook client.
    pub(crate) provisioning_scopes: Scopes,
    /// How long a replaced secret stays valid.
    pub(crate) secret_overlap: Duration,
    /// How many devices of a person may have a secret or a key.
    pub(crate) max_devices: u32,
}

impl Default for HookSettings {
    fn default() -> Self {
        Self {
            scopes: Scopes::parse("hook:govern hook:track").expect("it is well-formed"),
            provisioning_scopes: Scopes::default(),
            secret_overlap: ProvisionClient::OVERLAP,
            max_devices: ProvisionClient::MAX_DEVICES,
        }
    }
}

impl HookSettings {
    pub(super) fn check(&self) -> Result<(), BuildError> {
        let day = Duration::from_secs(24 * 3600);
        let overlap = Setting::new("the secret overlap", "BridgeBuilder::secret_overlap");
        let devices = Setting::new("the maximum of devices", "BridgeBuilder::max_devices");
        check_life(overlap, self.secret_overlap, 0, day, "at most 24 hours, in whole seconds")?;
        check_count(devices, self.max_devices, &(1..=128), "1 to 128")
    }
}
