//! The driver: an ESC/POS printer on a link.
//!
//! The dialogue is in [`super::session`]; the driver moves its bytes and its timers. A job consists of a status request,
//! `ESC @`, the body, and the best proof that the printer supports: its process id (`GS ( H`), or else the answer to a
//! status request queued behind the job (`GS r`), or else none. Input is read while output is still being sent: a
//! printer that runs out of paper stops reading, and reports why.
//!
//! When a job stops half-way and nobody attends to the printer, it is told to discard the rest (`DLE DC4`, function 8).
//! If it confirms, the job has failed and is known to be incomplete. If not, the rest may still be printed once there
//! is paper: the outcome is unknown. If sending itself was cut short, the connection is unusable and every later call
//! fails with [`Kind::Closed`].

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tresen_hal::{BoxFuture, Driver, Effect, Error, Kind, Link, Result};

use super::options::Options;
use super::session::{Call, Event, Session};
use crate::panel::{Panel, PanelSide, Urgent, panel};
use crate::printer::{Capabilities, DrawerPin, Identity, Job, Outcome, Status};
use crate::profile::Profile;

/// An ESC/POS printer.
#[derive(Debug)]
pub struct Printer {
    link: Box<dyn Link>,
    session: Session,
    label: String,
    panel: Panel,
    side: PanelSide,
    /// Callers waiting until the link has taken their drawer pulse.
    urgent: Vec<oneshot::Sender<Result<()>>>,
    /// A status change not yet returned as an event.
    unreported: Option<Status>,
    chunk: Vec<u8>,
}

/// Opens a printer on a link: finds out its model and how it proves a job. Takes a few round trips, 2 s if the printer
/// does not answer at all, and at most about 10 s if it answers only some requests.
///
/// # Errors
/// [`Kind::Closed`]: the printer hung up at once. [`Kind::Busy`]: it accepts the connection but does not
/// answer, which is how a printer behaves while it serves another host; a printer that cannot answer needs
/// `status=no` ([`Options::overrides`]).
pub async fn open(link: Box<dyn Link>, options: Options) -> Result<Printer> {
    let label = options.label.clone();
    let salt = options.runtime.random();
    let session = Session::new(options, salt, now());
    let (panel, side) = panel();
    let urgent = Vec::new();
    let mut printer = Printer { link, session, label, panel, side, urgent, unreported: None, chunk: Vec::new() };
    if let Err(error) = printer.call(Call::Open).await {
        printer.link.close().await;
        let error = match error.kind() {
            Kind::Closed => Error::new(Kind::Closed, "the printer closed the connection at once")
                .because(error)
                .hint("another till or program may hold it: most printers serve one connection at a time"),
            _ => error,
        };
        return Err(error.with_effect(Effect::None).at(&printer.label));
    }
    printer.side.status.send_replace(printer.session.status());
    printer.unreported = None;
    Ok(printer)
}

impl Printer {
    /// The profile in use.
    pub fn profile(&self) -> &Profile {
        self.session.profile()
    }

    /// Runs a call to its end.
    async fn call(&mut self, call: Call<'_>) -> Result<()> {
        self.session.begin(call, now());
        loop {
            if let Event::Done(result) = self.pump().await? {
                return result;
            }
        }
    }

    /// Moves bytes and time until the next event. Dropping the future loses no input; if it was sending, the session
    /// knows that the rest is missing.
    ///
    /// # Errors
    /// The link failed while no call was running.
    async fn pump(&mut self) -> Result<Event> {
        let mut failed = None;
        loop {
            if let Some(event) = self.session.poll_event() {
                if let Event::Status(status) = event {
                    self.side.status.send_replace(status);
                    self.unreported = Some(status);
                }
                return Ok(event);
            }
            if let Some(error) = failed {
                return Err(error);
            }
            failed = match self.session.poll_transmit(now()) {
                Some(piece) => self.send(&piece).await,
                None => self.wait().await,
            };
        }
    }

    /// Sends one piece while receiving. Returns when it is sent or the session has given up.
    async fn send(&mut self, piece: &[u8]) -> Option<Error> {
        let mut sending = self.link.send(piece);
        loop {
            let deadline = self.session.poll_timeout();
            // What has been sent or received comes before its deadline. Input cannot starve the deadline, which the
            // session checks with each input, nor the drawer, which comes first.
            tokio::select! {
                biased;
                sent = &mut sending => {
                    return match sent {
                        Ok(()) => {
                            self.session.handle_sent(now());
                            self.urgent.drain(..).for_each(|answer| _ = answer.send(Ok(())));
                            None
                        }
                        Err(error) => self.session.handle_lost(error),
                    };
                }
                Some(wanted) = self.side.urgent.recv() => serve(&mut self.session, &mut self.urgent, wanted),
                received = self.link.recv(&mut self.chunk) => match received {
                    Ok(_) => {
                        self.session.handle_input(&self.chunk, now());
                        self.chunk.clear();
                        let status = self.session.status();
                        self.side.status.send_if_modified(|seen| std::mem::replace(seen, status) != status);
                    }
                    Err(error) => return self.session.handle_lost(error),
                },
                () = until(deadline) => self.session.handle_timeout(now()),
            }
            if self.session.is_broken() {
                return None;
            }
        }
    }

    /// Waits for input, a request or a deadline.
    async fn wait(&mut self) -> Option<Error> {
        let deadline = self.session.poll_timeout();
        // In the same order as while sending.
        tokio::select! {
            biased;
            Some(wanted) = self.side.urgent.recv() => serve(&mut self.session, &mut self.urgent, wanted),
            received = self.link.recv(&mut self.chunk) => match received {
                Ok(_) => {
                    self.session.handle_input(&self.chunk, now());
                    self.chunk.clear();
                }
                Err(error) => return self.session.handle_lost(error),
            },
            () = until(deadline) => self.session.handle_timeout(now()),
        }
        None
    }

    fn here(&self, error: Error) -> Error {
        error.at(&self.label)
    }
}

impl Driver for Printer {
    type Event = Status;

    fn event(&mut self) -> BoxFuture<'_, Result<Status>> {
        Box::pin(async move {
            loop {
                if let Some(status) = self.unreported.take() {
                    return Ok(status);
                }
                if self.session.is_broken() {
                    return Err(self.here(Error::new(Kind::Closed, "sending was cut short on this connection")));
                }
                self.pump().await.map_err(|e| e.at(&self.label))?;
            }
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.link.close().await })
    }
}

impl crate::printer::Printer for Printer {
    fn capabilities(&self) -> &Capabilities {
        self.session.capabilities()
    }

    fn panel(&self) -> Panel {
        self.panel.clone()
    }

    fn status(&mut self) -> BoxFuture<'_, Result<Status>> {
        Box::pin(async move {
            self.call(Call::Status).await.map_err(|e| self.here(e))?;
            Ok(self.session.status())
        })
    }

    fn recheck(&mut self) -> BoxFuture<'_, Result<Status>> {
        Box::pin(async move {
            self.call(Call::Recheck).await.map_err(|e| self.here(e))?;
            Ok(self.session.status())
        })
    }

    fn identity(&mut self) -> BoxFuture<'_, Result<Identity>> {
        Box::pin(async move {
            self.call(Call::Identity).await.map_err(|e| self.here(e))?;
            Ok(self.session.identity().clone())
        })
    }

    fn print<'a>(&'a mut self, job: &'a Job) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            self.session.begin(Call::Print(job), now());
            loop {
                match self.pump().await {
                    Ok(Event::Printed(outcome)) => return outcome,
                    Ok(_) => {}
                    Err(error) => return Outcome::Unknown(self.here(error).with_effect(Effect::Unknown)),
                }
            }
        })
    }

    fn kick_drawer(&mut self, pin: DrawerPin) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.call(Call::Kick(pin)).await.map_err(|e| self.here(e)) })
    }

    fn reset(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.call(Call::Reset).await.map_err(|e| self.here(e)) })
    }

    fn send_raw<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.call(Call::Raw(bytes)).await.map_err(|e| self.here(e)) })
    }
}

fn serve(session: &mut Session, waiting: &mut Vec<oneshot::Sender<Result<()>>>, wanted: Urgent) {
    let Urgent::Kick(pin, answer) = wanted;
    match session.kick_now(pin) {
        Ok(()) => waiting.push(answer),
        Err(error) => _ = answer.send(Err(error)),
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

async fn until(deadline: Option<std::time::Instant>) {
    match deadline {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
