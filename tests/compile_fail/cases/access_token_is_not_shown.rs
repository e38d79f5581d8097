//~ E0277
//~ `AccessToken` doesn't implement `std::fmt::Display`

pub fn shown(token: &bridge_auth::id::AccessToken) -> String {
    token.to_string()
}
