//~ E0277
//~ `UserId` is neither text nor `bridge_auth::id::Audience`

pub fn wrong(builder: bridge_auth::BridgeBuilder, user: bridge_auth::UserId) -> bridge_auth::BridgeBuilder {
    builder.audiences([user])
}
