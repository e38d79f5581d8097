//! The task that follows a stream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use url::Url;

use super::error::EventStreamError;
use super::pace::{Backoff, jittered};
use super::receive::Received;
use super::stream::{Current, Stream};
use super::transmitter::Transmitter;
use super::wire::{Poll, PollAnswer, SetError};
use crate::telemetry;

/// How many SETs a poll asks for, beside those that could not be done at the last one: they come first again.
const MAX_EVENTS: u32 = 32;
/// How many it asks for at most.
const MOST_EVENTS: u32 = 256;
/// An answer without SETs that took so long was held by the transmitter.
const HELD: Duration = Duration::from_secs(1);
/// How often a pushed stream, and a polled one that has no faults, is set up anew: so it is found again when the transmitter has lost it.
const SET_UP_EVERY: Duration = Duration::from_secs(600);

/// What the next poll says about the SETs of the one before.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    ack: Vec<String>,
    errors: BTreeMap<String, SetError>,
    /// Some SETs could not be done. How long the receiver asks to wait.
    not_now: Option<Option<Duration>>,
    /// How many these are.
    waiting: u32,
}

/// Sets the stream up and reads it, until it is deleted. Each fault makes it begin anew, after a while.
pub(super) async fn follow(stream: Arc<Stream>) {
    let following = async {
        let mut backoff = Backoff::default();
        loop {
            let read = match stream.set_up().await {
                Ok(current) => read(&stream, &current, &mut backoff).await,
                Err(fault) => Err(fault),
            };
            if let Err(fault) = read {
                let wait = backoff.after_fault(fault.retry_after());
                tell(&stream, &fault, wait);
                sleep(wait).await;
            }
        }
    };
    tokio::select! {
        () = following => {}
        () = stream.deleted.notified() => {}
    }
}

/// Returns when it is time to set the stream up anew.
async fn read(stream: &Stream, current: &Current, backoff: &mut Backoff) -> Result<(), EventStreamError> {
    answered(stream);
    match &current.poll_at {
        Some(url) => poll_on(stream, url, backoff).await,
        None => {
            backoff.reset();
            sleep(jittered(SET_UP_EVERY)).await;
            Ok(())
        }
    }
}

async fn poll_on(stream: &Stream, url: &Url, backoff: &mut Backoff) -> Result<(), EventStreamError> {
    let (start, mut outcome, mut last) = (Instant::now(), Outcome::default(), BTreeSet::new());
    let mut waiting = 0;
    loop {
        let began = Instant::now();
        let answer = poll(stream, url, &outcome, MAX_EVENTS.saturating_add(waiting).min(MOST_EVENTS)).await?;
        backoff.reset();
        let was_held = answer.sets.is_empty() && began.elapsed() >= HELD;
        // The poll told the transmitter of these.
        let told = std::mem::take(&mut last);
        let brings_news = answer.sets.keys().any(|id| !told.contains(id));
        outcome = take(stream, answer.sets).await;
        waiting = outcome.waiting;
        last.extend(outcome.ack.iter().chain(outcome.errors.keys()).cloned());
        // Whatever the transmitter sends, it is not polled in a loop: the next poll follows at once only when the last one
        // was held or has brought an event that was taken.
        let has_taken = brings_news && !outcome.ack.is_empty() && outcome.not_now.is_none();
        if !was_held && !has_taken {
            let asked = outcome.not_now.flatten().unwrap_or_default();
            if !outcome.is_empty() {
                poll(stream, url, &outcome, 0).await?;
            }
            outcome = Outcome::default();
            sleep(jittered(stream.settings.poll_every).max(asked)).await;
        }
        if start.elapsed() > SET_UP_EVERY && outcome.is_empty() {
            return Ok(());
        }
    }
}

/// Polls once, for at most so many SETs. For none at all it only tells what became of the last ones (RFC 8936 §2.4.2).
async fn poll(
    stream: &Stream,
    url: &Url,
    outcome: &Outcome,
    max_events: u32,
) -> Result<PollAnswer, EventStreamError> {
    let poll = Poll {
        max_events,
        return_immediately: max_events == 0,
        ack: &outcome.ack,
        set_errs: &outcome.errors,
    };
    let began = Instant::now();
    match stream.transmitter.poll(url, &poll).await {
        Ok(answer) => {
            answered(stream);
            Ok(answer)
        }
        // The transmitter held it for longer than we wait.
        Err(EventStreamError::TimedOut { .. }) if began.elapsed() >= Transmitter::LONG_POLL => {
            Ok(PollAnswer::default())
        }
        Err(error) => Err(error),
    }
}

/// Does what the SETs say, one after the other. One that cannot be done now holds back none of those behind it: there are
/// two limits, and what ends something must not wait for what ends nothing.
async fn take(stream: &Stream, sets: BTreeMap<String, String>) -> Outcome {
    let mut outcome = Outcome::default();
    for (id, set) in sets {
        match stream.receiver.receive(&set).await {
            Received::Done => outcome.ack.push(id),
            Received::Refused { code, description } => {
                outcome.errors.insert(id, SetError { err: code, description });
            }
            Received::NotNow { retry_after } => {
                let asked = outcome.not_now.flatten().max(retry_after);
                outcome.not_now = Some(asked);
                outcome.waiting += 1;
            }
        }
    }
    if let Some(wait) = outcome.not_now.flatten() {
        tracing::warn!(
            issuer = %stream.issuer(), wait_seconds = wait.as_secs(),
            "an issuer has sent too many revocations: some of its polled security events are done later"
        );
    }
    outcome
}

impl Outcome {
    fn is_empty(&self) -> bool {
        self.ack.is_empty() && self.errors.is_empty()
    }
}

fn answered(stream: &Stream) {
    telemetry::count("bridge_auth_event_polls_total", "answered");
    let mut standing = stream.standing();
    standing.answered_at = Some(Instant::now());
    standing.fault = None;
}

fn tell(stream: &Stream, fault: &EventStreamError, wait: Duration) {
    telemetry::count("bridge_auth_event_polls_total", "failed");
    let causes = std::iter::successors(Some(fault as &dyn std::error::Error), |error| error.source());
    let told = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    stream.standing().fault = Some(told);
    if fault.is_gone() {
        let mut standing = stream.standing();
        let lost = standing.current.take();
        standing.created.take_if(|created| lost.is_some_and(|lost| lost.id == *created));
    }
    let error: &dyn std::error::Error = fault;
    tracing::warn!(
        issuer = %stream.issuer(), error, wait_seconds = wait.as_secs(),
        "an event stream could not be read: its events are heard of when it can be read again"
    );
}
