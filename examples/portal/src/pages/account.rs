//! My account: password, tokens, language.

use askama::Template;
use axum::http::{StatusCode, header};
use memc_core::model::Timestamp;

use super::failure::{Answer, Failure};
use super::form::Form;
use super::page::{Page, Section, When, go, html};
use super::visit::{At, Member, Sent};
use crate::accounts::{AccountsError, LoginError, TokenInfo};
use crate::auth::{ClientAddr, session_cookie};
use crate::locale::{Language, text};

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    page: Page,
    teams: Vec<String>,
    tokens: Vec<Token>,
    password: Form,
    token: Form,
    /// A token that was just made: shown this once.
    fresh: Option<String>,
    /// The language that is set, or empty for the browser's.
    language: String,
}

struct Token {
    id: String,
    label: String,
    created: When,
}

impl From<TokenInfo> for Token {
    fn from(token: TokenInfo) -> Self {
        let seconds = u64::try_from(token.created_at).unwrap_or_default();
        let created = When::new(Timestamp::from_millis(seconds.saturating_mul(1000)));
        Token { id: token.id, label: token.label, created }
    }
}

#[derive(Default)]
struct Forms {
    password: Form,
    token: Form,
    fresh: Option<String>,
}

async fn show(member: &Member, status: StatusCode, forms: Forms) -> Answer {
    let user = member.user();
    let tokens = member.visit.app.accounts.tokens_of(Some(&user.name)).await.map_err(Failure::accounts)?;
    let template = AccountPage {
        page: Page::new(&member.visit, Section::Account),
        teams: user.teams.iter().map(ToString::to_string).collect(),
        tokens: tokens.into_iter().map(Token::from).collect(),
        password: forms.password,
        token: forms.token,
        fresh: forms.fresh,
        language: user.language.clone().unwrap_or_default(),
    };
    html(status, &template)
}

pub(super) async fn page(member: Member) -> Answer {
    show(&member, StatusCode::OK, Forms::default()).await
}

pub(super) async fn change_password(
    member: Member,
    ClientAddr(client): ClientAddr,
    Sent(fields): Sent,
) -> Answer {
    let (accounts, name) = (&member.visit.app.accounts, &member.user().name);
    let (old, new) = (fields.get("old_password"), fields.get("new_password"));
    // Passwords are never sent back.
    let mut password = Form::default();
    if new != fields.get("new_password_again") {
        password.reject("new_password_again", text("account-passwords-differ"));
    } else if !is_password(new) {
        password.reject("new_password", text("account-password-rule"));
    } else {
        // Asked for like a login, so that guessing is slowed down here too.
        match accounts.login(name.as_str(), old, client).await {
            Ok(_) => {
                accounts.set_password(name, new).await.map_err(Failure::accounts)?;
                // Every session has ended, this one too.
                let session = accounts.login(name.as_str(), new, client).await.map_err(Failure::accounts)?;
                let mut response = go("/account?done=password")?;
                let cookie = session_cookie(&member.visit.app.settings, &session.token);
                response.headers_mut().append(header::SET_COOKIE, cookie);
                return Ok(response);
            }
            Err(LoginError::Wrong) => password.reject("old_password", text("account-password-wrong")),
            Err(LoginError::Throttled { retry_after }) => {
                let why = text("login-throttled").arg("seconds", retry_after.as_secs().max(1));
                password.reject("old_password", why);
            }
            Err(error) => return Err(Failure::accounts(error)),
        }
    }
    show(&member, StatusCode::UNPROCESSABLE_ENTITY, Forms { password, ..Forms::default() }).await
}

/// Whether the accounts would take it as a password: 8 to 1024 bytes.
pub(super) fn is_password(text: &str) -> bool {
    (8..=1024).contains(&text.len())
}

pub(super) async fn set_language(member: Member, Sent(fields): Sent) -> Answer {
    let language = Language::of_code(fields.get("language")).map(Language::code);
    let set = member.visit.app.accounts.set_language(&member.user().name, language).await;
    set.map_err(Failure::accounts)?;
    let mut response = go("/account?done=saved")?;
    if language.is_none() {
        // The browser's own wish counts again only without the cookie of an earlier choice.
        let cookie = format!("{}=; Path=/; Max-Age=0; SameSite=Lax", super::visit::LANGUAGE_COOKIE);
        let cookie = cookie.parse().map_err(|error| Failure::internal(&error))?;
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

pub(super) async fn create_token(member: Member, Sent(fields): Sent) -> Answer {
    let label = fields.get("label").trim().to_owned();
    let mut token = Form::sent(fields);
    match member.visit.app.accounts.create_user_token(&member.user().name, &label).await {
        // The one answer to a form that is a page: the token must be shown, and is kept nowhere.
        Ok(made) => {
            return show(&member, StatusCode::OK, Forms { fresh: Some(made.token), ..Forms::default() })
                .await;
        }
        Err(AccountsError::Label) => token.reject("label", text("account-token-label-rule")),
        Err(error) => return Err(Failure::accounts(error)),
    }
    show(&member, StatusCode::UNPROCESSABLE_ENTITY, Forms { token, ..Forms::default() }).await
}

pub(super) async fn revoke_token(member: Member, At(id): At<String>, _: Sent) -> Answer {
    let revoked = member.visit.app.accounts.revoke_token(Some(&member.user().name), &id).await;
    if revoked.map_err(Failure::accounts)? { go("/account?done=revoked") } else { Err(Failure::NotFound) }
}
