//~ E0451
//~ of struct `Granted` are private

use std::marker::PhantomData;

bridge_auth::required_scopes! {
    pub struct Admin = ["admin"];
}

pub fn forged(caller: bridge_auth::Caller) -> bridge_auth::Granted<Admin> {
    bridge_auth::Granted { caller, required: PhantomData }
}
