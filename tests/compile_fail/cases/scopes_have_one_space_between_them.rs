//~ E0080
//~ a scope is empty: write one space between two scopes, and none around them

pub fn wrong() -> bridge_auth::Scopes {
    bridge_auth::scopes!("a  b")
}
