use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::device::certificate::temporary;
use crate::device::testing::ManualClock;

/// A server on the loopback that answers each request with what it knows: the number of its connection, and the
/// certificate it was shown.
struct Server {
    anchor: Vec<u8>,
    url: String,
}

async fn serve() -> Server {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "mdm.example".to_owned()];
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &ca).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(Arc::new(AnyCertificate(verifier.allow_unauthenticated().build().unwrap())))
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        for number in 1.. {
            let (tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(answer_all(acceptor.clone(), tcp, number));
        }
    });
    Server { anchor: ca.der().to_vec(), url }
}

async fn answer_all(acceptor: TlsAcceptor, tcp: tokio::net::TcpStream, number: u32) {
    let Ok(mut tls) = acceptor.accept(tcp).await else { return };
    let shown = tls.get_ref().1.peer_certificates().is_some();
    let mut buffer = [0; 4096];
    while tls.read(&mut buffer).await.is_ok_and(|read| read > 0) {
        let body = format!("connection {number}, identity {shown}");
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n", body.len());
        tls.write_all((head + &body).as_bytes()).await.unwrap();
    }
}

/// Asks for certificates and takes any: what a server thinks of a device is not this test's subject.
#[derive(Debug)]
struct AnyCertificate(Arc<dyn rustls::server::danger::ClientCertVerifier>);

impl rustls::server::danger::ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<rustls::server::danger::ClientCertVerified, rustls::Error> {
        Ok(rustls::server::danger::ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

async fn get(session: &dyn Session, url: &str) -> Result<String, SendError> {
    let request = Request { method: Method::GET, url: url.to_owned(), headers: Vec::new(), body: Vec::new() };
    let reply = session.send(request).await?;
    assert_eq!(reply.content_type.as_deref(), Some("text/plain"));
    Ok(String::from_utf8(reply.body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_session_keeps_its_connection_and_shows_its_identity_when_asked() {
    let server = serve().await;
    let clock = ManualClock::new().clock();
    let internet = Internet::new(clock.clone(), HashMap::new(), Vec::new());
    let anchors = [server.anchor.clone()];
    let without = internet.session(&anchors, None).unwrap();
    for _ in 0..2 {
        assert_eq!(get(without.as_ref(), &server.url).await.unwrap(), "connection 1, identity false");
    }
    let key = Arc::new(Key::generate().unwrap());
    let certificate = temporary(&key, "device", &[1], clock.now()).unwrap();
    let with = internet.session(&anchors, Some(&Identity { key, certificate })).unwrap();
    assert_eq!(get(with.as_ref(), &server.url).await.unwrap(), "connection 2, identity true");
}

#[tokio::test]
async fn only_the_anchors_of_the_profile_and_the_extra_ones_are_trusted() {
    let (server, other) = (serve().await, serve().await);
    let clock = ManualClock::new().clock();
    let internet = Internet::new(clock.clone(), HashMap::new(), Vec::new());
    let session = internet.session(&[other.anchor], None).unwrap();
    let error = get(session.as_ref(), &server.url).await.unwrap_err().to_string();
    assert!(error.contains("invalid peer certificate") && error.contains("localhost"), "{error}");
    let generous = Internet::new(clock, HashMap::new(), vec![server.anchor.clone()]);
    assert!(get(generous.session(&[], None).unwrap().as_ref(), &server.url).await.is_ok());
}

#[tokio::test]
async fn names_may_be_given_instead_of_asked_for() {
    let server = serve().await;
    let hosts = HashMap::from([("mdm.example".to_owned(), IpAddr::from([127, 0, 0, 1]))]);
    let internet = Internet::new(ManualClock::new().clock(), hosts, Vec::new());
    let session = internet.session(&[server.anchor], None).unwrap();
    let url = server.url.replace("localhost", "mdm.example");
    assert!(get(session.as_ref(), &url).await.is_ok());
    let nowhere = get(session.as_ref(), "https://localhost:1/").await.unwrap_err();
    assert!(matches!(nowhere, SendError::Failed { .. }), "{nowhere}");
}
