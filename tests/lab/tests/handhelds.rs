//! The swarm of handhelds (`cli/tests/swarm`) over the kernel's own bad network: packets are lost, late and out of order on
//! the loopback interface, for handhelds and devices alike. `tests/lab/run` builds the program and names it in `LAB_SWARM`.
#![cfg(target_os = "linux")]

use std::process::Command;

use tresen_lab::{measured, modprobe, run};

#[test]
fn nothing_is_lost_or_doubled_on_a_network_that_loses_packets() {
    let program = std::env::var_os("LAB_SWARM").expect("tests/lab/run names the program");
    modprobe("sch_netem");
    // Otherwise a packet on this interface has up to 64 KiB, and is lost or late as a whole.
    run("ip link set lo mtu 1500 gso_max_segs 1");
    run("tc qdisc add dev lo root netem delay 50ms 20ms reorder 10% 50% loss 2%");
    // The handhelds are few: one emulated processor plays them all.
    let done = Command::new(program).arg("--nocapture").env("TRESEN_SWARM", "45 1 4").output().expect("runs");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    let dropped = Command::new("tc").args(["-s", "qdisc", "show", "dev", "lo"]).output().expect("tc");
    let dropped = String::from_utf8_lossy(&dropped.stdout).into_owned();
    for line in said.lines().chain(dropped.lines().filter(|line| line.contains("dropped"))) {
        if line.contains("sales") || line.contains("kills") || line.contains("leases") || line.contains("dropped") {
            measured(line.trim());
        }
    }
    assert!(!dropped.contains("dropped 0"), "the network lost nothing: {dropped}");
}
