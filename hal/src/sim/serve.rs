//! Serves a [`Device`] over links, one connection at a time, as real devices do.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Action, Device, Shared};
use crate::link::Listen;
use crate::{Kind, Link, Result};

/// A served simulator. Dropping this ends the service and the connection.
#[derive(Debug)]
pub struct Server {
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves `device` on `listener`, one connection after the other. A second host is accepted by the kernel and has to
/// wait, as with a printer's port 9100.
///
/// # Errors
/// The listener no longer has a local address.
pub fn tcp<D: Device + 'static>(listener: TcpListener, device: Shared<D>) -> Result<(Server, SocketAddr)> {
    let address = listener.local_addr()?;
    Ok((over(Box::new(listener), device), address))
}

/// The same on a listener of any kind, such as one with TLS, until it is closed.
pub fn over<D: Device + 'static>(listen: Box<dyn Listen>, device: Shared<D>) -> Server {
    let task = tokio::spawn(async move {
        loop {
            match listen.accept().await {
                Ok(incoming) => {
                    tracing::debug!(from = ?incoming.from, "host connected");
                    link(&*incoming.link, &device).await;
                }
                Err(error) if error.kind() == Kind::Closed => return,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    });
    Server { task }
}

/// A simulator on a pseudo-terminal.
#[cfg(all(unix, feature = "serial"))]
#[derive(Debug)]
pub struct Pty {
    /// Where the host opens it: `/dev/pts/3`.
    pub path: String,
    _server: Server,
}

/// Serves `device` on a new pseudo-terminal, which the host may open and close repeatedly.
///
/// # Errors
/// The system cannot create another pseudo-terminal.
#[cfg(all(unix, feature = "serial"))]
pub fn pty<D: Device + 'static>(device: Shared<D>) -> Result<Pty> {
    use crate::Error;
    use crate::link::serial::Serial;
    use std::os::unix::fs::OpenOptionsExt;
    use tokio_serial::{SerialPort, SerialStream};

    let fault = |e: tokio_serial::Error| Error::new(Kind::Io, "cannot create a pseudo-terminal").because(e);
    let (far, near) = SerialStream::pair().map_err(fault)?;
    let path = near.name().ok_or_else(|| Error::new(Kind::Io, "the pseudo-terminal has no name"))?;
    // While one handle of the near end is open, the far end survives being closed by the host. This handle
    // holds no lock, so that the host can open the port exclusively.
    let held = std::fs::OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(&path)?;
    drop(near);
    let task = tokio::spawn(async move {
        let _held = held;
        link(&Serial::new(far), &device).await;
    });
    Ok(Pty { path, _server: Server { task } })
}

/// Serves `device` on one open link until either side hangs up.
pub async fn link<D: Device>(link: &dyn Link, device: &Shared<D>) {
    let now = || Instant::now().into_std();
    let operate = |f: &mut dyn FnMut(&mut D)| {
        f(&mut device.0.device.lock().expect("no operator of a simulator panics while holding it"));
    };
    operate(&mut |d| d.connected(now()));
    let mut input = Vec::new();
    loop {
        let (mut action, mut ready, mut deadline) = (None, true, None);
        operate(&mut |d| (action, ready, deadline) = (d.next_action(), d.is_ready(), d.deadline()));
        match action {
            Some(Action::Send(bytes)) => {
                if link.send(&bytes).await.is_err() {
                    break;
                }
                continue;
            }
            Some(Action::HangUp) => break,
            None => {}
        }
        let wake = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = wake => operate(&mut |d| d.timeout(now())),
            () = device.0.touched.notified() => {}
            got = link.recv(&mut input), if ready => {
                if got.is_err() {
                    break;
                }
                operate(&mut |d| d.input(&input, now()));
                input.clear();
            }
        }
    }
    operate(&mut |d| d.disconnected(now()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::tcp;

    /// Answers each byte with its successor; hangs up on 0xff.
    #[derive(Default)]
    struct Successor {
        actions: Vec<Action>,
        hosts: usize,
    }

    impl Device for Successor {
        fn connected(&mut self, _: std::time::Instant) {
            self.hosts += 1;
        }
        fn input(&mut self, bytes: &[u8], _: std::time::Instant) {
            self.actions
                .extend(bytes.iter().map(|&b| if b == 0xff { Action::HangUp } else { Action::Send(vec![b + 1]) }));
        }
        fn next_action(&mut self) -> Option<Action> {
            (!self.actions.is_empty()).then(|| self.actions.remove(0))
        }
    }

    #[tokio::test]
    async fn serves_host_after_host_over_tcp() {
        let device = Shared::new(Successor::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (_server, at) = tcp(listener, device.clone()).expect("served");
        for _ in 0..2 {
            let link = tcp::connect("127.0.0.1", at.port()).await.expect("connects");
            link.send(&[1, 2]).await.expect("open");
            let mut got = Vec::new();
            while got.len() < 2 {
                link.recv(&mut got).await.expect("open");
            }
            assert_eq!(got, [2, 3]);
            link.send(&[0xff]).await.expect("open");
            assert!(link.recv(&mut got).await.is_err(), "it hangs up");
        }
        assert_eq!(device.with(|d| d.hosts), 2);
    }

    #[cfg(all(unix, feature = "serial"))]
    #[tokio::test]
    async fn serves_a_pseudo_terminal_that_survives_reopening() {
        use crate::link::serial::{Settings, open};
        let device = Shared::new(Successor::default());
        let pty = pty(device.clone()).expect("a pseudo-terminal");
        for _ in 0..2 {
            let link = open(&pty.path, &Settings::default()).expect("opens");
            let mut got = Vec::new();
            link.send(&[7]).await.expect("open");
            link.recv(&mut got).await.expect("open");
            assert_eq!(got, [8]);
            drop(link);
        }
        device.with(|d| d.actions.push(Action::Send(vec![42])));
        let link = open(&pty.path, &Settings::default()).expect("opens");
        let mut got = Vec::new();
        link.recv(&mut got).await.expect("what it said while nobody listened");
        assert_eq!(got, [42]);
    }
}
