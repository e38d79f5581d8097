use std::convert::Infallible;
use std::future::{pending, ready};
use std::io;

use bytes::Bytes;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceExt as _, service_fn};

use super::*;
use crate::id::{Scopes, UserId};
use crate::issue::SignedIn;
use crate::service::Operator;

type Body = Full<Bytes>;

fn person(name: &str) -> SignedIn {
    SignedIn::new(UserId::parse(name).unwrap(), Scopes::default())
}

/// Answers with the names that it finds in the extensions.
async fn names(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let person = request.extensions().get::<SignedIn>().map(|person| person.user_id.to_string());
    let operator = request.extensions().get::<Operator>().map(|operator| operator.name.clone());
    let found = person.or(operator).unwrap_or_default();
    Ok(Response::new(found.into()))
}

struct Answer {
    status: StatusCode,
    challenges: Vec<HeaderValue>,
    retry_after: Option<HeaderValue>,
    body: Bytes,
}

impl Answer {
    fn code(&self) -> String {
        serde_json::from_slice::<Value>(&self.body).unwrap()["code"].as_str().unwrap().to_owned()
    }
}

async fn send<L>(layer: &L, request: Request<Body>) -> Answer
where
    L: Layer<Names>,
    L::Service:
        Service<Request<Body>, Response = Response<crate::layer::ResponseBody<Body>>, Error = Infallible>,
{
    let names: Names = service_fn(|request| Box::pin(names(request)) as Answering);
    let response = layer.layer(names).oneshot(request).await.unwrap();
    Answer {
        status: response.status(),
        challenges: response.headers().get_all(WWW_AUTHENTICATE).iter().cloned().collect(),
        retry_after: response.headers().get(RETRY_AFTER).cloned(),
        body: response.into_body().collect().await.unwrap().to_bytes(),
    }
}

type Answering = std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;
type Names = tower::util::ServiceFn<fn(Request<Body>) -> Answering>;

fn request(name: &'static str) -> Request<Body> {
    Request::get("/").header("x-name", name).body(Body::default()).unwrap()
}

fn by_header(parts: &http::request::Parts) -> Option<String> {
    let name = parts.headers.get("x-name")?.to_str().ok()?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[tokio::test]
async fn the_endpoints_see_the_person_whom_the_closure_finds() {
    let layer = SignInLayer::new(|parts| by_header(parts).map(|name| person(&name)));
    assert_eq!(send(&layer, request("alice")).await.body, "alice");
    assert_eq!(send(&layer, request("")).await.body, "", "nobody is signed in, and nobody is refused");
}

#[tokio::test]
async fn what_was_in_the_extensions_before_does_not_count() {
    let nobody = SignInLayer::new(|_| None);
    let mut forged = request("");
    forged.extensions_mut().insert(person("mallory"));
    assert_eq!(send(&nobody, forged).await.body, "");
    let no_operator = OperatorLayer::new(|_| None);
    let mut forged = request("");
    forged.extensions_mut().insert(Operator::new("mallory"));
    assert_eq!(send(&no_operator, forged).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_closure_may_wait() {
    let layer = SignInLayer::from_async(|parts| {
        let name = by_header(parts);
        async move {
            tokio::task::yield_now().await;
            Ok::<_, io::Error>(name.map(|name| person(&name)))
        }
    });
    assert_eq!(send(&layer, request("alice")).await.body, "alice");
    let operators = OperatorLayer::from_async(|parts| {
        let name = by_header(parts);
        async move { Ok::<_, io::Error>(name.map(Operator::new)) }
    });
    assert_eq!(send(&operators, request("olga")).await.body, "olga");
    assert_eq!(send(&operators, request("")).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_fault_of_the_login_is_503_and_no_verdict() {
    let fault = |_: &http::request::Parts| ready(Err::<Option<SignedIn>, _>(io::Error::other("no database")));
    let answer = send(&SignInLayer::from_async(fault), request("alice")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
    );
    assert!(answer.retry_after.is_some() && !answer.body.windows(8).any(|part| part == b"database"));
    let page = |_: &LoginFault| {
        let mut page = Response::new(Bytes::from_static(b"sorry"));
        *page.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        page
    };
    let answer = send(&SignInLayer::from_async(fault).on_fault(page), request("alice")).await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::SERVICE_UNAVAILABLE, &b"sorry"[..]));
    let operators = OperatorLayer::from_async(|_| ready(Err::<Option<Operator>, _>(io::Error::other("no"))));
    assert_eq!(send(&operators, request("olga")).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn only_an_operator_comes_in() {
    let layer = OperatorLayer::new(|parts| match by_header(parts).as_deref() {
        Some("olga") => FoundOperator::Operator(Operator::new("olga")),
        Some(_) => FoundOperator::NotAnOperator,
        None => FoundOperator::Nobody,
    });
    assert_eq!(send(&layer, request("olga")).await.body, "olga");
    let unknown = send(&layer, request("")).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (StatusCode::UNAUTHORIZED, "operator_required"));
    assert_eq!(unknown.challenges, ["Bearer realm=\"operators\""]);
    let other = send(&layer, request("alice")).await;
    assert_eq!((other.status, other.code().as_str()), (StatusCode::FORBIDDEN, "not_an_operator"));
    assert!(other.challenges.is_empty());
}

#[tokio::test]
async fn a_host_names_its_own_challenges() {
    let [bearer, basic] = ["Bearer realm=\"team\"", "Basic realm=\"team\""].map(HeaderValue::from_static);
    let layer = OperatorLayer::new(|_| None).challenge(bearer.clone()).challenge(basic.clone());
    assert_eq!(send(&layer, request("")).await.challenges, [bearer, basic]);
}

#[tokio::test]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    // A clone that is called without being ready panics here.
    let inner = || ConcurrencyLimitLayer::new(1).layer(service_fn(names));
    let layer = SignInLayer::from_async(|_| ready(Ok::<_, io::Error>(Some(person("alice")))));
    let mut service = layer.layer(inner());
    for _ in 0..3 {
        let answer = service.ready().await.unwrap().call(request("")).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "alice");
    }
    // A refused request frees its place.
    let mut service = OperatorLayer::new(|_| None).layer(inner());
    for _ in 0..3 {
        let refused = service.ready().await.unwrap().call(request("")).await.unwrap();
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    }
    // So does one that is dropped while the login is asked.
    let waits = SignInLayer::from_async(|_| pending::<Result<_, io::Error>>());
    let mut service = waits.layer(inner());
    for _ in 0..3 {
        drop(service.ready().await.unwrap().call(request("")));
    }
}
