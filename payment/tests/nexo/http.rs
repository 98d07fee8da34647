//! What web servers say that are no terminals, and heads that are odd: over a connection, at every byte split.

use std::sync::Arc;
use tresen_hal::link::Listen as _;
use tresen_hal::link::memory;
use tresen_hal::{Effect, Kind};
use tresen_payment::nexo::{self, Options};

use tresen_hal::SimulatedRuntime;
use tresen_payment::MemoryJournal;

use super::counter::START;

/// Opens at a server that answers each request with these bytes in pieces of `size`, then ends the connection.
async fn open_at(answer: &'static [u8], size: usize) -> tresen_hal::Result<nexo::Terminal> {
    let (dialer, port) = memory::port();
    let serving = tokio::spawn(async move {
        while let Ok(incoming) = port.accept().await {
            let mut got = Vec::new();
            incoming.link.recv(&mut got).await.ok();
            for piece in answer.chunks(size) {
                incoming.link.send(piece).await.ok();
            }
            incoming.link.close().await;
        }
    });
    let runtime = Arc::new(SimulatedRuntime::new(0, START.parse().expect("a time")));
    let options = Options::new("counter", "V400m-1");
    let opened = nexo::open(Arc::new(dialer), None, options, Arc::new(MemoryJournal::new()), runtime).await;
    serving.abort();
    opened
}

#[tokio::test(start_paused = true)]
async fn what_is_no_terminal_is_told_apart() {
    let cases: [(&[u8], Kind, &str); 12] = [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", Kind::Refused, "401"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\noops", Kind::Protocol, "404"),
        (b"HTTP/1.1 500 Oops\r\n\r\n", Kind::Protocol, "500"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/nexo\r\nContent-Length: 0\r\n\r\n", Kind::Protocol, "302"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>",
            Kind::Protocol,
            "no JSON",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Kind::Protocol, "nothing"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Kind::Protocol, "neither"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", Kind::Protocol, "in the middle"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", Kind::Protocol, "not clear"),
        (b"\x06\x0f\x00", Kind::Protocol, "no HTTP"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", Kind::Protocol, "no HTTP"),
        (b"", Kind::Closed, "before an answer"),
    ];
    for (answer, kind, says) in cases {
        for size in 1..=answer.len().max(1) {
            let error = open_at(answer, size).await.expect_err(says);
            assert_eq!((error.kind(), error.effect()), (kind, Effect::None), "{says}: {error}");
            assert!(error.to_string().contains(says), "{says}: {error}");
            assert_eq!(error.device(), Some("counter"));
        }
    }
}

/// The terminal's answer counts whatever its content type says, and whatever its head has besides.
#[tokio::test(start_paused = true)]
async fn a_flood_ends() {
    let flood: &'static [u8] =
        Box::leak([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 400_000]].concat().into_boxed_slice());
    let error = open_at(flood, 1_000).await.expect_err("too long");
    assert!(error.to_string().contains("too long"), "{error}");
}
