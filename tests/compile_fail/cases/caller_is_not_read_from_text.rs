// A claim of another issuer is anything that can be deserialized.
//~ E0277
//~ `Caller
//~ is not satisfied

pub fn forged(claims: &bridge_auth::external_issuer::ExternalClaims) -> Option<bridge_auth::Caller> {
    claims.claim("caller")
}
