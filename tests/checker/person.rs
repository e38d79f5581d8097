//! One person: links bridges, lets agents act for them, calls with all on every gateway, and ends their sessions in random
//! order.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bridge_auth::token::Actor;
use rand::seq::IndexedRandom;
use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::calling::{Bridge, Calling, Pace, verdict};
use super::history::{Call, EVENT, History, LOGOUT, Revocation, Span, Verdict};
use super::identity_provider::Event;
use super::scene::{AGENT, CLIENT, ISSUER, Scene};

/// How long half of the people wait for a revocation.
const IMPATIENT: Duration = Duration::from_millis(700);

struct Person {
    name: String,
    scene: Arc<Scene>,
    bridges: Vec<Bridge>,
    history: History,
    /// Whether the person may be disabled.
    was_disabled: bool,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    LogOut,
    /// With another session of the same person.
    EndOwn,
    EndByOperator,
    EndAll,
    /// Disable the person and enable it again. What was revoked stays revoked.
    Disable,
    /// By the identity provider: it ends all sessions, or disables the person too.
    Event(Event),
    /// By a logout token of the identity provider.
    LogoutToken,
}

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Runs the whole life of a person, and returns its history.
pub async fn live(scene: Arc<Scene>, name: String) -> History {
    let mut person =
        Person { name, scene, bridges: Vec::new(), history: History::default(), was_disabled: false };
    for _ in 0..rand::random_range(1..=3) {
        person.link(false).await;
    }
    if rand::random() {
        person.link(true).await;
    }
    for _ in 0..rand::random_range(0..=3) {
        person.delegate().await;
    }
    let mut calling = Calling::new();
    calling.begin(&person.scene, &person.bridges);
    person.end_all(&mut calling).await;
    sleep(person.scene.tail()).await;
    calling.pace.send_replace(Pace::Over);
    for calls in calling.callers.join_all().await {
        person.history.calls.extend(calls);
    }
    person.history
}

impl Person {
    /// Links one bridge of the person, or of a colleague, if the store is available.
    async fn link(&mut self, of_colleague: bool) {
        let name = self.name_of(of_colleague);
        let scene = self.scene.clone();
        let (at, asked) = (scene.any_gateway(), scene.start.elapsed());
        let login = scene.request(Method::POST, at, "/demo/login").json(&json!({ "user_id": name }));
        let login = login.send().await.expect("a gateway always answers");
        let cookie = login.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        let code = scene.request(Method::POST, at, "/v1/auth/bridge/code").header(COOKIE, cookie);
        let code = code.send().await.expect("a gateway always answers");
        if code.status() != StatusCode::CREATED {
            // An old primary does not know a person who was registered on the new one.
            let unknown = code.status() == StatusCode::FORBIDDEN && scene.had_two_primaries_since(asked);
            let disabled = code.status() == StatusCode::FORBIDDEN && self.was_disabled;
            if !unknown && !disabled {
                self.expect_unavailable("a code", code.status());
            }
            return;
        }
        let code: Value = code.json().await.unwrap();
        let exchange = json!({ "code": code["code"] });
        let exchange =
            scene.request(Method::POST, scene.any_gateway(), "/v1/auth/bridge/session").json(&exchange);
        let sent = scene.start.elapsed();
        let access = exchange.send().await.expect("a gateway always answers");
        if access.status() != StatusCode::OK {
            // An old primary does not know a code that was issued on the new one.
            let unknown = access.status() == StatusCode::BAD_REQUEST && scene.had_two_primaries_since(asked);
            // What was not acknowledged may happen now.
            let ended = access.status() == StatusCode::BAD_REQUEST
                && self.history.revocations.iter().any(|revocation| !revocation.acknowledged);
            if !unknown && !ended {
                self.expect_unavailable("an exchange", access.status());
            }
            return;
        }
        let access: Value = access.json().await.unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        if of_colleague {
            self.history.colleagues.insert(self.bridges.len());
        }
        self.bridges
            .push(Bridge { id: text(&access["headers"]["x-session-id"]), token: text(&access["token"]) });
        self.history.openings.push(Span { sent, answered: scene.start.elapsed() });
    }

    fn name_of(&self, of_colleague: bool) -> String {
        if of_colleague { format!("{}-colleague", self.name) } else { self.name.clone() }
    }

    /// An agent exchanges the token of a bridge, or of another agent, for a token of its own, if the store is available.
    /// Sometimes a colleague acts by that, with a token of their own.
    async fn delegate(&mut self) {
        let may_be_parents: Vec<_> = (0..self.bridges.len())
            .filter(|session| !self.history.colleagues.contains(session))
            .filter(|session| self.history.depth(*session) < Actor::MAX_DEPTH)
            .collect();
        let Some(parent) = may_be_parents.choose(&mut rand::rng()).copied() else { return };
        let (scene, (client_id, client_secret)) = (self.scene.clone(), AGENT);
        let (at, token) = (scene.any_gateway(), self.bridges[parent].token.clone());
        let actor = self.history.colleagues.iter().next().copied().filter(|_| rand::random());
        let actor_token = actor.map(|actor| self.bridges[actor].token.clone());
        let mut form = vec![
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", token.as_str()),
            ("subject_token_type", ACCESS_TOKEN),
            ("client_id", client_id),
            ("client_secret", client_secret),
        ];
        if let Some(actor_token) = &actor_token {
            form.extend([("actor_token", actor_token.as_str()), ("actor_token_type", ACCESS_TOKEN)]);
        }
        let request = scene.request(Method::POST, at, "/v1/auth/bridge/token").form(&form);
        let sent = scene.start.elapsed();
        let answer = request.send().await.expect("a gateway always answers");
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or_default();
        let span = Span { sent, answered: scene.start.elapsed() };
        // The token that is exchanged is judged as in any other call.
        let verdict = match body["error"].as_str() {
            // RFC 8693 §2.2.2: the token is not good. All else in the request is.
            Some("invalid_request") => Verdict::Refused,
            Some(_) if status == StatusCode::BAD_REQUEST => Verdict::Other(body.to_string()),
            _ => verdict(status, StatusCode::OK),
        };
        for session in self.judged(parent, actor, &verdict, span) {
            self.history.calls.push(Call { session, gateway: at, span, verdict: verdict.clone() });
        }
        if status == StatusCode::OK {
            if let Some(actor) = actor {
                self.history.actors.insert(self.bridges.len(), actor);
            }
            let token = body["access_token"].as_str().unwrap().to_owned();
            self.history.parents.insert(self.bridges.len(), parent);
            self.bridges.push(Bridge { id: session_of(&token), token });
            self.history.openings.push(span);
        }
    }

    /// The sessions of an exchange that its answer says something of: one of two is refused, and both are let in.
    fn judged(&self, parent: usize, actor: Option<usize>, verdict: &Verdict, span: Span) -> Vec<usize> {
        let both = [Some(parent), actor].into_iter().flatten();
        if *verdict != Verdict::Refused {
            return both.collect();
        }
        let ended = both.clone().find(|session| self.history.may_be_ended(*session, span.answered));
        let youngest = both.max_by_key(|session| self.history.openings[*session].answered);
        ended.or(youngest).into_iter().collect()
    }

    fn expect_unavailable(&mut self, what: &str, status: StatusCode) {
        if status != StatusCode::SERVICE_UNAVAILABLE {
            self.history.surprises.push(format!("{what} was answered {status}"));
        }
    }

    /// Ends one session or all, again and again, until none is left or no gateway does it.
    async fn end_all(&mut self, calling: &mut Calling) {
        for _ in 0..50 {
            let Some(session) = self.any_live() else { return };
            sleep(Duration::from_millis(rand::random_range(50..400))).await;
            if rand::random_ratio(1, 4) {
                self.delegate().await;
                calling.begin(&self.scene, &self.bridges);
            }
            let (revoked, disabled) = (Act::Event(Event::SessionRevoked), Act::Event(Event::AccountDisabled));
            let acts = [
                Act::LogOut,
                Act::EndOwn,
                Act::EndByOperator,
                Act::EndAll,
                Act::Disable,
                revoked,
                disabled,
                Act::LogoutToken,
            ];
            // After all sessions are revoked, there is none left to revoke one by one.
            let chosen = acts.choose_weighted(&mut rand::rng(), |act| match act {
                Act::EndAll | Act::Disable | Act::Event(_) | Act::LogoutToken => 1,
                _ => 4,
            });
            let act = *chosen.expect("the list of acts is not empty, and has weights");
            let of_colleague = self.history.colleagues.contains(&session);
            if let Act::Disable | Act::Event(Event::AccountDisabled) = act {
                self.was_disabled = true;
            }
            let said = self.end(act, session).await;
            calling.pace.send_replace(Pace::Quick);
            sleep(Duration::from_millis(30)).await;
            calling.pace.send_replace(Pace::Calm);
            if let Act::Disable | Act::Event(Event::AccountDisabled) = act {
                let path = format!("/admin/users/{}/enable", self.name_of(of_colleague));
                let _ = self.scene.send(self.scene.operate(Method::POST, &path)).await;
            }
            if let Some(event) = said
                && rand::random()
            {
                self.hear_again(event, of_colleague).await;
                calling.begin(&self.scene, &self.bridges);
            }
        }
    }

    /// An event that was acknowledged is sent again, after somebody has signed in again. It is done once: whoever came
    /// after it goes on.
    async fn hear_again(&mut self, event: String, of_colleague: bool) {
        self.link(of_colleague).await;
        let (_, answer) = self.scene.send(self.event(event)).await;
        let verdict = answer.map_or_else(Verdict::Other, |answer| verdict(answer, StatusCode::ACCEPTED));
        if !matches!(verdict, Verdict::LetIn | Verdict::Unavailable) {
            self.history.surprises.push(format!("a repeated event was answered {verdict:?}"));
        }
    }

    fn event(&self, event: String) -> reqwest::RequestBuilder {
        let scene = &self.scene;
        let request = scene.request(Method::POST, scene.any_gateway(), "/v1/auth/revocations/events");
        request.header(CONTENT_TYPE, "application/secevent+jwt").body(event)
    }

    /// Returns the event of the identity provider, if it was one and was acknowledged.
    async fn end(&mut self, act: Act, session: usize) -> Option<String> {
        let scene = self.scene.clone();
        let of_colleague = self.history.colleagues.contains(&session);
        let (name, id) = (&self.name_of(of_colleague), &self.bridges[session].id);
        let as_bridge = |method, path: &str, bridge: usize| {
            scene.request(method, scene.any_gateway(), path).bearer_auth(&self.bridges[bridge].token)
        };
        // A person ends what they have with a bridge of their own, and not with an agent.
        let own: Vec<_> = (0..self.bridges.len())
            .filter(|place| !self.history.parents.contains_key(place))
            .filter(|place| self.history.colleagues.contains(place) == of_colleague)
            .collect();
        let mut said = None;
        let by = *own.choose(&mut rand::rng()).expect("an agent comes after the first bridge");
        let (what, named, asked_with, request) = match act {
            Act::LogOut => {
                let request = as_bridge(Method::POST, "/v1/auth/bridge/logout", session);
                ("log out", Some(session), Some(session), request)
            }
            Act::EndOwn => {
                let request = as_bridge(Method::DELETE, &format!("/v1/auth/bridge/sessions/{id}"), by);
                ("end own", Some(session), Some(by), request)
            }
            Act::EndByOperator => {
                let request = scene.operate(Method::DELETE, &format!("/admin/sessions/{id}"));
                ("end by operator", Some(session), None, request)
            }
            Act::EndAll => (
                "end all",
                None,
                None,
                scene.operate(Method::DELETE, &format!("/admin/users/{name}/sessions")),
            ),
            Act::Disable => {
                ("disable", None, None, scene.operate(Method::POST, &format!("/admin/users/{name}/disable")))
            }
            Act::Event(event) => {
                let event = scene.provider.says(event, name, ISSUER);
                said = Some(event.clone());
                (EVENT, None, None, self.event(event))
            }
            Act::LogoutToken => {
                let path = "/v1/auth/revocations/backchannel-logout";
                let token = scene.provider.logs_out(name, CLIENT);
                let request = scene.request(Method::POST, scene.any_gateway(), path);
                (LOGOUT, None, None, request.form(&[("logout_token", token)]))
            }
        };
        // A person who does not wait for a gateway on the old primary may reach a gateway on the new primary while both
        // are alive.
        let patience = if rand::random() { IMPATIENT } else { Duration::MAX };
        let sent = scene.start.elapsed();
        let Ok((span, answer)) = timeout(patience, scene.send(request)).await else {
            let span = Span { sent, answered: scene.start.elapsed() };
            let acknowledged = false;
            self.history.revocations.push(Revocation {
                what,
                session: named,
                of_colleague,
                span,
                acknowledged,
            });
            return None;
        };
        let done = match act {
            Act::EndAll | Act::LogoutToken => StatusCode::OK,
            Act::Event(_) => StatusCode::ACCEPTED,
            _ => StatusCode::NO_CONTENT,
        };
        let verdict = answer.map_or_else(Verdict::Other, |answer| verdict(answer, done));
        let acknowledged = verdict == Verdict::LetIn;
        self.history.revocations.push(Revocation { what, session: named, of_colleague, span, acknowledged });
        if verdict != Verdict::LetIn {
            let session = asked_with.unwrap_or(session);
            self.history.calls.push(Call { session, gateway: 0, span, verdict });
        }
        said.filter(|_| acknowledged)
    }

    /// One of the sessions whose revocation was not acknowledged yet.
    fn any_live(&self) -> Option<usize> {
        let is_ended = |session| self.history.is_ended(session);
        let live: Vec<_> = (0..self.bridges.len()).filter(|session| !is_ended(*session)).collect();
        live.choose(&mut rand::rng()).copied()
    }
}

/// The session that an access token names.
fn session_of(token: &str) -> String {
    let payload = token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    claims["sid"].as_str().unwrap().to_owned()
}
