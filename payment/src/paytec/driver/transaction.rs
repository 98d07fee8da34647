//! One transaction: the intent is journalled, the request sent, the approval journalled, its confirmation journalled and
//! sent, the acknowledgement journalled. The till may die between any two of these.

use tresen_hal::{Amount, Effect, Error, Kind, Result, Retry};

use super::super::codes;
use super::super::recovery::{self, Answer, evidence};
use super::super::reference::{self, Counters, name};
use super::super::wire::{Confirmation as Decision, Confirmed, Message, OrderReference, TransactionRequest};
use super::Terminal;
use super::exchange::{End, Task};
use crate::books;
use crate::host::{Host, Progress};
use crate::journal::{Intent, Transaction};
use crate::operation::Request;
use crate::outcome::{Charge, Confirmation, Payment, Reason};
use crate::slips::Slips;

impl Terminal {
    pub(super) async fn pay(&mut self, operation: Transaction, request: Request, host: Host) -> Result<Payment> {
        let name = self.options.name.clone();
        let amount = request.amount;
        if let Some(error) = books::unpayable(amount) {
            return Err(error.at(name));
        }
        if let Some(payment) = books::already(&*self.journal, &name, &request, &operation).await? {
            return Ok(payment);
        }
        let number = i64::from(amount.currency().number());
        if !self.activation.currencies.is_empty() && !self.activation.currencies.contains(&number) {
            let what = format!("the terminal takes no {}", amount.currency());
            return Err(Error::new(Kind::Input, what).at(name).hint("its currencies are set by its operator"));
        }
        self.usable()?;
        let mut host = Some(host);
        if books::unasked(&*self.journal, &name).await? {
            self.settle().await.map_err(|e| e.with_effect(Effect::None))?;
        }
        books::unended(&*self.journal, &name, &request, &operation).await?;
        let before = self.counters(true, &mut host).await.map_err(|e| e.with_effect(Effect::None))?;
        let before = before.ok_or_else(|| self.stays_busy())?;
        if let Some(error) = impossible(&operation, &before) {
            return Err(error.at(name));
        }
        self.holds(&operation, amount).await.map_err(|e| e.at(&self.options.name))?;
        self.usable()?;
        let intent = Intent::new(request.intent, name, operation, amount, self.clock.wall(), before.reference());
        self.journal.intend(&intent).await?;
        self.engaged = true;
        let mut task = Task { host, abortable: true, ..Task::default() };
        let payment = self.transaction(&intent, &before, &mut task).await;
        let payment = books::conclude(&*self.journal, payment).await;
        self.engaged = false;
        if self.session.is_doubtful() {
            tracing::info!("answers stayed away or came late; the connection is left");
            self.spent = true;
        }
        payment
    }

    /// Whether what is to be booked or released is held.
    ///
    /// # Errors
    /// [`Kind::Input`]: it is not known what is held, or it is another amount; or the journal cannot be read.
    async fn holds(&self, operation: &Transaction, amount: Amount) -> Result<()> {
        let (Transaction::Booking { reference } | Transaction::Release { reference }) = operation else {
            return Ok(());
        };
        let books = matches!(operation, Transaction::Booking { .. });
        match books::held(&*self.journal, &self.options.name, reference).await? {
            Some(held) => books::fits_held(operation, &name(reference), held, amount),
            // The terminal releases what it holds, and is not told how much that is.
            None if !books => Ok(()),
            None => {
                let what = format!("what {} holds is not known", name(reference));
                Err(Error::new(Kind::Input, what).hint("book by the reference of the pre-authorisation's charge"))
            }
        }
    }

    fn request(&self, intent: &Intent) -> TransactionRequest {
        let operation = &intent.operation;
        let trx_function = codes::function_of(operation.kind());
        let mut request = TransactionRequest { trx_function, ..TransactionRequest::default() };
        match operation {
            Transaction::Reversal { reference } => {
                request.trx_seq_cnt_ori = reference::number(reference);
                return request;
            }
            Transaction::Booking { reference } | Transaction::Release { reference } => {
                let named = reference::at_acquirer(reference);
                request.acq_id = named.map(|(acquirer, _)| acquirer);
                request.trx_ref_num = named.map(|(_, number)| number.to_owned());
                if matches!(operation, Transaction::Release { .. }) {
                    return request;
                }
            }
            _ => {}
        }
        request.trx_curr_c = Some(intent.amount.currency().number().into());
        request.amt_auth = Some(intent.amount.minor());
        request.partial_approval_cap = (self.options.partial && *operation == Transaction::Payment).then_some(1);
        let id = &intent.id.0;
        let knows = self.about.software_version.is_some_and(|version| version >= ORDERS);
        if knows && (1..=LONGEST_ORDER).contains(&id.len()) && id.is_ascii() {
            request.rec_order_ref = Some(OrderReference { order_id: Some(id.clone()) });
        }
        request
    }

    async fn transaction(&mut self, intent: &Intent, before: &Counters, task: &mut Task) -> Payment {
        let limit = self.now() + self.options.limit;
        let request = Message::TransactionRequest(self.request(intent));
        let mut end = self.exchange(request, self.options.limit, task).await;
        let mut late = false;
        loop {
            match end {
                Ok(End::Answered(Message::TransactionResponse(response))) => {
                    match recovery::read(intent, before, &response, self.options.partial) {
                        Answer::Earlier => {
                            tracing::warn!("the terminal told of an earlier transaction");
                            end = self.wait_again(RESPONSE, limit, task).await;
                        }
                        Answer::Approved(charge, objection) => {
                            return self.approved(intent, *charge, objection, task).await;
                        }
                        Answer::Not(reason, text) => {
                            self.linger(&[], task).await;
                            let mut not = recovery::not_charged(&intent.id, reason, text);
                            not.slip = std::mem::take(&mut task.slips).all();
                            return Payment::NotCharged(not);
                        }
                        Answer::Unclear(why) => return Payment::unknown(&intent.id, why),
                    }
                }
                // Time is over: the customer may walk away now, and an approval that comes late still counts.
                Ok(End::Unanswered) if !late && task.error.is_none() && !task.aborted => {
                    late = true;
                    let until = self.now() + self.options.answer;
                    self.session.await_again(RESPONSE, until);
                    self.session.abort();
                    end = self.wait_again(RESPONSE, until, task).await;
                }
                Ok(End::Unanswered | End::Refused(_)) => return self.look_up(intent, task).await,
                Ok(End::Unreadable(why)) => return Payment::unknown(&intent.id, format!("the terminal sent {why}")),
                Ok(End::Answered(other)) => {
                    return Payment::unknown(&intent.id, format!("the terminal answered with a {}", other.name()));
                }
                Err(error) => {
                    tracing::warn!(%error, intent = intent.id.0, "the end of a payment was not heard");
                    let why = format!("the end of the transaction was not heard: {error}");
                    return Payment::unknown(&intent.id, why);
                }
            }
        }
    }

    /// Keeps an approval that is what was asked for, and rolls back any other: journal first, each time.
    async fn approved(
        &mut self,
        intent: &Intent,
        mut charge: Charge,
        objection: Option<String>,
        task: &mut Task,
    ) -> Payment {
        let id = &intent.id;
        if let Some(reference) = &charge.reference {
            match self.journal.holder(&self.options.name, reference).await {
                Ok(Some(other)) if other != *id => {
                    // Neither kept nor rolled back: it is not this payment's.
                    let what = format!("the terminal told of {}, which is the payment `{}`", name(reference), other.0);
                    self.spent = true;
                    return Payment::unknown(id, what);
                }
                Ok(_) => {}
                Err(error) => return self.roll_back(&charge, format!("the journal cannot be read: {error}")).await,
            }
        }
        let written = self.journal.approve(id, &charge).await;
        if let Some(why) = objection {
            return self.roll_back(&charge, why).await;
        }
        if let Err(error) = written {
            return self.roll_back(&charge, format!("the approval could not be written: {error}")).await;
        }
        task.tell(Progress::Approved);
        charge.confirmation = Some(Confirmation::Sent);
        if let Err(error) = self.journal.approve(id, &charge).await {
            charge.confirmation = None;
            return self.roll_back(&charge, format!("the confirmation could not be written: {error}")).await;
        }
        // Receipts bear no number: what came before is another transaction's.
        (task.slips, task.whole) = (Slips::default(), Vec::new());
        task.parts.clear();
        let heard = self.confirm(true, task).await;
        let told = evidence(&charge);
        match heard {
            Ok(()) => {}
            Err(why) => {
                let why = format!("{told} was approved, and no acknowledgement of the confirmation was heard: {why}");
                return Payment::unknown(id, why);
            }
        }
        charge.confirmation = Some(Confirmation::Acknowledged);
        if let Err(error) = self.journal.approve(id, &charge).await {
            tracing::error!(%error, intent = id.0, "the acknowledgement could not be written");
        }
        task.slips.know(self.activation.mct_id.clone());
        charge.merchant_id = self.activation.mct_id.as_deref().map(recovery::clean);
        let number = charge.receipt_number.as_deref().and_then(|number| number.parse().ok());
        self.gather(number, task).await;
        task.slips.fill(&mut charge);
        Payment::charged(charge, intent.amount)
    }

    /// Tells the terminal that the approval does not count.
    async fn roll_back(&mut self, charge: &Charge, why: String) -> Payment {
        let id = &charge.intent;
        let told = evidence(charge);
        tracing::warn!(why, intent = id.0, "an approval is rolled back");
        match self.confirm(false, &mut Task::enquiry()).await {
            Ok(()) => Payment::NotCharged(recovery::not_charged(
                id,
                Reason::Reversed,
                format!("{told} was rolled back: {why}"),
            )),
            Err(unheard) => {
                let why = format!("{why}: {told} was to be rolled back, and no acknowledgement was heard: {unheard}");
                Payment::unknown(id, why)
            }
        }
    }

    /// Keeps the approval, or rolls it back. `Err` says why the terminal's acknowledgement was not heard.
    async fn confirm(&mut self, keep: bool, task: &mut Task) -> std::result::Result<(), String> {
        (task.abortable, task.enquiry) = (false, true);
        let decision = Message::TransactionConfirmationRequest(Decision { confirm: Some(keep.into()) });
        match self.exchange(decision, self.options.answer, task).await {
            Ok(End::Answered(Message::TransactionConfirmationResponse(Confirmed {
                attendant_text: Some(text),
                ..
            }))) if keep => Err(format!("the terminal answered as after a rollback: {}", recovery::clean(&text))),
            Ok(End::Answered(Message::TransactionConfirmationResponse(told)))
                if keep && told != Confirmed::default() =>
            {
                Err("the terminal answered as after a rollback".into())
            }
            Ok(End::Answered(Message::TransactionConfirmationResponse(_))) => Ok(()),
            Ok(End::Answered(other)) => Err(format!("the terminal answered with a {}", other.name())),
            Ok(End::Refused(words)) => {
                // It does not say that it means the confirmation; an answer may still come.
                self.spent = true;
                Err(words)
            }
            Ok(End::Unanswered) => Err("the terminal did not answer in time".into()),
            Ok(End::Unreadable(why)) => Err(format!("the terminal sent {why}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Why this terminal cannot do this to what the operation names.
fn impossible(operation: &Transaction, now: &Counters) -> Option<Error> {
    let of = operation.of()?;
    if reference::number(of).is_none() {
        let what = format!("`{of}` names no transaction of a PayTec terminal");
        return Some(Error::new(Kind::Input, what).hint("its number is `TrxSeqCnt`"));
    }
    if let Transaction::Reversal { reference } = operation {
        let why = reference::outdated(reference, now)?;
        let what = format!("{} cannot be taken back here: {why}", name(reference));
        return Some(Error::new(Kind::Input, what).with_retry(Retry::Never).hint("give the money back as a refund"));
    }
    if reference::is_elsewhere(of, now) {
        return Some(Error::new(Kind::Input, format!("{} was made at another terminal", name(of))));
    }
    let what = format!("of {} the acquirer's number is not known", name(of));
    let hint = "name it by the reference of the pre-authorisation's charge";
    reference::at_acquirer(of).is_none().then(|| Error::new(Kind::Input, what).hint(hint))
}

const RESPONSE: &str = "TransactionResponse";
/// From this software on transactions may bear the till's name for them: 24.04.06.
const ORDERS: i64 = 240_406;
/// Characters of such a name.
const LONGEST_ORDER: usize = 18;
