//! What drivers of all protocols wait for.

use std::time::Instant;

use crate::host::Host;

/// Waits for a deadline and returns it.
pub(crate) async fn reached(deadline: Option<Instant>) -> Instant {
    let Some(at) = deadline else { return std::future::pending().await };
    tokio::time::sleep_until(at.into()).await;
    at
}

/// The caller wants to abort: the first time, or, after `so_far` times, once more.
pub(crate) async fn abort_wanted(host: &mut Option<Host>, so_far: u32) {
    if let Some(host) = host {
        let abort = &mut host.abort;
        let again = so_far == 0 || abort.changed().await.is_ok();
        if again && abort.wait_for(|wanted| *wanted).await.is_ok() {
            return;
        }
    }
    std::future::pending::<()>().await;
}
