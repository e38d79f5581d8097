//~ E0277
//~ `UserId` does not say which scopes it stands for
//~ declare it with `bridge_auth::required_scopes!`
//~ `required_scopes! { pub struct CallModels = ["models:call"]; }` declares `CallModels`

fn required<R: bridge_auth::extract::RequiredScopes>() -> &'static [&'static str] {
    R::SCOPES
}

pub fn wrong() -> &'static [&'static str] {
    required::<bridge_auth::UserId>()
}
