//~ E0639
//~ non-exhaustive

pub fn wrong(known: bridge_auth::SignedIn) -> bridge_auth::SignedIn {
    bridge_auth::SignedIn { scopes: bridge_auth::scopes!("admin"), ..known }
}
