//! Signing in and out, and choosing a language.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};

use super::failure::{Answer, Failure};
use super::form::Form;
use super::page::{Page, Section, go, html, ok};
use super::visit::{Asked, At, LANGUAGE_COOKIE, Member, Sent, SentByAnyone, Visit};
use crate::accounts::LoginError;
use crate::auth::{ClientAddr, ended_cookie, session_cookie};
use crate::locale::{Language, text};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    page: Page,
    form: Form,
}

/// The login page that leads back to a page.
pub(super) fn login_path(here: &str) -> String {
    let path = local(here);
    if path == "/" { "/login".to_owned() } else { format!("/login?next={}", encoded(path)) }
}

/// A path of ours, or the front page: nobody is led to another site, nor back to the login.
fn local(path: &str) -> &str {
    let bytes = path.as_bytes();
    let ours = bytes.first() == Some(&b'/')
        && !matches!(bytes.get(1), Some(b'/' | b'\\'))
        && bytes.iter().all(u8::is_ascii_graphic)
        && !path.starts_with("/login")
        && !path.starts_with("/language");
    if ours { path } else { "/" }
}

/// A text as a value in a query.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

pub(super) async fn login_page(visit: Visit, Asked(query): Asked) -> Answer {
    if visit.session.is_some() {
        return go(local(query.get("next")));
    }
    let form = Form::of([("next", local(query.get("next")))]);
    ok(&LoginPage { page: Page::new(&visit, Section::Outside), form })
}

pub(super) async fn login(
    visit: Visit,
    ClientAddr(client): ClientAddr,
    SentByAnyone(fields): SentByAnyone,
) -> Answer {
    let (name, password) = (fields.get("name").trim(), fields.get("password"));
    let (status, why) = match visit.app.accounts.login(name, password, client).await {
        Ok(session) => {
            let mut response = go(local(fields.get("next")))?;
            let cookie = session_cookie(&visit.app.settings, &session.token);
            response.headers_mut().append(header::SET_COOKIE, cookie);
            return Ok(response);
        }
        Err(LoginError::Wrong) => (StatusCode::UNAUTHORIZED, text("login-wrong")),
        Err(LoginError::Throttled { retry_after }) => {
            let seconds = retry_after.as_secs().max(1);
            (StatusCode::TOO_MANY_REQUESTS, text("login-throttled").arg("seconds", seconds))
        }
        Err(error) => return Err(Failure::accounts(error)),
    };
    let next = local(fields.get("next")).to_owned();
    let mut form = Form::of([("name", name), ("next", &next)]);
    form.error = Some(why);
    html(status, &LoginPage { page: Page::new(&visit, Section::Outside), form })
}

pub(super) async fn logout(member: Member, _: Sent) -> Answer {
    member.visit.app.accounts.end_session(&member.session).await.map_err(Failure::accounts)?;
    let mut response = go("/login")?;
    response.headers_mut().append(header::SET_COOKIE, ended_cookie(&member.visit.app.settings));
    Ok(response)
}

/// A link rather than a form: it works before signing in, and choosing a language harms nobody.
pub(super) async fn choose_language(visit: Visit, At(code): At<String>, Asked(query): Asked) -> Answer {
    let language = Language::of_code(&code).ok_or(Failure::NotFound)?;
    if let Some(session) = &visit.session {
        let chosen = visit.app.accounts.set_language(&session.user.name, Some(language.code())).await;
        chosen.map_err(Failure::accounts)?;
    }
    let next = query.get("next");
    // The login page may be where the language is chosen, so it is led back to.
    let next = if next.starts_with("/login") && next.bytes().all(|byte| byte.is_ascii_graphic()) {
        next
    } else {
        local(next)
    };
    let mut response = go(next)?;
    let cookie = format!("{LANGUAGE_COOKIE}={}; Path=/; Max-Age=31536000; SameSite=Lax", language.code());
    let cookie = HeaderValue::from_str(&cookie).map_err(|error| Failure::internal(&error))?;
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        for away in [
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "evil",
            "",
            "/a\nb",
            "/login?next=/x",
        ] {
            assert_eq!(local(away), "/", "{away:?}");
        }
        assert_eq!(local("/caches/shop/sessions?x=1"), "/caches/shop/sessions?x=1");
        assert_eq!(login_path("/caches?a=b&c=d"), "/login?next=/caches%3Fa%3Db%26c%3Dd");
    }
}
