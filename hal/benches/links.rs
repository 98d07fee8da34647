//! Throughput of links against bare loops over the same backend, in one run: 4 MiB through a TCP connection
//! and 1 MiB through a pseudo-terminal, in sends of 4 KiB.
//!
//! Criterion reports each by itself. Then both take turns and the ratio of their medians is printed, which
//! a machine's load changes less; the goal is at least 95 %.
#![allow(clippy::print_stdout)]
#![allow(missing_docs)]

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_serial::SerialStream;
use tresen_hal::Link;
use tresen_hal::link::{serial::Serial, tcp::Tcp};

const SEND: usize = 4096;
const TCP: usize = 4 << 20;
const PTY: usize = 1 << 20;
const TURNS: usize = 41;

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    let (near, far) = tokio::join!(TcpStream::connect(at), listener.accept());
    let (near, (far, _)) = (near.expect("connects"), far.expect("accepted"));
    // As the link sets it.
    near.set_nodelay(true).expect("open");
    far.set_nodelay(true).expect("open");
    (near, far)
}

async fn bare<S: AsyncWriteExt + Unpin, R: AsyncReadExt + Unpin>(to: &mut S, from: &mut R, total: usize, room: usize) {
    let bytes = [0x55; SEND];
    let send = async {
        for _ in 0..total / SEND {
            to.write_all(&bytes).await.expect("open");
        }
    };
    let recv = async {
        let mut got = Vec::with_capacity(room);
        let mut left = total;
        while left > 0 {
            got.clear();
            left -= from.read_buf(&mut got).await.expect("open");
        }
    };
    tokio::join!(send, recv);
}

async fn link(to: &impl Link, from: &impl Link, total: usize) {
    let bytes = [0x55; SEND];
    let send = async {
        for _ in 0..total / SEND {
            to.send(&bytes).await.expect("open");
        }
    };
    let recv = async {
        let mut got = Vec::new();
        let mut left = total;
        while left > 0 {
            got.clear();
            left -= from.recv(&mut got).await.expect("open");
        }
    };
    tokio::join!(send, recv);
}

/// Runs both in turns and prints the ratio of their median speeds.
fn compare(name: &str, total: usize, mut bare: impl FnMut(), mut link: impl FnMut()) {
    let timed = |f: &mut dyn FnMut()| {
        let started = Instant::now();
        f();
        started.elapsed()
    };
    let (mut bares, mut links) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        // Whoever goes first finds colder caches: change places.
        if turn % 2 == 0 {
            bares.push(timed(&mut bare));
            links.push(timed(&mut link));
        } else {
            links.push(timed(&mut link));
            bares.push(timed(&mut bare));
        }
    }
    bares.sort_unstable();
    links.sort_unstable();
    let speed = |times: &[Duration]| total as f64 / times[TURNS / 2].as_secs_f64() / 1e6;
    let (bare, link) = (speed(&bares), speed(&links));
    println!("{name}: bare {bare:.0} MB/s, link {link:.0} MB/s: {:.1} % ({TURNS} turns, medians)", link / bare * 100.0);
}

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);

    let (mut near, mut far) = runtime.block_on(tcp_pair());
    let (link_near, link_far) = runtime.block_on(async {
        let (near, far) = tcp_pair().await;
        (Tcp::new(near).expect("open"), Tcp::new(far).expect("open"))
    });
    let mut group = criterion.benchmark_group("tcp");
    group.throughput(Throughput::Bytes(TCP as u64));
    group.bench_function("bare", |b| b.iter(|| runtime.block_on(bare(&mut near, &mut far, TCP, 16 * 1024))));
    group.bench_function("link", |b| b.iter(|| runtime.block_on(link(&link_near, &link_far, TCP))));
    group.finish();
    compare(
        "tcp",
        TCP,
        || runtime.block_on(bare(&mut near, &mut far, TCP, 16 * 1024)),
        || runtime.block_on(link(&link_near, &link_far, TCP)),
    );

    let (mut far, mut near) = runtime.block_on(async { SerialStream::pair().expect("a pseudo-terminal") });
    let (link_far, link_near) = runtime.block_on(async {
        let (far, near) = SerialStream::pair().expect("a pseudo-terminal");
        (Serial::new(far), Serial::new(near))
    });
    let mut group = criterion.benchmark_group("pty");
    group.throughput(Throughput::Bytes(PTY as u64));
    group.bench_function("bare", |b| b.iter(|| runtime.block_on(bare(&mut near, &mut far, PTY, 4096))));
    group.bench_function("link", |b| b.iter(|| runtime.block_on(link(&link_near, &link_far, PTY))));
    group.finish();
    compare(
        "pty",
        PTY,
        || runtime.block_on(bare(&mut near, &mut far, PTY, 4096)),
        || runtime.block_on(link(&link_near, &link_far, PTY)),
    );
    criterion.final_summary();
}
