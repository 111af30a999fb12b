//! A mailer over TLS, and certificates for listeners.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::mailer::{Reply, stuffed};
use super::{Mailer, PATIENCE};

const NAME: &str = "relay.example";

/// A directory with `relay.pem` and `relay.key`.
pub struct Pair(tempfile::TempDir);

impl Pair {
    pub fn new() -> Self {
        let pair = Self(tempfile::tempdir().expect("directory"));
        pair.renew();
        pair
    }

    /// Another certificate with another key, put in place as renewal programs do: by renaming.
    pub fn renew(&self) {
        let certified = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("certificate");
        self.put("relay.key", &certified.signing_key.serialize_pem());
        self.put("relay.pem", &certified.cert.pem());
    }

    /// Replaces one of the files.
    pub fn put(&self, name: &str, contents: &str) {
        let new = self.0.path().join("new");
        std::fs::write(&new, contents).expect("file");
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).expect("mode");
        std::fs::rename(new, self.path(name)).expect("rename");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path("relay.pem")).expect("certificate")
    }

    /// The lines of a listener that uses it.
    pub fn listener(&self, tls: &str) -> String {
        listener(tls, &self.path("relay.pem"), &self.path("relay.key"))
    }
}

/// The lines of a listener that uses these files.
pub fn listener(tls: &str, certificate: &Path, key: &Path) -> String {
    format!("tls = {tls:?}\ntls_certificate = {certificate:?}\ntls_key = {key:?}")
}

/// A connection to the relay after a handshake.
pub struct TlsMailer {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl TlsMailer {
    /// Handshakes over a connection on which TLS may begin; only `trusted` is trusted.
    pub fn handshake(tcp: TcpStream, trusted: CertificateDer<'static>) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted).expect("root");
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(NAME).expect("name");
        let mut session = ClientConnection::new(Arc::new(config), name).expect("client");
        let mut tcp = tcp;
        tcp.set_read_timeout(Some(PATIENCE))?;
        while session.is_handshaking() {
            session.complete_io(&mut tcp)?;
        }
        Ok(Self { stream: BufReader::new(StreamOwned::new(session, tcp)) })
    }

    /// Connects to a listener of implicit TLS.
    pub fn connect(address: SocketAddr, trusted: CertificateDer<'static>) -> io::Result<Self> {
        Self::handshake(TcpStream::connect(address)?, trusted)
    }

    /// Goes on under TLS after the relay's 220 to STARTTLS.
    pub fn upgrade(mailer: &Mailer, trusted: CertificateDer<'static>) -> io::Result<Self> {
        Self::handshake(mailer.stream().try_clone()?, trusted)
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("write");
        self.stream.get_mut().flush().expect("flush");
    }

    #[track_caller]
    pub fn say(&mut self, line: &str) -> Reply {
        self.write(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        let mut lines: Vec<String> = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("a reply");
            assert!(line.ends_with("\r\n"), "a line without CRLF: {line:?}");
            let more = line.as_bytes().get(3) == Some(&b'-');
            lines.push(line.trim_end().to_owned());
            if !more {
                return Reply { code: lines[0][..3].parse().expect("code"), lines };
            }
        }
    }

    /// A whole transaction; returns the last reply.
    #[track_caller]
    pub fn send(&mut self, from: &str, to: &str, message: &[u8]) -> Reply {
        self.say(&format!("MAIL FROM:<{from}>")).expect("250 ...");
        self.say(&format!("RCPT TO:<{to}>")).expect("250 ...");
        self.say("DATA").expect("354 ...");
        self.write(&stuffed(message));
        self.reply()
    }

    /// Everything until the relay closes; fails when the end is not announced as TLS wants it.
    pub fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("a clean end");
        rest
    }
}
