//! Settings that come as text.

use super::BridgeBuilder;
use crate::id::TextOr;
use crate::validate::BuildError;

impl BridgeBuilder {
    /// Reads one setting. [`build`](Self::build) tells of the first one that could not be read.
    pub(super) fn read<T>(&mut self, what: &'static str, value: impl TextOr<T>) -> Option<T> {
        let read = value.parsed(what).map_err(Into::into);
        self.keep(read)
    }

    pub(super) fn read_all<T>(
        &mut self,
        what: &'static str,
        values: impl IntoIterator<Item = impl TextOr<T>>,
    ) -> Vec<T> {
        values.into_iter().filter_map(|value| self.read(what, value)).collect()
    }

    /// Keeps the first error, for [`build`](Self::build) to report.
    pub(super) fn keep<T>(&mut self, setting: Result<T, BuildError>) -> Option<T> {
        let keep = |error| {
            self.malformed.get_or_insert(error);
        };
        setting.map_err(keep).ok()
    }
}
