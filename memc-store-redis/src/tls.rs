//! Clients of a node, with or without TLS.

use redis::{Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisError};

use crate::url::{Address, Target};

/// A client that is not connected yet. The files that the URL names are read each time, so that certificates can be
/// renewed under a running program.
pub(crate) fn client(
    target: &Target,
    address: &Address,
    login: RedisConnectionInfo,
) -> Result<Client, RedisError> {
    let (host, port) = (address.host.clone(), address.port);
    #[cfg(feature = "tls")]
    if let Some(tls) = &target.tls {
        let server = ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None };
        let server = server.into_connection_info()?.set_redis_settings(login);
        return Client::build_with_tls(server, encrypted::certificates(tls)?);
    }
    #[cfg(not(feature = "tls"))]
    let _ = target;
    Client::open(ConnectionAddr::Tcp(host, port).into_connection_info()?.set_redis_settings(login))
}

#[cfg(feature = "tls")]
mod encrypted {
    use std::io;
    use std::path::Path;

    use redis::{ClientTlsConfig, RedisError, TlsCertificates};
    use rustls::crypto::{CryptoProvider, ring};

    use crate::url::Tls;

    pub(super) fn certificates(tls: &Tls) -> Result<TlsCertificates, RedisError> {
        // Where several are built in, rustls takes none by itself, and panics.
        if CryptoProvider::get_default().is_none() {
            // Another thread may have been first.
            let _ = ring::default_provider().install_default();
        }
        let identity = tls.identity.as_ref().map(|(certificate, key)| {
            Ok::<_, RedisError>(ClientTlsConfig { client_cert: read(certificate)?, client_key: read(key)? })
        });
        Ok(TlsCertificates {
            client_tls: identity.transpose()?,
            root_cert: tls.authorities.as_deref().map(read).transpose()?,
        })
    }

    /// A file in PEM. One with nothing in it would trust nobody, and the server would be blamed.
    fn read(path: &Path) -> io::Result<Vec<u8>> {
        let said = |why: String| io::Error::other(format!("{}: {why}", path.display()));
        let text = std::fs::read(path).map_err(|error| said(error.to_string()))?;
        let begins = b"-----BEGIN ";
        if !text.windows(begins.len()).any(|at| at == begins) {
            return Err(said("there is no certificate or key in it (PEM is needed)".into()));
        }
        Ok(text)
    }
}
