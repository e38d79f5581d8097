//! What the document says, and what was seen of it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use http::Method;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::gateway::{Answer, Gateway, PREFIX, send};

/// The document, and what was seen of it.
pub struct Book {
    pub document: Value,
    seen: BTreeSet<(String, u16)>,
    /// Each call comes from an address of its own, so that its failures are held against no other.
    calls: u32,
}

impl Book {
    pub async fn of(gateway: &Gateway) -> Self {
        let path = format!("{PREFIX}/openapi.json");
        let answer = send(gateway.request(Method::GET, &path)).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        Self { document: answer.json(), seen: BTreeSet::new(), calls: 0 }
    }

    /// What a component stands for.
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => {
                self.document.pointer(&reference[1..]).unwrap_or_else(|| panic!("{reference}"))
            }
            None => value,
        }
    }

    /// The answer to `request`, which the operation (`post /code`) documents.
    pub async fn call(&mut self, operation: &str, status: u16, request: RequestBuilder) -> Answer {
        self.calls += 1;
        let source = Ipv4Addr::from(0x0a00_0000 + self.calls);
        self.call_from(&source.to_string(), operation, status, request).await
    }

    /// The same from this address.
    pub async fn call_from(
        &mut self,
        source: &str,
        operation: &str,
        status: u16,
        request: RequestBuilder,
    ) -> Answer {
        let answer = send(request.header("x-forwarded-for", source)).await;
        assert_eq!(answer.status, status, "{operation}: {answer:?}");
        let (method, path) = operation.split_once(' ').unwrap();
        let responses = &self.document["paths"][path][method]["responses"];
        let response = self.resolve(&responses[status.to_string()]);
        assert!(response.is_object(), "{operation} documents no {status}");
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let is_required = self.resolve(header)["required"].as_bool().unwrap();
            let is_there = answer.headers.contains_key(name.as_str());
            assert!(is_there || !is_required, "{operation} {status} without {name}");
        }
        match response["content"].as_object() {
            None => assert!(answer.body.is_empty(), "{operation} {status}: {answer:?}"),
            Some(content) if content.contains_key("text/html") => {
                assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{operation} {status}");
                assert!(answer.body.starts_with(b"<!"), "{operation} {status}: {answer:?}");
            }
            Some(content) => {
                let media_type = answer.header("content-type");
                let schema =
                    content.get(media_type).unwrap_or_else(|| panic!("{operation} {status}: {media_type}"));
                self.check(&schema["schema"], &answer.json(), operation);
            }
        }
        self.seen.insert((operation.to_owned(), status));
        answer
    }

    fn check(&self, schema: &Value, body: &Value, operation: &str) {
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "allOf": [schema],
            "components": self.document["components"],
        });
        let validator = jsonschema::validator_for(&whole).unwrap();
        let errors: Vec<_> = validator.iter_errors(body).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{operation}: {body} {errors:?}");
    }

    /// What is documented and was not seen.
    pub fn unseen(&self) -> Vec<(String, u16)> {
        let mut unseen = Vec::new();
        for (path, item) in self.document["paths"].as_object().unwrap() {
            for (method, operation) in
                item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters")
            {
                for status in operation["responses"].as_object().unwrap().keys() {
                    let documented = (format!("{method} {path}"), status.parse().unwrap());
                    if !self.seen.contains(&documented) {
                        unseen.push(documented);
                    }
                }
            }
        }
        unseen
    }
}
