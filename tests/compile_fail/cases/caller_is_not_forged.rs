//~ E0451
//~ of struct `Caller` are private

pub fn forged(real: bridge_auth::Caller) -> bridge_auth::Caller {
    bridge_auth::Caller { request_context: None, ..real }
}
