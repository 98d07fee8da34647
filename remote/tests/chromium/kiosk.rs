use std::time::Duration;

use tresen::payment::zvt::sim::{Asks, Misbehaviour, Profile};

use crate::devtools::{Browser, Page};
use crate::shop::{Shop, until};

pub(crate) const RIGHTS: &str = "watch sell pay:counter print:receipt";
const SCREEN: (u32, u32) = (1280, 800);

/// The kiosk's page, let in.
async fn kiosk(browser: &Browser, shop: &Shop, languages: &str) -> Page {
    kiosk_with(browser, shop, languages, RIGHTS).await
}

pub(crate) async fn kiosk_with(browser: &Browser, shop: &Shop, languages: &str, rights: &str) -> Page {
    let mut page = browser.page().await;
    page.device(SCREEN, languages, false).await;
    page.go(&format!("{}/kiosk/", shop.url)).await;
    sign_in(&mut page, &shop.code("kiosk", rights).await).await;
    page.see(".articles button", "Espresso").await;
    page
}

/// Enters a one-time code.
pub(crate) async fn sign_in(page: &mut Page, code: &str) {
    page.until("!document.getElementById('sign-in').hidden").await;
    page.run("document.getElementById('code').focus()").await;
    page.write(code).await;
    page.press("Enter").await;
}

pub(crate) async fn choose(page: &mut Page) {
    page.click(".articles button", "Espresso").await;
    page.click(".articles button", "Croissant").await;
    page.click(".basket button", "+").await;
    page.see("#total", "7.00").await;
}

/// A terminal that goes on when it has a postcode.
pub(crate) fn asking() -> Profile {
    let asks = Asks::Digits { text: "Postcode?".into(), min: 5, max: 5 };
    Profile { asks: Some(asks), ..Profile::default() }
}

/// Answers it.
pub(crate) async fn answer(page: &mut Page) {
    page.see("#question h2", "Postcode?").await;
    page.run("document.querySelector('#question input').focus()").await;
    page.write("10115").await;
    page.picture("kiosk-question").await;
    page.press("Enter").await;
}

pub(crate) fn content(page: &Page) {
    assert_eq!(page.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_customer_buys_and_takes_the_receipt() {
    let shop = Shop::open(Duration::from_millis(300)).await;
    let browser = Browser::start().await;
    let mut page = kiosk(&browser, &shop, "en").await;
    choose(&mut page).await;
    page.picture("kiosk").await;
    page.click("button", "Pay by card").await;
    page.see(".stage .sumline", "7.00").await;
    page.see("button", "Cancel payment").await;
    page.until("document.getElementById('shown').textContent.length > 3").await;
    page.picture("kiosk-paying").await;
    page.see("h2", "Thank you!").await;
    page.see("#receipt", "Please take your receipt.").await;
    page.picture("kiosk-paid").await;
    assert_eq!(shop.charged(), 1);
    let receipts = shop.receipts();
    assert_eq!(receipts.len(), 1);
    assert!(receipts[0].contains("Espresso") && receipts[0].contains("7.00"), "{}", receipts[0]);
    page.click("button", "Next order").await;
    page.see(".basket", "Nothing yet.").await;
    content(&page);
    shop.close().await;
}

#[tokio::test]
async fn a_declined_card_is_said_and_may_be_tried_again() {
    let shop = Shop::open(Duration::ZERO).await;
    let browser = Browser::start().await;
    let mut page = kiosk(&browser, &shop, "de").await;
    page.see("h1", "Bitte wählen").await;
    page.click(".articles button", "Espresso").await;
    page.see("#total", "2,40").await;
    shop.terminal.with(|terminal| terminal.misbehave(Misbehaviour::Decline(0x6c)));
    page.click("button", "Mit Karte zahlen").await;
    page.see("#declined", "abgebrochen").await;
    page.see(".stage", "Es wurde nichts abgebucht.").await;
    shop.terminal.with(|terminal| terminal.misbehave(Misbehaviour::Decline(0x05)));
    page.click("button", "Noch einmal versuchen").await;
    page.see("#declined", "abgelehnt").await;
    page.picture("kiosk-declined").await;
    assert_eq!((shop.charged(), shop.receipts().len()), (0, 0));
    page.click("button", "Noch einmal versuchen").await;
    page.see("h2", "Vielen Dank!").await;
    until(|| shop.receipts().len() == 1).await;
    assert_eq!(shop.charged(), 1);
    content(&page);
    shop.close().await;
}

#[tokio::test]
async fn a_payment_that_is_cancelled_charges_nothing() {
    let shop = Shop::open(Duration::from_secs(2)).await;
    let browser = Browser::start().await;
    let mut page = kiosk(&browser, &shop, "en").await;
    page.click(".articles button", "Tea").await;
    page.click("button", "Pay by card").await;
    page.until("Boolean(JSON.parse(sessionStorage.kiosk).key)").await;
    page.click("button", "Cancel payment").await;
    page.see("#declined", "cancelled").await;
    page.click("button", "Back to the order").await;
    page.see("#total", "3.10").await;
    assert_eq!((shop.charged(), shop.receipts().len()), (0, 0));
    assert!(shop.till.open_sales().await.expect("read").is_empty(), "the sale was voided");
    content(&page);
    shop.close().await;
}

#[tokio::test]
async fn without_paper_the_receipt_waits_and_comes_later() {
    let shop = Shop::open(Duration::ZERO).await;
    let browser = Browser::start().await;
    let mut page = kiosk(&browser, &shop, "en").await;
    page.click(".articles button", "Espresso").await;
    shop.printer.with(|printer| printer.remove_paper());
    page.see(".tenders", "The receipt may come later").await;
    page.click("button", "Pay by card").await;
    page.see("#receipt", "The receipt is waiting").await;
    page.picture("kiosk-no-paper").await;
    assert_eq!((shop.charged(), shop.receipts().len()), (1, 0));
    shop.printer.with(|printer| printer.load_paper());
    page.see("#receipt", "Please take your receipt.").await;
    assert_eq!(shop.receipts().len(), 1);
    content(&page);
    shop.close().await;
}

#[tokio::test]
async fn a_reload_in_the_middle_of_a_payment_joins_it() {
    let shop = Shop::with(asking()).await;
    let browser = Browser::start().await;
    let mut page = kiosk(&browser, &shop, "en").await;
    choose(&mut page).await;
    page.click("button", "Pay by card").await;
    page.see("#question h2", "Postcode?").await;
    page.reload().await;
    page.see(".stage .sumline", "7.00").await;
    page.see("button", "Cancel payment").await;
    answer(&mut page).await;
    page.see("h2", "Thank you!").await;
    until(|| shop.receipts().len() == 1).await;
    assert_eq!(shop.charged(), 1);
    // And once more, when all is done: the basket is empty, nothing is asked again.
    page.reload().await;
    page.see(".basket", "Nothing yet.").await;
    assert_eq!((shop.charged(), shop.receipts().len()), (1, 1));
    content(&page);
    shop.close().await;
}

#[tokio::test]
async fn card_is_offered_only_while_the_terminal_is_there() {
    let mut shop = Shop::open(Duration::ZERO).await;
    let browser = Browser::start().await;
    let mut page = kiosk(&browser, &shop, "en").await;
    page.click(".articles button", "Espresso").await;
    page.until("!document.querySelector('[data-do=pay]').disabled").await;
    shop.terminal_power = None;
    page.until("document.querySelector('[data-do=pay]').disabled").await;
    page.see(".tenders", "Not possible now").await;
    page.click("button", "Pay at the counter").await;
    page.see("h2", "Please pay at the counter.").await;
    assert_eq!(shop.charged(), 0);
    content(&page);
    shop.close().await;
}

#[tokio::test]
async fn a_question_of_the_terminal_is_asked_at_the_kiosk() {
    let shop = Shop::with(asking()).await;
    let browser = Browser::start().await;
    let mut page = kiosk(&browser, &shop, "en").await;
    page.click(".articles button", "Espresso").await;
    page.click("button", "Pay by card").await;
    answer(&mut page).await;
    page.see("h2", "Thank you!").await;
    assert_eq!(shop.charged(), 1);
    let kept = page.run("JSON.stringify(sessionStorage)").await;
    assert!(!kept.as_str().expect("text").contains("10115"), "what was entered is not kept");
    content(&page);
    shop.close().await;
}
