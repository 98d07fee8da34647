//! The kiosk where a payment ends half: a part was charged, or the page is signed out in the middle of it.

use std::time::Duration;

use tresen::Amount;
use tresen::payment::zvt::sim::Misbehaviour;
use tresen::sale::TenderState;

use crate::devtools::{Browser, Page};
use crate::kiosk::{RIGHTS, answer, asking, choose, content, kiosk_with, sign_in};
use crate::shop::{Shop, until};

/// A terminal that charges 5 of 7 euros.
async fn partly_paid(browser: &Browser, shop: &Shop, rights: &str) -> Page {
    let mut page = kiosk_with(browser, shop, "en", rights).await;
    choose(&mut page).await;
    shop.terminal.with(|terminal| terminal.misbehave(Misbehaviour::Part(Amount::eur(5_00))));
    page.click("button", "Pay by card").await;
    page.see("#part", "A part is paid.").await;
    page.see("#due", "2.00").await;
    page
}

#[tokio::test]
async fn a_part_is_never_forgotten_and_the_rest_is_paid() {
    let shop = Shop::open(Duration::ZERO).await;
    let browser = Browser::start().await;
    let mut page = partly_paid(&browser, &shop, RIGHTS).await;
    page.see(".stage", "€5.00").await;
    page.until("!document.querySelector('[data-do=back], [data-do=give-back]')").await;
    page.picture("kiosk-part").await;
    // Neither by loading it again nor by leaving the page.
    page.reload().await;
    page.see("#due", "2.00").await;
    page.go("about:blank").await;
    page.back().await;
    page.see("#due", "2.00").await;
    // Nor by a card that is declined.
    shop.terminal.with(|terminal| terminal.misbehave(Misbehaviour::Decline(0x05)));
    page.click("button", "Pay the rest by card").await;
    page.see("#part ~ .bad", "The payment was declined.").await;
    page.see(".stage", "€5.00").await;
    page.until("!document.body.innerText.includes('Nothing was charged')").await;
    page.click("button", "Pay the rest by card").await;
    page.see("h2", "Thank you!").await;
    page.see(".stage", "7.00").await;
    until(|| shop.receipts().len() == 1).await;
    assert_eq!(shop.charged(), 2);
    assert!(shop.till.open_sales().await.expect("read").is_empty());
    content(&page);
    shop.close().await;
}

#[tokio::test]
async fn a_part_is_given_back_by_who_may_give_back() {
    let shop = Shop::open(Duration::ZERO).await;
    let browser = Browser::start().await;
    let mut page = partly_paid(&browser, &shop, &format!("{RIGHTS} refund:counter")).await;
    // At first the terminal does not want to.
    shop.terminal.with(|terminal| terminal.misbehave(Misbehaviour::Decline(0x05)));
    page.click("button", "Get €5.00 back").await;
    page.see("#part ~ .bad", "The money was not given back.").await;
    assert_eq!(shop.charged(), 1);
    page.click("button", "Get €5.00 back").await;
    page.see("#declined", "The money was given back.").await;
    page.see(".stage", "€7.00 is still to be paid.").await;
    assert_eq!(shop.charged(), 0);
    page.click("button", "Back to the order").await;
    page.see("#total", "7.00").await;
    assert!(shop.till.open_sales().await.expect("read").is_empty(), "the sale was voided");
    assert!(shop.receipts().is_empty());
    content(&page);
    shop.close().await;
}

#[tokio::test]
async fn a_part_is_taken_to_the_counter() {
    let shop = Shop::open(Duration::ZERO).await;
    let browser = Browser::start().await;
    let mut page = partly_paid(&browser, &shop, RIGHTS).await;
    page.click("button", "Go to the counter").await;
    page.see(".stage .sumline", "Your number is K").await;
    page.see(".stage", "€5.00 is already paid.").await;
    let parked = shop.till.parked_sales().await.expect("read");
    assert_eq!((parked.len(), parked[0].open_amount()), (1, Amount::eur(2_00)));
    let tender = &parked[0].tenders()[0];
    assert_eq!((tender.state, tender.taken), (TenderState::Taken, Amount::eur(5_00)));
    page.click("button", "Next order").await;
    page.see(".basket", "Nothing yet.").await;
    content(&page);
    shop.close().await;
}

#[tokio::test]
async fn a_page_that_is_signed_out_in_the_middle_of_a_payment_goes_on_with_a_new_code() {
    let shop = Shop::with(asking()).await;
    let browser = Browser::start().await;
    let mut page = kiosk_with(&browser, &shop, "en", RIGHTS).await;
    choose(&mut page).await;
    page.click("button", "Pay by card").await;
    page.see("#question h2", "Postcode?").await;
    let key = page.run("JSON.parse(sessionStorage.kiosk).key").await;
    shop.till.revoke_caller("kiosk", "changed hands").await.expect("revoked");
    page.see("#signed-out", "signed out").await;
    page.see(".stage", "please do not pay again").await;
    page.see("#sign-in-error", "begin another session").await;
    page.picture("kiosk-signed-out").await;
    assert_eq!(page.run("JSON.parse(sessionStorage.kiosk).key").await, key, "it goes on under the same key");
    // The question, which nobody could answer, is not in the way.
    sign_in(&mut page, &shop.code("kiosk", RIGHTS).await).await;
    answer(&mut page).await;
    page.see("h2", "Thank you!").await;
    page.until("document.getElementById('sign-in').hidden").await;
    until(|| shop.receipts().len() == 1).await;
    assert_eq!(shop.charged(), 1);
    // Events go on, too: the page sees at once that the paper is out.
    page.click("button", "Next order").await;
    page.click(".articles button", "Espresso").await;
    shop.printer.with(|printer| printer.remove_paper());
    page.see(".tenders", "The receipt may come later").await;
    content(&page);
    shop.close().await;
}
