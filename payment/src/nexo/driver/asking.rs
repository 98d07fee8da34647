//! Asking the terminal how it is and what became of a transaction. Nothing here moves money.

use std::time::Duration;

use tresen_hal::{Effect, Error, Kind, Result};

use super::super::receipt;
use super::super::recovery::{self, Elapsed, Status, Verdict, category};
use super::super::reference::{self, service_id};
use super::super::results::{Condition, Outcome};
use super::super::session::{Event, clean};
use super::super::wire::{
    Body, Category, DiagnosisRequest, DiagnosisResponse, Header, MessageReference, TransactionStatusRequest,
};
use super::Terminal;
use super::exchange::leave;
use crate::books::{self, LOOKS};
use crate::journal::{Entry, Intent};
use crate::outcome::{Payment, Unknown};
use crate::slips::Slips;
use crate::terminal::{Settled, TerminalStatus};

impl Terminal {
    /// Asks the terminal how it is, and to try its host.
    pub(super) async fn diagnose(&mut self, host: bool) -> Result<DiagnosisResponse> {
        let body = Body::Diagnosis(DiagnosisRequest { host_diagnosis_flag: host.then_some(true) });
        let request = self.message(Category::Diagnosis, None, body);
        match self.ask(&request).await?.body {
            Body::Diagnosed(told) => Ok(told),
            _ => Err(self.odd("its diagnosis")),
        }
    }

    pub(super) async fn how_it_is(&mut self) -> Result<TerminalStatus> {
        let told = self.diagnose(false).await?;
        Ok(self.state(told))
    }

    fn state(&self, told: DiagnosisResponse) -> TerminalStatus {
        let outcome = Outcome::of(&told.response.result, told.response.error_condition.as_deref());
        let state = told.poi_status.unwrap_or_default();
        let text = match (&outcome, state.global_status.as_deref(), state.communication_ok_flag) {
            (Outcome::Failure(condition), ..) => clean(&condition.to_string()),
            (_, Some("OK") | None, Some(false)) => "the terminal does not reach its host".into(),
            (_, Some("OK") | None, _) => "ready".into(),
            (_, Some("Busy"), _) => Condition::Busy.to_string(),
            (_, Some("Maintenance"), _) => "the terminal is in maintenance".into(),
            (_, Some("Unreachable"), _) => "the terminal is not reachable".into(),
            (_, Some(other), _) => format!("the terminal says `{}`", clean(other)),
        };
        let paper = state.printer_status.as_deref().filter(|paper| *paper != "OK").map(clean);
        let ready = text == "ready";
        TerminalStatus {
            ready,
            text: paper.map_or(text.clone(), |paper| format!("{text}; its printer says {paper}")),
            terminal_id: Some(self.options.poi.clone()),
            ..TerminalStatus::default()
        }
    }

    /// The terminal tries to reach its host.
    pub(super) async fn try_host(&mut self) -> Result<()> {
        let told = self.diagnose(true).await?;
        let state = self.state(told);
        if state.ready {
            return Ok(());
        }
        let what = format!("the terminal's diagnosis failed: {}", state.text);
        Err(Error::new(Kind::Refused, what).with_effect(Effect::None).at(&self.options.name))
    }

    /// The receipts of the last transaction.
    pub(super) async fn receipt_again(&mut self) -> Result<Vec<String>> {
        let request = TransactionStatusRequest {
            message_reference: None,
            receipt_reprint_flag: Some(true),
            document_qualifier: vec!["CashierReceipt".into(), "CustomerReceipt".into()],
        };
        let request = self.message(Category::TransactionStatus, None, Body::TransactionStatus(request));
        let Body::TransactionIs(told) = self.ask(&request).await?.body else {
            return Err(self.odd("the receipt"));
        };
        let mut slips = Slips::default();
        if let Some(repeated) = told.repeated_message_response {
            let body = repeated.repeated_response_message_body;
            body.payment_response.iter().for_each(|paid| receipt::collect(&paid.payment_receipt, &mut slips));
            body.reversal_response.iter().for_each(|back| receipt::collect(&back.payment_receipt, &mut slips));
        }
        let lines = slips.all();
        if lines.is_empty() {
            let outcome = Outcome::of(&told.response.result, told.response.error_condition.as_deref());
            let why = match outcome {
                Outcome::Failure(condition) => format!(": {}", clean(&condition.to_string())),
                _ => String::new(),
            };
            let what = format!("the terminal handed over no receipt{why}");
            return Err(Error::new(Kind::NotFound, what).with_effect(Effect::None).at(&self.options.name));
        }
        Ok(lines)
    }

    /// Settles what is open. What stays unknown is concluded so.
    pub(super) async fn settle(&mut self) -> Result<Vec<Settled>> {
        let open = books::open(&*self.journal, &self.options.name).await?;
        // Each silence costs a connection; what has answered nothing so often is left to a person.
        if open.iter().all(|entry| books::unanswered(entry) >= LOOKS) {
            return Ok(open.into_iter().filter_map(books::left_alone).collect());
        }
        let mut settled = Vec::new();
        for entry in open {
            settled.push(self.settle_one(entry).await?);
        }
        Ok(settled)
    }

    async fn settle_one(&mut self, entry: Entry) -> Result<Settled> {
        // A transaction that may still run is waited for, so that it does not block others for ever.
        let since = self.runtime.wall().duration_since(entry.intent.at);
        let young = Duration::try_from(since).is_ok_and(|since| since < self.options.patience);
        let patience = if young || entry.is_unasked() { self.options.patience } else { Duration::ZERO };
        let begun = self.now();
        let mut looks = 0;
        let (verdict, evidence, silent) = loop {
            let status = self.status_of(&entry.intent).await?;
            let since = self.now().saturating_duration_since(begun);
            let clock = Elapsed { now: self.runtime.wall(), waited: looks > 0 && since >= self.options.grace };
            let (verdict, evidence) = recovery::decide(&entry, &status, &self.options, clock);
            let silent = matches!(status, Status::Silent(_));
            // A missing transaction is looked for until its grace is over.
            let limit = if matches!(status, Status::Missing) { self.options.grace + LOOK_APART } else { patience };
            if verdict != Verdict::NotYet || since > limit {
                break (verdict, evidence, silent);
            }
            looks += 1;
            tokio::time::sleep(LOOK_APART).await;
        };
        let payment = match verdict {
            Verdict::Ended(payment) => payment,
            Verdict::NotYet | Verdict::Unsure => {
                let mut unknown = Unknown::new(entry.intent.id.clone(), &*evidence);
                unknown.asked = true;
                if silent {
                    unknown.unanswered = books::unanswered(&entry).saturating_add(1);
                }
                Payment::Unknown(unknown)
            }
        };
        let payment = match self.journal.conclude(&entry.intent.id, &payment).await {
            Ok(()) => payment,
            Err(error) if error.kind() == Kind::Input => books::conclude(&*self.journal, payment).await?,
            Err(error) => return Err(error),
        };
        tracing::info!(intent = entry.intent.id.0, evidence, ?payment, "settled");
        Ok(Settled::new(entry.intent, payment, evidence))
    }

    /// What the terminal says of the transaction of an intent.
    ///
    /// # Errors
    /// The terminal cannot be reached.
    async fn status_of(&mut self, intent: &Intent) -> Result<Status> {
        let (sale, poi) = reference::sender(intent).unwrap_or((&self.options.sale, &self.options.poi));
        if poi != self.options.poi {
            return Ok(Status::Untold(format!("it was asked of terminal {poi}, and this is {}", self.options.poi)));
        }
        let about = MessageReference {
            category: Some(category(&intent.operation)),
            sale_id: Some(sale.to_owned()),
            service_id: Some(service_id(intent)),
            poi_id: Some(poi.to_owned()),
        };
        let asked = self.header_of(&about);
        let request = TransactionStatusRequest {
            message_reference: Some(about),
            receipt_reprint_flag: Some(true),
            document_qualifier: vec!["CashierReceipt".into(), "CustomerReceipt".into()],
        };
        let request = self.message(Category::TransactionStatus, None, Body::TransactionStatus(request));
        let link = self.dial().await?;
        let event = self.exchange(&*link, &request, self.options.answer, &mut None).await;
        leave(link);
        Ok(match event {
            Event::Answer(message) => match message.body {
                Body::TransactionIs(told) => recovery::status(*told, &asked),
                _ => Status::Untold("its answer has no status".into()),
            },
            other => Status::Silent(other.text()),
        })
    }

    /// The header that the response to this message has, apart from its direction.
    fn header_of(&self, about: &MessageReference) -> Header {
        let mut header = self.message(about.category.unwrap_or(Category::Payment), None, Body::Other).header;
        (header.sale_id, header.service_id) = (about.sale_id.clone(), about.service_id.clone());
        header
    }

    pub(super) fn odd(&self, what: &str) -> Error {
        let what = format!("the terminal's answer has something else than {what}");
        Error::new(Kind::Protocol, what).with_effect(Effect::None).at(&self.options.name)
    }
}

/// How long between two questions for a transaction.
const LOOK_APART: Duration = Duration::from_secs(5);
