//! Tokens: replayed, expired, revoked, guessed.

use std::time::Duration;

use tresen::Result;
use tresen::remote::Invitation;

use crate::described::{part, valid};
use crate::https::{Ask, post};
use crate::served::{KIOSK, OTHER, Served};

#[tokio::test]
async fn a_token_is_good_at_its_own_page_only() -> Result<()> {
    let till = Served::start().await?;
    let token = till.token("kiosk", "watch", KIOSK).await?;
    assert_eq!(till.ask(&token, Some(KIOSK)).await.status, 200);
    assert_eq!(till.ask(&token, Some(OTHER)).await.status, 401, "a listed page");
    assert_eq!(till.ask(&token, Some("https://evil.example")).await.status, 403, "a page that may not call");
    assert_eq!(till.ask(&token, None).await.status, 401, "a script");
    let refused: Vec<_> = till.audit().await.into_iter().filter_map(|entry| entry.note.refused).collect();
    assert!(refused.iter().any(|why| why.contains("another page")), "{refused:?}");
    Ok(())
}

/// Browsers leave the origin out of what a page fetches with GET from its own server.
#[tokio::test]
async fn the_tills_own_page_fetches_documents_without_naming_itself() -> Result<()> {
    let till = Served::start().await?;
    let (own, other) =
        (till.token("dashboard", "watch", &till.own()).await?, till.token("kiosk", "watch", KIOSK).await?);
    let fetch = async |token: &str, site: Option<&str>, origin: Option<&str>| {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("Authorization", bearer.as_str())];
        headers.extend(site.map(|site| ("Sec-Fetch-Site", site)));
        headers.extend(origin.map(|origin| ("Origin", origin)));
        till.send(None, Ask("GET", "/v1/schema", &headers, "")).await.expect("answered").status
    };
    assert_eq!(fetch(&own, Some("same-origin"), None).await, 200);
    assert_eq!(fetch(&other, Some("same-origin"), None).await, 401, "the token of another page");
    assert_eq!(fetch(&other, Some("cross-site"), Some(KIOSK)).await, 200, "other pages name themselves");
    assert_eq!(fetch(&own, Some("same-origin"), Some(KIOSK)).await, 401, "what is named counts");
    for site in [Some("same-site"), Some("cross-site"), Some("none"), None] {
        assert_eq!(fetch(&own, site, None).await, 401, "{site:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_ends_after_fifteen_minutes_and_when_it_is_revoked() -> Result<()> {
    let till = Served::start().await?;
    let (one, two) = (till.token("kiosk", "watch", KIOSK).await?, till.token("board", "watch", KIOSK).await?);
    assert_eq!(till.ask(&one, Some(KIOSK)).await.status, 200);
    till.till.revoke_caller("kiosk", "stolen").await?;
    assert_eq!(till.ask(&one, Some(KIOSK)).await.status, 401);
    assert_eq!(till.ask(&two, Some(KIOSK)).await.status, 200);
    till.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(till.ask(&two, Some(KIOSK)).await.status, 401);
    Ok(())
}

#[tokio::test]
async fn a_guessed_token_is_none() -> Result<()> {
    let till = Served::start().await?;
    let token = till.token("kiosk", "watch", KIOSK).await?;
    assert_eq!(token.len(), 64, "256 bits in hexadecimal");
    let last = if token.ends_with('0') { "1" } else { "0" };
    let close = format!("{}{last}", &token[..63]);
    let other_case = token.to_uppercase();
    for guess in [close.as_str(), &other_case, &token[..63], "", "null", "' OR 1=1 --", &"0".repeat(10_000)] {
        assert_eq!(till.ask(guess, Some(KIOSK)).await.status, 401, "{guess}");
    }
    assert_eq!(till.ask(&token, Some(KIOSK)).await.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_renewed_token_ends_the_earlier_one_when_it_is_first_presented() -> Result<()> {
    let till = Served::start().await?;
    let first = till.token("kiosk", "watch", KIOSK).await?;
    let renew = async |token: &str, origin: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("Origin", origin)];
        till.send(None, Ask("POST", "/v1/session.renew", &headers, "")).await.expect("answered")
    };
    assert_eq!(renew(&first, OTHER).await.status, 401);
    let answer = renew(&first, KIOSK).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    valid(&part("/messages/requests/session.renew/reply"), &answer.json());
    let second = answer.json()["token"].as_str().expect("a token").to_owned();
    assert_ne!(first, second);
    // The reply was lost: the page does not know the second token, and renews again ten minutes later.
    till.clock.advance(Duration::from_secs(600));
    assert_eq!(till.ask(&first, Some(KIOSK)).await.status, 200);
    let third = renew(&first, KIOSK).await.json()["token"].as_str().expect("a token").to_owned();
    // Presented by another page, it ends nothing.
    assert_eq!(till.ask(&third, Some(OTHER)).await.status, 401);
    assert_eq!(till.ask(&first, Some(KIOSK)).await.status, 200);
    assert_eq!(till.ask(&third, Some(KIOSK)).await.status, 200);
    for ended in [&first, &second] {
        assert_eq!(till.ask(ended, Some(KIOSK)).await.status, 401);
        assert_eq!(renew(ended, KIOSK).await.status, 401, "neither lets in nor renews");
    }
    // A lost reply prolongs nothing: the token that the page has ends at its own time.
    let fourth = renew(&third, KIOSK).await;
    assert_eq!(fourth.status, 200);
    till.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(till.ask(&third, Some(KIOSK)).await.status, 401);
    assert_eq!(renew(&third, KIOSK).await.status, 401);
    let second = till.token("board", "watch", KIOSK).await?;
    till.till.revoke_caller("board", "stolen").await?;
    assert_eq!(renew(&second, KIOSK).await.status, 401);
    Ok(())
}

#[tokio::test]
async fn a_code_for_one_page_is_not_redeemed_by_another_and_by_nobody_twice() -> Result<()> {
    let till = Served::start().await?;
    let invitation = Invitation::new("kiosk", "watch".parse()?);
    let code = till.till.invite_session(invitation, Some(KIOSK.into())).await?.code;
    let body = serde_json::json!({ "code": code }).to_string();
    let redeem = async |origin: Option<&str>| {
        till.next();
        let headers: Vec<_> = origin.map(|origin| ("Origin", origin)).into_iter().collect();
        till.send(None, Ask("POST", "/v1/session", &headers, &body)).await.expect("answered").status
    };
    assert_eq!(redeem(Some(OTHER)).await, 403);
    assert_eq!(redeem(None).await, 403);
    assert_eq!(redeem(Some("https://evil.example")).await, 403);
    assert_eq!(redeem(Some(KIOSK)).await, 200);
    assert_eq!(redeem(Some(KIOSK)).await, 403, "once");
    Ok(())
}

#[tokio::test]
async fn a_session_never_has_the_name_of_a_client() -> Result<()> {
    let till = Served::start().await?;
    let code = till.till.invite_session(Invitation::new("bar", "watch".parse()?), None).await?.code;
    till.enrol("bar", "watch").await?;
    let body = serde_json::json!({ "code": code }).to_string();
    till.next();
    let answer = till.send(None, post("/v1/session", &body)).await.expect("answered");
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(till.till.invite_session(Invitation::new("bar", "watch".parse()?), None).await.is_err());
    Ok(())
}
