//! The writes of one person take turns before they take a connection.
//!
//! So a person who writes in a loop, over any number of connections to the gateway, uses one of the store's
//! connections. The others stay free for other people. A device grant that waits belongs to nobody yet: its polls take
//! turns by themselves.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use super::StoreError;
use crate::id::{DeviceCodeHash, UserId};

/// Whose writes take turns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Writer {
    Person(UserId),
    /// Whoever polls with this device code.
    DeviceGrant(DeviceCodeHash),
}

impl From<&UserId> for Writer {
    fn from(person: &UserId) -> Self {
        Self::Person(person.clone())
    }
}

/// A queue for each writer who writes now. The map is as large as the number of these writers.
pub(crate) struct WriteQueue<K>(Arc<Mutex<HashMap<K, Queue>>>)
where
    K: Eq + Hash;

type Queue = Arc<tokio::sync::Mutex<()>>;

/// A writer's turn. It lasts until this is dropped.
#[must_use = "the turn ends when this is dropped"]
pub(crate) struct Turn<K>
where
    K: Eq + Hash,
{
    turns: WriteQueue<K>,
    person: K,
    /// Dropped before the map is looked at.
    held: Option<OwnedMutexGuard<()>>,
}

impl<K: Eq + Hash + Clone> WriteQueue<K> {
    /// Waits for the turn of `person`. Turns come in the order of arrival.
    ///
    /// # Cancel safety
    ///
    /// A dropped future gives up its place in the queue.
    pub(crate) async fn take(&self, person: &K) -> Turn<K> {
        let queue = self.lock().entry(person.clone()).or_default().clone();
        // Made before the wait: a future that is dropped while it waits leaves no queue behind.
        let mut turn = Turn { turns: self.clone(), person: person.clone(), held: None };
        turn.held = Some(queue.lock_owned().await);
        turn
    }

    /// Waits for the turn of `person`, for `longest` at most.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the turn did not come in time.
    pub(crate) async fn take_within(&self, longest: Duration, person: &K) -> Result<Turn<K>, StoreError> {
        timeout(longest, self.take(person)).await.map_err(|_| StoreError::timed_out())
    }
}

impl<K: Eq + Hash> WriteQueue<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Queue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Turn<K> {
    fn drop(&mut self) {
        drop(self.held.take());
        let mut queues = self.turns.lock();
        // Each one that waits, or is about to wait, holds the queue. It took the queue under this lock.
        if queues.get(&self.person).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.person);
        }
    }
}

impl<K: Eq + Hash> Clone for WriteQueue<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Eq + Hash> Default for WriteQueue<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash> fmt::Debug for WriteQueue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteQueue").field("people", &self.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn one_person_writes_once_at_a_time_and_leaves_nothing_behind() {
        let turns = WriteQueue::<&str>::default();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                let (turns, now, most) = (turns.clone(), now.clone(), most.clone());
                tokio::spawn(async move {
                    let _turn = turns.take(&"alice").await;
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    now.fetch_sub(1, Ordering::SeqCst);
                })
            })
            .collect();
        let bob = turns.take(&"bob").await;
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(most.load(Ordering::SeqCst), 1);
        drop(bob);
        assert!(turns.lock().is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_nothing_behind() {
        let turns = WriteQueue::<&str>::default();
        let held = turns.take(&"alice").await;
        let waiting = timeout(Duration::from_millis(20), turns.take(&"alice"));
        assert!(waiting.await.is_err());
        drop(held);
        assert!(turns.lock().is_empty());
    }
}
