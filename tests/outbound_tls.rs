//! The way to an outbound server that asks for TLS and AUTH: STARTTLS and implicit TLS, certificates
//! verified, the password only over TLS. The server here speaks just enough SMTP, over rustls.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use consentry::config::{self, OutboundChoice, Span, Tls};
use consentry::outbound::{Begun, MailParameters, Outbound, OutboundError, Step};
use consentry::smtp::{Address, Body, ReversePath};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// AUTH PLAIN of user `relay`, password `s3cret`.
const PLAIN: &str = "AUTH PLAIN AHJlbGF5AHMzY3JldA==";

struct Server {
    address: String,
    heard: Arc<Mutex<Vec<String>>>,
    ca: PathBuf,
    _directory: tempfile::TempDir,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    StartTls,
    StartTlsNotOffered,
    /// Plaintext behind the answer to STARTTLS that would pass for the answer to the EHLO after it.
    StartTlsInjected,
    Implicit,
}

async fn server(kind: Kind, name: &str) -> Server {
    let directory = tempfile::tempdir().expect("directory");
    let certified = rcgen::generate_simple_self_signed([name.to_owned()]).expect("certificate");
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, certified.cert.pem()).expect("CA file");
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("key");
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .expect("server configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listener");
    let address = listener.local_addr().expect("address").to_string();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust us ends the connection: nothing to do then.
            let _ = session(stream, kind, acceptor.clone(), &record).await;
        }
    });
    Server { address, heard, ca, _directory: directory }
}

async fn session(
    stream: TcpStream,
    kind: Kind,
    acceptor: TlsAcceptor,
    heard: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    if kind == Kind::Implicit {
        return dialogue(BufReader::new(acceptor.accept(stream).await?), true, "tls", heard)
            .await
            .map(|_| ());
    }
    let offer = if kind == Kind::StartTlsNotOffered { "HELP" } else { "STARTTLS" };
    let mut plain = BufReader::new(stream);
    plain.write_all(b"220 outbound.example ESMTP\r\n").await?;
    loop {
        let mut line = String::new();
        if plain.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        heard.lock().expect("lock").push(format!("plain {}", line.trim_end()));
        if line.starts_with("EHLO") {
            plain.write_all(format!("250-outbound.example\r\n250 {offer}\r\n").as_bytes()).await?;
        } else if line.starts_with("STARTTLS") {
            let injected: &[u8] =
                if kind == Kind::StartTlsInjected { b"250-evil\r\n250 AUTH PLAIN\r\n" } else { b"" };
            plain.write_all(&[b"220 go\r\n", injected].concat()).await?;
            let stream = acceptor.accept(plain.into_inner()).await?;
            return dialogue(BufReader::new(stream), false, "tls", heard).await;
        } else {
            plain.write_all(b"503 what\r\n").await?;
        }
    }
}

async fn dialogue<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: BufReader<S>,
    greet: bool,
    channel: &str,
    heard: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    if greet {
        stream.write_all(b"220 outbound.example ESMTP\r\n").await?;
        stream.flush().await?;
    }
    let mut in_data = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        heard.lock().expect("lock").push(format!("{channel} {line}"));
        let reply = match line {
            "." if in_data => {
                in_data = false;
                "250 2.0.0 kept\r\n"
            }
            _ if in_data => continue,
            "DATA" => {
                in_data = true;
                "354 go on\r\n"
            }
            PLAIN => "235 2.7.0 welcome\r\n",
            _ if line.starts_with("AUTH") => "535 5.7.8 who are you\r\n",
            _ if line.starts_with("EHLO") => {
                "250-outbound.example\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n"
            }
            _ => "250 2.0.0 ok\r\n",
        };
        stream.write_all(reply.as_bytes()).await?;
        stream.flush().await?;
    }
}

fn settings(server: &Server, tls: Tls) -> config::Outbound {
    let mut settings = config::Outbound::new(server.address.clone(), tls);
    settings.tls_name = Some("outbound.example".to_owned());
    settings.tls_ca = Some(server.ca.clone());
    settings.timeouts.greeting = Span::seconds(5);
    settings
}

async fn send(settings: &config::Outbound) -> Result<String, OutboundError> {
    let outbound = Outbound::new(std::slice::from_ref(settings), OutboundChoice::Ordered, "relay.example")?;
    let reverse_path = ReversePath::Mailbox(Address::parse("a@b.example").expect("address"));
    let mail = MailParameters { reverse_path: &reverse_path, size: 0, body: Body::SevenBit, smtputf8: false };
    let Begun::Accepted(mut transaction, _) = outbound.begin(&mail).await.map_err(|failure| failure.error)?
    else {
        panic!("MAIL was refused")
    };
    transaction.rcpt(&Address::parse("c@d.example").expect("address")).await?;
    let reply = transaction.send(&[b"Subject: x\r\n\r\nbody\r\n"]).await?;
    Ok(reply.to_line())
}

fn step(result: Result<String, OutboundError>) -> Option<Step> {
    result.expect_err("the message went through").step()
}

#[tokio::test]
async fn starttls_comes_before_everything_else() {
    let server = server(Kind::StartTls, "outbound.example").await;
    assert_eq!(send(&settings(&server, Tls::StartTls)).await.expect("sent"), "250 2.0.0 kept");
    let heard = server.heard.lock().expect("lock");
    assert_eq!(heard[..2], ["plain EHLO relay.example", "plain STARTTLS"]);
    assert!(heard[2..].iter().all(|line| line.starts_with("tls ")), "{heard:?}");
}

#[tokio::test]
async fn implicit_tls_from_the_first_byte() {
    let server = server(Kind::Implicit, "outbound.example").await;
    assert_eq!(send(&settings(&server, Tls::Implicit)).await.expect("sent"), "250 2.0.0 kept");
}

#[tokio::test]
async fn a_server_without_starttls_is_not_used() {
    let server = server(Kind::StartTlsNotOffered, "outbound.example").await;
    assert_eq!(step(send(&settings(&server, Tls::StartTls)).await), Some(Step::Tls));
    let heard = server.heard.lock().expect("lock");
    assert!(!heard.iter().any(|line| line.contains("MAIL")), "{heard:?}");
}

#[tokio::test]
async fn plaintext_behind_the_answer_to_starttls_ends_the_connection() {
    let server = server(Kind::StartTlsInjected, "outbound.example").await;
    assert_eq!(step(send(&settings(&server, Tls::StartTls)).await), Some(Step::Tls));
    let heard = server.heard.lock().expect("lock");
    assert_eq!(heard[..], ["plain EHLO relay.example", "plain STARTTLS"]);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    for (kind, tls) in [(Kind::StartTls, Tls::StartTls), (Kind::Implicit, Tls::Implicit)] {
        let server = server(kind, "somebody-else.example").await;
        assert_eq!(step(send(&settings(&server, tls)).await), Some(Step::Tls));
    }
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    for (kind, tls) in [(Kind::StartTls, Tls::StartTls), (Kind::Implicit, Tls::Implicit)] {
        let server = server(kind, "outbound.example").await;
        let public_authorities = config::Outbound { tls_ca: None, ..settings(&server, tls) };
        assert_eq!(step(send(&public_authorities).await), Some(Step::Tls));
    }
}

#[tokio::test]
async fn the_password_comes_from_a_file_and_goes_over_tls_only() {
    let server = server(Kind::StartTls, "outbound.example").await;
    let password = server.ca.with_file_name("password");
    std::fs::write(&password, "s3cret\n").expect("password file");
    let mut settings = settings(&server, Tls::StartTls);
    settings.username = Some("relay".to_owned());
    settings.password_file = Some(password.clone());
    assert_eq!(send(&settings).await.expect("sent"), "250 2.0.0 kept");
    {
        let heard = server.heard.lock().expect("lock");
        assert!(heard.contains(&format!("tls {PLAIN}")), "{heard:?}");
        assert!(!heard.iter().any(|line| line.starts_with("plain AUTH")), "{heard:?}");
    }
    std::fs::write(&password, "wrong\n").expect("password file");
    assert_eq!(step(send(&settings).await), Some(Step::Auth));
    std::fs::remove_file(&password).expect("removed");
    let error = send(&settings).await.expect_err("no password");
    assert!(error.to_string().contains("password"), "{error}");
}
