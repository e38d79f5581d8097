//! What is known of a refused request beside its answer. Only the log tells it.

use std::cell::RefCell;

use crate::id::{ClientId, SessionId, UserId};

/// Who sent a refused request, as far as a signature or a secret has proved it, and what exactly is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) user: Option<UserId>,
    pub(crate) session: Option<SessionId>,
    pub(crate) client: Option<ClientId>,
    /// Who acts for the user, the newest first.
    pub(crate) actor: Option<String>,
    /// A client that the caller names. Nothing proves it.
    pub(crate) claimed_client: Option<ClientId>,
    /// The operator, as the host named them.
    pub(crate) operator: Option<String>,
    /// The external issuer whose keys the token was verified with, and the subject of its token.
    pub(crate) issuer: Option<String>,
    pub(crate) subject: Option<String>,
    /// A word for the exact reason, where the code of the answer says less.
    pub(crate) reason: Option<&'static str>,
    /// What exactly is wrong, in a sentence. Text from outside is escaped and short in it, and no secret is in it.
    pub(crate) detail: Option<String>,
    pub(crate) limit: Option<ReachedLimit>,
    /// The limits that the refusal was charged to.
    pub(crate) charged: Option<&'static str>,
}

/// A rate limit that was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReachedLimit {
    pub(crate) by: &'static str,
    /// Whose limit it is.
    pub(crate) of: Option<String>,
    /// In seconds.
    pub(crate) retry_after: u64,
}

impl Known {
    pub(crate) fn detail(detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::default() }
    }

    /// Whether it is proved who sent the request.
    pub(crate) fn is_somebody(&self) -> bool {
        self.user.is_some() || self.client.is_some() || self.subject.is_some() || self.operator.is_some()
    }

    /// Adds what `other` knows, where this knows nothing.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            user: self.user.or(other.user),
            session: self.session.or(other.session),
            client: self.client.or(other.client),
            actor: self.actor.or(other.actor),
            claimed_client: self.claimed_client.or(other.claimed_client),
            operator: self.operator.or(other.operator),
            issuer: self.issuer.or(other.issuer),
            subject: self.subject.or(other.subject),
            reason: self.reason.or(other.reason),
            detail: self.detail.or(other.detail),
            limit: self.limit.or(other.limit),
            charged: self.charged.or(other.charged),
        }
    }
}

tokio::task_local! {
    /// What was noted while a request was answered.
    static NOTES: RefCell<Known>;
}

/// Answers a request, and collects what is [noted](note) meanwhile.
pub(crate) async fn noting<F: Future>(answering: F) -> (F::Output, Known) {
    let answering = async {
        let answer = answering.await;
        (answer, NOTES.try_with(RefCell::take).unwrap_or_default())
    };
    NOTES.scope(RefCell::default(), answering).await
}

/// Notes something for the line of the log, in case that the request is refused. Outside an endpoint it does nothing.
pub(crate) fn note(change: impl FnOnce(&mut Known)) {
    let _ = NOTES.try_with(|notes| notes.try_borrow_mut().map(|mut known| change(&mut known)));
}

/// Notes why the request is refused. What is noted first stays.
pub(crate) fn note_reason(reason: &'static str, detail: impl Into<String>) {
    let detail = detail.into();
    note(|known| {
        if known.reason.is_none() {
            (known.reason, known.detail) = (Some(reason), Some(detail));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn notes_belong_to_one_request() {
        note_reason("nobody", "hears this");
        let one = noting(async {
            note_reason("one", "first");
            note_reason("one", "second");
            tokio::task::yield_now().await;
            note(|known| known.user = UserId::parse("alice").ok());
        });
        let two = noting(async { tokio::task::yield_now().await });
        let ((_, one), (_, two)) = tokio::join!(one, two);
        assert_eq!((one.reason, one.detail.as_deref()), (Some("one"), Some("first")));
        assert!(one.is_somebody() && two == Known::default());
    }
}
