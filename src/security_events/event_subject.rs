//! Subjects that stand inside of events, as transmitters of older drafts write them, such as Okta's.

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::decision::effect_of;
use super::refused::{Refused, malformed};
use super::subject::{MalformedSubject, Subject};
use crate::token::{Events, members, never_null};

/// The members by which a subject without a format shows that it is a complex one (SSF 1.0 §3.2).
const OF_COMPLEX: [&str; 7] = ["user", "session", "tenant", "device", "application", "org_unit", "group"];

/// Whom `events` are about: `sub_id`, or else `subject` of each event that does something here. Two that differ could be two
/// people: then it is refused.
pub(super) fn subject_of(sub_id: Option<Subject>, events: &Events) -> Result<Subject, Refused> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(default, deserialize_with = "never_null")]
        subject: Option<Box<RawValue>>,
    }
    let must_name = sub_id.is_none();
    let mut found = sub_id;
    for (_, event) in events.iter().filter(|(name, _)| effect_of(name).is_some()) {
        let event: Event = serde_json::from_str(event.get())
            .map_err(|_| malformed("an event has a subject that is null or repeated"))?;
        let Some(subject) = event.subject else {
            if must_name {
                return Err(malformed("there is no sub_id, and an event has no subject"));
            }
            continue;
        };
        let subject = read(&subject)
            .map_err(|_| malformed("the subject of an event is not a subject identifier (RFC 9493)"))?;
        if found.as_ref().is_some_and(|found| *found != subject) {
            return Err(malformed("sub_id and the subjects of the events are not the same"));
        }
        found = Some(subject);
    }
    found.ok_or_else(|| malformed("sub_id is missing"))
}

/// Reads a subject identifier that may be of an older draft: `subject_type` instead of `format`, or a complex one that has
/// neither.
fn read(json: &RawValue) -> Result<Subject, MalformedSubject> {
    let mut reader = serde_json::Deserializer::from_str(json.get());
    let mut found = members(&mut reader).map_err(|_| MalformedSubject)?;
    let format = match (found.contains_key("format"), found.remove("subject_type")) {
        (true, None) => return Subject::read(json),
        (true, Some(_)) => return Err(MalformedSubject),
        (false, Some(name)) => {
            let name: String = serde_json::from_str(name.get()).map_err(|_| MalformedSubject)?;
            name.replace('-', "_")
        }
        (false, None) => {
            let is_complex = found.values().all(|member| member.get().starts_with('{'))
                && found.keys().any(|name| OF_COMPLEX.contains(&name.as_str()));
            if !is_complex {
                return Err(MalformedSubject);
            }
            "complex".to_owned()
        }
    };
    found.insert("format".to_owned(), to_raw_value(&format).map_err(|_| MalformedSubject)?);
    Subject::read(&to_raw_value(&found).map_err(|_| MalformedSubject)?)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://idp.example";
    const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
    const CHANGED: &str = "https://schemas.openid.net/secevent/caep/event-type/credential-change";

    fn raw(json: &impl ToString) -> Box<RawValue> {
        RawValue::from_string(json.to_string()).unwrap()
    }

    fn of(sub_id: Option<&Value>, events: &Value) -> Option<Vec<Option<String>>> {
        let sub_id = sub_id.map(|json| Subject::read(&raw(json)).unwrap());
        let events: Events = serde_json::from_str(&events.to_string()).unwrap();
        let subject = subject_of(sub_id, &events).ok()?;
        Some(subject.names(ISSUER, &[]).into_iter().map(|who| who.subject.or(who.email)).collect())
    }

    fn alone(subject: &Value) -> Option<Vec<Option<String>>> {
        of(None, &json!({ REVOKED: { "subject": subject } }))
    }

    fn iss_sub(sub: &str) -> Value {
        json!({ "format": "iss_sub", "iss": ISSUER, "sub": sub })
    }

    fn person(name: &str) -> Option<Vec<Option<String>>> {
        Some(vec![Some(name.to_owned())])
    }

    #[test]
    fn a_subject_of_an_older_draft_names_the_person() {
        for subject in [
            iss_sub("7"),
            json!({ "user": iss_sub("7") }),
            json!({ "user": iss_sub("7"), "device": { "format": "opaque", "id": "d" } }),
            json!({ "format": "complex", "user": iss_sub("7") }),
            json!({ "subject_type": "iss-sub", "iss": ISSUER, "sub": "7" }),
            json!({ "subject_type": "iss_sub", "iss": ISSUER, "sub": "7" }),
        ] {
            assert_eq!(alone(&subject), person("7"), "{subject}");
        }
        let email = json!({ "subject_type": "email", "email": "a@b.example" });
        assert_eq!(alone(&email), person("a@b.example"));
        assert_eq!(alone(&json!({ "subject_type": "phone", "phone": "+1" })), Some(Vec::new()));
    }

    #[test]
    fn a_malformed_subject_of_an_event_is_an_error() {
        for subject in [
            json!(null),
            json!("alice"),
            json!([]),
            json!({}),
            json!(["iss_sub", ISSUER, "7"]),
            json!([iss_sub("7")]),
            json!({ "iss": ISSUER, "sub": "7" }),
            json!({ "user": "7" }),
            json!({ "user": ["opaque", "7"] }),
            json!({ "user": iss_sub("7"), "session": "s" }),
            json!({ "user": iss_sub("7"), "reason": "text" }),
            json!({ "user": { "iss": ISSUER, "sub": "7" } }),
            json!({ "user": { "user": iss_sub("7") } }),
            json!({ "somebody": iss_sub("7") }),
            json!({ "format": null, "user": iss_sub("7") }),
            json!({ "subject_type": null, "user": iss_sub("7") }),
            json!({ "subject_type": ["iss-sub"], "iss": ISSUER, "sub": "7" }),
            json!({ "subject_type": "iss-sub", "iss": ISSUER }),
            json!({ "subject_type": "iss-sub", "format": "iss_sub", "iss": ISSUER, "sub": "7" }),
        ] {
            assert_eq!(alone(&subject), None, "{subject}");
        }
        let twice = |text: &str| {
            let events = [(REVOKED.to_owned(), raw(&text))].into_iter().collect();
            subject_of(None, &events).is_err()
        };
        let one = iss_sub("7");
        assert!(twice(&format!(r#"{{"subject":{one},"subject":{one}}}"#)));
        assert!(twice(&format!(r#"{{"subject":{one},"\u0073ubject":{one}}}"#)));
        assert!(twice(&format!(r#"{{"subject":{{"user":{one},"user":{one}}}}}"#)));
        assert!(twice(&format!(r#"{{"subject":{{"user":{one},"device":{{}},"device":{{}}}}}}"#)));
        assert!(!twice(&format!(r#"{{"subject":{{"user":{one},"device":{{}}}}}}"#)));
    }

    #[test]
    fn all_that_name_somebody_must_name_the_same() {
        let (seven, eight) = (iss_sub("7"), iss_sub("8"));
        let complex = json!({ "user": seven });
        let narrower = json!({ "user": seven, "session": { "format": "opaque", "id": "s" } });
        let of_two =
            |one: &Value, two: &Value| json!({ REVOKED: { "subject": one }, CHANGED: { "subject": two } });
        assert_eq!(of(None, &of_two(&seven, &complex)), person("7"));
        assert_eq!(of(Some(&seven), &of_two(&seven, &complex)), person("7"));
        assert_eq!(of(Some(&seven), &json!({ REVOKED: {}, CHANGED: { "subject": seven } })), person("7"));
        assert_eq!(of(Some(&seven), &json!({ REVOKED: {} })), person("7"));
        // What does nothing here may have a subject of its own.
        assert_eq!(
            of(None, &json!({ REVOKED: { "subject": seven }, "urn:a": { "subject": 9 } })),
            person("7")
        );
        for (sub_id, events) in [
            (None, of_two(&seven, &eight)),
            (None, of_two(&seven, &narrower)),
            (None, json!({ REVOKED: { "subject": seven }, CHANGED: {} })),
            (None, json!({ REVOKED: {}, CHANGED: { "subject": seven } })),
            (None, json!({ REVOKED: {} })),
            (Some(&seven), of_two(&seven, &eight)),
            (Some(&eight), json!({ REVOKED: { "subject": seven } })),
            (Some(&seven), json!({ REVOKED: { "subject": null } })),
            (Some(&seven), json!({ REVOKED: { "subject": "7" } })),
        ] {
            assert_eq!(of(sub_id, &events), None, "{sub_id:?} {events}");
        }
    }
}
