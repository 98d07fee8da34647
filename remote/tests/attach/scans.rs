//! Scans that nobody takes: each is taken once, or told to be lost.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tresen::{EventKind, Scan};
use tresen_remote::attach::SCANS;

use super::peer::{MINUTE, Peer, Shop, offer};

fn ring() -> Value {
    json!({"class": "scanner", "name": "ring", "capabilities":
        {"enable": "yes", "beep": "yes", "trigger": "no", "symbology": "yes"}})
}

fn device() -> Value {
    json!({"class": "scanner", "name": "ring"})
}

fn scan(number: u64) -> Value {
    let scan = Scan::plain(format!("CODE-{number}"), "2026-01-02T08:00:00Z".parse().expect("a time"));
    json!({"notice": {"device": device(), "event": {"scan": {"number": number, "scan": scan}}}})
}

/// What the till says of scans from now on: `taken 1`, `lost 2`.
async fn heard(peer: &mut Peer, count: usize) -> Vec<String> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let message = peer.hears().await;
        for word in ["taken", "lost"] {
            if let Some(scan) = message.get(word) {
                heard.push(format!("{word} {}", scan["number"]));
            }
        }
    }
    heard
}

#[tokio::test(start_paused = true)]
async fn a_scan_for_which_there_is_no_place_is_lost_and_said_to_be() {
    let shop = Shop::open().await;
    let mut peer = shop.peer(&[ring()]).await;
    let scanner = shop.till.scanner("ring.7").expect("attached");
    assert!(timeout(MINUTE, scanner.phase().wait_for(|phase| phase.is_ready())).await.is_ok());
    let (_, mut events) = shop.till.follow();
    // The scanner is busy: it takes no scans meanwhile.
    let busy = scanner.clone();
    let beeping = tokio::spawn(async move { busy.beep(true).await });
    let (id, call, _) = peer.asked().await;
    assert_eq!(call, "beep");
    let full = SCANS as u64;
    (1..=full + 1).for_each(|number| peer.says(scan(number)).expect("is right"));
    assert_eq!(heard(&mut peer, 1).await, [format!("lost {}", full + 1)]);
    peer.answers(id, Value::Null);
    beeping.await.expect("ends").expect("beeps");
    assert_eq!(heard(&mut peer, SCANS).await.last(), Some(&format!("taken {full}")));
    peer.says(scan(full + 2)).expect("is right");
    assert_eq!(heard(&mut peer, 1).await, [format!("taken {}", full + 2)]);
    // The answers were lost with the connection: all is sent again.
    drop(peer);
    sleep(Duration::from_secs(1)).await;
    let mut peer = Peer::connect(&shop.hub, "handheld 7", "attach");
    peer.says(offer("run 1", &[ring()])).expect("is right");
    (full..=full + 2).for_each(|number| peer.says(scan(number)).expect("is right"));
    let expected = [format!("taken {full}"), format!("lost {}", full + 1), format!("taken {}", full + 2)];
    assert_eq!(heard(&mut peer, 3).await, expected);
    // Each of the others once; the till's own queue keeps the latest.
    let mut lost = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::from_secs(1), events.next()).await {
        match event.kind {
            EventKind::ScanLost(scan) => lost.push(scan.text),
            EventKind::Scanned(scan) => assert_ne!(scan.text, format!("CODE-{}", full + 1)),
            _ => {}
        }
    }
    assert_eq!(lost, [format!("CODE-{}", full + 1)]);
}

/// The numbers of two runs of the handheld's program are not those of the same scans.
#[tokio::test(start_paused = true)]
async fn a_scan_of_an_earlier_run_is_not_an_answer_to_this_run() {
    let shop = Shop::open().await;
    let mut peer = shop.peer(&[ring()]).await;
    let scanner = shop.till.scanner("ring.7").expect("attached");
    assert!(timeout(MINUTE, scanner.phase().wait_for(|phase| phase.is_ready())).await.is_ok());
    let (_, mut events) = shop.till.follow();
    let busy = scanner.clone();
    let beeping = tokio::spawn(async move { busy.beep(true).await });
    assert_eq!(peer.asked().await.1, "beep");
    // It waits at the till.
    peer.says(scan(1)).expect("is right");
    drop(peer);
    let mut peer = Peer::connect(&shop.hub, "handheld 7", "attach");
    peer.says(offer("run 2", &[ring()])).expect("is right");
    assert!(beeping.await.expect("ends").is_err());
    let taken = async {
        loop {
            match events.next().await.expect("open").kind {
                EventKind::Scanned(scan) => return scan.text,
                _ => continue,
            }
        }
    };
    assert_eq!(timeout(MINUTE, taken).await.expect("it is taken"), "CODE-1");
    // This run has sent no scan yet, and has one to whose number an answer would be wrong.
    peer.says(scan(2)).expect("is right");
    assert_eq!(heard(&mut peer, 1).await, ["taken 2"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_handheld_could_not_keep_is_an_event_at_the_till() {
    let shop = Shop::open().await;
    let peer = shop.peer(&[ring()]).await;
    let (_, mut events) = shop.till.follow();
    let lost = Scan::plain("CODE-1", "2026-01-02T08:00:00Z".parse().expect("a time"));
    peer.says(json!({"notice": {"device": device(), "event": {"scan-lost": lost}}})).expect("is right");
    loop {
        let event = timeout(MINUTE, events.next()).await.expect("comes").expect("open");
        if let EventKind::ScanLost(scan) = event.kind {
            assert_eq!(scan.text, "CODE-1");
            return;
        }
    }
}
