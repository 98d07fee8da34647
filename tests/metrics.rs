//! What reaches a recorder of the `metrics` facade.

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use common::{Counter as Shop, is_charged, pay, within};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use tresen::payment::zvt::sim::Profile as TerminalProfile;
use tresen::{Amount, Receipt};

/// The values by metric and labels: of a counter the sum, of a gauge the last, of a histogram the number.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<String, f64>>>);

struct Cell {
    seen: Seen,
    key: String,
}

impl Cell {
    fn change(&self, by: impl FnOnce(f64) -> f64) {
        let mut seen = self.seen.0.lock().expect("lock");
        let value = seen.entry(self.key.clone()).or_default();
        *value = by(*value);
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.change(|before| before + value as f64);
    }
    fn absolute(&self, value: u64) {
        self.change(|_| value as f64);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.change(|before| before + value);
    }
    fn decrement(&self, value: f64) {
        self.change(|before| before - value);
    }
    fn set(&self, value: f64) {
        self.change(|_| value);
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        assert!((0.0..60.0).contains(&value), "{}: {value} s", self.key);
        self.change(|before| before + 1.0);
    }
}

impl Seen {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        let mut labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        labels.sort();
        Arc::new(Cell { seen: self.clone(), key: format!("{} {}", key.name(), labels.join(" ")) })
    }

    #[track_caller]
    fn value(&self, key: &str) -> f64 {
        let seen = self.0.lock().expect("lock");
        *seen.get(key).unwrap_or_else(|| panic!("no `{key}` in {:#?}", seen.keys()))
    }
}

impl Recorder for Seen {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key))
    }
}

#[tokio::test]
async fn a_sale_is_seen_by_a_recorder_under_the_documented_names() {
    let seen = Seen::default();
    // The runtime of this test has one thread.
    let _recorded = metrics::set_default_local_recorder(&seen);
    let mut shop = Shop::new();
    let _printer = shop.printer("bar").await;
    let _terminal = shop.terminal(TerminalProfile::default()).await;
    shop.configure("scanners.hand", "scanner+tcp://127.0.0.1:9");
    let till = shop.open_ready(&["bar", "counter"]).await;
    assert!(is_charged(&pay(&till, "a", Amount::eur(1_00)).await.expect("paid")));
    let bar = till.printer("bar").expect("configured");
    for _ in 0..2 {
        assert!(within("printed", bar.print(&Receipt::new().text("Tea"))).await.expect("stored").is_done());
    }
    within("lost", till.scanner("hand").expect("configured").phase().wait_for(|p| p.is_away())).await.expect("open");
    let bar = "class=printer device=bar till=Till";
    assert_eq!(seen.value(&format!("tresen_device_connected {bar}")), 1.0);
    assert_eq!(seen.value(&format!("tresen_device_attempts_total {bar}")), 1.0);
    assert_eq!(seen.value("tresen_call_seconds call=print job class=printer device=bar till=Till"), 2.0);
    assert_eq!(seen.value("tresen_call_seconds call=payment class=terminal device=counter till=Till"), 1.0);
    let refused = "tresen_device_errors_total class=scanner device=hand kind=refused till=Till";
    assert!(seen.value(refused) >= 1.0, "nobody listens on discard");
    assert_eq!(seen.value("tresen_events_total event=printed till=Till"), 2.0);
    assert!(seen.value("tresen_commit_seconds till=Till") >= 6.0);
    assert_eq!(seen.value("tresen_print_queue route=bar till=Till"), 0.0);
    assert_eq!(seen.value("tresen_payments_open terminal=counter till=Till"), 0.0);
    assert!(seen.value("tresen_store_bytes till=Till") > 4096.0);
    assert!(seen.value("tresen_disk_free_bytes till=Till") > 0.0);
}
