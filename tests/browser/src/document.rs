//! The metadata document of an OAuth client, at the https URL that is the client's id.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A server of one document, with a certificate of an authority of its own.
#[derive(Debug)]
pub struct Document {
    host: String,
    root: Vec<u8>,
    serving: JoinHandle<()>,
}

impl Document {
    /// Serves the document of a public client with this name and redirect URI.
    pub async fn serve(client_name: &str, redirect_uri: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let document = json!({
            "client_id": url(&host),
            "client_name": client_name,
            "redirect_uris": [redirect_uri],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
        });
        let folder = certificates();
        let acceptor = acceptor(&folder);
        let root = fs::read(folder.path().join("ca.pem")).unwrap();
        let serving = tokio::spawn(accept(listener, acceptor, document.to_string()));
        Self { host, root, serving }
    }

    /// The id of the client.
    #[must_use]
    pub fn url(&self) -> String {
        url(&self.host)
    }

    /// The host and port in the id.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The certificate of the authority.
    #[must_use]
    pub fn root(&self) -> &[u8] {
        &self.root
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn url(host: &str) -> String {
    format!("https://{host}/client.json")
}

/// Makes an authority, and what it signed for this machine.
fn certificates() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |arguments: &str| {
        let made = Command::new("openssl").args(arguments.split(' ')).current_dir(&folder).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    fs::write(folder.path().join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
    openssl(&format!("req -x509 {key} -days 2 -subj /CN=tests -keyout ca.key -out ca.pem"));
    openssl(&format!("req {key} -subj /CN=server -keyout server.key -out server.csr"));
    let sign = "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names";
    openssl(&format!("{sign} -out server.pem"));
    folder
}

fn acceptor(folder: &TempDir) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(folder.path().join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.path().join("server.key")).unwrap();
    let chain = chain.collect::<Result<_, _>>().unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, document: String) {
    while let Ok((socket, _)) = listener.accept().await {
        // A client that gives up breaks the connection: that is no fault of the server.
        let _ = answer(socket, &acceptor, &document).await;
    }
}

async fn answer(socket: TcpStream, acceptor: &TlsAcceptor, document: &str) -> std::io::Result<()> {
    let mut stream = acceptor.accept(socket).await?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let length = document.len();
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(document.as_bytes()).await?;
    stream.shutdown().await
}
