//! The program itself, in processes of its own, and a client for it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The program, not disturbed by this machine's environment.
pub(crate) fn memc_portal() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memc-portal"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Where the store is, as a flag takes it.
pub(crate) fn store_in(directory: &Path) -> String {
    format!("sqlite://{}/memc.db", directory.display())
}

/// Run to its end.
pub(crate) fn run(arguments: &[&str], input: &str) -> Output {
    let mut command = memc_portal();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that fails early does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Run to its end, with success; what it printed.
pub(crate) fn succeed(arguments: &[&str], input: &str) -> String {
    let output = run(arguments, input);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A served portal; killed when it is dropped.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Served {
    pub(crate) fn start(store: &str, more: &[&str]) -> Self {
        let mut command = memc_portal();
        command.args(["serve", "--listen", "127.0.0.1:0", "--store", store, "--log", "warn"]).args(more);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line:?}"));
        Served { address: address.to_owned(), child }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request over a connection of its own.
pub(crate) async fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<(u16, String, Value)> {
    let mut stream = TcpStream::connect(address).await?;
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let broken = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(broken)?;
    let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
    Ok((status, head.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null)))
}

/// One call to the API.
pub(crate) async fn api(
    address: &str,
    token: &str,
    method: &str,
    path: &str,
    key: &str,
    body: &Value,
) -> std::io::Result<(u16, Value)> {
    let token = format!("Bearer {token}");
    let mut headers = vec![("authorization", &*token), ("content-type", "application/json")];
    if !key.is_empty() {
        headers.push(("idempotency-key", key));
    }
    let path = format!("/api/v1{path}");
    let (status, _, body) = request(address, method, &path, &headers, &body.to_string()).await?;
    Ok((status, body))
}
