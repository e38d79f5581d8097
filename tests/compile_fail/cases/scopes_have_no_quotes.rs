//~ E0080
//~ a scope has only visible ASCII characters other than '"' and '\'

pub fn wrong() -> bridge_auth::Scopes {
    bridge_auth::scopes!("a \"b")
}
