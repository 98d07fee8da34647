//! What the till says that is possible is possible, or it says later why not; what it says is impossible is refused.

use std::time::Duration;

use tresen::capabilities::Answer;
use tresen::{Class, DeviceId, Kind, Known, Payment, Print, Result};

use crate::counter::Counter;

/// What somebody wants of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// A payment.
    Payment,
    /// To take a payment back.
    Reversal,
    /// To give money back.
    Refund,
}

/// What the till said before somebody tried.
#[derive(Debug)]
pub struct Offer {
    source: String,
    answer: Answer,
    /// Events of that source until then.
    heard: u64,
}

/// Asks what a terminal can do now, for something that is tried next.
pub fn of_terminal(counter: &Counter, terminal: &str, want: Want) -> Offer {
    let capabilities = counter.till.capabilities();
    let answer = capabilities.terminal(terminal).map(|tender| match want {
        Want::Payment => tender.pay.clone(),
        Want::Reversal => tender.reversal.clone(),
        Want::Refund => tender.refund.clone(),
    });
    let offer = Offer::new(counter, DeviceId::new(Class::Terminal, terminal).to_string(), answer);
    if !offer.answer.can.is_no() {
        asked(counter, terminal, want);
    }
    offer
}

/// Notes that somebody is about to ask a terminal for something.
pub fn asked(counter: &Counter, terminal: &str, want: Want) {
    counter.world.notebook().asked.entry(terminal.to_owned()).or_default()[want as usize] += 1;
}

/// Asks whether a route can print now.
pub fn of_route(counter: &Counter, route: &str) -> Offer {
    let capabilities = counter.till.capabilities();
    let known = capabilities.route(route);
    let on = known.and_then(|route| route.on.clone()).unwrap_or_default();
    let source = DeviceId::new(Class::Printer, on).to_string();
    Offer::new(counter, source, known.map(|route| route.print.clone()))
}

impl Offer {
    fn new(counter: &Counter, source: String, answer: Option<Answer>) -> Self {
        let mut notebook = counter.world.notebook();
        notebook.count("offers");
        let heard = notebook.heard.get(&source).copied().unwrap_or_default();
        Self { source, answer: answer.unwrap_or_default(), heard }
    }

    /// What came of it at a terminal.
    pub async fn came_to(self, counter: &Counter, result: &Result<Payment>) {
        let refused = match result {
            Err(error) => Some(error.kind()),
            Ok(_) => None,
        };
        if self.answer.can.is_no() && refused.is_none() {
            let why = self.answer.why.as_deref().unwrap_or_default();
            counter.world.violated(format!("{} cannot do it ({why}), and has: {result:?}", self.source));
        }
        match refused {
            None if self.answer.now.is_no() => self.has_changed(counter, "is away, and has done it").await,
            Some(Kind::Unsupported | Kind::Config) if self.answer.now == Known::Yes => {
                self.has_changed(counter, "can do it, and has refused").await;
            }
            Some(Kind::Busy | Kind::Storage | Kind::Input | Kind::Cancelled | Kind::Unsupported | Kind::Config) => {}
            Some(_) if self.answer.now == Known::Yes => self.has_changed(counter, "can do it, and failed").await,
            _ => {}
        }
    }

    /// What came of it at a route.
    pub async fn printed(self, counter: &Counter, print: &Print) {
        if self.answer.now == Known::Yes && matches!(print, Print::Waiting { .. }) {
            self.has_changed(counter, "can print, and paper waits").await;
        }
    }

    /// The till has said meanwhile that something is different.
    async fn has_changed(self, counter: &Counter, what: &str) {
        counter.pause(Duration::from_secs(1)).await;
        let heard = counter.world.notebook().heard.get(&self.source).copied().unwrap_or_default();
        if heard == self.heard {
            counter.world.violated(format!("{} {what}; nothing was said in between", self.source));
        }
    }
}
