//! Serves the gateway at one address, and its metrics at another.
//!
//! `cargo run --package example-observability -- 127.0.0.1:8080 127.0.0.1:9464`

use std::net::SocketAddr;
use std::path::Path;

use example_observability::{Error, app, keep_up, metrics, open, record_metrics};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let filter = EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new("info"))?;
    tracing_subscriber::fmt().with_env_filter(filter).init();
    let mut arguments = std::env::args().skip(1);
    let gateway = TcpListener::bind(arguments.next().as_deref().unwrap_or("127.0.0.1:8080")).await?;
    let scraped = TcpListener::bind(arguments.next().as_deref().unwrap_or("127.0.0.1:9464")).await?;
    let handle = record_metrics()?;
    tokio::spawn(keep_up(handle.clone()));
    let bridge = open(format!("http://{}", gateway.local_addr()?), Path::new(".")).await?;
    tracing::info!(
        "listening on http://{}, metrics at http://{}/metrics",
        gateway.local_addr()?,
        scraped.local_addr()?
    );
    let app = app(&bridge)?.into_make_service_with_connect_info::<SocketAddr>();
    tokio::try_join!(axum::serve(gateway, app), axum::serve(scraped, metrics(handle)))?;
    Ok(())
}
