//! The server that everything is compared with: hyper and TLS with vppd's settings, and an empty 200 to every request.
//! Runs in a process of its own, as vppd does.

use std::convert::Infallible;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio_rustls::TlsAcceptor;

use crate::load::Target;

/// Makes this program the bare server.
pub const ARGUMENT: &str = "bare-server";

const CERTIFICATE: &str = "bare-certificate.pem";
const KEY: &str = "bare-key.pem";

/// The bare server as a process. It is killed when this is dropped.
pub struct BareServer {
    child: Child,
    pub target: Target,
}

impl BareServer {
    /// Starts it with a new certificate, which is left in `folder`.
    pub async fn start(folder: &Path) -> anyhow::Result<BareServer> {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
        std::fs::write(folder.join(CERTIFICATE), certificate.pem())?;
        std::fs::write(folder.join(KEY), key.serialize_pem())?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(ARGUMENT).arg(folder).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("could not start the bare server")?;
        let mut line = String::new();
        let output = child.stdout.take().context("the bare server has no output")?;
        BufReader::new(output).read_line(&mut line).await?;
        let port = line.trim().parse().with_context(|| format!("the bare server said {line:?} instead of its port"))?;
        let target = Target::new(port, &[certificate.der().to_vec()])?;
        Ok(BareServer { child, target })
    }

    pub fn id(&self) -> anyhow::Result<u32> {
        self.child.id().context("the bare server has ended")
    }
}

/// Serves until killed; tells its port on standard output.
pub fn serve(folder: &Path) -> anyhow::Result<()> {
    let chain = vec![CertificateDer::from_pem_file(folder.join(CERTIFICATE))?];
    let key = PrivateKeyDer::from_pem_file(folder.join(KEY))?;
    let mut tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?.port());
        std::io::stdout().flush()?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await?;
                let mut builder = auto::Builder::new(TokioExecutor::new());
                let http1 = &mut builder.http1();
                http1.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10)).max_buf_size(64 * 1024);
                let service = hyper::service::service_fn(answer);
                // A peer that breaks off is its own business.
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                Ok::<_, std::io::Error>(())
            });
        }
    })
}

async fn answer(request: hyper::Request<Incoming>) -> Result<hyper::Response<Empty<Bytes>>, Infallible> {
    // Read as vppd has to.
    let _ = request.into_body().collect().await;
    Ok(hyper::Response::new(Empty::new()))
}
