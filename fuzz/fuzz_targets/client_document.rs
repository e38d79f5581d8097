//! The metadata document of an OAuth client, under its URL: the first line, and the rest.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(line) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(url) = std::str::from_utf8(&bytes[..line]) else { return };
    bridge_auth::client_metadata::fuzz_document(url, &bytes[line + 1..]);
});
