//~ E0308
//~ expected `Duration`, found integer

pub fn wrong() -> bridge_auth::Freshness {
    bridge_auth::Freshness::Watched { max_lag: 1 }
}
