//! Payments at a simulated terminal over the links of this machine other than plain TCP.

mod common;

use common::{Sim, tresen};

/// The address begins so, and the first receipt has this number.
fn pays(listen: &str, begins: &str, receipt: &str) {
    let protocol = begins.split('+').next().expect("a protocol");
    let dir = tempfile::tempdir().expect("a folder");
    let journal = dir.path().join("journal.db");
    let journal = journal.to_str().expect("text");
    let sim = Sim::with(&["terminal", "--protocol", protocol, "--pace", "0", "--listen", listen]);
    assert!(sim.address.starts_with(begins), "{}", sim.address);
    let run = |args: &[&str]| tresen([args, &["--journal", journal]].concat());
    // Each command opens the link anew.
    assert!(run(&["pay", &sim.address, "12.50"]).well().out.contains("charged 12.50 EUR"));
    assert!(run(&["reverse", &sim.address, receipt, "12.50"]).well().out.contains("reversed 12.50 EUR"));
    let again = run(&["repeat-receipt", &sim.address]).well();
    assert!(again.out.contains("12,50") || again.out.contains("12.50"), "{again:?}");
    sim.quit();
}

#[cfg(all(unix, feature = "serial"))]
#[test]
fn over_a_pseudo_terminal_as_on_a_serial_line() {
    pays("pty", "zvt+serial:///dev/", "0417");
}

#[cfg(feature = "tls")]
#[test]
fn over_tls_with_the_fingerprint_that_the_terminal_shows() {
    pays("tls://127.0.0.1:0", "zvt+tls://127.0.0.1:", "0417");
    pays("tls://127.0.0.1:0", "paytec+tls://127.0.0.1:", "42");
}

#[cfg(feature = "tls")]
#[test]
fn another_certificate_is_refused_before_anything_is_sent() {
    let sim = Sim::with(&["terminal", "--pace", "0", "--listen", "tls://127.0.0.1:0"]);
    let (place, right) = sim.address.split_once("?fingerprint=").expect("a fingerprint");
    let wrong = format!("{place}?fingerprint={}", "00".repeat(32));
    for address in [place, &wrong] {
        let said = tresen(["info", address]);
        assert!(said.code == Some(1) && said.err.contains("certificate is not trusted"), "{said:?}");
        assert!(said.err.contains(right), "it names the fingerprint that a person has to compare: {said:?}");
    }
    sim.quit();
}
