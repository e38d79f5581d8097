//~ E0277
//~ `String` does not write the body of a rejection
//~ give a function `|rejection: &Rejection| -> (HeaderValue, Bytes)`

pub fn wrong(builder: bridge_auth::BridgeBuilder) -> bridge_auth::BridgeBuilder {
    builder.rejection_body(String::from("no"))
}
