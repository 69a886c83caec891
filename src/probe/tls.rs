//! TLS as SSL_GET speaks it: versions 1.2 and 1.3, and whoever answers is believed.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::check::io::{Reason, ReasonKind};
use crate::model::lvs::Ssl;
use crate::probe::{connect, reason};

/// Our side of TLS, made once for all probes.
pub struct Client(TlsConnector);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// With the certificate of `SSL { }`, if there is one; an error says which file and why.
    pub fn new(ssl: &Ssl) -> Result<Self, String> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody));
        let mut config = match own_certificate(ssl)? {
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(|error| format!("SSL certificate: {error}"))?
            }
            None => builder.with_no_client_auth(),
        };
        // Each probe shows that the server can do the whole handshake.
        config.resumption = Resumption::disabled();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Shakes hands by `deadline`. Without a name none is sent.
    pub async fn connect<S>(
        &self,
        stream: S,
        name: Option<&str>,
        peer: IpAddr,
        deadline: Instant,
    ) -> Result<TlsStream<S>, Reason>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // For an address no name is sent. keepalived: nor is one checked.
        let name = name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
        let name = name.unwrap_or(ServerName::IpAddress(peer.into()));
        match timeout_at(deadline, self.0.connect(name, stream)).await {
            Err(_) => Err(reason(ReasonKind::Tls, "no agreement in time")),
            Ok(Err(error)) => Err(reason(ReasonKind::Tls, connect::text(&error))),
            Ok(Ok(stream)) => Ok(stream),
        }
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// keepalived: a CA file is loaded, and nobody is checked against it.
fn own_certificate(ssl: &Ssl) -> Result<Option<Identity>, String> {
    if let Some(path) = &ssl.ca {
        certificates(path)?;
    }
    let Some(path) = &ssl.certificate else { return Ok(None) };
    let chain = certificates(path)?;
    // A file may hold both.
    let key = private_key(ssl.key.as_ref().unwrap_or(path), ssl.password.as_deref())?;
    Ok(Some((chain, key)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let chain: Vec<_> = chain.map_err(|error| format!("{}: {error}", path.display()))?;
    if chain.is_empty() {
        return Err(format!("{}: no certificate in it", path.display()));
    }
    Ok(chain)
}

fn private_key(path: &Path, password: Option<&str>) -> Result<PrivateKeyDer<'static>, String> {
    let complain = |error: String| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| complain(connect::text(&error)))?;
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        // Its password is hashed once with MD5: no package of ours opens it.
        let help = "the key is encrypted in the old way: change it with openssl pkcs8 -topk8";
        return Err(complain(help.into()));
    }
    match (encrypted_key(&text), password) {
        (None, _) => PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| complain(error.to_string())),
        (Some(_), None) => Err(complain("the key is encrypted, and there is no password".into())),
        (Some(pem), Some(password)) => decrypt(pem, password).map_err(complain),
    }
}

/// The part of a file that is an encrypted key (PKCS #8).
fn encrypted_key(text: &str) -> Option<&str> {
    const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
    const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
    let text = &text[text.find(BEGIN)?..];
    Some(&text[..text.find(END)? + END.len()])
}

fn decrypt(pem: &str, password: &str) -> Result<PrivateKeyDer<'static>, String> {
    let (_, encrypted) = SecretDocument::from_pem(pem).map_err(|error| error.to_string())?;
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(encrypted.as_bytes()).map_err(|error| error.to_string())?;
    let key = encrypted.decrypt(password).map_err(|_| "the password does not open the key".to_owned())?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

/// Takes any certificate, and any signature: without a certificate to trust, a signature proves nothing.
// keepalived: no certificate is verified.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        use SignatureScheme::*;
        vec![
            ECDSA_NISTP256_SHA256,
            ECDSA_NISTP384_SHA384,
            ECDSA_NISTP521_SHA512,
            ED25519,
            ED448,
            RSA_PSS_SHA256,
            RSA_PSS_SHA384,
            RSA_PSS_SHA512,
            RSA_PKCS1_SHA256,
            RSA_PKCS1_SHA384,
            RSA_PKCS1_SHA512,
            RSA_PKCS1_SHA1,
            ECDSA_SHA1_Legacy,
        ]
    }
}
