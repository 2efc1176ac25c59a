//! Encrypted connections to real servers, with certificates made for the test.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // tests fail by panicking

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::append;
use memc_core::ledger::Head;
use memc_store_sql::connect;
use memc_test_servers::{MariaDb, Postgres, Server};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

fn run(command: &mut Command) {
    let output = command.output().expect("it can be started");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority of one's own.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let authority = Authority(tempfile::tempdir().unwrap());
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

    fn certificate(&self) -> PathBuf {
        self.0.path().join("ca.crt")
    }

    /// Certify a server: its certificate and key are put where its data is, and where it can read them.
    fn certify(&self, server: &Server, name: &str) -> (PathBuf, PathBuf) {
        let extensions = format!("subjectAltName = {name}\nextendedKeyUsage = serverAuth\n");
        std::fs::write(self.0.path().join("extensions"), extensions).unwrap();
        let ask = ["req", "-nodes", "-subj", "/CN=test server", "-newkey", "rsa:2048"];
        run(self.openssl(&ask).args(["-keyout", "server.key", "-out", "server.csr"]));
        let sign = ["x509", "-req", "-days", "2", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key"];
        run(self.openssl(&sign).args(["-CAcreateserial", "-extfile", "extensions", "-out", "server.crt"]));
        let placed = ["server.crt", "server.key"].map(|file| {
            let placed = server.data().join(file);
            std::fs::copy(self.0.path().join(file), &placed).unwrap();
            run(Command::new("chown").arg(format!("--reference={}", server.data().display())).arg(&placed));
            run(Command::new("chmod").arg("600").arg(&placed));
            placed
        });
        let [certificate, key] = placed;
        (certificate, key)
    }
}

async fn is_refused(url: &str) {
    let error = connect(url).await.expect_err(url);
    let told = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
    assert!(format!("{error} {told}").to_lowercase().contains("certificate"), "{error}: {told}");
}

#[tokio::test]
async fn postgres() {
    let (ours, other) = (Authority::new(), Authority::new());
    let mut server = Postgres::start(&[]);
    let with = |ca: &Path, server: &Server| {
        format!("{}?sslmode=verify-full&sslrootcert={}", server.url(), ca.display())
    };
    assert!(connect(&with(&ours.certificate(), &server)).await.is_err(), "it does not speak TLS yet");
    let settings = [("ssl", "on"), ("ssl_cert_file", "server.crt"), ("ssl_key_file", "server.key")];
    ours.certify(&server, "IP:127.0.0.1");
    server.restart_with(&settings);

    let url = with(&ours.certificate(), &server);
    let store = connect(&url).await.expect("connect");
    append(&*store, Head::EMPTY).await.expect("append");
    let mut raw = PgConnection::connect(&server.url()).await.unwrap();
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE application_name = 'memc'";
    assert!(sqlx::query_scalar::<_, bool>(encrypted).fetch_one(&mut raw).await.unwrap());

    is_refused(&with(&other.certificate(), &server)).await;
    // Of the right authority, for another server.
    ours.certify(&server, "DNS:other.example.com");
    server.restart();
    is_refused(&url).await;
}

#[tokio::test]
async fn mariadb() {
    let (ours, other) = (Authority::new(), Authority::new());
    let mut server = MariaDb::start(&[]);
    let with = |ca: &Path, server: &Server| {
        format!("{}?ssl-mode=VERIFY_IDENTITY&ssl-ca={}", server.url(), ca.display())
    };
    assert!(connect(&with(&ours.certificate(), &server)).await.is_err(), "it does not speak TLS yet");
    let (certificate, key) = ours.certify(&server, "IP:127.0.0.1");
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    server.restart_with(&[("ssl-cert", &certificate), ("ssl-key", &key), ("require-secure-transport", "ON")]);

    let url = with(&ours.certificate(), &server);
    let store = connect(&url).await.expect("connect");
    append(&*store, Head::EMPTY).await.expect("append");
    let plain = format!("{}?ssl-mode=DISABLED", server.url());
    assert!(connect(&plain).await.is_err(), "the server insists");

    is_refused(&with(&other.certificate(), &server)).await;
    // Of the right authority, for another server.
    ours.certify(&server, "DNS:other.example.com");
    server.restart();
    is_refused(&url).await;
}
