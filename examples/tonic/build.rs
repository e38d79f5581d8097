//! Generates Rust code from `proto/bridge.proto`, without protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["proto/bridge.proto"], ["proto"])?;
    tonic_prost_build::compile_fds(files)?;
    Ok(())
}
