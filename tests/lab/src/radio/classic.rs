//! A simulator behind a serial port, announced by SDP or not.

use bluer::rfcomm::{Listener, Profile, Role, SocketAddr};
use bluer::{Adapter, Uuid};
use tokio::task::JoinHandle;
use tresen_hal::Link;
use tresen_hal::link::spp::Spp;
use tresen_hal::sim::{self, Device, Shared};

use super::{PRINTER, Radio, next};

/// Serial Port Profile.
const SERIAL_PORT: Uuid = Uuid::from_u128(0x00001101_0000_1000_8000_00805f9b34fb);

/// A simulator behind a serial port, announced by SDP.
pub struct SppPrinter {
    task: JoinHandle<()>,
}

impl SppPrinter {
    /// Listens on `channel` without announcing it, to one host after the other: the kernel's own socket,
    /// which BlueZ knows nothing of.
    ///
    /// # Panics
    /// The kernel refuses.
    pub async fn listen<D: Device + 'static>(radio: &Radio, channel: u8, device: Shared<D>) -> Self {
        Self::listen_at(radio, PRINTER, channel, device).await
    }

    /// The same at one of several controllers.
    ///
    /// # Panics
    /// As [`SppPrinter::listen`].
    pub async fn listen_at<D: Device + 'static>(
        radio: &Radio,
        controller: &str,
        channel: u8,
        device: Shared<D>,
    ) -> Self {
        let adapter = reachable(radio, controller).await;
        let at = SocketAddr::new(adapter.address().await.expect("an address"), channel);
        let listener = Listener::bind(at).await.expect("a channel");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                sim::link(&Spp::new(stream), &device).await;
            }
        });
        Self { task }
    }

    /// Offers the port on `channel` and announces it, to one host after the other.
    ///
    /// # Panics
    /// BlueZ refuses.
    pub async fn serve<D: Device + 'static>(radio: &Radio, channel: u16, device: Shared<D>) -> Self {
        Self::offer(radio, channel, device, false).await
    }

    /// The same, for those who have paired.
    ///
    /// # Panics
    /// As [`SppPrinter::serve`].
    pub async fn serve_paired<D: Device + 'static>(radio: &Radio, channel: u16, device: Shared<D>) -> Self {
        Self::offer(radio, channel, device, true).await
    }

    async fn offer<D: Device + 'static>(radio: &Radio, channel: u16, device: Shared<D>, paired: bool) -> Self {
        reachable(radio, PRINTER).await;
        let profile = Profile {
            uuid: SERIAL_PORT,
            name: Some("SimPrinter".to_owned()),
            role: Some(Role::Server),
            channel: Some(channel),
            require_authentication: Some(paired),
            require_authorization: Some(false),
            ..Profile::default()
        };
        let mut hosts = radio.session().register_profile(profile).await.expect("a profile");
        let task = tokio::spawn(async move {
            while let Some(host) = next(&mut hosts).await {
                if let Ok(stream) = host.accept() {
                    let link = Spp::new(stream);
                    sim::link(&link, &device).await;
                    // bluetoothd keeps the socket, too: dropping ours would not end the connection.
                    link.close().await;
                }
            }
        });
        Self { task }
    }
}

/// A controller answers classic connections only while it can be discovered, or knows somebody.
async fn reachable(radio: &Radio, controller: &str) -> Adapter {
    let adapter = radio.adapter(controller);
    adapter.set_discoverable_timeout(0).await.expect("set");
    adapter.set_discoverable(true).await.expect("set");
    adapter
}

impl Drop for SppPrinter {
    fn drop(&mut self) {
        self.task.abort();
    }
}
