//! All streams of a bridge, and their tasks.

use std::sync::Arc;

use super::followed::FollowedStream;
use super::following::follow;
use super::receive::ReceiveSets;
use super::settings::EventStream;
use super::stream::{Stream, StreamNames};
use crate::background_task::Background;
use crate::validate::BuildError;

/// The streams of a bridge. Their tasks end when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct EventStreams(Vec<(Arc<Stream>, Background)>);

impl EventStreams {
    /// Adds the stream of `issuer`. `receiver` gets its events.
    ///
    /// # Errors
    ///
    /// [`BuildError`] names the setting that is unsafe.
    pub(crate) fn add(
        &mut self,
        issuer: Arc<str>,
        names: StreamNames,
        settings: EventStream,
        receiver: Arc<dyn ReceiveSets>,
    ) -> Result<(), BuildError> {
        let stream = Stream::new(issuer, names, settings, receiver)?;
        self.0.push((Arc::new(stream), Background::default()));
        Ok(())
    }

    /// Starts to follow each stream that is not followed.
    pub(crate) fn keep_running(&self) {
        for (stream, task) in self.0.iter().filter(|(stream, _)| !stream.is_deleted()) {
            task.ensure(|| follow(stream.clone()));
        }
    }

    /// The stream of `issuer`.
    pub(crate) fn find(&self, issuer: &str) -> Option<FollowedStream> {
        let found = self.0.iter().find(|(stream, _)| stream.issuer() == issuer);
        found.map(|(stream, _)| FollowedStream(stream.clone()))
    }
}
