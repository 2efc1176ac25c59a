//! The accounts as a file: to take them along to another machine, and to keep them.
//!
//! JSON lines, in UTF-8, each ended by `\n`:
//!
//! ```text
//! {"memc_accounts": 1}
//! {"user": {"name", "password_hash", "admin", "language", "created_at"}}     argon2id, as a PHC string
//! {"member": {"team", "user"}}
//! {"token": {"id", "sha256", "user", "label", "created_at"}}                 "user" is null for a pillar token
//! {"request": {"user", "id", "change", "asked_at"}}                          ids of changes to the accounts
//! {"end": {"lines": 12, "sha256": "9f86…"}}                                  of all lines before this one
//! ```
//!
//! Times are seconds since 1970. Sessions are left out: everyone logs in anew.

use std::io::{self, BufRead, Write};

use memc_core::model::TeamName;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Accounts, AccountsError, UserName};

/// Of the file.
const VERSION: u32 = 1;

/// Accounts could not be written to a file, or read from one. Nothing was taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// The file cannot be read or written.
    #[error("the file: {0}")]
    File(#[from] io::Error),
    /// The file is none of accounts, was cut short, or was changed since it was written.
    #[error("line {line} of the file: {why}")]
    Line {
        /// From 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// The database did not answer.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// There are users or tokens already.
    #[error("there are users or tokens already: give an accounts file that has none")]
    NotEmpty,
}

impl From<sqlx::Error> for MoveError {
    fn from(error: sqlx::Error) -> Self {
        MoveError::Accounts(error.into())
    }
}

/// How much was moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Users.
    pub users: u64,
    /// Memberships.
    pub members: u64,
    /// Tokens, of users and for pillars.
    pub tokens: u64,
}

/// Id, hash, user, label, when made.
type Token = (String, Vec<u8>, Option<String>, String, i64);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    MemcAccounts(u32),
    User { name: UserName, password_hash: String, admin: bool, language: Option<String>, created_at: i64 },
    Member { team: TeamName, user: UserName },
    Token { id: String, sha256: String, user: Option<UserName>, label: String, created_at: i64 },
    Request { user: UserName, id: String, change: String, asked_at: i64 },
    End { lines: u64, sha256: String },
}

impl Accounts {
    /// Write everything but sessions, as of one moment. Others may go on writing.
    ///
    /// # Errors
    /// See [`MoveError`]. A file without its last line is no whole one.
    pub async fn export(&self, mut to: impl Write) -> Result<Moved, MoveError> {
        let (lines, moved) = self.lines().await?;
        let (mut written, mut digest) = (0, Sha256::new());
        for line in lines {
            let mut text = serde_json::to_vec(&line).map_err(io::Error::from)?;
            text.push(b'\n');
            digest.update(&text);
            written += 1;
            to.write_all(&text)?;
        }
        let end = Line::End { lines: written, sha256: hexadecimal(&digest.finalize()) };
        serde_json::to_writer(&mut to, &end).map_err(io::Error::from)?;
        to.write_all(b"\n")?;
        to.flush()?;
        Ok(moved)
    }

    async fn lines(&self) -> Result<(Vec<Line>, Moved), MoveError> {
        let wrong = |error: &dyn std::fmt::Display| sqlx::Error::Decode(error.to_string().into());
        let name = |text: &str| UserName::new(text).map_err(|error| wrong(&error));
        let mut transaction = self.pool.begin().await?;
        let mut lines = vec![Line::MemcAccounts(VERSION)];
        let mut moved = Moved::default();
        let users: Vec<(String, String, bool, Option<String>, i64)> = sqlx::query_as(
            "SELECT name, password_hash, admin, language, created_at FROM users ORDER BY name",
        )
        .fetch_all(&mut *transaction)
        .await?;
        for (user, password_hash, admin, language, created_at) in users {
            lines.push(Line::User { name: name(&user)?, password_hash, admin, language, created_at });
            moved.users += 1;
        }
        let members: Vec<(String, String)> =
            sqlx::query_as("SELECT team, user_name FROM members ORDER BY team, user_name")
                .fetch_all(&mut *transaction)
                .await?;
        for (team, user) in members {
            let team = TeamName::new(&team).map_err(|error| wrong(&error))?;
            lines.push(Line::Member { team, user: name(&user)? });
            moved.members += 1;
        }
        let tokens: Vec<Token> = sqlx::query_as(
            "SELECT id, token_hash, user_name, label, created_at FROM api_tokens ORDER BY created_at, id",
        )
        .fetch_all(&mut *transaction)
        .await?;
        for (id, hash, user, label, created_at) in tokens {
            let user = user.map(|user| name(&user)).transpose()?;
            lines.push(Line::Token { id, sha256: hexadecimal(&hash), user, label, created_at });
            moved.tokens += 1;
        }
        let requests: Vec<(String, String, String, i64)> =
            sqlx::query_as("SELECT user_name, id, change, asked_at FROM requests ORDER BY asked_at, id")
                .fetch_all(&mut *transaction)
                .await?;
        for (user, id, change, asked_at) in requests {
            lines.push(Line::Request { user: name(&user)?, id, change, asked_at });
        }
        transaction.rollback().await?;
        Ok((lines, moved))
    }

    /// Take a file in, all or nothing, where there are no users and no tokens yet.
    ///
    /// # Errors
    /// See [`MoveError`].
    pub async fn import(&self, from: impl BufRead) -> Result<Moved, MoveError> {
        let lines = read(from)?;
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let there: i64 =
            sqlx::query_scalar("SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM api_tokens)")
                .fetch_one(&mut *transaction)
                .await?;
        if there > 0 {
            return Err(MoveError::NotEmpty);
        }
        let mut moved = Moved::default();
        for (number, line) in (1..).zip(lines) {
            let done = match line {
                Line::User { name, password_hash, admin, language, created_at } => {
                    moved.users += 1;
                    let user = sqlx::query("INSERT INTO users VALUES (?, ?, ?, ?, ?)");
                    let user = user.bind(name.as_str().to_owned()).bind(password_hash).bind(admin);
                    user.bind(language).bind(created_at).execute(&mut *transaction).await
                }
                Line::Member { team, user } => {
                    moved.members += 1;
                    let member = sqlx::query("INSERT INTO members VALUES (?, ?)");
                    let member = member.bind(team.as_str().to_owned()).bind(user.as_str().to_owned());
                    member.execute(&mut *transaction).await
                }
                Line::Token { id, sha256, user, label, created_at } => {
                    moved.tokens += 1;
                    let hash = bytes(&sha256)
                        .ok_or_else(|| MoveError::Line { line: number, why: "sha256 is none".into() })?;
                    let kind = if user.is_some() { "user" } else { "pillar" };
                    let user = user.map(|user| user.as_str().to_owned());
                    let token = sqlx::query("INSERT INTO api_tokens VALUES (?, ?, ?, ?, ?, ?)");
                    let token = token.bind(id).bind(hash).bind(kind).bind(user).bind(label).bind(created_at);
                    token.execute(&mut *transaction).await
                }
                Line::Request { user, id, change, asked_at } => {
                    let request = sqlx::query("INSERT INTO requests VALUES (?, ?, ?, ?)");
                    let request = request.bind(user.as_str().to_owned()).bind(id).bind(change).bind(asked_at);
                    request.execute(&mut *transaction).await
                }
                Line::MemcAccounts(_) | Line::End { .. } => continue,
            };
            match done {
                // A membership of nobody, a name that is there twice.
                Err(sqlx::Error::Database(error)) => {
                    return Err(MoveError::Line { line: number, why: error.to_string() });
                }
                done => done?,
            };
        }
        transaction.commit().await?;
        Ok(moved)
    }
}

/// Read a file through, without a database: that it is whole.
///
/// # Errors
/// See [`MoveError`].
pub fn verify(from: impl BufRead) -> Result<(), MoveError> {
    read(from).map(|_| ())
}

/// Every line, once the whole file was read and its checksum compared.
fn read(mut from: impl BufRead) -> Result<Vec<Line>, MoveError> {
    let (mut lines, mut digest) = (Vec::new(), Sha256::new());
    loop {
        let number = lines.len() as u64 + 1;
        let bad = |why: &str| MoveError::Line { line: number, why: why.to_owned() };
        let mut text = Vec::new();
        if from.read_until(b'\n', &mut text)? == 0 {
            return Err(bad("the file was cut short: its last line is missing"));
        }
        // What the parser says is of its own types, and nobody else's.
        let line: Line = serde_json::from_slice(&text).map_err(|_| match number {
            1 => bad("this is no file of accounts, or one of a later version"),
            _ => bad("the file was cut short or changed: this is none of its lines"),
        })?;
        match (&line, lines.is_empty()) {
            (Line::MemcAccounts(VERSION), true) => {}
            (Line::MemcAccounts(_), true) => return Err(bad("a later version wrote it: use that")),
            (Line::MemcAccounts(_), false) | (_, true) => return Err(bad("this is no file of accounts")),
            (Line::User { password_hash, .. }, _) if !password_hash.starts_with("$argon2id$") => {
                return Err(bad("the password's hash is none of argon2id"));
            }
            (Line::End { lines: count, sha256 }, _) => {
                if (*count, sha256) != (number - 1, &hexadecimal(&digest.finalize())) {
                    return Err(bad("the file was changed since it was written: its checksum differs"));
                }
                return Ok(lines);
            }
            _ => {}
        }
        digest.update(&text);
        lines.push(line);
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The 32 bytes of a SHA-256 in hexadecimal.
fn bytes(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..32).map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()).collect()
}
