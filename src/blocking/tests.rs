//! Every method of an async handle exists on its blocking counterpart, under the same name.

use std::collections::BTreeSet;

/// The public methods of a source file.
fn methods(source: &str) -> BTreeSet<&str> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let named = code.lines().filter_map(|line| {
        let line = line.strip_prefix("    pub ")?;
        let rest = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "))?;
        rest.split(['(', '<']).next()
    });
    named.collect()
}

#[track_caller]
fn covers(handle: &str, sources: &[&str], blocking: &[&str], otherwise: &[&str]) {
    let blocking: BTreeSet<_> = blocking.iter().flat_map(|source| methods(source)).collect();
    let otherwise = otherwise.iter().copied().collect::<BTreeSet<_>>();
    let all: BTreeSet<_> = sources.iter().flat_map(|source| methods(source)).collect();
    assert!(all.len() > 1, "{handle}: {all:?}");
    let missing: Vec<_> = all.difference(&blocking).filter(|name| !otherwise.contains(*name)).collect();
    assert_eq!(missing, [&""; 0], "{handle} cannot do this");
    let stale: Vec<_> = otherwise.difference(&all).collect();
    assert_eq!(stale, [&""; 0], "{handle}: no exception is needed");
}

#[test]
fn each_handle_can_do_what_its_async_one_can() {
    let (device, on) = (include_str!("../manager/device.rs"), include_str!("device.rs"));
    let till = [
        include_str!("../tresen.rs"),
        include_str!("../registry.rs"),
        include_str!("../sale/till.rs"),
        include_str!("../api/mod.rs"),
        include_str!("../capabilities/till.rs"),
        include_str!("../export/till.rs"),
        include_str!("../health/mod.rs"),
        include_str!("../lease/till.rs"),
        include_str!("../remote/till.rs"),
        include_str!("../sync/till.rs"),
    ];
    // The list of command names is not a method.
    let blocking =
        [include_str!("till.rs"), include_str!("export.rs"), include_str!("remote.rs"), include_str!("server.rs")];
    // The events tell when capabilities change. A blocking call is aborted under its key. Carrying a device over a network
    // is asynchronous work.
    let otherwise = ["aborted_by", "attach_from", "is_attached", "watch_capabilities", "withdraw"];
    covers("Tresen", &till, &blocking, &otherwise);
    let printer = include_str!("../manager/printer/mod.rs");
    // As above.
    covers("Printer", &[printer], &[include_str!("printer.rs")], &["print_job"]);
    // Accessors of a print's state.
    covers("PrintJob", &[include_str!("../spool/mod.rs")], &[include_str!("printer.rs")], &["is_done"]);
    let lease = include_str!("../lease/handle.rs");
    covers("Lease and Place", &[lease], &[include_str!("lease.rs")], &[]);
    let terminal = [
        device,
        include_str!("../manager/terminal/mod.rs"),
        include_str!("../manager/terminal/questions.rs"),
        include_str!("../manager/terminal/recovery.rs"),
        include_str!("../manager/terminal/reservations.rs"),
        include_str!("../manager/terminal/verbs.rs"),
    ];
    covers("Terminal", &terminal, &[on, include_str!("terminal.rs"), include_str!("follow_ups.rs")], &["run"]);
    // As above.
    covers("Scanner", &[device, include_str!("../manager/scanner.rs")], &[on, include_str!("scanner.rs")], &["lost"]);
    covers("Camera", &[device, include_str!("../manager/camera/mod.rs")], &[on, include_str!("camera.rs")], &[]);
    // Accessors of a sale, available through `Deref`.
    let known = [
        "drawer",
        "epoch",
        "id",
        "is_pending",
        "open_amount",
        "parked",
        "rev",
        "signing",
        "state",
        "tenders",
        "ticket",
        "view",
    ];
    let sale = [include_str!("../sale/process.rs"), include_str!("../sale/account.rs")];
    covers("Sale", &sale, &[include_str!("sale.rs")], &known);
    // Set up through `Checkout::with`.
    let setup = ["compose", "drawer", "order", "patience", "sign_within", "signer"];
    covers("Checkout", &[include_str!("../sale/checkout.rs")], &[include_str!("checkout.rs")], &setup);
    // Accessors of an event and its source; `next` is that of the iterator.
    let event = ["device", "name", "next", "why"];
    covers(
        "Events",
        &[include_str!("../event/mod.rs"), include_str!("../event/kind.rs"), include_str!("../event/bus.rs")],
        &[include_str!("events.rs")],
        &event,
    );
}
