//! STUB
#![allow(missing_docs, missing_debug_implementations, dead_code, clippy::todo)]
use crate::{bridge::Bridge, token::KeyRing};
pub struct BridgeService;
impl BridgeService {
    pub(crate) fn new(_: &Bridge) -> Self {
        todo!()
    }
}
pub struct AdminService;
impl AdminService {
    pub(crate) fn new(_: &Bridge) -> Self {
        todo!()
    }
}
pub struct JwksService;
impl JwksService {
    pub(crate) fn new(_: KeyRing) -> Self {
        todo!()
    }
}
