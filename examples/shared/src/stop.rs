//! When a server has to stop: on ctrl-c, or when a service manager sends SIGTERM.

/// Waits until the process is told to stop.
pub async fn told_to_stop() {
    tokio::select! {
        () = interrupted() => {}
        () = terminated() => {}
    }
}

/// Waits for ctrl-c.
pub async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits for SIGTERM.
#[cfg(unix)]
pub async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};

    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    terminate.recv().await;
}

/// Waits forever: there is no such signal.
#[cfg(not(unix))]
pub async fn terminated() {
    std::future::pending().await
}
