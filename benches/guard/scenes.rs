//! The scenes, and how much each may cost over the floor. This is the only table to edit.

/// One kind of request through one kind of host.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    pub name: &'static str,
    pub host: Host,
    /// How many headers the client sends, without those of the next two fields: 5 or 20.
    pub headers: usize,
    /// Whether the client sends the six identity headers, as a bridge can be told to do.
    pub identity: bool,
    /// Whether the client sends `traceparent`.
    pub trace: bool,
    /// Whether the guard writes the six identity headers.
    pub writes: bool,
    pub token: Token,
    /// Whether the guarded handler asks for the `Caller`. Otherwise it is the same handler as on the floor.
    pub asks: bool,
    /// Whether `bench-peers` has this scene too.
    pub peers: bool,
    pub limit: Limit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// An axum router with state. The handler takes the state and the caller.
    Axum,
    /// A tower service that answers at once.
    Tower,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// The token was verified before, and its session was looked up before.
    EdDsa,
    Hs256,
    /// The guard refuses these.
    Missing,
    Garbage,
    Expired,
}

/// The limit of a scene: instructions over the floor.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    /// The promised figure. A fiftieth more is let through, because two builds of one source can differ by that much.
    Budget(i64),
    /// The measured figure. A tenth more is let through.
    Measured(i64),
}

pub const SCENES: [Scene; 18] = {
    use Limit::{Budget, Measured};
    use Token::{Expired, Garbage, Hs256, Missing};
    [
        axum("axum, 5 headers", 5, Budget(8_000)).beside_peers(),
        axum("axum, 5 headers, HS256", 5, Budget(8_000)).shown(Hs256),
        axum("axum, 5 headers, traceparent", 5, Measured(8_500)).traced(),
        axum("axum, 5 headers, identity", 5, Measured(5_600)).identified(),
        axum("axum, 5 headers, identity, traceparent", 5, Measured(5_800)).identified().traced(),
        axum("axum, 20 headers", 20, Measured(9_800)).beside_peers(),
        axum("axum, 20 headers, traceparent", 20, Measured(9_900)).traced(),
        axum("axum, 20 headers, identity", 20, Measured(7_300)).identified(),
        axum("axum, 20 headers, identity, traceparent", 20, Measured(7_500)).identified().traced(),
        axum("axum, 5 headers, handler asks who calls", 5, Measured(8_500)).asking(),
        axum("axum, 5 headers, none written", 5, Budget(5_000)).silent(),
        axum("axum, 5 headers, none written, handler asks who calls", 5, Measured(5_100)).silent().asking(),
        axum("axum, 5 headers, identity, none written", 5, Measured(7_200)).identified().silent(),
        axum("axum, 20 headers, none written", 20, Measured(5_850)).silent(),
        axum("axum, 5 headers, no token", 5, Measured(11_800)).shown(Missing),
        axum("axum, 5 headers, garbage", 5, Measured(17_000)).shown(Garbage),
        axum("axum, 5 headers, expired", 5, Measured(525_100)).shown(Expired),
        axum("tower, 5 headers, identity", 5, Budget(4_500)).identified().without_axum(),
    ]
};

/// A scene with a token that was verified before, and a guard that writes the identity headers.
const fn axum(name: &'static str, headers: usize, limit: Limit) -> Scene {
    Scene {
        name,
        host: Host::Axum,
        headers,
        identity: false,
        trace: false,
        writes: true,
        token: Token::EdDsa,
        asks: false,
        peers: false,
        limit,
    }
}

impl Scene {
    const fn without_axum(mut self) -> Self {
        self.host = Host::Tower;
        self
    }

    const fn identified(mut self) -> Self {
        self.identity = true;
        self
    }

    const fn traced(mut self) -> Self {
        self.trace = true;
        self
    }

    const fn silent(mut self) -> Self {
        self.writes = false;
        self
    }

    const fn asking(mut self) -> Self {
        self.asks = true;
        self
    }

    const fn shown(mut self, token: Token) -> Self {
        self.token = token;
        self
    }

    const fn beside_peers(mut self) -> Self {
        self.peers = true;
        self
    }
}

/// The scenes of a host. With the peers, only the scenes that the peers have too.
pub fn scenes(host: Host) -> impl Iterator<Item = &'static Scene> {
    SCENES.iter().filter(move |scene| scene.host == host && (!cfg!(peers) || scene.peers))
}

impl Limit {
    /// The most that is let through.
    pub const fn most(self) -> i64 {
        match self {
            Self::Budget(budget) => budget + budget / 50,
            Self::Measured(measured) => measured + measured / 10,
        }
    }
}
