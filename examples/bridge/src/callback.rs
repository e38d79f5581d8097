//! The gateway's answer at the redirect URI (RFC 6749 §4.1.2), and whether it is the answer to this very request.

use subtle::ConstantTimeEq as _;
use url::form_urlencoded;

use crate::gateway::Problem;

/// What the answer must contain.
pub struct Expected {
    pub state: String,
    pub issuer: String,
    /// Whether the gateway says that it names itself in each answer (RFC 9207 §3).
    pub must_name_issuer: bool,
}

/// What the browser brought.
pub enum Callback {
    /// Something that does not know the state.
    Foreign,
    Code(String),
    Refused(Problem),
}

impl Expected {
    /// Judges the query of a request for the redirect URI.
    pub fn read(&self, query: &str) -> Callback {
        let Some(answer) = Answer::read(query) else { return Callback::Foreign };
        let state = answer.state.as_deref().unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(self.state.as_bytes())) {
            return Callback::Foreign;
        }
        // RFC 9207 §2.4: the issuer is compared before anything else, in answers with an error too.
        match &answer.iss {
            Some(iss) if *iss != self.issuer => {
                return refused(format!("{iss} answered for {}", self.issuer));
            }
            None if self.must_name_issuer => {
                return refused(format!("the answer does not name {}, which it must", self.issuer));
            }
            _ => {}
        }
        match (answer.error.as_deref(), answer.code) {
            (Some("access_denied"), _) => Callback::Refused(Problem::Denied),
            (Some(error), _) => refused(
                answer.error_description.map_or_else(|| error.to_owned(), |why| format!("{error}: {why}")),
            ),
            (None, Some(code)) => Callback::Code(code),
            (None, None) => refused("the answer has neither a code nor an error".to_owned()),
        }
    }
}

fn refused(why: String) -> Callback {
    Callback::Refused(Problem::NoToken(why))
}

#[derive(Default)]
struct Answer {
    state: Option<String>,
    iss: Option<String>,
    code: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

impl Answer {
    /// `None`: a parameter is there twice (RFC 6749 §3.1).
    fn read(query: &str) -> Option<Self> {
        let mut answer = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let parameter = match &*name {
                "state" => &mut answer.state,
                "iss" => &mut answer.iss,
                "code" => &mut answer.code,
                "error" => &mut answer.error,
                "error_description" => &mut answer.error_description,
                _ => continue,
            };
            if parameter.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        Some(answer)
    }
}
