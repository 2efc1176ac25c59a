//! Logging in, sessions, tokens.

use std::net::IpAddr;
use std::path::PathBuf;

use memc_core::model::TeamName;
use memc_portal::accounts::{Accounts, AccountsError, LoginError, TokenKind, UserName};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Executor};
use tempfile::TempDir;

struct Fixture {
    accounts: Accounts,
    path: PathBuf,
    _directory: TempDir,
}

const HERE: &str = "192.0.2.1";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn name(text: &str) -> UserName {
    UserName::new(text).unwrap()
}

async fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("accounts.db");
    let accounts = Accounts::open(&format!("sqlite://{}", path.display())).await.unwrap();
    accounts.create_user(&name("li"), "correct horse", false).await.unwrap();
    Fixture { accounts, path, _directory: directory }
}

impl Fixture {
    /// Do to the tables what only time does otherwise.
    async fn sql(&self, statement: &'static str) {
        let options = SqliteConnectOptions::new().filename(&self.path);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        connection.execute(statement).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn login(&self, user: &str, password: &str, client: &str) -> Result<String, LoginError> {
        self.accounts.login(user, password, address(client)).await.map(|session| session.token)
    }
}

#[tokio::test]
async fn the_right_password_begins_a_session() {
    let fixture = fixture().await;
    let token = fixture.login("li", "correct horse", HERE).await.unwrap();
    let session = fixture.accounts.session(&token).await.unwrap().unwrap();
    assert_eq!(session.user.name, name("li"));
    assert_eq!(session.csrf.len(), 64);
    assert_ne!(session.csrf, token);
    assert!(memc_portal::auth::csrf_matches(&session, &session.csrf));
    for wrong in ["", "x", &token] {
        assert!(!memc_portal::auth::csrf_matches(&session, wrong));
        assert!(wrong == token || fixture.accounts.session(wrong).await.unwrap().is_none());
    }
    fixture.accounts.end_session(&session).await.unwrap();
    assert!(fixture.accounts.session(&token).await.unwrap().is_none());
    for (user, password) in
        [("li", "wrong horse"), ("li", ""), ("nobody", "correct horse"), ("Not A Name", "x")]
    {
        let refused = fixture.login(user, password, HERE).await;
        assert!(matches!(refused, Err(LoginError::Wrong)), "{user}: {refused:?}");
    }
}

#[tokio::test]
async fn secrets_are_kept_as_hashes() {
    let fixture = fixture().await;
    let session = fixture.login("li", "correct horse", HERE).await.unwrap();
    let token = fixture.accounts.create_user_token(&name("li"), "").await.unwrap().token;
    let pillar = fixture.accounts.create_pillar_token("").await.unwrap().token;
    fixture.accounts.close().await;
    let kept = std::fs::read(&fixture.path).unwrap();
    let kept = String::from_utf8_lossy(&kept);
    assert!(kept.contains("$argon2id$"));
    for secret in ["correct horse", &session, &token, &pillar, &token[6..], &pillar[6..]] {
        assert!(!kept.contains(secret));
    }
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fixture.path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn sessions_end_by_themselves() {
    let fixture = fixture().await;
    let idle = fixture.login("li", "correct horse", HERE).await.unwrap();
    fixture.sql("UPDATE sessions SET used_at = used_at - 13 * 3600").await;
    assert!(fixture.accounts.session(&idle).await.unwrap().is_none());
    let old = fixture.login("li", "correct horse", HERE).await.unwrap();
    fixture.sql("UPDATE sessions SET created_at = created_at - 8 * 86400").await;
    assert!(fixture.accounts.session(&old).await.unwrap().is_none());
    // Use keeps one alive: eleven hours, and eleven more.
    let used = fixture.login("li", "correct horse", HERE).await.unwrap();
    for _ in 0..2 {
        fixture.sql("UPDATE sessions SET used_at = used_at - 11 * 3600").await;
        assert!(fixture.accounts.session(&used).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_new_password_ends_the_sessions() {
    let fixture = fixture().await;
    let token = fixture.login("li", "correct horse", HERE).await.unwrap();
    fixture.accounts.set_password(&name("li"), "another one").await.unwrap();
    assert!(fixture.accounts.session(&token).await.unwrap().is_none());
    assert!(fixture.login("li", "correct horse", HERE).await.is_err());
    assert!(fixture.login("li", "another one", HERE).await.is_ok());
    let short = fixture.accounts.set_password(&name("li"), "short").await;
    assert!(matches!(short, Err(AccountsError::Password)));
    let unknown = fixture.accounts.set_password(&name("nobody"), "long enough").await;
    assert!(matches!(unknown, Err(AccountsError::NoSuchUser(_))));
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let fixture = fixture().await;
    let throttled = |result: &Result<String, LoginError>| matches!(result, Err(LoginError::Throttled { .. }));
    for _ in 0..10 {
        assert!(matches!(fixture.login("li", "wrong", HERE).await, Err(LoginError::Wrong)));
    }
    let refused = fixture.login("li", "correct horse", HERE).await;
    assert!(throttled(&refused), "even with the right password: {refused:?}");
    // The user gets in from elsewhere, and others from here.
    assert!(fixture.login("li", "correct horse", "192.0.2.2").await.is_ok());
    fixture.accounts.create_user(&name("wu"), "correct horse", false).await.unwrap();
    assert!(fixture.login("wu", "correct horse", HERE).await.is_ok());
    // After a while, again; another process counts the same.
    fixture.sql("UPDATE login_attempts SET until = until - 3600").await;
    assert!(fixture.login("li", "correct horse", HERE).await.is_ok());
    let other = Accounts::open(&format!("sqlite://{}", fixture.path.display())).await.unwrap();
    fixture.sql("UPDATE login_attempts SET attempts = 1000 WHERE subject LIKE 'address:%'").await;
    assert!(matches!(
        other.login("wu", "correct horse", address(HERE)).await,
        Err(LoginError::Throttled { .. })
    ));
    fixture.sql("DELETE FROM login_attempts").await;
    fixture.login("li", "wrong", HERE).await.unwrap_err();
    fixture.sql("UPDATE login_attempts SET attempts = 1000 WHERE subject LIKE 'name:%'").await;
    assert!(throttled(&fixture.login("li", "correct horse", "192.0.2.3").await));
}

#[tokio::test]
async fn success_is_not_held_against_anyone() {
    let fixture = fixture().await;
    for _ in 0..30 {
        fixture.login("li", "correct horse", HERE).await.unwrap();
    }
}

#[tokio::test]
async fn a_burst_gets_no_further_than_one_after_the_other() {
    let fixture = fixture().await;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let accounts = fixture.accounts.clone();
        tries.spawn(async move { accounts.login("li", "wrong", address(HERE)).await });
    }
    let outcomes = tries.join_all().await;
    let looked_at = outcomes.iter().filter(|it| matches!(it, Err(LoginError::Wrong))).count();
    assert_eq!(looked_at, 10);
}

#[tokio::test]
async fn tokens_are_for_what_they_were_made_for() {
    let fixture = fixture().await;
    let accounts = &fixture.accounts;
    let personal = accounts.create_user_token(&name("li"), "laptop").await.unwrap();
    let pillar = accounts.create_pillar_token("master").await.unwrap();
    assert_eq!(accounts.user_of_token(&personal.token).await.unwrap().unwrap().name, name("li"));
    assert!(accounts.user_of_token(&pillar.token).await.unwrap().is_none());
    assert!(accounts.is_pillar_token(&pillar.token).await.unwrap());
    assert!(!accounts.is_pillar_token(&personal.token).await.unwrap());
    assert!(!accounts.is_pillar_token("").await.unwrap());

    let mine = accounts.tokens_of(Some(&name("li"))).await.unwrap();
    assert_eq!((mine.len(), &*mine[0].label), (1, "laptop"));
    assert_eq!(accounts.tokens_of(None).await.unwrap().len(), 2);
    assert_eq!(mine[0].kind, TokenKind::User(name("li")));
    // Nobody revokes another's.
    accounts.create_user(&name("eve"), "correct horse", false).await.unwrap();
    assert!(!accounts.revoke_token(Some(&name("eve")), &personal.id).await.unwrap());
    assert!(!accounts.revoke_token(Some(&name("eve")), &pillar.id).await.unwrap());
    assert!(accounts.revoke_token(None, &pillar.id).await.unwrap());
    assert!(!accounts.is_pillar_token(&pillar.token).await.unwrap());
    assert!(matches!(accounts.create_user_token(&name("no"), "").await, Err(AccountsError::NoSuchUser(_))));
    assert!(matches!(accounts.create_pillar_token(&"x".repeat(101)).await, Err(AccountsError::Label)));
}

#[tokio::test]
async fn users_take_everything_with_them() {
    let fixture = fixture().await;
    let accounts = &fixture.accounts;
    let shop = TeamName::new("shop").unwrap();
    accounts.add_member(&shop, &name("li")).await.unwrap();
    accounts.add_member(&shop, &name("li")).await.unwrap();
    assert!(matches!(accounts.add_member(&shop, &name("no")).await, Err(AccountsError::NoSuchUser(_))));
    assert_eq!(accounts.members_of(&shop).await.unwrap(), [name("li")]);
    assert_eq!(accounts.teams_of(&name("li")).await.unwrap(), std::slice::from_ref(&shop));
    let taken = accounts.create_user(&name("li"), "correct horse", true).await;
    assert!(matches!(taken, Err(AccountsError::UserExists(_))));
    let user = accounts.user(&name("li")).await.unwrap().unwrap();
    assert_eq!((user.admin, user.language), (false, None));
    accounts.set_language(&name("li"), Some("zh")).await.unwrap();
    assert_eq!(accounts.users().await.unwrap()[0].language.as_deref(), Some("zh"));

    let session = fixture.login("li", "correct horse", HERE).await.unwrap();
    let token = accounts.create_user_token(&name("li"), "").await.unwrap().token;
    accounts.remove_user(&name("li")).await.unwrap();
    // Who comes later under the same name is somebody else.
    accounts.create_user(&name("li"), "correct horse", false).await.unwrap();
    assert!(accounts.session(&session).await.unwrap().is_none());
    assert!(accounts.user_of_token(&token).await.unwrap().is_none());
    assert!(accounts.members_of(&shop).await.unwrap().is_empty());
}

#[tokio::test]
async fn opening_at_once_and_again() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/accounts.db", directory.path().display());
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let url = url.clone();
        opening.spawn(async move { Accounts::open(&url).await.map(drop) });
    }
    for opened in opening.join_all().await {
        opened.unwrap();
    }
    for wrong in ["", "accounts.db", "postgres://x/y", "sqlite::memory:", "sqlite:///x?mode=ro", "sqlite://"]
    {
        assert!(matches!(Accounts::open(wrong).await, Err(AccountsError::Url(_))), "{wrong}");
    }
    let nowhere = format!("sqlite://{}/no/such/accounts.db", directory.path().display());
    assert!(matches!(Accounts::open(&nowhere).await, Err(AccountsError::File { .. })));
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    connection.execute("PRAGMA user_version = 99").await.unwrap();
    assert!(matches!(Accounts::open(&url).await, Err(AccountsError::TooNew(99))));
}

#[tokio::test]
async fn a_file_that_was_replaced_or_removed_lets_nobody_in() {
    let fixture = fixture().await;
    let token = fixture.accounts.create_user_token(&name("li"), "test").await.unwrap().token;
    // A restore from before the token.
    let backup = fixture.path.with_file_name("backup.db");
    let before = Accounts::open(&format!("sqlite://{}", backup.display())).await.unwrap();
    before.create_user(&name("eve"), "correct horse", false).await.unwrap();
    before.close().await;
    assert!(fixture.accounts.user_of_token(&token).await.unwrap().is_some());
    for suffix in ["", "-wal", "-shm"] {
        let file = fixture.path.with_file_name(format!("accounts.db{suffix}"));
        std::fs::remove_file(file).unwrap();
    }
    assert!(fixture.accounts.ping().await.is_err());
    std::fs::rename(&backup, &fixture.path).unwrap();
    fixture.accounts.ping().await.unwrap();
    assert!(fixture.accounts.user_of_token(&token).await.unwrap().is_none());
    assert!(fixture.accounts.user(&name("eve")).await.unwrap().is_some());
}
