//! Certificates for servers of tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// An authority of a test's own, which makes certificates with `openssl`.
#[derive(Debug)]
pub struct Authority(TempDir);

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// Make one.
    #[must_use]
    pub fn new() -> Self {
        let authority = Authority(tempfile::tempdir().expect("a temporary directory"));
        let make =
            ["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=test authority", "-newkey", "rsa:2048"];
        run(authority.openssl(&make).args(["-keyout", "ca.key", "-out", "ca.crt"]));
        authority
    }

    fn openssl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("openssl");
        command.current_dir(self.0.path()).args(arguments);
        command
    }

    /// Its own certificate: what is to be trusted.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.0.path().join("ca.crt")
    }

    /// Certify a server, or a client, of a name: `IP:127.0.0.1`, `DNS:db.example.com`. The certificate and its key,
    /// `server.crt` and `server.key`, are put into a directory, for its owner to read.
    #[must_use]
    pub fn certify(&self, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let extensions = format!("subjectAltName = {name}\nextendedKeyUsage = serverAuth, clientAuth\n");
        std::fs::write(self.0.path().join("extensions"), extensions).expect("a file");
        let ask = ["req", "-nodes", "-subj", "/CN=test server", "-newkey", "rsa:2048"];
        run(self.openssl(&ask).args(["-keyout", "server.key", "-out", "server.csr"]));
        let sign = ["x509", "-req", "-days", "2", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key"];
        run(self.openssl(&sign).args(["-CAcreateserial", "-extfile", "extensions", "-out", "server.crt"]));
        let [certificate, key] = ["server.crt", "server.key"].map(|file| {
            let placed = directory.join(file);
            std::fs::copy(self.0.path().join(file), &placed).expect("a file can be copied");
            run(Command::new("chown").arg(format!("--reference={}", directory.display())).arg(&placed));
            run(Command::new("chmod").arg("600").arg(&placed));
            placed
        });
        (certificate, key)
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("it can be started");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
