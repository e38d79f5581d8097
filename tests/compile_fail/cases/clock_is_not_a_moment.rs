//~ E0277
//~ `SystemTime` is not a clock

pub fn wrong(builder: bridge_auth::BridgeBuilder) -> bridge_auth::BridgeBuilder {
    builder.clock(std::time::SystemTime::now())
}
