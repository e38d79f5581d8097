//~ E0277
//~ `Granted<Admin>: From<Caller>` is not satisfied

bridge_auth::required_scopes! {
    pub struct Admin = ["admin"];
}

pub fn forged(caller: bridge_auth::Caller) -> bridge_auth::Granted<Admin> {
    caller.into()
}
