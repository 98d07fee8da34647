//! A network with a device in it: a network namespace behind a pair of virtual Ethernet ports.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tresen_hal::sim::{self, Device, Shared};

use crate::{modprobe, run};

/// Where the device listens.
pub const DEVICE: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);

/// The network. Dropping it takes it apart.
#[derive(Debug)]
pub struct Network(());

impl Network {
    /// Lays the cable.
    ///
    /// # Panics
    /// The kernel has no network namespaces or no netem.
    pub fn new() -> Self {
        for module in ["veth", "sch_netem"] {
            modprobe(module);
        }
        run("ip netns add device; ip link add till type veth peer name port netns device");
        // One Ethernet frame per packet, or a job is so few packets that loss passes it by.
        run("ip addr add 10.7.0.1/24 dev till; ip link set till gso_max_segs 1 up");
        run("ip -n device addr add 10.7.0.2/24 dev port; ip -n device link set port up");
        Self(())
    }

    /// What happens to everything the till sends: `delay 100ms`, `loss 20%`, as tc-netem(8) has it.
    pub fn disturb(&self, how: &str) {
        run(&format!("tc qdisc replace dev till root netem {how}"));
    }

    /// Everything gets through again.
    pub fn calm(&self) {
        run("tc qdisc del dev till root");
    }

    /// Pulls the cable at the device's end, or puts it back.
    pub fn cable(&self, plugged: bool) {
        run(&format!("ip -n device link set port {}", if plugged { "up" } else { "down" }));
    }

    /// Serves a simulator at [`DEVICE`] until the process ends.
    ///
    /// # Panics
    /// The port is taken.
    pub fn serve<D: Device + 'static>(&self, port: u16, device: Shared<D>) -> SocketAddr {
        let (ready, served) = std::sync::mpsc::channel();
        // A namespace belongs to a thread.
        thread::spawn(move || {
            let namespace = File::open("/run/netns/device").expect("the namespace");
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind((DEVICE, port)).await.expect("a free port");
                let (_server, address) = sim::tcp(listener, device).expect("listening");
                ready.send(address).expect("the test waits");
                std::future::pending::<()>().await;
            });
        });
        served.recv().expect("served")
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        std::process::Command::new("ip").args(["link", "del", "till"]).status().ok();
        std::process::Command::new("ip").args(["netns", "del", "device"]).status().ok();
    }
}
