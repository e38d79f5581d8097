//! The JSON of transmitters. Members with other names are ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The delivery method of RFC 8935.
pub(super) const PUSH: &str = "urn:ietf:rfc:8935";
/// The delivery method of RFC 8936.
pub(super) const POLL: &str = "urn:ietf:rfc:8936";

/// What a transmitter says about itself (SSF 1.0 §7.1).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct TransmitterConfiguration {
    pub(super) issuer: String,
    pub(super) delivery_methods_supported: Option<Vec<String>>,
    pub(super) configuration_endpoint: Option<String>,
    pub(super) status_endpoint: Option<String>,
    pub(super) verification_endpoint: Option<String>,
    /// Whom new streams are about: `ALL` or `NONE`.
    pub(super) default_subjects: Option<String>,
}

/// A stream, as the transmitter keeps it (SSF 1.0 §8.1.1).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct StreamConfiguration {
    pub(super) stream_id: String,
    pub(super) iss: String,
    pub(super) aud: OneOrMany,
    pub(super) delivery: StreamDelivery,
    #[serde(default)]
    pub(super) events_delivered: Vec<String>,
    /// The least time between two verification requests, in seconds.
    pub(super) min_verification_interval: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct StreamDelivery {
    pub(super) method: String,
    pub(super) endpoint_url: Option<String>,
}

/// `aud` is one string or an array of them (RFC 7519 §4.1.3).
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// The streams of this receiver: all of them, or the one that was asked for (SSF 1.0 §8.1.1.2).
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Streams {
    All(Vec<StreamConfiguration>),
    One(Box<StreamConfiguration>),
}

/// The request for a new stream (SSF 1.0 §8.1.1.1).
#[derive(Debug, Serialize)]
pub(super) struct NewStream<'s> {
    pub(super) delivery: NewDelivery<'s>,
    pub(super) events_requested: &'s [String],
    pub(super) description: &'s str,
}

#[derive(Debug, Serialize)]
pub(super) struct NewDelivery<'s> {
    pub(super) method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) endpoint_url: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authorization_header: Option<&'s str>,
}

/// The status of a stream (SSF 1.0 §8.1.2).
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub(super) status: String,
    pub(super) reason: Option<String>,
}

/// The request for a verification event (SSF 1.0 §8.1.4.2).
#[derive(Debug, Serialize)]
pub(super) struct Verification<'s> {
    pub(super) stream_id: &'s str,
    pub(super) state: &'s str,
}

/// A poll, which acknowledges too (RFC 8936 §2.2).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Poll<'p> {
    pub(super) max_events: u32,
    pub(super) return_immediately: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) ack: &'p [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) set_errs: &'p BTreeMap<String, SetError>,
}

/// Why a SET was refused (RFC 8936 §2.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct SetError {
    pub(super) err: &'static str,
    pub(super) description: &'static str,
}

/// The answer to a poll (RFC 8936 §2.3): SETs by their `jti`. `moreAvailable` is not read: after each answer with SETs there
/// is another poll.
#[derive(Debug, Default, Deserialize)]
pub(super) struct PollAnswer {
    #[serde(default)]
    pub(super) sets: BTreeMap<String, String>,
}

/// Reads `json` as each answer. A stream that is read where a list may stand is the same as the one that is read alone.
#[cfg(fuzzing)]
pub(super) fn fuzz(json: &[u8]) {
    let _ = serde_json::from_slice::<TransmitterConfiguration>(json);
    let _ = serde_json::from_slice::<Status>(json);
    let _ = serde_json::from_slice::<PollAnswer>(json);
    let alone = serde_json::from_slice::<StreamConfiguration>(json);
    if let Ok(Streams::One(one)) = serde_json::from_slice(json) {
        let alone = alone.expect("it is a stream");
        assert_eq!((&alone.stream_id, alone.aud.as_slice()), (&one.stream_id, one.aud.as_slice()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_poll_has_the_names_of_the_standard() {
        let errors = [("b".to_owned(), SetError { err: "invalid_key", description: "no" })].into();
        let poll =
            Poll { max_events: 8, return_immediately: false, ack: &["a".to_owned()], set_errs: &errors };
        let expected = json!({
            "maxEvents": 8, "returnImmediately": false, "ack": ["a"],
            "setErrs": { "b": { "err": "invalid_key", "description": "no" } },
        });
        assert_eq!(serde_json::to_value(&poll).unwrap(), expected);
        let errors = BTreeMap::new();
        let first = Poll { max_events: 8, return_immediately: true, ack: &[], set_errs: &errors };
        assert_eq!(
            serde_json::to_value(&first).unwrap(),
            json!({ "maxEvents": 8, "returnImmediately": true })
        );
    }

    #[test]
    fn an_answer_may_leave_out_what_has_a_default() {
        let answer: PollAnswer = serde_json::from_str("{}").unwrap();
        assert!(answer.sets.is_empty());
        let answer: PollAnswer =
            serde_json::from_str(r#"{"sets":{"a":"x.y.z"},"moreAvailable":true,"other":1}"#).unwrap();
        assert_eq!(answer.sets["a"], "x.y.z");
    }

    #[test]
    fn streams_come_as_a_list_or_alone() {
        let stream = json!({
            "stream_id": "s1", "iss": "https://idp.example", "aud": "https://gateway.example",
            "delivery": { "method": POLL, "endpoint_url": "https://idp.example/poll" }, "events_delivered": [],
        });
        for json in [stream.clone(), json!([stream])] {
            let streams: Streams = serde_json::from_value(json).unwrap();
            let one = match streams {
                Streams::One(one) => *one,
                Streams::All(all) => all.into_iter().next().unwrap(),
            };
            assert_eq!(one.aud.as_slice(), ["https://gateway.example"]);
        }
    }
}
