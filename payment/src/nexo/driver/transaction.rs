//! One transaction: the intent is journalled, the request sent, and what comes of it concluded.

use tresen_hal::{Effect, Error, Kind, Result};

use super::super::recovery::{self, category};
use super::super::reference::{self, sale_transaction, sent_as, service_id};
use super::super::session::Event;
use super::super::wire::{
    AmountsRequested, Body, Message, Number, Original, PaymentData, PaymentRequest, PaymentTransaction,
    ReversalRequest, SaleData,
};
use super::Terminal;
use super::exchange::leave;
use crate::books;
use crate::host::{Host, Progress};
use crate::journal::{Intent, Transaction};
use crate::operation::Request;
use crate::outcome::Payment;
use crate::slips::Slip;

impl Terminal {
    pub(super) async fn pay(&mut self, operation: Transaction, request: Request, host: Host) -> Result<Payment> {
        let terminal = self.options.name.clone();
        if let Some(error) = books::unpayable(request.amount) {
            return Err(error.at(terminal));
        }
        if let Transaction::Reversal { reference } = &operation
            && reference::original(reference).is_none()
        {
            let what = format!("`{reference}` names no transaction of a nexo terminal");
            let hint = "it has number and time of the POITransactionID";
            return Err(Error::new(Kind::Input, what).hint(hint).at(terminal));
        }
        if let Some(payment) = books::already(&*self.journal, &terminal, &request, &operation).await? {
            return Ok(payment);
        }
        if books::unasked(&*self.journal, &terminal).await? {
            self.settle().await.map_err(|e| e.with_effect(Effect::None))?;
        }
        books::unended(&*self.journal, &terminal, &request, &operation).await?;
        let Request { intent: id, amount } = request;
        let sent_as = sent_as(&self.options.sale, &self.options.poi);
        let intent = Intent::new(id, terminal, operation, amount, self.runtime.wall(), Some(sent_as));
        self.check_number(&intent).await?;
        let link = self.dial().await?;
        if *host.abort.borrow() {
            leave(link);
            let what = "the caller has aborted before anything was sent";
            return Err(Error::new(Kind::Cancelled, what).with_effect(Effect::None).at(&self.options.name));
        }
        if let Err(error) = self.journal.intend(&intent).await {
            leave(link);
            return Err(error);
        }
        let message = self.request(&intent);
        let mut host = Some(host);
        let event = self.exchange(&*link, &message, self.options.limit, &mut host).await;
        leave(link);
        let payment = self.answered(&intent, &event);
        if let Some(host) = &host {
            tell(host, &payment);
        }
        books::conclude(&*self.journal, payment).await
    }

    fn answered(&self, intent: &Intent, event: &Event) -> Payment {
        let Event::Answer(message) = event else {
            return Payment::unknown(&intent.id, format!("the terminal's answer was not heard: {}", event.text()));
        };
        let ended = match (&message.body, &intent.operation) {
            (Body::Reversed(reversed), Transaction::Reversal { .. }) => {
                recovery::reversal(intent, reversed, &self.options)
            }
            (Body::Paid(paid), Transaction::Payment | Transaction::Refund) => {
                recovery::payment(intent, paid, &self.options)
            }
            _ => Err("the terminal's answer has no result".into()),
        };
        ended.unwrap_or_else(|why| Payment::unknown(&intent.id, why))
    }

    fn request(&self, intent: &Intent) -> Message {
        let settings = self.settings(&intent.operation);
        let sale_data =
            SaleData { sale_transaction_id: Some(sale_transaction(intent)), sale_to_acquirer_data: settings };
        let body = match &intent.operation {
            Transaction::Reversal { reference } => Body::Reversal(Box::new(ReversalRequest {
                original_poi_transaction: Original { transaction: reference::original(reference), poi_id: None },
                reversal_reason: "MerchantCancel".into(),
                reversed_amount: None,
                sale_data: Some(sale_data),
            })),
            operation => Body::Payment(Box::new(PaymentRequest {
                sale_data,
                payment_transaction: PaymentTransaction {
                    amounts_req: AmountsRequested {
                        currency: intent.amount.currency().code().to_owned(),
                        requested_amount: Number::of(intent.amount),
                        tip_amount: None,
                    },
                },
                payment_data: (*operation == Transaction::Refund)
                    .then(|| PaymentData { payment_type: Some("Refund".into()) }),
            })),
        };
        self.message(category(&intent.operation), Some(service_id(intent)), body)
    }

    /// `SaleToAcquirerData`.
    fn settings(&self, operation: &Transaction) -> Option<String> {
        let payment = *operation == Transaction::Payment;
        let wanted = [
            ("ReceiptHandler", self.options.receipts),
            ("AskGratuity", self.options.tip && payment),
            ("AllowPartialAuthorisation", self.options.partial && payment),
        ];
        let wanted: Vec<_> = wanted.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name).collect();
        (!wanted.is_empty()).then(|| format!("tenderOption={}", wanted.join(",")))
    }

    /// No open intent has the same number: the terminal would take one for the other.
    async fn check_number(&self, intent: &Intent) -> Result<()> {
        let number = service_id(intent);
        let open = self.journal.open(&intent.terminal).await?;
        match open.iter().find(|other| service_id(other) == number) {
            None => Ok(()),
            Some(other) => {
                let what = format!("`{}` would have the number of `{}`, which is open", intent.id.0, other.id.0);
                Err(Error::new(Kind::Busy, what).with_effect(Effect::None).at(&self.options.name).hint("try again"))
            }
        }
    }
}

/// Tells the receipts of a result.
fn tell(host: &Host, payment: &Payment) {
    let slips = match payment {
        Payment::Charged(charge) | Payment::Partial(charge) => {
            vec![(Some(Slip::Merchant), &charge.merchant_slip), (Some(Slip::Customer), &charge.customer_slip)]
        }
        Payment::NotCharged(not) => vec![(None, &not.slip)],
        Payment::Unknown(_) => Vec::new(),
    };
    for (slip, lines) in slips.into_iter().filter(|(_, lines)| !lines.is_empty()) {
        host.tell(Progress::Receipt { slip, lines: lines.clone() });
    }
}
