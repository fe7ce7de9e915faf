//! TLS towards an engine of another machine, with the files of the `docker` program.
//!
//! In: [`Tls`]. Out: a connector. A CA file alone decides whom we trust; without one the system
//! does. A certificate of ours is shown if there is one.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::address::Tls;
use crate::runtime::{Result, RuntimeError};

/// Reads the files and gets ready to connect.
pub(super) async fn connector(tls: &Tls) -> Result<TlsConnector> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| RuntimeError::Unsupported(format!("TLS cannot be set up: {error}")))?;
    let builder = if tls.verify {
        builder.with_root_certificates(roots(&tls.ca).await?)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody { provider }))
    };
    let config = match (read(&tls.cert).await?, read(&tls.key).await?) {
        (Some(cert), Some(key)) => {
            let chain = certificates(&tls.cert, &cert)?;
            let key =
                PrivateKeyDer::from_pem_slice(&key).map_err(|error| broken(&tls.key, &error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| broken(&tls.cert, &error))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Those who may vouch for the engine.
async fn roots(ca: &Path) -> Result<RootCertStore> {
    let certificates = match read(ca).await? {
        Some(text) => certificates(ca, &text)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    Ok(roots)
}

fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let all: std::result::Result<_, _> = CertificateDer::pem_slice_iter(text).collect();
    all.map_err(|error| broken(path, &error))
}

/// Reads a file; `None` if there is none.
async fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match tokio::fs::read(path).await {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => {
            Err(RuntimeError::Io { action: format!("read `{}`", path.display()), source })
        }
    }
}

fn broken(path: &Path, error: &dyn std::error::Error) -> RuntimeError {
    let source = io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    RuntimeError::Io { action: format!("use `{}`", path.display()), source }
}

/// Takes every certificate: the user has turned verification off.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
