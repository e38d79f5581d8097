//~ E0063
//~ missing field `max_lag`

pub fn wrong() -> bridge_auth::Freshness {
    bridge_auth::Freshness::Watched {}
}
