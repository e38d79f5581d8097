//~ E0277
//~ `Caller: Default` is not satisfied

pub fn forged() -> bridge_auth::Caller {
    Default::default()
}
