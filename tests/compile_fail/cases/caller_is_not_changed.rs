//~ E0616
//~ of struct `Caller` is private

pub fn forged(mut caller: bridge_auth::Caller, other: &bridge_auth::Caller) -> bridge_auth::Caller {
    caller.verified = other.verified.clone();
    caller
}
