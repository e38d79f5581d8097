//~ E0080
//~ each text is one scope: write several as ["a", "b"]

bridge_auth::required_scopes! {
    pub struct Both = ["models:call models:admin"];
}
