//! Recordings of scanners stand in for them, read as what was recorded.

use tresen::{Address, Context, Drivers, Scanners};

/// The first scan of a recording.
async fn scanned(recording: &str, options: &str) -> tresen::Result<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("scanner.capture");
    std::fs::write(&file, recording).expect("written");
    let address: Address = format!("scanner+replay://{}{options}", file.display()).parse().expect("an address");
    let mut scanner = Drivers::standard().open::<Scanners>(&address, Context::new("hand")).await?;
    Ok(scanner.event().await?.text)
}

/// linux/input-event-codes.h: EV_KEY is 1, KEY_Y 21, KEY_1 2, KEY_ENTER 28; each key goes down (1) and up (0), each
/// time followed by SYN_REPORT (0, 0, 0).
fn typed() -> String {
    let event = |code: u8, down: u8| format!("0.1 < 0100{code:02x}00{down:02x}0000000000000000000000\n");
    let keys: String = [21, 2, 28].into_iter().flat_map(|code| [event(code, 1), event(code, 0)]).collect();
    format!("tresen-capture 1 scanner+evdev://05e0:1200/S1\n{keys}0.2 !\n")
}

#[tokio::test]
async fn keys_are_read_as_keys_with_the_layout_given_now() {
    assert_eq!(scanned(&typed(), "").await.expect("a scan"), "y1");
    assert_eq!(scanned(&typed(), "?layout=de").await.expect("a scan"), "z1");
    let error = scanned(&typed(), "?baud=9600").await.expect_err("no option of a keyboard");
    assert!(error.to_string().contains("layout"), "{error}");
}

/// HID Point of Sale Usage Tables 1.02, laid out as Honeywell's 64 bytes: report 2, length, AIM identifier, data.
/// Reports that follow on opening are old ones for a device, not for a recording.
#[tokio::test]
async fn reports_are_read_as_reports() {
    let data: String = b"4006381333931".iter().map(|byte| format!("{byte:02x}")).collect();
    let report = format!("020d5d4530{data}{}", "00".repeat(64 - 5 - 13));
    let recording = format!("tresen-capture 1 scanner+hid://0c2e:0b6a\n0.0 < {report}\n0.1 !\n");
    assert_eq!(scanned(&recording, "").await.expect("a scan"), "4006381333931");
}

#[tokio::test]
async fn anything_else_is_read_as_lines() {
    for label in ["scanner+serial:///dev/ttyACM0", "told by hand"] {
        let recording = format!("tresen-capture 1 {label}\n0.0 < 34300d\n0.1 !\n");
        assert_eq!(scanned(&recording, "?suffix=%0d").await.expect("a scan"), "40");
    }
}
