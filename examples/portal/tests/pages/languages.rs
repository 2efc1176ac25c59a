//! Both languages, on every page.

use crate::portal::{ADMINISTRATION, Browser, PREVIEW, Portal};

#[tokio::test]
async fn a_language_is_chosen_and_kept() {
    let portal = Portal::new().await;
    let mut lin = portal.login("lin").await;
    assert!(lin.get("/caches").await.body.contains("<html lang=\"en\">"));
    lin.language = "zh-CN,zh;q=0.9";
    assert!(lin.get("/caches").await.body.contains("我的缓存"), "the browser's wish counts");
    lin.language = "en";
    let chosen = lin.get("/language/zh?next=/account").await;
    assert_eq!(chosen.location, "/account");
    assert!(chosen.cookies[0].starts_with("memc_language=zh;"));
    assert!(lin.get("/account").await.body.contains("<html lang=\"zh-Hans\">"), "the choice is the user's");
    assert_eq!(
        portal.accounts.user(&"lin".parse().unwrap()).await.unwrap().unwrap().language.as_deref(),
        Some("zh")
    );
    assert_eq!(lin.get("/language/zh?next=//evil.example").await.location, "/");
}

#[tokio::test]
async fn every_page_in_both_languages_without_a_missing_message() {
    let portal = Portal::new().await;
    let ada = portal.login("ada").await;
    portal.accounts.add_member(&"shop".parse().unwrap(), &"ada".parse().unwrap()).await.unwrap();
    ada.fill_in(PREVIEW, "/caches", &[]).await;
    ada.fill_in(&PREVIEW.replace("sessions", "leaving"), "/caches", &[]).await;
    ada.fill_in("/caches/shop/leaving/release", "/caches/shop/leaving/release", &[("confirm", "leaving")])
        .await;
    ada.fill_in("/account", "/account/tokens", &[("label", "nightly job")]).await;
    let lost = [("reason", "rack 3 lost power")];
    ada.fill_in("/admin/hosts/m2/lost", "/admin/hosts/m2/lost", &lost).await;
    let pages = [
        "/login",
        "/caches",
        "/caches/new",
        "/caches/preview?team=shop&cluster=web&name=more&memory_mib=64&instances=1",
        "/caches/preview?team=shop&cluster=web&name=more&memory_mib=64&instances=2",
        "/caches/preview?team=shop&cluster=web&name=more&memory_mib=900&instances=1",
        "/caches/preview?team=&cluster=&name=A&memory_mib=1&instances=x",
        "/caches/preview?team=shop&cluster=web&name=leaving&memory_mib=64&instances=1",
        "/caches/shop/sessions?done=created",
        "/caches/shop/sessions/resize",
        "/caches/shop/sessions/release",
        "/caches/shop/sessions/replace",
        "/caches/shop/leaving",
        "/caches/shop/leaving/replace",
        "/caches/shop/leaving/instances/0/confirm-stopped",
        "/account",
        "/admin/hosts/m2",
        "/admin/findings",
        "/nothing",
    ];
    for language in ["en", "zh"] {
        ada.get(&format!("/language/{language}")).await;
        for path in pages.into_iter().chain(ADMINISTRATION) {
            let nobody = Browser { portal: &portal, cookie: String::new(), language };
            let page = if path == "/login" { nobody.get(path).await } else { ada.get(path).await };
            assert!(page.body.contains("<h1>"), "{path}: {} {}", page.status, page.body);
            assert!(
                !page.body.contains('⟦') && !page.body.contains("{$"),
                "{language} {path}: {}",
                page.body
            );
            let tag = if language == "zh" { "zh-Hans" } else { "en" };
            assert!(page.body.contains(&format!("<html lang=\"{tag}\">")), "{path}");
            assert!(
                !page.body.contains("style=") && !page.body.contains("<script>"),
                "{path}: the policy forbids both"
            );
            for field in page.body.split("<input ").skip(1).map(|tag| &tag[..tag.find('>').unwrap()]) {
                let labelled = field.contains("type=\"hidden\"")
                    || field.contains("id=\"")
                    || field.contains("type=\"radio\"")
                    || field.contains("type=\"checkbox\"");
                assert!(labelled, "{path}: {field}");
            }
        }
    }
}
