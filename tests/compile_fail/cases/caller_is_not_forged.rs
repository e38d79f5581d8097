//~ E0451
//~ of struct `Caller` is private

pub fn forged(real: bridge_auth::Caller) -> bridge_auth::Caller {
    bridge_auth::Caller { request_context: None, ..real }
}
