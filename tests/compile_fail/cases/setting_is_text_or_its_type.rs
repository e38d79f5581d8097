//~ E0277
//~ `u16` is neither text nor `url::Url`
//~ give text (`&str` or `String`), or the type `url::Url`

pub fn wrong(builder: bridge_auth::BridgeBuilder, port: u16) -> bridge_auth::BridgeBuilder {
    builder.token_endpoint(port)
}
