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

/// A connector that trusts the certificates in `root_certificates`, or else those of the system.
pub(super) fn connector(root_certificates: Option<&Path>) -> Result<MakeRustlsConnect, StoreError> {
    let roots = match root_certificates {
        Some(path) => from_file(path)?,
        None => of_the_system(),
    };
    // The provider is named here: the host chooses the default for the whole process.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// TLS was required, and there was none that could be verified.
#[derive(Debug, thiserror::Error)]
#[error(
    "no verified TLS to {hosts}: the server has no TLS, or its certificate is not trusted or is for another name. In \
     the address of the database write sslmode=verify-full{separator}sslrootcert=FILE if a private authority issued \
     the certificate, or sslmode=disable only if the network between is trusted"
)]
struct NoVerifiedTls {
    hosts: String,
    /// The character between two settings.
    separator: char,
    source: StoreError,
}

/// Adds to `fault` what to write, if the fault is that there was no verified TLS to `hosts`.
pub(super) fn explain(fault: StoreError, hosts: &str, separator: char) -> StoreError {
    if !is_of_tls(&fault) {
        return fault;
    }
    let kind = fault.kind();
    StoreError::new(kind, NoVerifiedTls { hosts: hosts.to_owned(), separator, source: fault })
}

/// `tokio-postgres` shows only by the text of an error that it is about TLS.
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
        return Err(misconfigured("the root certificate file has no certificate: it must be a PEM file"));
    }
    Ok(roots)
}

/// The certificates that the system trusts. If the system has none, no certificate is accepted.
fn of_the_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
