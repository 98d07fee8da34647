//! One port: who asks when, and what the answers mean.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};
use tresen_hal::probe::{Heard, Probe, Sighting, foreign};
use tresen_hal::{Kind, Link, Result};

use super::network::Network;
use super::{Answer, Asked, Certificate, Limits, Probed, address};
use crate::drivers::{Drivers, Protocol};

/// A protocol that can be asked for.
type Row<'a> = (&'a Protocol, &'a Arc<dyn Probe>);

/// Asks at one port.
pub(super) async fn probe(
    drivers: &Drivers,
    network: &dyn Network,
    port: u16,
    limits: Limits,
    asked: Asked<'_>,
) -> Probed {
    let mut seeker = Seeker::new(drivers, network, port, limits, asked);
    let answer = timeout(limits.port, seeker.seek()).await.unwrap_or(Ok(None));
    let answer = match answer {
        Ok(Some(found)) => found,
        Ok(None) if seeker.hung_up => Answer::HangUp,
        Ok(None) => Answer::Silence,
        Err(error) => Answer::Nobody { why: error.what().to_owned() },
    };
    let Seeker { certificate, evidence, .. } = seeker;
    Probed { port, answer, certificate, evidence }
}

/// What is done next on a port.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The row with this index asks.
    Ask(usize),
    /// The handshake of TLS, and everybody behind it.
    Tls,
}

struct Seeker<'a> {
    rows: Vec<Row<'a>>,
    steps: Vec<Step>,
    /// The rows whose usual port this is.
    own: Vec<usize>,
    network: &'a dyn Network,
    port: u16,
    limits: Limits,
    /// Somebody has accepted a connection.
    opened: bool,
    hung_up: bool,
    /// The rows whose question was sent: in plain, and then over TLS.
    asked: BTreeSet<usize>,
    certificate: Option<Certificate>,
    evidence: Vec<String>,
}

/// What a connection brought.
enum Said {
    Nothing,
    Closed,
    Device(usize, Sighting),
    Else(Vec<u8>),
}

impl<'a> Seeker<'a> {
    fn new(drivers: &'a Drivers, network: &'a dyn Network, port: u16, limits: Limits, asked: Asked<'_>) -> Self {
        let rows: Vec<Row<'_>> = drivers.protocols().filter_map(|p| Some((p, p.recogniser()?))).collect();
        let printer = asked.printer || drivers.is_printers(port);
        let usual = |row: &Row<'_>, over_tls| row.0.usual_ports().contains(&(port, over_tls));
        let failed = |row: &Row<'_>| asked.failed == Some(row.0.name());
        let printable = |row: &Row<'_>| row.1.question(network.name()).printable;
        let is_tls = rows.iter().any(|row| usual(row, true));
        let own: Vec<usize> =
            (0..rows.len()).filter(|at| usual(&rows[*at], false) || usual(&rows[*at], true)).collect();
        // Lower is earlier.
        let rank = |step: &Step| match *step {
            Step::Tls => (u8::from(!is_tls) * 2, 0),
            Step::Ask(at) if failed(&rows[at]) => (4, at),
            Step::Ask(at) if usual(&rows[at], false) => (1, at),
            Step::Ask(at) if !printable(&rows[at]) => (if is_tls { 3 } else { 1 }, rows.len() + at),
            Step::Ask(at) => (3, rows.len() + at),
        };
        let mut steps: Vec<Step> = (0..rows.len()).map(Step::Ask).chain([Step::Tls]).collect();
        steps.retain(|step| match step {
            Step::Tls => !printer || is_tls,
            Step::Ask(at) => !printer || !printable(&rows[*at]) || own.contains(at),
        });
        steps.sort_by_key(rank);
        let (certificate, evidence) = (None, Vec::new());
        let (opened, hung_up, asked) = (false, false, BTreeSet::new());
        Self { rows, steps, own, network, port, limits, opened, hung_up, asked, certificate, evidence }
    }

    async fn seek(&mut self) -> Result<Option<Answer>> {
        for step in self.steps.clone() {
            let answer = match step {
                Step::Ask(at) => {
                    let Some(link) = self.connect().await? else { continue };
                    let said = self.ask(&*link, at, true).await;
                    link.close().await;
                    self.judged(said, None).await
                }
                Step::Tls => self.tls().await,
            };
            match answer {
                // What expects TLS says so to a question in plain; what is behind it is found out if it can be.
                Some(Answer::Tls) if self.certificate.is_none() => {
                    let behind = if step == Step::Tls { None } else { self.tls().await };
                    return Ok(Some(behind.unwrap_or(Answer::Tls)));
                }
                Some(answer) => return Ok(Some(answer)),
                None => {}
            }
        }
        Ok(None)
    }

    /// Connects, and once more if the device was not ready for another connection.
    async fn connect(&mut self) -> Result<Option<Box<dyn Link>>> {
        if self.opened {
            sleep(self.limits.pause).await;
        }
        match self.network.connect(self.port, self.limits.connect).await {
            Ok(link) => {
                self.opened = true;
                Ok(Some(link))
            }
            Err(error) if !self.opened => Err(error),
            Err(_) => {
                sleep(AGAIN).await;
                Ok(self.network.connect(self.port, self.limits.connect).await.ok())
            }
        }
    }

    /// One protocol asks on one connection; the answer may be of any.
    async fn ask(&mut self, link: &dyn Link, at: usize, alone: bool) -> Said {
        self.asked.insert(at);
        let question = self.rows[at].1.question(self.network.name());
        let own = self.own.contains(&at);
        let mut heard = Vec::new();
        let mut closed = self.listen(link, &mut heard, Instant::now() + self.limits.greeting).await;
        let greeted = !heard.is_empty();
        if !greeted && !closed {
            closed = link.send(&question.bytes).await.is_err();
        }
        let patience = if own { self.limits.answer * 3 } else { self.limits.answer };
        let speaks = question.speaks_within.filter(|_| own && alone).unwrap_or_default();
        let mut until = Instant::now() + patience.max(speaks);
        let mut replied = 0;
        let mut found: Option<(usize, Sighting)> = None;
        loop {
            if heard.starts_with(&question.bytes) {
                return Said::Else(heard);
            }
            let (mut part, mut done) = (false, false);
            for (row, (_, probe)) in self.rows.iter().enumerate() {
                match probe.hear(&heard) {
                    _ if heard.is_empty() => part = true,
                    Heard::Other | Heard::Ask => {}
                    Heard::Part => part = true,
                    Heard::Answer { sighting, replies, over } => {
                        if let Some(new) = replies.get(replied..).filter(|new| !new.is_empty()) {
                            replied = replies.len();
                            closed |= link.send(new).await.is_err();
                        }
                        if found.is_none() {
                            // Its dialogue should end in order.
                            until = until.max(Instant::now() + self.limits.answer * 2);
                        }
                        (found, done) = (Some((row, sighting)), over);
                        break;
                    }
                }
            }
            let full = heard.len() >= self.limits.bytes;
            if done || closed || full || (found.is_none() && !part) {
                break;
            }
            let before = heard.len();
            closed = self.listen(link, &mut heard, until).await;
            if heard.len() == before && !closed {
                break;
            }
        }
        match found {
            Some((row, sighting)) => Said::Device(row, sighting),
            None if !heard.is_empty() => Said::Else(heard),
            None if closed => Said::Closed,
            None => Said::Nothing,
        }
    }

    /// Takes one chunk, if one comes in time. True: the link has ended.
    async fn listen(&self, link: &dyn Link, heard: &mut Vec<u8>, until: Instant) -> bool {
        let ended = matches!(timeout_at(until, link.recv(heard)).await, Ok(Err(_)));
        heard.truncate(self.limits.bytes);
        ended
    }

    async fn judged(&mut self, said: Said, tls: Option<&Certificate>) -> Option<Answer> {
        match said {
            Said::Nothing => None,
            Said::Closed => {
                self.hung_up = true;
                None
            }
            Said::Else(heard) => {
                let wrongly = |at: &usize| !self.asked.contains(at) && self.rows[*at].1.hear(&heard) == Heard::Ask;
                let rightly = (0..self.rows.len()).find(wrongly);
                if let Some(at) = rightly
                    && let Some(link) = self.connect_again(tls.is_some()).await
                {
                    let said = self.ask(&*link, at, false).await;
                    link.close().await;
                    if let Said::Device(row, sighting) = said {
                        return Some(self.device(row, sighting, tls));
                    }
                }
                Some(foreign(&heard).into())
            }
            Said::Device(row, sighting) => Some(self.device(row, sighting, tls)),
        }
    }

    async fn connect_again(&self, tls: bool) -> Option<Box<dyn Link>> {
        sleep(self.limits.pause).await;
        if tls {
            let looked = self.network.look(self.port, self.limits.handshake).await?;
            return looked.ok().map(|(link, _)| link);
        }
        self.network.connect(self.port, self.limits.connect).await.ok()
    }

    fn device(&mut self, row: usize, sighting: Sighting, tls: Option<&Certificate>) -> Answer {
        let (protocol, probe) = self.rows[row];
        let options: Vec<_> = sighting.options.into_iter().chain(probe.options_at(self.port)).collect();
        self.evidence.extend(sighting.evidence);
        let address = address(self.network.name(), self.port, protocol, tls, &options);
        Answer::Device { protocol: protocol.name().to_owned(), certain: sighting.certain, address }
    }

    /// The handshake, what the certificate says, and what everybody behind it hears.
    async fn tls(&mut self) -> Option<Answer> {
        if self.opened {
            sleep(self.limits.pause).await;
        }
        let (link, certificate) = match self.network.look(self.port, self.limits.handshake).await? {
            Ok(looked) => looked,
            Err(error) if matches!(error.kind(), Kind::Unsupported | Kind::Refused) && speaks_tls(&error) => {
                self.evidence.push(error.what().to_owned());
                return Some(Answer::Tls);
            }
            Err(_) => return None,
        };
        self.opened = true;
        let name = certificate.common_name.clone().unwrap_or_default();
        let short = name.len() <= 80 && !name.contains(char::is_control) && !name.is_empty();
        self.evidence.extend(short.then(|| format!("its certificate names `{name}`")));
        self.certificate = Some(certificate.clone());
        let named = (0..self.rows.len()).find_map(|at| Some((at, self.rows[at].1.certificate(&name)?)));
        if let Some((row, sighting)) = named {
            link.close().await;
            return Some(self.device(row, sighting, Some(&certificate)));
        }
        let mut link = Some(link);
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|at| (!self.own.contains(at), *at));
        self.asked.clear();
        for at in order {
            let over = match link.take() {
                Some(link) => link,
                None => match self.connect_again(true).await {
                    Some(link) => link,
                    None => break,
                },
            };
            let said = self.ask(&*over, at, false).await;
            over.close().await;
            if let Some(found) = self.judged(said, Some(&certificate)).await {
                return Some(found);
            }
        }
        Some(Answer::Tls)
    }
}

/// Whether an error of the handshake comes of TLS, and not of the way there.
fn speaks_tls(error: &tresen_hal::Error) -> bool {
    error.kind() == Kind::Unsupported || error.next_step().is_some_and(|hint| hint.contains("fingerprint="))
}

/// How long a device that refused another connection is left alone.
const AGAIN: Duration = Duration::from_secs(2);
