//~ E0435
//~ non-constant value in a constant

pub fn wrong(text: &'static str) -> bridge_auth::Scopes {
    bridge_auth::scopes!(text)
}
