//! Operations that move no money: end of day, totals, receipts, diagnosis, initialisation.

use std::time::Duration;

use tresen_hal::{Amount, Error, Kind, Result};

use super::super::commands::admin;
use super::super::commands::card;
use super::super::commands::reservation::{self, Open};
use super::super::commands::status_info::StatusInfo;
use super::super::commands::totals::SingleAmounts;
use super::super::session::Flow;
use super::Terminal;
use super::dialog::{End, Task, refused};
use crate::books;
use crate::card::Card;
use crate::host::Host;
use crate::operation::Operation;
use crate::terminal::{CardTotal, EndOfDay, Totals};

impl Terminal {
    pub(super) async fn close_day(&mut self, host: Host) -> Result<EndOfDay> {
        self.usable()?;
        // Open payments cannot be looked up any more once the turnover has been handed in.
        if books::unasked(&*self.journal, &self.options.name).await? {
            self.settle().await?;
        }
        self.owe_nothing().await?;
        let mut command = Vec::new();
        admin::end_of_day(&mut command, self.options.password);
        let mut task = Task { host: Some(host), ..Task::default() };
        let end = self.exchange(command, Flow::Completed, &mut task).await?;
        let End::Completed(_) = end else { return Err(refused("the end of day", &end).at(&self.options.name)) };
        let data = task.result.unwrap_or_default();
        if let Some(code) = StatusInfo::parse(&data).result.filter(|code| *code != 0) {
            return Err(refused("the end of day", &End::Refused(code)).at(&self.options.name));
        }
        let Totals { total, receipts, cards, .. } = self.turnover(&data);
        Ok(EndOfDay { total, receipts, cards, receipt: task.slips.all() })
    }

    pub(super) async fn receipt_again(&mut self, host: Host) -> Result<Vec<String>> {
        let mut command = Vec::new();
        admin::repeat_receipt(&mut command, self.options.password, 0x00);
        let mut task = Task { host: Some(host), ..Task::default() };
        self.owe_nothing().await?;
        let end = self.exchange(command, Flow::Completed, &mut task).await?;
        let lines = task.slips.all();
        match end {
            End::Completed(_) if !lines.is_empty() => Ok(lines),
            End::Completed(_) => {
                let what = "the terminal handed over no receipt";
                Err(Error::new(Kind::NotFound, what).at(&self.options.name).hint("does it print by itself?"))
            }
            end => Err(refused("the receipt", &end).at(&self.options.name)),
        }
    }

    /// 06 10: the turnover without closing the day.
    pub(super) async fn tell_totals(&mut self, host: Host) -> Result<Totals> {
        let mut command = Vec::new();
        admin::totals(&mut command, self.options.password);
        let mut task = self.completed("the totals", command, host).await?;
        let data = task.result.take().unwrap_or_default();
        Ok(Totals { receipt: task.slips.all(), ..self.turnover(&data) })
    }

    /// What the 04 0F of an end of day or of totals tells.
    fn turnover(&self, data: &[u8]) -> Totals {
        let info = StatusInfo::parse(data);
        let currency = info.currency().unwrap_or(self.options.currency);
        let mut totals = Totals { total: info.minor().map(|m| Amount::new(m, currency)), ..Totals::default() };
        if let Some(amounts) = info.fields().find(|field| field.id == 0x60).and_then(|f| SingleAmounts::parse(f.data)) {
            totals.receipts = Some((amounts.first.to_string(), amounts.last.to_string()));
            let used = amounts.cards().filter(|(_, count, _)| *count > 0);
            let card = |(card, count, minor)| CardTotal::new(card, u32::from(count), Amount::new(minor, currency));
            totals.cards = used.map(card).collect();
        }
        totals
    }

    /// 06 70 and 06 93. What the terminal prints about it is returned.
    pub(super) async fn administer(&mut self, operation: &Operation, host: Host) -> Result<Vec<String>> {
        let mut command = Vec::new();
        let what = match operation {
            Operation::Diagnosis => {
                admin::diagnosis(&mut command);
                "the diagnosis"
            }
            _ => {
                admin::initialisation(&mut command, self.options.password);
                "the initialisation"
            }
        };
        let task = self.completed(what, command, host).await?;
        Ok(task.slips.all())
    }

    /// 06 C0. The terminal counts whole seconds, at most 255.
    pub(super) async fn read_card(&mut self, within: Duration, host: Host) -> Result<Card> {
        let mut command = Vec::new();
        let seconds = within.as_millis().div_ceil(1000).clamp(1, 255);
        card::read(&mut command, u8::try_from(seconds).expect("at most 255"));
        self.owe_nothing().await?;
        let mut task = Task { host: Some(host), ..Task::default() };
        let end = self.exchange(command, Flow::Completed, &mut task).await?;
        let data = task.result.unwrap_or_default();
        let info = StatusInfo::parse(&data);
        let code = info.result.filter(|code| *code != 0);
        match (end, code) {
            (End::Completed(_), None) if !data.is_empty() => Ok(card::card(&info, self.charset)),
            (End::Completed(_), None) => {
                Err(Error::new(Kind::Protocol, "the terminal told of no card").at(&self.options.name))
            }
            // 6C: nobody has presented a card, or somebody has aborted.
            (End::Aborted { code: Some(0x6c), .. }, _) | (_, Some(0x6c)) => {
                Err(Error::new(Kind::Timeout, "no card was presented").at(&self.options.name))
            }
            (end, code) => Err(refused("the card", &code.map_or(end, End::Refused)).at(&self.options.name)),
        }
    }

    /// Asks for the receipt number of an open reservation: 06 23 with FFFF. `None` if none is open. A terminal may have
    /// more than the one that it names.
    ///
    /// # Errors
    /// The link is lost, or the terminal does not tell.
    pub async fn open_reservation(&mut self) -> Result<Option<u16>> {
        let mut command = Vec::new();
        reservation::list_open(&mut command);
        self.owe_nothing().await?;
        let mut task = Task::default();
        match self.exchange(command, Flow::Completed, &mut task).await? {
            End::Aborted { open: Some(Open::None), .. } => Ok(None),
            End::Aborted { open: Some(Open::AtLeast(number)), .. } => Ok(Some(number)),
            end => Err(refused("the open reservations", &end).at(&self.options.name)),
        }
    }

    /// Runs a command that moves no money to its completion. A result that does not say success is an error.
    pub(super) async fn completed(&mut self, what: &str, command: Vec<u8>, host: Host) -> Result<Task> {
        self.owe_nothing().await?;
        let mut task = Task { host: Some(host), ..Task::default() };
        let end = self.exchange(command, Flow::Completed, &mut task).await?;
        let End::Completed(_) = end else { return Err(refused(what, &end).at(&self.options.name)) };
        let result = task.result.as_deref().and_then(|data| StatusInfo::parse(data).result);
        match result.filter(|code| *code != 0) {
            Some(code) => Err(refused(what, &End::Refused(code)).at(&self.options.name)),
            None => Ok(task),
        }
    }
}
