//! A passkey authenticator that is not there: WebDriver's virtual one (Web Authentication Level 3, §11).

use reqwest::Method;
use serde_json::json;
use thirtyfour::common::command::FormatRequestData;
use thirtyfour::{RequestData, SessionId};

use crate::browser::Browser;

/// `POST /session/{session id}/webauthn/authenticator`.
#[derive(Debug)]
struct AddVirtualAuthenticator;

impl FormatRequestData for AddVirtualAuthenticator {
    fn format_request(&self, session: &SessionId) -> RequestData {
        let uri = format!("session/{session}/webauthn/authenticator");
        RequestData::new(Method::POST, uri).add_body(json!({
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": true,
            "hasUserVerification": true,
            "isUserConsenting": true,
            "isUserVerified": true,
        }))
    }
}

impl Browser {
    /// Gives the browser an authenticator that keeps passkeys, and whose person always says yes.
    pub async fn add_authenticator(&self) {
        self.handle().cmd(AddVirtualAuthenticator).await.unwrap();
    }
}
