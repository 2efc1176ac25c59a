//! What every answer carries, and who is let in where.

use crate::harness::{PASSWORD, Portal};

#[tokio::test]
async fn browsers_are_told_to_be_careful() {
    let portal = Portal::new().await;
    for path in ["/login", "/api/v1/caches", "/healthz", "/nothing"] {
        let answer = portal.call("GET", path).send().await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
}

#[tokio::test]
async fn forms_from_other_sites_are_refused() {
    let portal = Portal::new().await;
    let body = format!("name=ada&password={PASSWORD}");
    let login = || portal.call("POST", "/login").text("application/x-www-form-urlencoded", &body);
    assert_eq!(login().header("origin", "http://evil.example").send().await.status, 403);
    assert_eq!(login().header("sec-fetch-site", "cross-site").send().await.status, 403);
    assert_ne!(login().header("origin", "http://portal.test").send().await.status, 403);
    // Tokens are nothing that another site has.
    let answer = portal.api(&portal.ada, "POST", "/teams").header("origin", "http://evil.example");
    assert_eq!(answer.json(&serde_json::json!({"name": "shop"})).send().await.status, 201);
}
