//! Requests of a till, and how a transaction runs at the simulated terminal, with a till and without.

use std::time::{Duration, Instant};

use tresen_hal::Amount;

use super::super::form;
use super::super::wire::{
    AcquirerData, AmountsResponded, Answer, Body, CardData, DiagnosisResponse, Direction, Header, Identification,
    InstrumentData, Message, Number, OutputContent, OutputText, PaymentRequest, PaymentResponse, PaymentResult,
    PoiData, PoiStatus, Receipt, Repeated, RepeatedBody, ReversalRequest, ReversalResponse, SaleData,
    TransactionStatusRequest, TransactionStatusResponse,
};
use super::fault::Misbehaviour;
use super::{Conn, Kind, OnAbort, OnLoss, OnStatus, Simulator};
use crate::amount;

/// A transaction that runs.
pub(super) struct Job {
    /// Who waits for the answer; nobody once the till is lost.
    conn: Option<Conn>,
    header: Header,
    sale: Option<SaleData>,
    kind: Kind,
    amount: Amount,
    began: Instant,
    pub(super) due: Instant,
    aborted: Option<&'static str>,
    forget: bool,
}

/// How a transaction ended.
#[derive(Clone)]
pub(super) struct Ended {
    header: Header,
    body: RepeatedBody,
}

impl Simulator {
    pub(super) fn request(&mut self, conn: Conn, message: Message, now: Instant) {
        let Message { header, body } = message;
        match body {
            Body::Payment(request) => self.payment(conn, header, *request, now),
            Body::Reversal(request) => self.reversal(conn, header, *request, now),
            Body::TransactionStatus(request) => self.status(conn, &header, &request, now),
            Body::Abort(abort) => {
                let ends = self.profile.on_abort == OnAbort::Ends;
                let about = &abort.message_reference;
                if let Some(job) = self.job.as_mut().filter(|job| {
                    ends && job.header.service_id == about.service_id && job.header.sale_id == about.sale_id
                }) {
                    (job.aborted, job.due) = (Some("Aborted"), now);
                }
                // An abort is not answered: the end of what it aborts tells.
                self.put(conn, super::http::response(200, ""));
                self.hang_up(conn, now);
            }
            Body::Diagnosis(_) => {
                let busy = self.job.is_some();
                let state = PoiStatus {
                    global_status: Some(if busy { "Busy" } else { "OK" }.into()),
                    communication_ok_flag: Some(true),
                    printer_status: Some("OK".into()),
                };
                let told = DiagnosisResponse { response: success(), poi_status: Some(state) };
                self.send(conn, &answer_to(&header, Body::Diagnosed(told)), now);
            }
            Body::Display(request) => self.display(conn, &header, &request, now),
            Body::Input(request) => self.ask(conn, &header, &request, now),
            Body::Print(request) => self.print(conn, &header, &request, now),
            _ => self.reject(conn, "Not supported", now),
        }
    }

    fn payment(&mut self, conn: Conn, header: Header, request: PaymentRequest, now: Instant) {
        let asked = &request.payment_transaction.amounts_req;
        let currency = amount::currency(&asked.currency);
        let amount = currency.and_then(|currency| asked.requested_amount.amount(currency));
        let refund = request.payment_data.and_then(|data| data.payment_type).is_some_and(|kind| kind == "Refund");
        let kind = if refund { Kind::Refund } else { Kind::Payment };
        let Some(amount) = amount.filter(|amount| amount.minor() > 0) else {
            let refused = payment_refused("MessageFormat", Some(request.sale_data));
            return self.send(conn, &answer_to(&header, Body::Paid(Box::new(refused))), now);
        };
        self.begin(conn, header, Some(request.sale_data), kind, amount, now);
    }

    fn reversal(&mut self, conn: Conn, header: Header, request: ReversalRequest, now: Instant) {
        let named = request.original_poi_transaction.transaction;
        let number = named.and_then(|named| named.transaction_id.split_once('.')?.0.strip_prefix('T')?.parse().ok());
        let standing = |at: &usize| self.ledger.entries()[*at].state == super::State::Stored;
        let Some(of) = number.and_then(|number| self.ledger.payment(number)).filter(standing) else {
            let refused = reversal_refused("NotFound");
            return self.send(conn, &answer_to(&header, Body::Reversed(Box::new(refused))), now);
        };
        let amount = self.ledger.entries()[of].amount;
        self.begin(conn, header, request.sale_data, Kind::Reversal(of), amount, now);
    }

    fn begin(&mut self, conn: Conn, header: Header, sale: Option<SaleData>, kind: Kind, amount: Amount, now: Instant) {
        let key = key(&header);
        let runs = self.job.as_ref().is_some_and(|job| self::key(&job.header) == key);
        if runs || self.ended.contains_key(&key) {
            self.repeats += 1;
            return self.reject(conn, "Message with the same ServiceID received before", now);
        }
        let busy = self.faults.take(|m| (m == Misbehaviour::Busy).then_some(())).is_some();
        if busy || self.job.is_some() {
            let body = match kind {
                Kind::Reversal(_) => Body::Reversed(Box::new(reversal_refused("Busy"))),
                _ => Body::Paid(Box::new(payment_refused("Busy", sale))),
            };
            return self.send(conn, &answer_to(&header, body), now);
        }
        let due = now + self.profile.pace.min(LONGEST);
        let aborted = (self.profile.pace > LONGEST).then_some("Cancel");
        let conn = Some(conn);
        self.tell(&header, "TENDER_CREATED");
        self.job = Some(Job { conn, header, sale, kind, amount, began: now, due, aborted, forget: false });
    }

    /// The till's connection has ended.
    pub(super) fn till_is_gone(&mut self, conn: Conn, now: Instant) {
        let Some(job) = self.job.as_mut().filter(|job| job.conn == Some(conn)) else { return };
        job.conn = None;
        if self.profile.on_loss != OnLoss::GoesOn {
            (job.aborted, job.due) = (Some("Cancel"), now);
            job.forget = self.profile.on_loss == OnLoss::Forgets;
        }
    }

    /// Ends what is due.
    pub(super) fn advance(&mut self, now: Instant) {
        let Some(job) = self.job.take_if(|job| job.due <= now) else { return };
        let response = self.decide(&job, now);
        self.tell(&job.header, "TENDER_FINAL");
        if !job.forget {
            self.ended
                .insert(key(&job.header), Ended { header: response.header.clone(), body: repeated(&response.body) });
            self.last = Some(key(&job.header));
        }
        tracing::debug!(took = ?now.saturating_duration_since(job.began), "a transaction has ended");
        if let Some(conn) = job.conn {
            self.send(conn, &response, now);
        }
    }

    fn decide(&mut self, job: &Job, now: Instant) -> Message {
        let failed = job.aborted.or_else(|| {
            self.faults.take(|misbehaviour| match misbehaviour {
                Misbehaviour::Decline => Some("Refusal"),
                Misbehaviour::Cancel => Some("Cancel"),
                Misbehaviour::Unreachable { charged: false } => Some("UnreachableHost"),
                _ => None,
            })
        });
        if let Some(condition) = failed {
            if condition == "Refusal" {
                self.ledger.add(job.kind, job.amount, Some(5));
            }
            let body = match job.kind {
                Kind::Reversal(_) => Body::Reversed(Box::new(reversal_refused(condition))),
                _ => Body::Paid(Box::new(payment_refused(condition, job.sale.clone()))),
            };
            return answer_to(&job.header, body);
        }
        let part = self.faults.take(|m| if let Misbehaviour::Part(amount) = m { Some(amount) } else { None });
        let tip = self.faults.take(|m| if let Misbehaviour::Tip(amount) = m { Some(amount) } else { None });
        let lost = self.faults.take(|m| (m == Misbehaviour::Unreachable { charged: true }).then_some(()));
        let mut amount = part.unwrap_or(job.amount);
        amount = tip.and_then(|tip| amount.checked_add(tip)).unwrap_or(amount);
        let at = self.ledger.add(job.kind, amount, None);
        self.ledger.store(at);
        let entry = &self.ledger.entries()[at];
        let named = Identification {
            transaction_id: format!("T{:04}.{:06}", entry.receipt, entry.trace),
            time_stamp: format!("{:.3}", self.wall(now)),
        };
        let poi_data = Some(PoiData { transaction: Some(named), reconciliation_id: Some("1000".into()) });
        let body = match job.kind {
            _ if lost.is_some() && !matches!(job.kind, Kind::Reversal(_)) => {
                Body::Paid(Box::new(payment_refused("UnreachableHost", job.sale.clone())))
            }
            Kind::Reversal(_) => Body::Reversed(Box::new(ReversalResponse {
                response: success(),
                poi_data,
                reversed_amount: None,
                payment_receipt: Vec::new(),
            })),
            _ => {
                let shown = self.profile.approves.unwrap_or(amount);
                let mut response = success();
                response.result = if part.is_some() { "Partial" } else { "Success" }.into();
                Body::Paid(Box::new(PaymentResponse {
                    response,
                    sale_data: job.sale.clone(),
                    poi_data,
                    payment_result: Some(self.result(job, shown, tip)),
                    payment_receipt: self.receipts(job, shown),
                }))
            }
        };
        answer_to(&job.header, body)
    }

    fn result(&self, job: &Job, amount: Amount, tip: Option<Amount>) -> PaymentResult {
        let card = CardData {
            payment_brand: Some(self.profile.brand.clone()),
            masked_pan: Some(self.profile.card_number.clone()),
            entry_mode: vec!["Contactless".into()],
        };
        PaymentResult {
            amounts_resp: Some(AmountsResponded {
                currency: Some(amount.currency().code().to_owned()),
                authorized_amount: Number::of(amount),
                tip_amount: tip.map(Number::of),
            }),
            payment_instrument_data: Some(InstrumentData { card_data: Some(card) }),
            payment_acquirer_data: Some(AcquirerData {
                poi_id: Some(self.profile.poi.clone()),
                transaction: None,
                approval_code: Some("123456".into()),
                merchant_id: Some("TestMerchant".into()),
            }),
            payment_type: Some(if job.kind == Kind::Refund { "Refund" } else { "Normal" }.into()),
        }
    }

    fn receipts(&self, job: &Job, amount: Amount) -> Vec<Receipt> {
        let settings = job.sale.as_ref().and_then(|sale| sale.sale_to_acquirer_data.as_deref()).unwrap_or_default();
        let wanted = form::value(settings, "tenderOption").is_some_and(|o| o.split(',').any(|o| o == "ReceiptHandler"));
        let card = self.profile.card_number.replace('*', "%2A").replace(' ', "+");
        let total = amount.number('.');
        let receipt = |whose: &str, title: &str| {
            let lines = [
                format!("name={title}&key=title"),
                "key=filler".to_owned(),
                format!("name=Card&value={card}&key=pan"),
                format!("name=TOTAL&value={}+{total}&key=totalAmount", amount.currency().code()),
            ];
            let run = |text: String| OutputText { text: Some(text), end_of_line_flag: Some(true) };
            Receipt {
                document_qualifier: Some(whose.into()),
                output_content: Some(OutputContent {
                    output_format: Some("Text".into()),
                    predefined_content: None,
                    output_text: lines.map(run).into(),
                }),
                required_signature_flag: Some(false),
            }
        };
        if !wanted {
            return Vec::new();
        }
        vec![receipt("CashierReceipt", "MERCHANT+COPY"), receipt("CustomerReceipt", "CARDHOLDER+COPY")]
    }

    fn status(&mut self, conn: Conn, header: &Header, request: &TransactionStatusRequest, now: Instant) {
        let asked = request.message_reference.as_ref().map(|about| {
            let sale = about.sale_id.clone().or_else(|| header.sale_id.clone());
            (sale.unwrap_or_default(), about.service_id.clone().unwrap_or_default())
        });
        let runs = self.job.as_ref().is_some_and(|job| asked.as_ref() == Some(&key(&job.header)));
        let wanted = match self.profile.on_status {
            OnStatus::Last => self.last.clone(),
            _ => asked.or_else(|| self.last.clone()),
        };
        let found = wanted.and_then(|key| self.ended.get(&key)).cloned();
        let failed = |condition: &str| Answer { error_condition: Some(condition.into()), ..refusal() };
        let (response, mut found) = match (self.profile.on_status, found) {
            (OnStatus::Silent, _) => return,
            (OnStatus::Busy, _) => (failed("InProgress"), None),
            (OnStatus::Odd, _) => (failed("Later"), None),
            (_, _) if runs => (failed("InProgress"), None),
            (_, Some(found)) => (success(), Some(found)),
            (_, None) => (failed("NotFound"), None),
        };
        if let Some(found) = found.as_mut().filter(|_| self.profile.on_status == OnStatus::Nameless) {
            (found.header.sale_id, found.header.service_id) = (None, None);
        }
        let told = TransactionStatusResponse {
            response,
            message_reference: request.message_reference.clone(),
            repeated_message_response: found
                .map(|ended| Repeated { message_header: ended.header, repeated_response_message_body: ended.body }),
        };
        self.send(conn, &answer_to(header, Body::TransactionIs(Box::new(told))), now);
    }
}

fn key(header: &Header) -> (String, String) {
    (header.sale_id.clone().unwrap_or_default(), header.service_id.clone().unwrap_or_default())
}

pub(super) fn answer_to(request: &Header, body: Body) -> Message {
    Message { header: Header { direction: Direction::Response, ..request.clone() }, body }
}

fn repeated(body: &Body) -> RepeatedBody {
    match body {
        Body::Paid(paid) => RepeatedBody { payment_response: Some(paid.clone()), reversal_response: None },
        Body::Reversed(back) => RepeatedBody { payment_response: None, reversal_response: Some(back.clone()) },
        _ => RepeatedBody::default(),
    }
}

pub(super) fn success() -> Answer {
    Answer { result: "Success".into(), error_condition: None, additional_response: None }
}

pub(super) fn refusal() -> Answer {
    Answer { result: "Failure".into(), error_condition: None, additional_response: None }
}

fn payment_refused(condition: &str, sale_data: Option<SaleData>) -> PaymentResponse {
    let more = (condition == "Refusal").then(|| "refusalReason=214+Declined+online".to_owned());
    PaymentResponse {
        response: Answer { error_condition: Some(condition.into()), additional_response: more, ..refusal() },
        sale_data,
        poi_data: None,
        payment_result: None,
        payment_receipt: Vec::new(),
    }
}

fn reversal_refused(condition: &str) -> ReversalResponse {
    let response = Answer { error_condition: Some(condition.into()), ..refusal() };
    ReversalResponse { response, poi_data: None, reversed_amount: None, payment_receipt: Vec::new() }
}

/// A transaction that takes longer is cancelled (Adyen, "Verify transaction status").
const LONGEST: Duration = Duration::from_secs(120);
