//! TLS to PostgreSQL: the certificate and the host name are always verified.

use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{failed, misconfigured};
use crate::store::StoreError;

/// A connector that trusts the certificates in `root_certificates`, or else the system's.
pub(super) fn connector(root_certificates: Option<&Path>) -> Result<MakeRustlsConnect, StoreError> {
    let roots = match root_certificates {
        Some(path) => from_file(path)?,
        None => of_the_system(),
    };
    // The provider is named: a default for the whole process is the host's to choose.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// TLS was to be spoken, and was not.
#[derive(Debug, thiserror::Error)]
#[error(
    "no verified TLS to {hosts}: the server has none, or a certificate that is not trusted or for another name. In its \
     address write sslmode=verify-full{separator}sslrootcert=FILE where the certificate is a private authority's, or \
     sslmode=disable only where the network between is trusted"
)]
struct NoVerifiedTls {
    hosts: String,
    /// What stands between two settings.
    separator: char,
    source: StoreError,
}

/// Says what to write instead, when `fault` is that there was no TLS to `hosts` which could be verified.
pub(super) fn explain(fault: StoreError, hosts: &str, separator: char) -> StoreError {
    if !is_of_tls(&fault) {
        return fault;
    }
    let kind = fault.kind();
    StoreError::new(kind, NoVerifiedTls { hosts: hosts.to_owned(), separator, source: fault })
}

/// `tokio-postgres` tells which of its errors are of TLS by their text alone.
fn is_of_tls(fault: &StoreError) -> bool {
    std::iter::successors(fault.source(), |error| (*error).source()).any(|error| {
        error
            .downcast_ref::<tokio_postgres::Error>()
            .is_some_and(|error| error.to_string() == "error performing TLS handshake")
    })
}

fn from_file(path: &Path) -> Result<RootCertStore, StoreError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(misconfigured)? {
        roots.add(certificate.map_err(misconfigured)?).map_err(misconfigured)?;
    }
    if roots.is_empty() {
        return Err(misconfigured("the root certificate file holds no certificate"));
    }
    Ok(roots)
}

/// What the system trusts; nothing where it has no store, and then no certificate is good.
fn of_the_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
