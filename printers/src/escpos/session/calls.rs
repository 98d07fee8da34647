//! The steps of each call, and the errors they share.

use bytes::Bytes;
use tresen_hal::{Error, Kind};

use super::steps::Step;
use super::{Call, Session};
use crate::content::Content;
use crate::document::Kick;
use crate::escpos::status::Fault;
use crate::escpos::wire;
use crate::printer::DrawerPin;

impl Session {
    /// Puts the steps of `call` on the agenda.
    pub(super) fn plan(&mut self, call: Call<'_>) {
        let status = self.capabilities.status != tresen_hal::Known::No;
        let asks = |then: Step| if status { vec![Step::Condition, then] } else { vec![then] };
        let steps = match call {
            Call::Open => asks(Step::Greet),
            Call::Status => asks(Step::Answered),
            Call::Recheck if self.condition.fault.is_some() => vec![Step::Peek, Step::Answered],
            Call::Recheck => asks(Step::Answered),
            Call::Identity => vec![Step::RecogniseUnlessStopped, Step::Details, Step::Finish],
            Call::Print(job) => {
                if let Content::Raw(raw) = &job.content
                    && raw.language != LANGUAGE
                {
                    return self.fail(another_language(&raw.language));
                }
                self.prepare_job(job);
                [self.ready(), vec![Step::Body]].concat()
            }
            Call::Kick(pin) => asks(Step::Kick(pin)),
            Call::Reset => {
                // Only printers that confirm jobs are known to have this command.
                let discard = self.proof_by == super::ProofBy::Number;
                let discard = if discard { vec![Step::Discard] } else { vec![] };
                [discard, self.ready(), vec![Step::Finish]].concat()
            }
            Call::Raw(bytes) => {
                self.body.push(Bytes::copy_from_slice(bytes));
                // How many answers the bytes request is unknown.
                self.out_of_sync |= may_ask(bytes);
                vec![Step::Finish]
            }
        };
        self.agenda.extend(steps);
    }

    /// The steps that make the printer ready to print.
    fn ready(&self) -> Vec<Step> {
        let status = self.capabilities.status != tresen_hal::Known::No;
        let ask = if status { vec![Step::Condition, Step::Ready { recovered: false }] } else { vec![] };
        [ask, vec![Step::Recognise, Step::Resync, Step::Preamble]].concat()
    }
}

/// Whether bytes may contain a request: `GS r`, `GS I`, `GS (`, `GS a`, `ESC u`, `ESC v`, `DLE`; or the beginning of one.
pub(super) fn may_ask(bytes: &[u8]) -> bool {
    let asks = |two: &[u8]| matches!(two, [0x1d, b'r' | b'I' | b'(' | b'a'] | [0x1b, b'u' | b'v'] | [0x10, _]);
    bytes.windows(2).any(asks) || matches!(bytes.last(), Some(0x10 | 0x1b | 0x1d))
}

fn another_language(language: &str) -> Error {
    let what = format!("the raw bytes are in `{language}`; this printer needs `{LANGUAGE}`");
    Error::new(Kind::Unsupported, what)
}

/// The error for a stopped printer.
pub(super) fn stopped(fault: Fault) -> Error {
    Error::new(Kind::Operator, fault.what()).hint(fault.next_step())
}

pub(super) fn drawer_stays_shut(fault: Fault) -> Error {
    let what = format!("the drawer stays shut: {}", fault.what());
    Error::new(Kind::Operator, what).with_effect(tresen_hal::Effect::None).hint(fault.next_step())
}

pub(super) fn no_drawer() -> Error {
    Error::new(Kind::Unsupported, "this printer has no drawer port")
}

/// No answer: most printers serve one connection and let others wait.
pub(super) fn held() -> Error {
    Error::new(Kind::Busy, "the printer accepts the connection but does not answer")
        .with_retry(tresen_hal::Retry::AfterReconnect)
        .hint(
            "another till or program may hold it, or it needs to be switched off and on; \
             for a printer that cannot answer, set `status=no`",
        )
}

pub(super) fn silent() -> Error {
    Error::new(Kind::Timeout, "the printer no longer answers")
        .with_effect(tresen_hal::Effect::None)
        .hint("is it switched on and connected?")
}

pub(super) fn pulse(pin: DrawerPin) -> Vec<u8> {
    let mut pulse = Vec::new();
    wire::pulse(&Kick::new(pin), &mut pulse);
    pulse
}

pub(super) fn urgent_pulse(pin: DrawerPin) -> Vec<u8> {
    let mut pulse = Vec::new();
    wire::realtime_pulse(pin, &mut pulse);
    pulse
}

/// The language tag of raw bytes for this driver.
const LANGUAGE: &str = "escpos";
