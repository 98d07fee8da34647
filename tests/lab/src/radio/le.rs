//! A simulator behind a GATT service.

use std::sync::Arc;

use bluer::Uuid;
use bluer::adv::{Advertisement, AdvertisementHandle};
use bluer::gatt::local::{
    Application, ApplicationHandle, Characteristic, CharacteristicNotifier, CharacteristicNotify,
    CharacteristicNotifyMethod, CharacteristicWrite, CharacteristicWriteMethod, Service,
};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tresen_hal::sim::{self, Device, Shared};
use tresen_hal::{BoxFuture, Error, Kind, Link, Result};

use super::{PRINTER, Radio};

/// Service, write and notify characteristic, as WebBluetoothReceiptPrinter's table has them.
const SERVICE: Uuid = Uuid::from_u128(0x000018f0_0000_1000_8000_00805f9b34fb);
const WRITE: Uuid = Uuid::from_u128(0x00002af1_0000_1000_8000_00805f9b34fb);
const NOTIFY: Uuid = Uuid::from_u128(0x00002af0_0000_1000_8000_00805f9b34fb);

/// A simulator behind a GATT service.
pub struct BlePrinter {
    task: JoinHandle<()>,
    _service: ApplicationHandle,
    _advertisement: AdvertisementHandle,
}

impl BlePrinter {
    /// Offers the service and advertises it.
    ///
    /// # Panics
    /// BlueZ refuses.
    pub async fn serve<D: Device + 'static>(radio: &Radio, device: Shared<D>) -> Self {
        Self::offer(radio, device, false).await
    }

    /// The same, for those who have paired: it refuses writes over a link that is not encrypted.
    ///
    /// # Panics
    /// As [`BlePrinter::serve`].
    pub async fn serve_paired<D: Device + 'static>(radio: &Radio, device: Shared<D>) -> Self {
        Self::offer(radio, device, true).await
    }

    async fn offer<D: Device + 'static>(radio: &Radio, device: Shared<D>, encrypt_write: bool) -> Self {
        let (to_sim, written) = mpsc::unbounded_channel();
        let notifier: Arc<Mutex<Option<CharacteristicNotifier>>> = Arc::default();
        let subscribed = notifier.clone();
        let write = Characteristic {
            uuid: WRITE,
            write: Some(CharacteristicWrite {
                write: true,
                write_without_response: true,
                encrypt_write,
                method: CharacteristicWriteMethod::Fun(Box::new(move |value, _| {
                    to_sim.send(value).ok();
                    Box::pin(async { Ok(()) })
                })),
                ..CharacteristicWrite::default()
            }),
            ..Characteristic::default()
        };
        let notify = Characteristic {
            uuid: NOTIFY,
            notify: Some(CharacteristicNotify {
                notify: true,
                method: CharacteristicNotifyMethod::Fun(Box::new(move |notifier| {
                    let subscribed = subscribed.clone();
                    Box::pin(async move {
                        *subscribed.lock().await = Some(notifier);
                    })
                })),
                ..CharacteristicNotify::default()
            }),
            ..Characteristic::default()
        };
        let service =
            Service { uuid: SERVICE, primary: true, characteristics: vec![write, notify], ..Service::default() };
        let application = Application { services: vec![service], ..Application::default() };
        let adapter = radio.adapter(PRINTER);
        let service = adapter.serve_gatt_application(application).await.expect("a service");
        let advertisement = Advertisement {
            service_uuids: [SERVICE].into_iter().collect(),
            discoverable: Some(true),
            local_name: Some("SimPrinter".to_owned()),
            ..Advertisement::default()
        };
        let advertisement = adapter.advertise(advertisement).await.expect("advertised");
        let link = Characteristics { written: Mutex::new(written), notifier };
        let task = tokio::spawn(async move { sim::link(&link, &device).await });
        Self { task, _service: service, _advertisement: advertisement }
    }
}

impl Drop for BlePrinter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The device's side of a GATT connection.
struct Characteristics {
    written: Mutex<mpsc::UnboundedReceiver<Vec<u8>>>,
    notifier: Arc<Mutex<Option<CharacteristicNotifier>>>,
}

impl std::fmt::Debug for Characteristics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Characteristics")
    }
}

impl Link for Characteristics {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            // A printer's words to nobody are lost.
            if let Some(notifier) = &mut *self.notifier.lock().await {
                for chunk in bytes.chunks(20) {
                    notifier.notify(chunk.to_vec()).await.ok();
                }
            }
            Ok(())
        })
    }

    fn recv<'a>(&'a self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let value = self.written.lock().await.recv().await;
            let value = value.ok_or_else(|| Error::new(Kind::Closed, "the service has ended"))?;
            into.extend_from_slice(&value);
            Ok(value.len())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
