//! One ESC/POS printer on one link.
//!
//! [`Printer::open`] says hello with a real-time status request; a printer that does not answer is
//! printed on blindly. A job is status, `ESC @`, body, and then the best proof that this printer
//! gives: its process id (`GS ( H`), else the answer to a status request queued behind the job
//! (`GS r`), else none. What the printer reports meanwhile is heard while bytes are still being
//! sent: one without paper stops reading.
//!
//! When a job stops half-way and nobody comes, the driver asks the printer to discard the rest
//! (`DLE DC4`, function 8). If the printer confirms, the job has failed and is known to be incomplete;
//! if not, it may still come out when somebody puts in paper: the outcome is unknown. Where sending
//! itself was cut short, the connection is of no use any more and every later call says so.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use tresen_hal::{BoxFuture, Driver, Effect, Error, Kind, Link, Result, Retry};

use super::options::{Options, Timing};
use super::status::{Condition, Decoder, Fault, Reply};
use super::wire;
use crate::document::Kick;
use crate::printer::{Capabilities, DrawerPin, Identity, Job, Known, Outcome, Proof, Status};
use crate::profile::Profile;

/// Bytes handed to the link at a time. Taking a piece is progress.
const PIECE: usize = 4096;
/// Replies that are kept from a send; no question has as many answers.
const EARLY: usize = 64;
/// NULs that complete an interrupted command: more than one of our image bands holds.
const FLUSH: usize = 10 * 1024;

/// An ESC/POS printer.
#[derive(Debug)]
pub struct Printer {
    link: Box<dyn Link>,
    ears: Ears,
    options: Options,
    profile: Profile,
    capabilities: Capabilities,
    identity: Identity,
    /// Identity and proof have been asked for.
    acquainted: bool,
    introductions: u8,
    proof: Ladder,
    /// Real-time statuses, by bit, that it has once not answered.
    unasked: u8,
    /// Sending ended inside a piece: nobody knows where the printer stands.
    cut_short: bool,
    jobs: u32,
    told: Status,
    buffer: Vec<u8>,
}

/// The best proof that this printer gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ladder {
    ProcessId,
    BufferDone,
    None,
}

impl Printer {
    /// Says hello on an open link.
    ///
    /// # Errors
    /// [`Kind::Closed`]: the printer hung up at once. [`Kind::Timeout`]: a printer whose profile says
    /// that it answers, does not.
    pub async fn open(link: Box<dyn Link>, options: Options) -> Result<Self> {
        let profile = options.profile.clone().unwrap_or_default();
        let mut printer = Self {
            link,
            ears: Ears::default(),
            capabilities: profile.capabilities(),
            profile,
            options,
            identity: Identity::default(),
            acquainted: false,
            introductions: 0,
            proof: Ladder::None,
            unasked: 0,
            cut_short: false,
            jobs: 0,
            told: Status::default(),
            buffer: Vec::new(),
        };
        if let Err(error) = printer.hello().await {
            printer.link.close().await;
            return Err(error.with_effect(Effect::None).at(&printer.options.label));
        }
        printer.told = printer.ears.condition.status;
        Ok(printer)
    }

    /// The profile in use.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn hello(&mut self) -> Result<()> {
        let answered = self.ask_condition().await.map_err(|e| match e.kind() {
            Kind::Closed => Error::new(Kind::Closed, "the printer closed the connection at once")
                .because(e)
                .hint("another till or program may hold it: most printers serve one connection at a time"),
            _ => e,
        })?;
        if !answered {
            if self.profile.status.is_yes() {
                return Err(Error::new(Kind::Timeout, "the printer takes the connection but does not answer")
                    .with_retry(Retry::AfterReconnect)
                    .hint("another till or program may hold it, or it needs to be switched off and on"));
            }
            tracing::info!(printer = %self.options.label, "does not answer: printing without status or proof");
            self.capabilities.status = Known::No;
            self.capabilities.process_id = Known::No;
            self.acquainted = true;
            return Ok(());
        }
        self.capabilities.status = Known::Yes;
        // One that waits for a person answers only real-time requests; ask the rest later.
        if self.ears.condition.fault.is_none() { self.acquaint().await } else { Ok(()) }
    }

    /// Asks who it is and how it proves a job.
    async fn acquaint(&mut self) -> Result<()> {
        self.identity.maker = self.ask_id(66).await?;
        if self.identity.maker.is_none() {
            // Unknown to it, or eaten by a command that an earlier host left unfinished.
            self.send(&[0; FLUSH]).await?;
            self.identity.maker = self.ask_id(66).await?;
            if self.identity.maker.is_some() {
                // Or only late, as it was printing: then the first answer came now, the second follows.
                let late = self.options.timing.answer / 4;
                self.hear_until(late, |r| matches!(r, Reply::Text(_)).then_some(())).await?;
            }
        }
        if self.identity.maker.is_some() {
            self.identity.model = self.ask_id(67).await?;
            self.identity.firmware = self.ask_id(65).await?;
            self.identity.serial = self.ask_id(68).await?;
        }
        let known = self.identity.model.as_deref().and_then(Profile::for_model);
        if let Some(profile) = known.filter(|_| self.options.profile.is_none()) {
            tracing::debug!(printer = %self.options.label, profile = %profile.name, "recognised");
            self.capabilities = Capabilities { status: Known::Yes, ..profile.capabilities() };
            self.profile = profile;
        }
        self.proof = self.probe().await?;
        self.capabilities.process_id = match (self.proof, self.capabilities.process_id) {
            (Ladder::ProcessId, _) => Known::Yes,
            _ => Known::No,
        };
        let mut hello = Vec::new();
        // Whatever a printer without GS ( H took for text must not stay in its line.
        wire::initialize(&mut hello);
        wire::automatic_status(true, &mut hello);
        self.send(&hello).await?;
        // One that said nothing at all may have been busy: it is asked once more before its first job.
        self.introductions += 1;
        self.acquainted = self.identity.maker.is_some() || self.proof != Ladder::None || self.introductions > 1;
        Ok(())
    }

    async fn probe(&mut self) -> Result<Ladder> {
        let answer = self.options.timing.answer;
        if self.profile.process_id.is_yes() {
            return Ok(Ladder::ProcessId);
        }
        let mut ask = Vec::new();
        // One that does not say who it is, is not asked: it might print the question.
        if self.profile.process_id == Known::Unknown && self.identity.maker.is_some() {
            let id = *b"tres";
            wire::process_id(id, &mut ask);
            self.send(&ask).await?;
            if self.hear_until(answer, |r| (*r == Reply::Done(id)).then_some(())).await?.is_some() {
                return Ok(Ladder::ProcessId);
            }
            ask.clear();
            wire::initialize(&mut ask);
        }
        wire::transmit_status(1, &mut ask);
        self.ears.owed += 1;
        self.send(&ask).await?;
        let answered = self.hear_until(answer, |r| matches!(r, Reply::Byte(_)).then_some(())).await?;
        Ok(if answered.is_some() { Ladder::BufferDone } else { Ladder::None })
    }

    /// GS I strings name the printer; Epson begins them with `_`.
    async fn ask_id(&mut self, n: u8) -> Result<Option<String>> {
        let mut ask = Vec::new();
        wire::printer_id(n, &mut ask);
        self.send(&ask).await?;
        let answer = self.options.timing.answer;
        self.hear_until(answer, |r| {
            if let Reply::Text(text) = r { Some(text.trim_start_matches('_').trim().to_owned()) } else { None }
        })
        .await
    }

    /// Asks for the real-time status; whether it answered.
    async fn ask_condition(&mut self) -> Result<bool> {
        let mut answers = [None; 4];
        for (n, answer) in (1..).zip(&mut answers) {
            if self.unasked & (1 << n) != 0 {
                continue;
            }
            let mut ask = Vec::new();
            wire::realtime_status(n, &mut ask);
            self.send(&ask).await?;
            let within = self.options.timing.answer;
            *answer = self.hear_until(within, |r| if let Reply::Realtime(b) = r { Some(*b) } else { None }).await?;
            match (n, &answer) {
                (1, None) => return Ok(false),
                // Many clones know only some of the four; waiting for the others each time takes long.
                (_, None) => self.unasked |= 1 << n,
                _ => {}
            }
        }
        self.ears.condition = Condition::from_realtime(answers);
        Ok(true)
    }

    /// Hears until `pick` finds what it waits for; `None` if that takes too long.
    async fn hear_until<T>(&mut self, within: Duration, pick: impl Fn(&Reply) -> Option<T>) -> Result<Option<T>> {
        let heard = async {
            loop {
                let reply = self.ears.hear(&*self.link).await?;
                if let Some(found) = pick(&reply) {
                    return Ok(found);
                }
            }
        };
        timeout(within, heard).await.ok().transpose()
    }

    /// Sends while hearing; gives up when neither the link nor the printer makes progress.
    async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let Timing { stall, operator, .. } = self.options.timing;
        self.ears.early.clear();
        for piece in bytes.chunks(PIECE) {
            self.cut_short = true;
            let mut sending = self.link.send(piece);
            loop {
                let patience = if self.ears.condition.fault.is_some() { operator } else { stall };
                tokio::select! {
                    biased;
                    sent = &mut sending => {
                        sent?;
                        break;
                    }
                    heard = self.ears.listen(&*self.link) => {
                        // A fast printer answers before the link says that all was sent.
                        let heard = heard?;
                        if self.ears.early.len() == EARLY {
                            self.ears.early.pop_front();
                        }
                        self.ears.early.push_back(heard);
                    }
                    () = sleep_until(Instant::now() + patience) => {
                        let error = match self.ears.condition.fault {
                            Some(fault) => stopped(fault),
                            None => Error::new(Kind::Timeout, format!("the printer took nothing for {} s", stall.as_secs()))
                                .hint("switch it off and on"),
                        };
                        return Err(error.with_effect(Effect::Unknown));
                    }
                }
            }
            self.cut_short = false;
        }
        Ok(())
    }

    /// Makes sure that the printer would print now.
    async fn prepare(&mut self) -> Result<()> {
        self.usable()?;
        if self.capabilities.status.is_yes() {
            self.ask_or_fail().await?;
            if matches!(self.ears.condition.fault, Some(Fault::Recoverable | Fault::Cutter)) {
                self.recover().await?;
            }
            if let Some(fault) = self.ears.condition.fault {
                return Err(stopped(fault));
            }
        }
        if !self.acquainted {
            self.acquaint().await?;
        }
        if self.ears.owed > 0 && self.proof == Ladder::BufferDone {
            self.settle().await?;
        }
        let mut preamble = Vec::new();
        wire::initialize(&mut preamble);
        if self.capabilities.status.is_yes() {
            // ESC @ switches automatic status off.
            wire::automatic_status(true, &mut preamble);
        }
        self.send(&preamble).await
    }

    /// An answer to `GS r` is missing. Asks again; once that is answered and nothing more comes, none
    /// is.
    async fn settle(&mut self) -> Result<()> {
        let mut ask = Vec::new();
        wire::transmit_status(1, &mut ask);
        self.ears.owed += 1;
        self.send(&ask).await?;
        let (answer, mut heard) = (self.options.timing.answer, false);
        while self.hear_until(answer, |r| matches!(r, Reply::Byte(_)).then_some(())).await?.is_some() {
            heard = true;
            if self.ears.owed == 0 {
                break;
            }
        }
        if heard {
            self.ears.owed = 0;
        }
        Ok(())
    }

    async fn ask_or_fail(&mut self) -> Result<()> {
        if self.ask_condition().await? {
            return Ok(());
        }
        Err(Error::new(Kind::Timeout, "the printer does not answer any more")
            .with_effect(Effect::None)
            .hint("is it switched on and connected?"))
    }

    /// Ends an error that the printer waits in, and clears its buffers.
    async fn recover(&mut self) -> Result<()> {
        let mut request = Vec::new();
        wire::realtime_request(2, &mut request);
        self.send(&request).await?;
        self.ears.owed = 0;
        // Epson asks for some time after clearing; the printer is not listening then.
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.ask_or_fail().await
    }

    fn usable(&self) -> Result<()> {
        if !self.cut_short {
            return Ok(());
        }
        Err(Error::new(Kind::Closed, "sending was cut short on this connection")
            .with_effect(Effect::None)
            .hint("open the printer again"))
    }

    async fn print_job(&mut self, job: &Job) -> Outcome {
        if let Err(error) = self.prepare().await {
            let error = error.with_effect(Effect::None).at(&self.options.label);
            return Outcome::Failed { error, safe_to_retry: true };
        }
        self.jobs = self.jobs.wrapping_add(1);
        let id = ticket(&job.id, self.jobs);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mark = job.copy.then_some(self.options.copy_mark.as_str());
        wire::encode_into(&job.receipt, &self.profile, mark, &mut buffer);
        match self.proof {
            Ladder::ProcessId => wire::process_id(id, &mut buffer),
            Ladder::BufferDone => {
                wire::transmit_status(1, &mut buffer);
                self.ears.owed += 1;
            }
            Ladder::None => {}
        }
        let limit = self.options.timing.job;
        let outcome = timeout(limit, async {
            self.send(&buffer).await?;
            self.prove(id).await
        });
        let outcome = outcome.await.unwrap_or_else(|_| {
            Err(Error::new(Kind::Timeout, format!("the job was not done within {} s", limit.as_secs()))
                .hint("look at the printer and the paper"))
        });
        self.buffer = buffer;
        outcome.unwrap_or_else(|error| {
            // From the first byte of the body on, nobody knows how much came out.
            Outcome::Unknown(error.with_effect(Effect::Unknown).at(&self.options.label))
        })
    }

    /// Waits for the best proof that all that was sent is on paper.
    async fn prove(&mut self, id: [u8; 4]) -> Result<Outcome> {
        if !self.capabilities.status.is_yes() {
            return Ok(Outcome::Accepted);
        }
        if self.proof == Ladder::None {
            self.ask_condition().await?;
            return match self.ears.condition.fault {
                None => Ok(Outcome::Accepted),
                Some(_) => self.wait_for_operator().await,
            };
        }
        if let Some(proof) = self.hear_proof(id).await? {
            return Ok(Outcome::Printed(proof));
        }
        if self.ears.condition.fault.is_some() {
            return self.give_up().await;
        }
        if self.proof == Ladder::ProcessId {
            let mut ask = Vec::new();
            wire::transmit_status(1, &mut ask);
            self.ears.owed += 1;
            self.send(&ask).await?;
            if let Some(proof) = self.hear_proof(id).await? {
                if proof == Proof::BufferDone {
                    tracing::info!(printer = %self.options.label, "confirms no job numbers: using its buffer status");
                    self.proof = Ladder::BufferDone;
                    self.capabilities.process_id = Known::No;
                }
                return Ok(Outcome::Printed(proof));
            }
        }
        if !self.ask_condition().await? {
            return Err(Error::new(Kind::Timeout, "the printer took the job and does not answer any more")
                .hint("look at the paper"));
        }
        if self.ears.condition.fault.is_some() { self.give_up().await } else { Ok(Outcome::Accepted) }
    }

    /// Hears until the job is proved. Each sign of life extends the wait.
    async fn hear_proof(&mut self, id: [u8; 4]) -> Result<Option<Proof>> {
        loop {
            let Timing { proof, operator, .. } = self.options.timing;
            let patience = if self.ears.condition.fault.is_some() { operator } else { proof };
            match timeout(patience, self.ears.hear(&*self.link)).await {
                Err(_) => return Ok(None),
                Ok(reply) => match reply? {
                    Reply::Done(done) if done == id => {
                        return Ok(Some(Proof::ProcessId(id.iter().map(|&b| char::from(b)).collect())));
                    }
                    Reply::Byte(_) if self.ears.owed == 0 => return Ok(Some(Proof::BufferDone)),
                    _ => {}
                },
            }
        }
    }

    /// For a printer that proves nothing but says what stops it.
    async fn wait_for_operator(&mut self) -> Result<Outcome> {
        let end = Instant::now() + self.options.timing.operator;
        while self.ears.condition.fault.is_some() && Instant::now() < end {
            tokio::time::sleep(self.options.timing.answer).await;
            self.ask_condition().await?;
        }
        if self.ears.condition.fault.is_some() { self.give_up().await } else { Ok(Outcome::Accepted) }
    }

    /// The job hangs in the printer and nobody came: have the rest discarded.
    async fn give_up(&mut self) -> Result<Outcome> {
        let Some(fault) = self.ears.condition.fault else { return Ok(Outcome::Accepted) };
        let error = stopped(fault).at(&self.options.label);
        if self.discard().await? {
            return Ok(Outcome::Failed { error: error.with_effect(Effect::Partial), safe_to_retry: false });
        }
        Ok(Outcome::Unknown(error.with_effect(Effect::Unknown)))
    }

    /// Has all buffers cleared; whether the printer confirmed it.
    async fn discard(&mut self) -> Result<bool> {
        let mut request = Vec::new();
        wire::clear_buffers(&mut request);
        self.send(&request).await?;
        let answer = self.options.timing.answer;
        let cleared = self.hear_until(answer, |r| (*r == Reply::Cleared).then_some(())).await?.is_some();
        if cleared {
            self.ears.owed = 0;
        }
        Ok(cleared)
    }

    fn here(&self, error: Error) -> Error {
        error.at(&self.options.label)
    }
}

impl Driver for Printer {
    type Event = Status;

    fn event(&mut self) -> BoxFuture<'_, Result<Status>> {
        Box::pin(async move {
            while self.told == self.ears.condition.status {
                self.ears.hear(&*self.link).await.map_err(|e| e.at(&self.options.label))?;
            }
            self.told = self.ears.condition.status;
            Ok(self.told)
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.link.close().await })
    }
}

impl crate::printer::Printer for Printer {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn status(&mut self) -> BoxFuture<'_, Result<Status>> {
        Box::pin(async move {
            let asked = async {
                self.usable()?;
                if self.capabilities.status.is_yes() { self.ask_or_fail().await } else { Ok(()) }
            };
            asked.await.map_err(|e| self.here(e))?;
            Ok(self.ears.condition.status)
        })
    }

    fn identity(&mut self) -> BoxFuture<'_, Result<Identity>> {
        Box::pin(async move {
            if !self.acquainted && self.ears.condition.fault.is_none() {
                self.acquaint().await.map_err(|e| self.here(e))?;
            }
            Ok(self.identity.clone())
        })
    }

    fn print<'a>(&'a mut self, job: &'a Job) -> BoxFuture<'a, Outcome> {
        Box::pin(self.print_job(job))
    }

    fn kick_drawer(&mut self, pin: DrawerPin) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if self.capabilities.drawer == Known::No {
                return Err(self.here(Error::new(Kind::Unsupported, "this printer has no drawer port")));
            }
            let mut pulse = Vec::new();
            wire::pulse(&Kick::new(pin), &mut pulse);
            self.send_raw(&pulse).await
        })
    }

    fn reset(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let cleared = async {
                self.usable()?;
                // Only printers that confirm jobs are known to have this command.
                if self.proof == Ladder::ProcessId {
                    self.discard().await?;
                }
                self.prepare().await
            };
            cleared.await.map_err(|e| self.here(e))
        })
    }

    fn send_raw<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.usable().map_err(|e| self.here(e))?;
            self.send(bytes).await.map_err(|e| self.here(e))
        })
    }
}

/// The receiving side, so that it can hear while the link is sending.
#[derive(Debug, Default)]
struct Ears {
    decoder: Decoder,
    chunk: Vec<u8>,
    condition: Condition,
    /// Heard during the latest send: an answer may overtake the news that the question was sent.
    early: VecDeque<Reply>,
    /// Answers to `GS r` that are still to come: an old one must not prove a new job.
    owed: u32,
}

impl Ears {
    /// The next reply, heard during the latest send or from now on. Dropping the future loses nothing.
    async fn hear(&mut self, link: &dyn Link) -> Result<Reply> {
        match self.early.pop_front() {
            Some(reply) => Ok(reply),
            None => self.listen(link).await,
        }
    }

    /// The next reply from now on. Dropping the future loses nothing.
    async fn listen(&mut self, link: &dyn Link) -> Result<Reply> {
        loop {
            if let Some(reply) = self.decoder.next_reply() {
                tracing::trace!(?reply, "heard");
                match reply {
                    Reply::Automatic(bytes) => self.condition = Condition::from_automatic(bytes),
                    Reply::Byte(_) => self.owed = self.owed.saturating_sub(1),
                    _ => {}
                }
                return Ok(reply);
            }
            self.chunk.clear();
            link.recv(&mut self.chunk).await?;
            self.decoder.feed(&self.chunk);
        }
    }
}

fn stopped(fault: Fault) -> Error {
    Error::new(Kind::Operator, fault.what()).hint(fault.next_step())
}

/// Four characters that name one attempt of one job, other than those before it.
fn ticket(job: &str, attempt: u32) -> [u8; 4] {
    // FNV-1a over the key; the attempt makes neighbours differ.
    let hash = job.bytes().fold(0x811c_9dc5u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let mut left = hash.wrapping_add(attempt);
    std::array::from_fn(|_| {
        let digit = (left % 94) as u8;
        left /= 94;
        b'!' + digit
    })
}
