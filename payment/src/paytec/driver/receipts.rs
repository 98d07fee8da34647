//! Receipts: those that come by themselves, in parts, and those that are asked for.

use std::time::Duration;

use tresen_hal::{Error, Kind, Result};

use super::super::codes::receipt::{COPY, FIRST, MORE, PICTURE, TRANSACTION};
use super::super::session::Event;
use super::super::wire::{Int, Message, Receipt, ReceiptRequest};
use super::Terminal;
use super::exchange::{End, Task, failed, refused};
use crate::host::Host;
use crate::slips::{MAX_BYTES, Slip};

impl Terminal {
    /// Takes in a receipt or a part of one. Signatures and other pictures are left out.
    pub(super) fn take_receipt(&mut self, receipt: &Receipt, task: &mut Task) {
        let (kind, flags) = (receipt.receipt_type.unwrap_or(0), receipt.receipt_flags.unwrap_or(0));
        if flags & FIRST != 0 {
            task.parts.remove(&kind);
        }
        // A terminal has a handful of types; a flood of them is not kept.
        if task.parts.len() < TYPES || task.parts.contains_key(&kind) {
            let so_far = task.parts.entry(kind).or_default();
            let text = receipt.receipt_text.as_deref().filter(|_| flags & PICTURE == 0).unwrap_or_default();
            if so_far.len() + text.len() <= MAX_BYTES {
                so_far.push_str(&text.replace("<ESignature />", ""));
            }
        }
        if flags & MORE != 0 {
            return;
        }
        let text = task.parts.remove(&kind).unwrap_or_default();
        let slip = match kind {
            TRANSACTION => Slip::Merchant,
            COPY => Slip::Customer,
            _ => Slip::Admin,
        };
        task.slips.block(Some(slip), text.lines().map(str::to_owned));
        for told in task.slips.tell() {
            task.tell(told);
        }
        if !task.whole.contains(&kind) {
            task.whole.push(kind);
        }
    }

    /// Waits for receipts that come by themselves: until those `wanted` are whole, or nothing has come for a while, or
    /// the terminal rests if nothing is wanted. When the link is lost the driver is spent, and nothing else.
    pub(super) async fn linger(&mut self, wanted: &[Int], task: &mut Task) {
        let linger = self.options.linger;
        let mut until = self.now() + linger;
        self.spent = true;
        loop {
            if let Err(error) = self.flush().await {
                return tracing::warn!(%error, "receipts");
            }
            while let Some(event) = self.session.poll_event() {
                match event {
                    Event::Told(message) => {
                        if matches!(message, Message::ReceiptResponse(_)) {
                            until = self.now() + linger;
                        }
                        drop(self.told(message, task));
                    }
                    Event::Failed(failure) => return tracing::warn!(%failure, "receipts"),
                    other => tracing::warn!(?other, "an answer to nothing"),
                }
            }
            let complete = !wanted.is_empty() && wanted.iter().all(|kind| task.whole.contains(kind));
            if complete || wanted.is_empty() && task.rests {
                break;
            }
            match self.receive(Some(until)).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return tracing::warn!(%error, "receipts"),
            }
        }
        self.spent = self.flush().await.is_err();
    }

    /// The merchant's and the customer's receipt of the transaction `number`. What does not come is asked for; what cannot
    /// be had is missing in `task`.
    pub(super) async fn gather(&mut self, number: Option<Int>, task: &mut Task) {
        let both = [TRANSACTION, COPY];
        // Older software sends none by itself.
        if self.about.software_version.is_none_or(|version| version >= UNSOLICITED) {
            self.linger(&both, task).await;
        }
        for kind in both {
            if !task.whole.contains(&kind)
                && let Err(error) = self.ask_receipt(kind, number, task).await
            {
                return tracing::info!(%error, "a receipt is missing");
            }
        }
    }

    /// Asks for a receipt until it is whole.
    async fn ask_receipt(&mut self, kind: Int, number: Option<Int>, task: &mut Task) -> Result<()> {
        task.enquiry = true;
        let request = Message::ReceiptRequest(ReceiptRequest { receipt_type: Some(kind), receipt_id_numeric: number });
        for _ in 0..PARTS {
            let mut end = self.exchange(request.clone(), self.options.answer, task).await?;
            // Another type is a receipt that came by itself.
            while let End::Answered(Message::ReceiptResponse(receipt)) = &end {
                self.take_receipt(receipt, task);
                if receipt.receipt_type == Some(kind) {
                    break;
                }
                let until = self.now() + self.options.answer;
                end = self.wait_again("ReceiptResponse", until, task).await?;
            }
            let End::Answered(Message::ReceiptResponse(_)) = end else {
                return Err(refused("the receipt", &end).at(&self.options.name));
            };
            if task.whole.contains(&kind) {
                return Ok(());
            }
            // Newer software sends the other parts by itself.
            if self.about.software_version.is_some_and(|version| version >= UNSOLICITED) {
                self.linger(&[kind], task).await;
                if task.whole.contains(&kind) {
                    return Ok(());
                }
            }
        }
        Err(Error::new(Kind::Protocol, "the terminal never ends its receipt").at(&self.options.name))
    }

    /// The last receipt once more, as the customer's copy.
    pub(super) async fn receipt_again(&mut self, host: Host) -> Result<Vec<String>> {
        self.usable()?;
        let mut task = Task::followed(host);
        let number = match self.counters(true, &mut task.host).await? {
            Some(counters) => counters.number.filter(|number| *number > 0),
            None => return Err(self.stays_busy()),
        };
        let Some(number) = number else {
            return Err(Error::new(Kind::NotFound, "the terminal has no transaction yet").at(&self.options.name));
        };
        self.ask_receipt(COPY, Some(number), &mut task).await?;
        let lines = task.slips.all();
        if lines.is_empty() {
            return Err(Error::new(Kind::NotFound, "the terminal handed over no receipt").at(&self.options.name));
        }
        Ok(lines)
    }

    /// Receipts of what moves no money: until nothing comes for [`LAST`].
    pub(super) async fn linger_for_all(&mut self, task: &mut Task) -> Result<()> {
        let usual = std::mem::replace(&mut self.options.linger, LAST);
        // A type that does not exist: only time ends it.
        self.linger(&[Int::MIN], task).await;
        self.options.linger = usual;
        if self.spent {
            return Err(failed(&super::super::session::Failure::Silent).at(&self.options.name));
        }
        Ok(())
    }
}

/// From this software on receipts come by themselves: 17.00.05.
const UNSOLICITED: Int = 170_005;
/// Types of receipts that are begun at one time.
const TYPES: usize = 16;
/// Parts of one receipt.
const PARTS: usize = 64;
/// How long an administrative receipt may stay away.
const LAST: Duration = Duration::from_secs(3);
