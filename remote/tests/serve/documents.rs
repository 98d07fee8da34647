//! Documents over plain HTTP: the schema, and pictures of paper and cameras.

use std::time::Duration;

use tresen::{Print, Receipt};
use tresen_remote::server::Options;

use super::http::{ANNA, ask};
use super::shop::{Shop, principal};

fn get(path: &str, who: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {who}")
}

#[tokio::test(start_paused = true)]
async fn the_schema_needs_a_caller_and_no_right() {
    let shop = Shop::open().await;
    shop.gate.admit("bob", principal("bob", "attach:none"));
    let answer = ask(&shop, &get("/v1/schema", "bob"), "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/schema+json"), "{}", answer.head);
    let commands = answer.body["commands"].as_object().expect("commands");
    assert!(tresen::api::commands().all(|command| commands.contains_key(command)), "it has every command");
    assert_eq!(answer.body["protocol"], tresen::api::PROTOCOL);
    for (head, status) in [
        ("GET /v1/schema HTTP/1.1".to_owned(), 401),
        (get("/v1/schema", "nobody"), 401),
        (format!("POST /v1/schema HTTP/1.1\r\n{ANNA}"), 405),
    ] {
        assert_eq!(ask(&shop, &head, "").await.status, status, "{head}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_paper_of_a_job_is_a_picture_for_whoever_may_watch_its_printer() {
    let shop = Shop::open().await;
    shop.gate.admit("bob", principal("bob", "watch:kitchen pay"));
    shop.gate.admit("eve", principal("eve", "watch:receipt"));
    let printer = shop.till.printer("receipt").expect("configured");
    let printed = printer.print_as("job 1", &Receipt::new().text("Flat white")).await;
    assert!(matches!(printed, Ok(Print::Printed { .. })), "{printed:?}");
    let expected = printer.picture("job 1").await.expect("drawn").png;
    for who in ["anna", "eve"] {
        let answer = ask(&shop, &get("/v1/jobs/job%201/picture.png", who), "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        for header in ["content-type: image/png", "cache-control: no-store", "x-content-type-options: nosniff"] {
            assert!(answer.head.contains(header), "{}", answer.head);
        }
        // PNG, section 5.2: the signature.
        assert!(answer.bytes.starts_with(&[137, 80, 78, 71, 13, 10, 26, 10]));
        assert!(answer.bytes == expected, "the command's picture");
    }
    let refused = ask(&shop, &get("/v1/jobs/job%201/picture.png", "bob"), "").await;
    assert_eq!((refused.status, refused.body["kind"].as_str()), (403, Some("permission")), "{}", refused.body);
    let record = shop.gate.record().pop().expect("recorded");
    assert_eq!((record.principal.as_deref(), record.action.as_str()), (Some("bob"), "printer.picture"));
    assert_eq!(ask(&shop, "GET /v1/jobs/job%201/picture.png HTTP/1.1", "").await.status, 401);
    let unknown = ask(&shop, &get("/v1/jobs/none/picture.png", "anna"), "").await;
    assert!((400..=404).contains(&unknown.status), "{} {}", unknown.status, unknown.body);
}

#[tokio::test]
async fn what_a_camera_sees_is_a_picture_for_whoever_has_the_right() {
    let pictures = tempfile::tempdir().expect("a folder");
    let door = format!("[cameras.door]\naddress = 'camera+file://{}?fps=50'\n", pictures.path().display());
    let shop = Shop::of(&door, Options::default()).await;
    shop.gate.admit("bob", principal("bob", "watch camera:other"));
    let printed = shop.till.printer("receipt").expect("configured").print(&Receipt::new().text("Flat white")).await;
    assert!(matches!(printed, Ok(Print::Printed { .. })), "{printed:?}");
    let png = shop.counter.printer("receipt").expect("there").with(|printer| printer.roll().to_png());
    std::fs::write(pictures.path().join("1.png"), png).expect("written");
    let answer = ask(&shop, &get("/v1/cameras/door/frame.jpg", "anna"), "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.head.contains("content-type: image/jpeg"), "{}", answer.head);
    assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
    // JPEG, ITU-T T.81, table B.1: start and end of image.
    assert!(answer.bytes.starts_with(&[0xff, 0xd8]) && answer.bytes.ends_with(&[0xff, 0xd9]));
    let refused = ask(&shop, &get("/v1/cameras/door/frame.jpg", "bob"), "").await;
    assert_eq!((refused.status, refused.body["kind"].as_str()), (403, Some("permission")), "{}", refused.body);
    assert_eq!(ask(&shop, "GET /v1/cameras/door/frame.jpg HTTP/1.1", "").await.status, 401);
    assert_eq!(ask(&shop, &get("/v1/cameras/none/frame.jpg", "anna"), "").await.status, 400);
    tokio::time::timeout(Duration::from_secs(5), shop.till.close(Duration::from_secs(1))).await.ok();
}
