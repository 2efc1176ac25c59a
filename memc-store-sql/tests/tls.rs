//! Encrypted connections to real servers, with certificates made for the test.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

mod common;

use std::path::Path;

use common::append;
use memc_core::ledger::Head;
use memc_core::store::Severity;
use memc_store_sql::connect;
use memc_test_servers::{Authority, MariaDb, Postgres, Server};
use sqlx::{Connection, PgConnection};

async fn is_refused(url: &str) {
    let error = connect(url).await.expect_err(url);
    let told = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
    assert!(format!("{error} {told}").to_lowercase().contains("certificate"), "{error}: {told}");
}

/// What a store says of its connection to 127.0.0.1 by an address that is not said to be this machine's.
async fn notes(url: &str) -> Vec<String> {
    let store = connect(&url.replace("127.0.0.1", "0.0.0.0")).await.expect("connect");
    let notes = store.check().await.expect("check").into_iter();
    notes
        .inspect(|it| assert_eq!(it.severity, Severity::Note))
        .map(|it| it.code + ": " + &it.message)
        .collect()
}

/// One note, as every store has it.
fn is_plaintext(notes: &[String], kind: &str, parameter: &str, server: &Server) {
    let told = format!("{kind}.plaintext: the connection to 0.0.0.0:{} is not encrypted", server.port());
    let [note] = notes else { panic!("{notes:?}") };
    assert!(note.starts_with(&told) && note.contains(parameter), "{note}");
}

#[tokio::test]
async fn postgres() {
    let (ours, other) = (Authority::new(), Authority::new());
    let mut server = Postgres::start(&[]);
    let with = |ca: &Path, server: &Server| {
        format!("{}?sslmode=verify-full&sslrootcert={}", server.url(), ca.display())
    };
    assert!(connect(&with(&ours.certificate(), &server)).await.is_err(), "it does not speak TLS yet");
    is_plaintext(&notes(&server.url()).await, "postgres", "?sslmode=verify-full", &server);
    let settings = [("ssl", "on"), ("ssl_cert_file", "server.crt"), ("ssl_key_file", "server.key")];
    let _ = ours.certify(&server.data(), "IP:127.0.0.1");
    server.restart_with(&settings);

    let url = with(&ours.certificate(), &server);
    let store = connect(&url).await.expect("connect");
    append(&*store, Head::EMPTY).await.expect("append");
    let mut raw = PgConnection::connect(&server.url()).await.unwrap();
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE application_name = 'memc'";
    assert!(sqlx::query_scalar::<_, bool>(encrypted).fetch_one(&mut raw).await.unwrap());
    // The server offers it, and so it is.
    assert_eq!(notes(&server.url()).await, [""; 0]);
    is_plaintext(
        &notes(&format!("{}?sslmode=disable", server.url())).await,
        "postgres",
        "verify-full",
        &server,
    );

    is_refused(&with(&other.certificate(), &server)).await;
    // Of the right authority, for another server.
    let _ = ours.certify(&server.data(), "DNS:other.example.com");
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
    is_plaintext(&notes(&server.url()).await, "mariadb", "?ssl-mode=VERIFY_IDENTITY", &server);
    let (certificate, key) = ours.certify(&server.data(), "IP:127.0.0.1");
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    server.restart_with(&[("ssl-cert", &certificate), ("ssl-key", &key), ("require-secure-transport", "ON")]);

    let url = with(&ours.certificate(), &server);
    let store = connect(&url).await.expect("connect");
    append(&*store, Head::EMPTY).await.expect("append");
    let plain = format!("{}?ssl-mode=DISABLED", server.url());
    assert!(connect(&plain).await.is_err(), "the server insists");
    assert_eq!(notes(&server.url()).await, [""; 0]);

    is_refused(&with(&other.certificate(), &server)).await;
    // Of the right authority, for another server.
    let _ = ours.certify(&server.data(), "DNS:other.example.com");
    server.restart();
    is_refused(&url).await;
}
