//! The TLS settings for the outbound server: which authorities are trusted, which name is expected.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::OutboundError;

/// TLS towards one server. The handshake is done before there is an SMTP client, also with STARTTLS: the
/// client would take over what it has read ahead.
pub(super) struct OutboundTls {
    pub(super) connector: TlsConnector,
    pub(super) name: ServerName<'static>,
}

impl OutboundTls {
    /// `name` is what the certificate must carry; `ca` a PEM file of authorities to trust instead of the
    /// public ones.
    pub(super) fn new(name: &str, ca: Option<&Path>) -> Result<Self, OutboundError> {
        let invalid_name = || OutboundError::File {
            path: Path::new(name).to_owned(),
            reason: "it is not a name that a certificate can carry; set tls_name".to_owned(),
        };
        let mut roots = RootCertStore::empty();
        match ca {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(path) => {
                let unusable = |reason: String| OutboundError::File { path: path.to_owned(), reason };
                for certificate in read_certificates(path)? {
                    roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
                }
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| invalid_name())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name: ServerName::try_from(name.to_owned()).map_err(|_| invalid_name())?,
        })
    }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OutboundError> {
    let unusable = |reason: String| OutboundError::File { path: path.to_owned(), reason };
    let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(format!("it is no PEM file of certificates: {error}")))?;
    if certificates.is_empty() {
        return Err(unusable("it holds no certificate".to_owned()));
    }
    Ok(certificates)
}
