//! Ctrl-C, heard from one time on: none is lost between two waits.

#[cfg(unix)]
type Signal = tokio::signal::unix::Signal;
#[cfg(windows)]
type Signal = tokio::signal::windows::CtrlC;

/// The interrupts since this was made. Several before one wait count once.
pub(crate) struct Interrupts(Option<Signal>);

impl Interrupts {
    /// Listens from now on; on a system that cannot be listened to, nothing is ever heard.
    pub(crate) fn new() -> Self {
        #[cfg(unix)]
        let signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
        #[cfg(windows)]
        let signal = tokio::signal::windows::ctrl_c();
        if let Err(error) = &signal {
            tracing::warn!(%error, "Ctrl-C cannot be heard");
        }
        Self(signal.ok())
    }

    /// Waits for the next one. Cancel-safe.
    pub(crate) async fn next(&mut self) {
        let heard = match &mut self.0 {
            Some(signal) => signal.recv().await,
            None => None,
        };
        if heard.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
