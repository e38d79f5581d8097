//~ E0080
//~ a scope has only visible ASCII characters

const SCOPE: &str = "models:\u{e9}";

bridge_auth::required_scopes! {
    pub struct Accent = [SCOPE];
}
