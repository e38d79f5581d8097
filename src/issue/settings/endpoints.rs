//! The URLs of the OAuth endpoints, as the metadata shows them.

use url::Url;

use crate::validate::{BuildError, check_endpoint};

/// An endpoint without a URL is off and is not advertised.
#[derive(Debug, Default)]
pub(crate) struct EndpointUrls {
    pub(crate) authorization: Option<Url>,
    pub(crate) token: Option<Url>,
    pub(crate) introspection: Option<Url>,
    pub(crate) revocation: Option<Url>,
    pub(crate) device_authorization: Option<Url>,
    pub(crate) jwks: Option<Url>,
}

impl EndpointUrls {
    pub(super) fn check(&self) -> Result<(), BuildError> {
        for (what, url) in [
            ("the authorization endpoint", &self.authorization),
            ("the token endpoint", &self.token),
            ("the introspection endpoint", &self.introspection),
            ("the revocation endpoint", &self.revocation),
            ("the device authorization endpoint", &self.device_authorization),
            ("the JWKS URI", &self.jwks),
        ] {
            check_endpoint(what, url.as_ref())?;
        }
        Ok(())
    }
}
