//! An https server that answers what a test says, byte for byte.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::LOOPBACK;

/// The certificate authority of the tests, and what it signed.
pub(super) static ROOT: LazyLock<Root> = LazyLock::new(Root::make);

pub(super) struct Root {
    pub(super) certificate: Vec<u8>,
    server: (Vec<u8>, Vec<u8>),
}

pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    reply: Mutex<Reply>,
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

/// What the server does once it has read a request.
#[derive(Clone)]
pub(super) enum Reply {
    Bytes(Vec<u8>),
    /// These bytes, then one more byte each time, without end.
    Drip(Vec<u8>, Duration),
    /// These bytes, then the second ones again and again.
    Endless(Vec<u8>, Vec<u8>),
    Nothing,
}

impl Reply {
    pub(super) fn json(body: &str) -> Self {
        Self::with("content-type: application/json", body.as_bytes())
    }

    /// 200 with these header lines and a length.
    pub(super) fn with(headers: &str, body: &[u8]) -> Self {
        Self::Bytes([Self::head(headers, body.len()).as_bytes(), body].concat())
    }

    pub(super) fn status(status: &str, headers: &str) -> Self {
        let lines = ["HTTP/1.1 ", status, "\r\ncontent-length: 0\r\n", headers, "\r\n\r\n"];
        Self::Bytes(lines.concat().into_bytes())
    }

    pub(super) fn head(headers: &str, length: usize) -> String {
        format!("HTTP/1.1 200 OK\r\n{headers}\r\ncontent-length: {length}\r\n\r\n")
    }
}

impl Root {
    const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    const NAMES: &str = "subjectAltName=DNS:client.example,DNS:*.client.example,IP:127.0.0.1,IP:::1";

    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let openssl = |arguments: String| {
            let made =
                Command::new("openssl").args(arguments.split(' ')).current_dir(&folder).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        };
        let key = Self::NEW_KEY;
        std::fs::write(folder.path().join("names"), Self::NAMES).unwrap();
        openssl(format!("req -x509 {key} -days 2 -subj /CN=tests -keyout ca.key -out ca.pem"));
        openssl(format!("req {key} -subj /CN=server -keyout server.key -out server.csr"));
        openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem"
                .to_owned(),
        );
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        Self { certificate: read("ca.pem"), server: (read("server.pem"), read("server.key")) }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let (chain, key) = &self.server;
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(key).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::start_at(LOOPBACK, 0).await
    }

    pub(super) async fn start_at(address: IpAddr, port: u16) -> Self {
        let listener = TcpListener::bind((address, port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            reply: Mutex::new(Reply::Nothing),
            connections: AtomicUsize::new(0),
            requests: Mutex::default(),
        });
        let serving = tokio::spawn(accept(listener, shared.clone()));
        Self { address, shared, serving }
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn answer(&self, reply: Reply) {
        *self.shared.reply.lock().unwrap() = reply;
    }

    /// How often somebody connected.
    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The heads of all requests.
    pub(super) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Returns when `count` requests have come.
    pub(super) async fn until_requested(&self, count: usize) {
        while self.requests().len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let acceptor = ROOT.acceptor();
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let (acceptor, shared) = (acceptor.clone(), shared.clone());
        // A client that gives up breaks the connection: that is no fault of the server.
        tokio::spawn(async move { _ = serve(socket, &acceptor, &shared).await });
    }
}

async fn serve(socket: TcpStream, acceptor: &TlsAcceptor, shared: &Shared) -> std::io::Result<()> {
    let mut stream = acceptor.accept(socket).await?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    shared.requests.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
    let reply = shared.reply.lock().unwrap().clone();
    match reply {
        Reply::Bytes(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        }
        Reply::Drip(bytes, pause) => {
            stream.write_all(&bytes).await?;
            loop {
                stream.flush().await?;
                tokio::time::sleep(pause).await;
                stream.write_all(b" ").await?;
            }
        }
        Reply::Endless(bytes, more) => {
            stream.write_all(&bytes).await?;
            loop {
                stream.write_all(&more).await?;
            }
        }
        Reply::Nothing => std::future::pending().await,
    }
}
