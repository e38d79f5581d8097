//~ E0599
//~ doesn't satisfy `AccessToken: ToString`

pub fn shown(token: &bridge_auth::id::AccessToken) -> String {
    token.to_string()
}
