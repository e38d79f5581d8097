//! Subject identifiers (RFC 9493, SSF 1.0 §3): whom a message is about.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::external_issuer::ExternalSubject;

/// The identifier is not well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MalformedSubject;

/// Whom a message is about. Two that are equal name the same.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Subject {
    user: Option<Identifier>,
    session: Option<Identifier>,
    tenant: Option<Identifier>,
}

/// A subject identifier by its format.
#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(tag = "format", rename_all = "snake_case", remote = "Self")]
enum Identifier {
    IssSub {
        iss: String,
        sub: String,
    },
    Email {
        email: String,
    },
    Opaque {
        id: String,
    },
    Aliases {
        identifiers: Vec<Identifier>,
    },
    /// SSF 1.0 §3.2. What it says about a device or a group does not make it about another person.
    Complex {
        user: Option<Box<Identifier>>,
        session: Option<Box<Identifier>>,
        tenant: Option<Box<Identifier>>,
    },
    Account {
        uri: String,
    },
    Did {
        url: String,
    },
    PhoneNumber {
        phone_number: String,
    },
    Uri {
        uri: String,
    },
    #[serde(other)]
    Unknown,
}

/// An identifier is an object, on every level. A derived `Deserialize` would also take an array of the values in order.
impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Identifier;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a subject identifier")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Identifier, A::Error> {
                Identifier::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// The most identifiers that one subject may have.
const MOST_ALIASES: usize = 16;

impl Subject {
    /// Reads the subject identifier `json`.
    pub(super) fn read(json: &RawValue) -> Result<Self, MalformedSubject> {
        let identifier: Identifier = serde_json::from_str(json.get()).map_err(|_| MalformedSubject)?;
        identifier.check(Nesting::Top)?;
        Ok(match identifier {
            Identifier::Complex { user, session, tenant } => Self {
                user: user.map(|user| *user),
                session: session.map(|session| *session),
                tenant: tenant.map(|tenant| *tenant),
            },
            simple => Self { user: Some(simple), session: None, tenant: None },
        })
    }

    /// Whom it names, as `issuer` says it, which speaks for the people of the issuers `others` too. All that are returned are one
    /// person. None: no mapper could know them.
    pub(super) fn names(self, issuer: &str, others: &[String]) -> Vec<ExternalSubject> {
        let mut who = Names::of(issuer, others);
        // Of a complex subject all members must hold: so they describe each of the names of its user.
        who.common.session = self.session.and_then(Identifier::text);
        who.common.tenant = self.tenant.and_then(Identifier::text);
        self.user.into_iter().for_each(|user| who.add(user));
        who.into_subjects()
    }
}

/// Where an identifier stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nesting {
    Top,
    Member,
    Alias,
}

impl Identifier {
    fn check(&self, at: Nesting) -> Result<(), MalformedSubject> {
        let is_good = match self {
            Self::IssSub { iss, sub } => is_text(iss, 255) && is_text(sub, 255),
            Self::Email { email } => is_email(email),
            Self::Opaque { id } => is_text(id, 255),
            Self::Account { uri } => is_text(uri, 2048) && uri.starts_with("acct:"),
            Self::Did { url } => is_text(url, 2048) && url.starts_with("did:"),
            Self::PhoneNumber { phone_number } => is_text(phone_number, 64) && phone_number.starts_with('+'),
            Self::Uri { uri } => is_text(uri, 2048),
            // RFC 9493 §3.2.8: they do not nest.
            Self::Aliases { identifiers } => {
                at != Nesting::Alias
                    && (1..=MOST_ALIASES).contains(&identifiers.len())
                    && identifiers.iter().all(|alias| alias.check(Nesting::Alias).is_ok())
            }
            Self::Complex { user, session, tenant } => {
                let members = [user, session, tenant].into_iter().flatten();
                at == Nesting::Top && members.into_iter().all(|member| member.check(Nesting::Member).is_ok())
            }
            Self::Unknown => true,
        };
        if is_good { Ok(()) } else { Err(MalformedSubject) }
    }

    /// The one text of an identifier that stands for a thing and not for a person.
    fn text(self) -> Option<String> {
        match self {
            Self::Opaque { id: text } | Self::IssSub { sub: text, .. } | Self::Uri { uri: text } => {
                Some(text)
            }
            _ => None,
        }
    }
}

/// The names of one person.
struct Names<'a> {
    common: ExternalSubject,
    /// The issuers besides that of the message whose people it may name.
    others: &'a [String],
    subjects: Vec<String>,
    emails: Vec<String>,
    opaque: Vec<String>,
    /// The names that other issuers have, each with its issuer.
    of_others: Vec<(String, String)>,
}

impl<'a> Names<'a> {
    fn of(issuer: &str, others: &'a [String]) -> Self {
        let common = ExternalSubject { issuer: issuer.to_owned(), ..ExternalSubject::default() };
        let (subjects, emails, opaque, of_others) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { common, others, subjects, emails, opaque, of_others }
    }

    fn add(&mut self, identifier: Identifier) {
        match identifier {
            Identifier::IssSub { iss, sub } if iss == self.common.issuer => self.subjects.push(sub),
            // An issuer speaks for its own people alone, unless the host says more.
            Identifier::IssSub { iss, sub } if self.others.contains(&iss) => self.of_others.push((iss, sub)),
            Identifier::Email { email } => self.emails.push(email),
            Identifier::Opaque { id } => self.opaque.push(id),
            Identifier::Aliases { identifiers } => {
                identifiers.into_iter().for_each(|alias| self.add(alias));
            }
            _ => {}
        }
    }

    /// One subject with the first name of each kind, and more for the names that are left. The names of another issuer stand
    /// alone: a mapper must not take them for those of this one.
    fn into_subjects(self) -> Vec<ExternalSubject> {
        let most = self.subjects.len().max(self.emails.len()).max(self.opaque.len());
        let has_only_session = most == 0 && self.of_others.is_empty() && self.common.session.is_some();
        let (mut subjects, mut emails, mut opaque) =
            (self.subjects.into_iter(), self.emails.into_iter(), self.opaque.into_iter());
        let next = |_| ExternalSubject {
            subject: subjects.next(),
            email: emails.next(),
            opaque: opaque.next(),
            ..self.common.clone()
        };
        let mut all: Vec<_> = (0..most.max(usize::from(has_only_session))).map(next).collect();
        let of_others = self.of_others.into_iter();
        all.extend(of_others.map(|(issuer, subject)| ExternalSubject {
            issuer,
            subject: Some(subject),
            ..self.common.clone()
        }));
        all
    }
}

/// Whether `text` may name somebody: it comes from outside, so it is short and has no control characters.
fn is_text(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Whether `text` could be an address (RFC 9493 §3.2.2): the host compares it.
fn is_email(text: &str) -> bool {
    let is_split =
        text.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    is_split && is_text(text, 320) && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://idp.example";

    fn named(json: &str, others: &[String]) -> Result<Vec<ExternalSubject>, MalformedSubject> {
        let subject = Subject::read(&RawValue::from_string(json.to_owned()).unwrap())?;
        Ok(subject.names(ISSUER, others))
    }

    fn subjects(identifier: &Value) -> Result<Vec<ExternalSubject>, MalformedSubject> {
        named(&identifier.to_string(), &[])
    }

    fn one(identifier: &Value) -> ExternalSubject {
        let mut found = subjects(identifier).unwrap();
        assert_eq!(found.len(), 1, "{identifier}");
        found.remove(0)
    }

    fn iss_sub(sub: &str) -> Value {
        json!({ "format": "iss_sub", "iss": ISSUER, "sub": sub })
    }

    #[test]
    fn m11_each_format_names_the_person() {
        let who = one(&iss_sub("7"));
        assert_eq!((who.issuer.as_str(), who.subject.as_deref()), (ISSUER, Some("7")));
        assert_eq!(
            one(&json!({ "format": "email", "email": "a@b.example" })).email.as_deref(),
            Some("a@b.example")
        );
        assert_eq!(one(&json!({ "format": "opaque", "id": "x1" })).opaque.as_deref(), Some("x1"));
        let aliases = json!({ "format": "aliases", "identifiers": [
            { "format": "email", "email": "a@b.example" }, iss_sub("7"), { "format": "opaque", "id": "x1" },
        ] });
        let who = one(&aliases);
        assert_eq!(
            (who.subject.as_deref(), who.email.as_deref(), who.opaque.as_deref()),
            (Some("7"), Some("a@b.example"), Some("x1"))
        );
    }

    #[test]
    fn m11_a_person_with_two_addresses_is_found_by_either() {
        let email = |email: &str| json!({ "format": "email", "email": email });
        let both = [email("old@b.example"), email("new@b.example"), iss_sub("7")];
        let found = subjects(&json!({ "format": "aliases", "identifiers": both })).unwrap();
        let emails: Vec<_> = found.iter().map(|who| who.email.as_deref().unwrap()).collect();
        assert_eq!(emails, ["old@b.example", "new@b.example"]);
        assert_eq!((found[0].subject.as_deref(), found[1].subject.as_deref()), (Some("7"), None));
    }

    #[test]
    fn m11_a_complex_subject_names_its_user_session_and_tenant() {
        let session = json!({ "format": "opaque", "id": "s1" });
        let tenant = json!({ "format": "opaque", "id": "t1" });
        let device = json!({ "format": "opaque", "id": "d1" });
        let all = json!({
            "format": "complex", "user": iss_sub("7"), "session": session, "tenant": tenant, "device": device,
        });
        let who = one(&all);
        assert_eq!(
            (who.subject.as_deref(), who.session.as_deref(), who.tenant.as_deref()),
            (Some("7"), Some("s1"), Some("t1"))
        );
        let who = one(&json!({ "format": "complex", "session": session }));
        assert_eq!((who.subject, who.session.as_deref()), (None, Some("s1")));
        let nobody = json!({ "format": "complex", "tenant": tenant, "device": device });
        assert_eq!(subjects(&nobody), Ok(Vec::new()), "a tenant is no person");
    }

    #[test]
    fn a_name_that_another_issuer_has_is_told_as_that_issuers() {
        let other = |iss: &str| json!({ "format": "iss_sub", "iss": iss, "sub": "7" });
        let email = json!({ "format": "email", "email": "a@b.example" });
        let all = [other("https://login.example"), other("https://third.example"), email, iss_sub("8")];
        let session = json!({ "format": "opaque", "id": "s1" });
        let user = json!({ "format": "aliases", "identifiers": all });
        let json = json!({ "format": "complex", "user": user, "session": session }).to_string();
        let names = |others: &[&str]| {
            let others: Vec<_> = others.iter().map(|&other| other.to_owned()).collect();
            let found = named(&json, &others).unwrap();
            assert!(found.iter().all(|who| who.session.as_deref() == Some("s1")));
            found.into_iter().map(|who| (who.issuer, who.subject.unwrap(), who.email)).collect::<Vec<_>>()
        };
        let own = (ISSUER.to_owned(), "8".to_owned(), Some("a@b.example".to_owned()));
        let login = ("https://login.example".to_owned(), "7".to_owned(), None);
        assert_eq!(names(&[]), std::slice::from_ref(&own));
        assert_eq!(names(&["https://login.example/", "https://LOGIN.example"]), std::slice::from_ref(&own));
        assert_eq!(names(&["https://login.example"]), [own, login]);
    }

    #[test]
    fn m11_what_no_mapper_could_know_is_nobody() {
        for identifier in [
            json!({ "format": "iss_sub", "iss": "https://other.example", "sub": "7" }),
            json!({ "format": "account", "uri": "acct:a@b.example" }),
            json!({ "format": "did", "url": "did:example:1" }),
            json!({ "format": "phone_number", "phone_number": "+12065550100" }),
            json!({ "format": "uri", "uri": "urn:uuid:7" }),
            json!({ "format": "ip-addresses", "ip-addresses": ["10.0.0.1"] }),
        ] {
            assert_eq!(subjects(&identifier), Ok(Vec::new()), "{identifier}");
        }
    }

    #[test]
    fn m11_a_malformed_identifier_is_an_error() {
        let deep = json!({ "format": "aliases", "identifiers": [
            { "format": "aliases", "identifiers": [iss_sub("7")] },
        ] });
        for identifier in [
            json!({}),
            json!(null),
            json!("alice"),
            json!(["iss_sub", ISSUER, "7"]),
            json!({ "iss": ISSUER, "sub": "7" }),
            json!({ "format": "iss_sub", "sub": "7" }),
            json!({ "format": "iss_sub", "iss": ISSUER }),
            json!({ "format": "iss_sub", "iss": ISSUER, "sub": "" }),
            json!({ "format": "iss_sub", "iss": ISSUER, "sub": 7 }),
            json!({ "format": "iss_sub", "iss": ISSUER, "sub": "a\nb" }),
            json!({ "format": "email" }),
            json!({ "format": "email", "email": "alice" }),
            json!({ "format": "email", "email": "@b.example" }),
            json!({ "format": "email", "email": "a b@b.example" }),
            json!({ "format": "opaque" }),
            json!({ "format": "opaque", "id": "" }),
            json!({ "format": "opaque", "id": "x".repeat(256) }),
            json!({ "format": "aliases", "identifiers": [] }),
            json!({ "format": "aliases", "identifiers": [["opaque", "a"]] }),
            json!({ "format": "complex", "user": ["opaque", "a"] }),
            json!({ "format": "aliases", "identifiers": vec![iss_sub("7"); 17] }),
            json!({ "format": "aliases", "identifiers": [{ "format": "email" }] }),
            json!({ "format": "complex", "user": { "format": "email" } }),
            json!({ "format": "complex", "user": { "format": "complex", "user": iss_sub("7") } }),
            deep,
        ] {
            assert_eq!(subjects(&identifier), Err(MalformedSubject), "{identifier}");
        }
        for repeated in [
            r#"{"format":"opaque","id":"a","id":"b"}"#,
            r#"{"format":"opaque","format":"email","id":"a","email":"a@b"}"#,
            r#"{"format":"opaque","id":"a","\u0069d":"b"}"#,
        ] {
            assert_eq!(named(repeated, &[]), Err(MalformedSubject), "{repeated}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(format in "(iss_sub|email|opaque|aliases|complex)", text in any::<String>()) {
            let identifier = json!({
                "format": format, "iss": ISSUER, "sub": text, "email": text, "id": text,
                "identifiers": [{ "format": "opaque", "id": text }], "user": { "format": "opaque", "id": text },
            });
            let _ = subjects(&identifier);
        }
    }
}
