//! Throughput of links against bare loops over the same backend, in one run: 4 MiB through a TCP connection
//! and 1 MiB through a pseudo-terminal, in sends of 4 KiB.
//!
//! Criterion reports each by itself. Then both take turns and the median of their ratios is printed, which a
//! machine's load changes less; the goal is at least 95 %.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(missing_docs, reason = "the macros of criterion make undocumented items")]

use std::time::Instant;

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
const TURNS: usize = 101;

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

/// Two handles to one socket, which take turns.
fn twice(stream: TcpStream) -> (TcpStream, TcpStream) {
    let one = stream.into_std().expect("open");
    let other = one.try_clone().expect("a descriptor");
    (TcpStream::from_std(one).expect("registered"), TcpStream::from_std(other).expect("registered"))
}

/// The fastest loop over a socket that tokio has; its `AsyncWrite` is less than half as fast on this load.
async fn bare_tcp(to: &TcpStream, from: &TcpStream) {
    let bytes = [0x55; SEND];
    let send = async {
        for _ in 0..TCP / SEND {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                match to.try_write(rest) {
                    Ok(n) => rest = &rest[n..],
                    Err(_) => to.writable().await.expect("open"),
                }
            }
        }
    };
    let recv = async {
        let mut got = Vec::with_capacity(16 * 1024);
        let mut left = TCP;
        while left > 0 {
            got.clear();
            match from.try_read_buf(&mut got) {
                Ok(n) => left -= n,
                Err(_) => from.readable().await.expect("open"),
            }
        }
    };
    tokio::join!(send, recv);
}

async fn bare<S: AsyncWriteExt + Unpin, R: AsyncReadExt + Unpin>(to: &mut S, from: &mut R, total: usize) {
    let bytes = [0x55; SEND];
    let send = async {
        for _ in 0..total / SEND {
            to.write_all(&bytes).await.expect("open");
        }
    };
    let recv = async {
        let mut got = Vec::with_capacity(4096);
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

/// Runs both in turns; prints the median of their ratios, turn by turn, and the best of each.
fn compare(name: &str, total: usize, mut bare: impl FnMut(), mut link: impl FnMut()) {
    let timed = |f: &mut dyn FnMut()| {
        let started = Instant::now();
        f();
        started.elapsed().as_secs_f64()
    };
    let turns: Vec<(f64, f64)> = (0..TURNS)
        .map(|turn| {
            // Whoever goes first finds colder caches: change places.
            if turn % 2 == 0 {
                let bare = timed(&mut bare);
                (bare, timed(&mut link))
            } else {
                let link = timed(&mut link);
                (timed(&mut bare), link)
            }
        })
        .collect();
    let mut ratios: Vec<f64> = turns.iter().map(|(bare, link)| bare / link).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let best = |times: &mut dyn Iterator<Item = f64>| total as f64 / times.fold(f64::MAX, f64::min) / 1e6;
    let (bare, link) = (best(&mut turns.iter().map(|t| t.0)), best(&mut turns.iter().map(|t| t.1)));
    println!(
        "{name}: link at {:.1} % of the bare loop (median of {TURNS} turns); best: bare {bare:.0} MB/s, link {link:.0} MB/s",
        ratios[TURNS / 2] * 100.0
    );
}

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);

    // Both over one and the same connection: two differ by more than the link costs, in what size of buffers
    // the kernel has grown for each.
    let (near, far, link_near, link_far) = runtime.block_on(async {
        let (near, far) = tcp_pair().await;
        let ((near, link_near), (far, link_far)) = (twice(near), twice(far));
        (near, far, Tcp::new(link_near).expect("open"), Tcp::new(link_far).expect("open"))
    });
    let mut group = criterion.benchmark_group("tcp");
    group.throughput(Throughput::Bytes(TCP as u64));
    group.bench_function("bare", |b| b.iter(|| runtime.block_on(bare_tcp(&near, &far))));
    group.bench_function("link", |b| b.iter(|| runtime.block_on(link(&link_near, &link_far, TCP))));
    group.finish();
    compare(
        "tcp",
        TCP,
        || runtime.block_on(bare_tcp(&near, &far)),
        || runtime.block_on(link(&link_near, &link_far, TCP)),
    );

    let (mut far, mut near) = runtime.block_on(async { SerialStream::pair().expect("a pseudo-terminal") });
    let (link_far, link_near) = runtime.block_on(async {
        let (far, near) = SerialStream::pair().expect("a pseudo-terminal");
        (Serial::new(far), Serial::new(near))
    });
    let mut group = criterion.benchmark_group("pty");
    group.throughput(Throughput::Bytes(PTY as u64));
    group.bench_function("bare", |b| b.iter(|| runtime.block_on(bare(&mut near, &mut far, PTY))));
    group.bench_function("link", |b| b.iter(|| runtime.block_on(link(&link_near, &link_far, PTY))));
    group.finish();
    compare(
        "pty",
        PTY,
        || runtime.block_on(bare(&mut near, &mut far, PTY)),
        || runtime.block_on(link(&link_near, &link_far, PTY)),
    );
    criterion.final_summary();
}
