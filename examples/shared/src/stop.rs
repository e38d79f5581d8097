//! When a server has to stop: on ctrl-c, or when a service manager sends SIGTERM.

/// Waits until the process is told to stop.
pub async fn told_to_stop() {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};

    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    terminate.recv().await;
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}
