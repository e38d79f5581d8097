//~ E0277
//~ ExternalCaller: Default` is not satisfied

pub fn forged() -> bridge_auth::external_issuer::ExternalCaller {
    Default::default()
}
