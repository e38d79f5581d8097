//~ E0277
//~ `u16` is neither text nor a `Url`
//~ give text (`&str` or `String`), or a `Url`

pub fn wrong(builder: bridge_auth::BridgeBuilder, port: u16) -> bridge_auth::BridgeBuilder {
    builder.token_endpoint(port)
}
