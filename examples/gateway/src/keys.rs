//! The key file, and the algorithm that its key is for.

use std::fs;
use std::path::Path;

use anyhow::{Context, Error, Result};
use bridge_auth::token::{Algorithm, KeyError, KeyRing};
use clap::ValueEnum;

/// The algorithms, by the names that stand in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AlgorithmName {
    /// Ed25519: short keys, short signatures, fast
    #[value(name = "EdDSA")]
    EdDsa,
    /// The same under its newer name (RFC 9864)
    #[value(name = "Ed25519")]
    Ed25519,
    /// ECDSA on P-256
    #[value(name = "ES256")]
    Es256,
    /// RSA (PKCS #1 v1.5): for programs that know nothing newer
    #[value(name = "RS256")]
    Rs256,
    /// RSA (PSS)
    #[value(name = "PS256")]
    Ps256,
}

impl AlgorithmName {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::EdDsa => Algorithm::EdDsa,
            Self::Ed25519 => Algorithm::Ed25519,
            Self::Es256 => Algorithm::Es256,
            Self::Rs256 => Algorithm::Rs256,
            Self::Ps256 => Algorithm::Ps256,
        }
    }
}

/// The keys in `file`, which is made if it is missing.
pub fn open(file: &Path, name: AlgorithmName) -> Result<KeyRing> {
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create the folder {} for the key file", parent.display()))?;
    }
    KeyRing::load_or_generate(file, name.algorithm()).map_err(|error| explained(error, file, name))
}

/// Says which algorithms a key is for that is not for this one.
fn explained(error: KeyError, file: &Path, name: AlgorithmName) -> Error {
    let suits = |other: &&AlgorithmName| KeyRing::load_or_generate(file, other.algorithm()).is_ok();
    let others: Vec<_> = match &error {
        KeyError::InFile { .. } => AlgorithmName::value_variants().iter().filter(suits).collect(),
        _ => Vec::new(),
    };
    if others.is_empty() {
        return error.into();
    }
    let said = |name: &AlgorithmName| format!("--algorithm {}", name.algorithm());
    let (asked, others) = (said(&name), others.into_iter().map(said).collect::<Vec<_>>().join(" or "));
    anyhow::anyhow!(
        "the key in {} is not for {asked}: write {others}, or name another file with --key-file, where a new key is made",
        file.display()
    )
}
