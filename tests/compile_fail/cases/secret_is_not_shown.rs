//~ E0277
//~ `ClientSecret` doesn't implement `std::fmt::Display`

pub fn shown(secret: &bridge_auth::id::ClientSecret) -> String {
    format!("the secret is {secret}")
}
