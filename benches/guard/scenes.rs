//! What is measured, and how much each may cost over the floor: the one table to edit.

use bridge_auth::BridgeAuthLayer;

/// One kind of request through one kind of host.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    pub name: &'static str,
    pub host: Host,
    /// How many headers are sent besides those of the next two fields: 5 or 20.
    pub headers: usize,
    /// Whether the client sends the six identity headers, as a bridge does that was told to.
    pub identity: bool,
    /// Whether the client sends `traceparent`.
    pub trace: bool,
    /// Whether the guard writes the six identity headers.
    pub writes: bool,
    pub token: Token,
    /// Whether the peers are measured there too.
    pub peers: bool,
    pub limit: Limit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// An axum router with state, whose handler takes the state and the caller.
    Axum,
    /// A tower service that answers at once.
    Tower,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// Verified before, its session looked up before.
    EdDsa,
    Hs256,
    /// These are refused.
    Missing,
    Garbage,
    Expired,
}

/// Instructions over the floor.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    /// What was promised.
    Budget(i64),
    /// What was measured: a tenth more is let through.
    Measured(i64),
}

/// Whoever is measured in a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contestant {
    Floor,
    Guard,
    ByHand,
    Peer,
}

/// How the layer is told to write no identity headers; those scenes are left out while it cannot be told.
// AT THE MERGE: Some(|layer| layer.identity_headers(false))
pub const WRITE_NOTHING: Option<fn(BridgeAuthLayer) -> BridgeAuthLayer> = None;

const AXUM: Scene = Scene {
    name: "",
    host: Host::Axum,
    headers: 5,
    identity: false,
    trace: false,
    writes: true,
    token: Token::EdDsa,
    peers: false,
    limit: Limit::Budget(0),
};

pub const SCENES: [Scene; 16] = {
    use Limit::{Budget, Measured};
    use Token::{Expired, Garbage, Hs256, Missing};
    [
        Scene { name: "axum, 5 headers", peers: true, limit: Budget(8_000), ..AXUM },
        Scene { name: "axum, 5 headers, HS256", token: Hs256, limit: Budget(8_000), ..AXUM },
        Scene { name: "axum, 5 headers, traceparent", trace: true, limit: Measured(12_000), ..AXUM },
        Scene { name: "axum, 5 headers, identity", identity: true, limit: Measured(12_000), ..AXUM },
        Scene {
            name: "axum, 5 headers, identity, traceparent",
            identity: true,
            trace: true,
            limit: Measured(12_000),
            ..AXUM
        },
        Scene { name: "axum, 20 headers", headers: 20, peers: true, limit: Measured(12_000), ..AXUM },
        Scene {
            name: "axum, 20 headers, traceparent",
            headers: 20,
            trace: true,
            limit: Measured(12_000),
            ..AXUM
        },
        Scene {
            name: "axum, 20 headers, identity",
            headers: 20,
            identity: true,
            limit: Measured(12_000),
            ..AXUM
        },
        Scene {
            name: "axum, 20 headers, identity, traceparent",
            headers: 20,
            identity: true,
            trace: true,
            limit: Measured(12_000),
            ..AXUM
        },
        Scene { name: "axum, 5 headers, none written", writes: false, limit: Budget(5_000), ..AXUM },
        Scene {
            name: "axum, 5 headers, identity, none written",
            identity: true,
            writes: false,
            limit: Measured(5_000),
            ..AXUM
        },
        Scene {
            name: "axum, 20 headers, none written",
            headers: 20,
            writes: false,
            limit: Measured(5_000),
            ..AXUM
        },
        Scene { name: "axum, 5 headers, no token", token: Missing, limit: Measured(10_000), ..AXUM },
        Scene { name: "axum, 5 headers, garbage", token: Garbage, limit: Measured(16_000), ..AXUM },
        Scene { name: "axum, 5 headers, expired", token: Expired, limit: Measured(530_000), ..AXUM },
        Scene {
            name: "tower, 5 headers, identity",
            host: Host::Tower,
            identity: true,
            limit: Budget(4_500),
            ..AXUM
        },
    ]
};

/// The scenes of a host in which a contestant is measured.
pub fn scenes(host: Host, contestant: Contestant) -> impl Iterator<Item = &'static Scene> {
    SCENES.iter().filter(move |scene| {
        let possible = scene.writes || WRITE_NOTHING.is_some();
        possible && scene.host == host && (scene.peers || contestant != Contestant::Peer)
    })
}

impl Limit {
    /// The most that is let through.
    pub const fn most(self) -> i64 {
        match self {
            Self::Budget(most) => most,
            Self::Measured(measured) => measured + measured / 10,
        }
    }
}
