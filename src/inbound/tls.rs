//! The certificate of a listener: read and checked at the start, read again when its files have changed, so
//! that a renewed certificate needs no restart. Owns no connection.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tracing::{info, warn};

/// The permissions of group and others.
const NOT_THE_OWNERS: u32 = 0o077;

/// Why a listener's certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error(
        "cannot read {}: {source}; listener.tls_certificate and listener.tls_key must name PEM files that the relay's user may read",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate file holds no certificates.
    #[error(
        "{}: no certificate in it ({reason}); listener.tls_certificate must name a PEM file with the server's certificate first, then those between it and the authority",
        path.display()
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The key file holds no key.
    #[error(
        "{}: no private key in it ({reason}); listener.tls_key must name a PEM file with the key of the certificate, not encrypted",
        path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The two do not go together, or TLS cannot use them.
    #[error(
        "{} and {} cannot be used together: {source}; listener.tls_key must name the key of the first certificate in listener.tls_certificate",
        certificate.display(), key.display()
    )]
    Pair {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What TLS said.
        source: rustls::Error,
    },
}

/// A certificate with its key, as they are on disk now.
pub(super) struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    stamps: Stamps,
    acceptor: TlsAcceptor,
}

/// What tells that a file is another one than before: times, sizes and inodes of both files.
type Stamps = [Option<(SystemTime, u64, u64)>; 2];

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// The file that cannot be used, and why.
    pub(super) fn load(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        // Before the files are read: a change during reading is then seen at the next handshake.
        let stamps = stamps(certificate, key);
        let acceptor = read(certificate, key)?;
        let loaded = Mutex::new(Loaded { stamps, acceptor });
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), loaded })
    }

    /// What does the next handshake, with the files as they are now. Files that cannot be used are
    /// logged once, and the certificate in use stays.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let stamps = stamps(&self.certificate, &self.key);
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.stamps != stamps {
            loaded.stamps = stamps;
            match read(&self.certificate, &self.key) {
                Ok(acceptor) => {
                    info!(certificate = %self.certificate.display(), "the certificate has changed and was read again");
                    loaded.acceptor = acceptor;
                }
                Err(error) => warn!(%error, "the changed certificate is of no use; the old one stays"),
            }
        }
        loaded.acceptor.clone()
    }
}

fn stamps(certificate: &Path, key: &Path) -> Stamps {
    [certificate, key].map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
    })
}

fn read(certificate: &Path, key: &Path) -> Result<TlsAcceptor, CertificateError> {
    let no_certificate =
        |reason: String| CertificateError::NoCertificate { path: certificate.to_owned(), reason };
    let chain = CertificateDer::pem_slice_iter(&contents(certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| no_certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(no_certificate("it has no such section".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_slice(&contents(key)?).map_err(|error| {
        let reason = match error {
            pem::Error::NoItemsFound => "it has no such section".to_owned(),
            other => other.to_string(),
        };
        CertificateError::NoKey { path: key.to_owned(), reason }
    })?;
    warn_of_readers(key);
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|source| CertificateError::Pair {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn contents(path: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(path).map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}

fn warn_of_readers(key: &Path) {
    if let Ok(metadata) = std::fs::metadata(key)
        && metadata.permissions().mode() & NOT_THE_OWNERS != 0
    {
        warn!(key = %key.display(), "others than its owner may read the private key; chmod 600 it");
    }
}
