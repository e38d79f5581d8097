//~ E0423
//~ private

pub fn forged(text: String) -> bridge_auth::id::AccessToken {
    bridge_auth::id::AccessToken(text.into())
}
