use std::time::Duration;

use tresen::api::terminal::Pay;
use tresen::lease::Target;
use tresen::payment::IntentId;
use tresen::payment::zvt::sim::Misbehaviour;
use tresen::{Amount, Class, DeviceId, JobState, Receipt};

use crate::devtools::{Browser, Page};
use crate::shop::{Shop, until};

const ALL: &str = "watch print pay settle configure camera";
const DESK: (u32, u32) = (1280, 900);
const TELEPHONE: (u32, u32) = (360, 740);

/// The dashboard, let in.
async fn dashboard(browser: &Browser, shop: &Shop, rights: &str) -> Page {
    let mut page = browser.page().await;
    page.device(DESK, "en", false).await;
    sign_in(&mut page, shop, rights).await;
    page
}

async fn sign_in(page: &mut Page, shop: &Shop, rights: &str) {
    page.go(&format!("{}/dashboard/", shop.url)).await;
    page.until("document.activeElement.id === 'code'").await;
    page.write(&shop.code("office", rights).await).await;
    page.press("Enter").await;
    page.see("#devices .name", "receipt").await;
}

fn content(page: &Page) {
    assert_eq!(page.complaints(), Vec::<String>::new());
}

/// A payment whose end nobody knows: the terminal has approved it, hung up, and was switched off.
async fn doubt(shop: &mut Shop) -> IntentId {
    shop.terminal.with(|terminal| terminal.misbehave(Misbehaviour::HangUpAfterApproval));
    let till = shop.till.clone();
    let paying = tokio::spawn(async move {
        let key = Some("a-17".into());
        till.ask(Pay { terminal: "counter".into(), amount: Amount::eur(12_50), key }).await
    });
    let terminal = shop.terminal.clone();
    until(|| terminal.with(|terminal| !terminal.ledger().entries().is_empty())).await;
    shop.terminal_power = None;
    paying.await.expect("no panic").ok();
    IntentId("a-17".into())
}

#[tokio::test]
async fn a_payment_in_doubt_is_settled_with_a_reason() {
    let mut shop = Shop::open(Duration::ZERO).await;
    let browser = Browser::start().await;
    let mut page = dashboard(&browser, &shop, ALL).await;
    page.see("#payments", "All payments are decided.").await;
    let key = doubt(&mut shop).await;
    page.see("#payments", "in doubt").await;
    page.see("#payments", "12.50").await;
    page.picture("dashboard-doubt").await;
    page.click("#payments button", "Settle").await;
    page.see("dialog h2", "Settle €12.50 at counter").await;
    page.picture("dashboard-settle").await;
    // Without outcome and reason nothing is sent.
    page.click("dialog button", "Settle").await;
    page.until("document.querySelector('dialog').open").await;
    page.click("dialog label", "Money has moved").await;
    page.run("document.getElementById('dialog-reason').focus()").await;
    page.write("slip 0417").await;
    page.click("dialog button", "Settle").await;
    page.see("#payments", "All payments are decided.").await;
    let stored = shop.till.store().payment(&key).await.expect("read").expect("journalled");
    let decision = stored.decision.clone().expect("decided");
    assert_eq!((decision.charged, decision.reason.as_str()), (Some(Amount::eur(12_50)), "slip 0417"));
    content(&page);
    shop.close().await;
}

#[tokio::test]
async fn who_may_only_watch_has_no_buttons() {
    let mut shop = Shop::open(Duration::ZERO).await;
    doubt(&mut shop).await;
    let browser = Browser::start().await;
    let mut page = dashboard(&browser, &shop, "watch").await;
    page.see("#payments", "in doubt").await;
    assert_eq!(page.run("document.querySelectorAll('.panel [data-do]:not([data-do=paper])').length").await, 0);
    assert_eq!(page.run("document.getElementById('cameras').hidden").await, true);
    // Nor does asking without a button help.
    let refused = page
        .run(
            "import('/tresen.js').then(async ({ connect }) => { const till = await connect(); \
             const decision = { charged: null, reference: null, by: 'x', reason: 'y' }; \
             return till.call('terminal.settle', { key: 'a-17', decision }).then(() => 'done', error => error.kind); })",
        )
        .await;
    assert_eq!(refused, "permission");
    content(&page);
    shop.close().await;
}

#[tokio::test]
async fn a_lease_is_taken_over_with_a_reason() {
    let shop = Shop::open(Duration::ZERO).await;
    let counter = DeviceId::new(Class::Terminal, "counter");
    let handheld = shop.till.on_behalf_of("handheld 7");
    let lease = handheld.lease(&counter).await.expect("leased");
    let browser = Browser::start().await;
    let mut page = dashboard(&browser, &shop, ALL).await;
    page.see("#leases", "handheld 7, for").await;
    page.click("#leases button", "Take over").await;
    page.see("dialog h2", "Take Terminal counter from handheld 7?").await;
    page.write("shift ended").await;
    page.press("Enter").await;
    page.see("#leases", "office, for").await;
    let leases = shop.till.leases().await.expect("read");
    assert_eq!((&leases[0].target, leases[0].holder.as_str()), (&Target::from(&counter), "office"));
    drop(lease);
    content(&page);
    shop.close().await;
}

#[tokio::test]
async fn a_job_that_waits_shows_its_paper_and_is_cancelled() {
    let shop = Shop::open(Duration::ZERO).await;
    shop.printer.with(|printer| printer.remove_paper());
    let browser = Browser::start().await;
    let mut page = dashboard(&browser, &shop, ALL).await;
    page.see("#devices", "no paper").await;
    let receipt = Receipt::new().text("Zwei Espresso").cut();
    let job = shop.till.printer("receipt").expect("configured").submit_as("slip-1", &receipt).await.expect("queued");
    page.see("#jobs .state", "waiting").await;
    page.click("#jobs button", "Paper").await;
    page.until("document.querySelector('dialog img.paper')?.naturalWidth > 200").await;
    page.picture("dashboard-paper").await;
    page.click("dialog button", "Close").await;
    page.click("#jobs button", "Cancel job").await;
    page.see("dialog h2", "Cancel job slip-1?").await;
    page.click("dialog button", "Cancel job").await;
    page.see("#jobs .state", "cancelled").await;
    let stored = shop.till.store().job(job.id()).await.expect("read").expect("stored");
    assert_eq!(stored.state, JobState::Cancelled);
    shop.printer.with(|printer| printer.load_paper());
    page.until("!document.getElementById('devices').textContent.includes('no paper')").await;
    assert_eq!(shop.receipts().len(), 0);
    content(&page);
    shop.close().await;
}

#[tokio::test]
async fn the_camera_is_a_live_picture_for_those_who_may() {
    let shop = Shop::open(Duration::ZERO).await;
    let browser = Browser::start().await;
    let mut page = dashboard(&browser, &shop, ALL).await;
    page.click("#cameras button", "Show the picture").await;
    page.until("document.querySelector('#cameras img')?.naturalWidth === 640").await;
    let first = page.run("document.querySelector('#cameras img').src").await;
    page.until(&format!("document.querySelector('#cameras img').src !== {first}")).await;
    page.picture("dashboard").await;
    page.click("#cameras button", "Hide the picture").await;
    page.until("!document.querySelector('#cameras img')").await;
    content(&page);
    shop.close().await;
}

#[tokio::test]
async fn by_keyboard_alone_on_a_telephone_in_german() {
    let mut shop = Shop::open(Duration::ZERO).await;
    let key = doubt(&mut shop).await;
    let browser = Browser::start().await;
    let mut page = browser.page().await;
    page.device(TELEPHONE, "de-DE,de", true).await;
    sign_in(&mut page, &shop, ALL).await;
    page.see("#payments", "ungeklärt").await;
    assert_eq!(page.run("document.documentElement.lang").await, "de");
    assert_eq!(page.run("document.documentElement.scrollWidth").await, 360, "nothing is wider than the screen");
    page.picture("dashboard-telephone").await;
    // From the top of the page with the tabulator to the button, and into the dialog.
    let mut steps = 0;
    while page.run("document.activeElement.dataset.do ?? ''").await != "settle" {
        page.press("Tab").await;
        steps += 1;
        assert!(steps < 60, "the button is not reached");
    }
    let outline = page.run("getComputedStyle(document.activeElement).outlineStyle").await;
    assert_eq!(outline, "solid", "the focus is visible");
    page.press("Enter").await;
    page.see("dialog h2", "klären").await;
    assert_eq!(page.run("document.documentElement.scrollWidth").await, 360);
    page.picture("dashboard-telephone-settle").await;
    for (name, press) in [("outcome", "Space"), ("outcome", "ArrowDown"), ("reason", "")] {
        while page.run("document.activeElement.name ?? ''").await != name {
            page.press("Tab").await;
        }
        if press.is_empty() {
            page.write("Kassensturz").await;
        } else {
            page.press(press).await;
        }
    }
    page.press("Enter").await;
    page.see("#payments", "Alle Zahlungen sind geklärt.").await;
    let stored = shop.till.store().payment(&key).await.expect("read").expect("journalled");
    assert_eq!(stored.decision.clone().expect("decided").charged, None, "the second choice");
    content(&page);
    shop.close().await;
}

#[tokio::test]
async fn what_a_device_does_is_seen_at_once() {
    let mut shop = Shop::open(Duration::ZERO).await;
    let browser = Browser::start().await;
    let mut page = dashboard(&browser, &shop, ALL).await;
    page.see("#devices .state", "ready").await;
    shop.terminal_power = None;
    page.see("#devices .state", "away").await;
    page.see("#events", "counter: disconnected").await;
    page.see("#devices", "Last error").await;
    content(&page);
    shop.close().await;
}

#[tokio::test]
async fn who_was_let_in_and_who_was_not_is_shown_on_demand() {
    let shop = Shop::open(Duration::ZERO).await;
    let browser = Browser::start().await;
    let mut page = dashboard(&browser, &shop, ALL).await;
    page.run("fetch('/v1/till.info', { method: 'POST', headers: { authorization: 'Bearer wrong' } }).then(() => null)")
        .await;
    page.click("#access button", "Show who did what").await;
    page.see("#access li", "office: session").await;
    page.see("#access li", "somebody unknown: connect refused").await;
    // Asking is recorded, too.
    page.click("#access button", "Show again").await;
    page.see("#access li", "office: remote.audit").await;
    page.run("document.getElementById('access').scrollIntoView()").await;
    page.picture("dashboard-access").await;
    content(&page);
    shop.close().await;
}
