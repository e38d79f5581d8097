//! The end of a server that a terminal or a service manager started.

use tokio::signal::unix::{SignalKind, signal};

/// Waits until the process is told to stop.
pub async fn told_to_stop() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
