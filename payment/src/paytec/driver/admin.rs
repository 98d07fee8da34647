//! Operations that move no money: totals, end of day, initialisation.

use tresen_hal::{Amount, Currency, Error, Kind, Result};

use super::super::codes::receipt::{MORE, PERIOD_SUM};
use super::super::recovery::clean;
use super::super::wire::{CounterType, Figure, Message, ReportRequest};
use super::Terminal;
use super::exchange::{End, Task, refused};
use crate::books;
use crate::host::Host;
use crate::terminal::{CardTotal, EndOfDay, Totals};

impl Terminal {
    /// The turnover of the booking period.
    pub(super) async fn tell_totals(&mut self, host: Host) -> Result<Totals> {
        self.usable()?;
        let mut task = Task::followed(host);
        let request = Message::ReportRequest(ReportRequest { report_type: Some(PERIOD_SUM) });
        let mut figures = Vec::new();
        let mut end = self.exchange(request, self.options.answer, &mut task).await?;
        for _ in 0..PARTS {
            let End::Answered(Message::ReportResponse(report)) = end else {
                return Err(refused("the totals", &end).at(&self.options.name));
            };
            let more = report.report_flags.unwrap_or(0) & MORE != 0;
            figures.extend(report.financial_report);
            if !more {
                return Ok(totals(&figures));
            }
            // A part that came together with the one before has been told already.
            end = match task.reports.is_empty() {
                false => End::Answered(Message::ReportResponse(task.reports.remove(0))),
                true => {
                    let until = self.now() + self.options.answer;
                    self.wait_again("ReportResponse", until, &mut task).await?
                }
            };
        }
        Err(Error::new(Kind::Protocol, "the terminal never ends its totals").at(&self.options.name))
    }

    /// Closes the shift and the booking period, and opens the next ones.
    pub(super) async fn close_day(&mut self, host: Host) -> Result<EndOfDay> {
        self.usable()?;
        // The numbers of open payments may mean others afterwards.
        if books::unasked(&*self.journal, &self.options.name).await? {
            self.settle().await?;
        }
        let mut task = Task::followed(host);
        self.done("the end of the shift", Message::DeactivationRequest {}, &mut task).await?;
        self.done("the end of the day", Message::BalanceRequest {}, &mut task).await?;
        self.linger_for_all(&mut task).await?;
        // The day is closed. A terminal that opens no shift now opens one before the next payment.
        if let Err(error) = self.counters(true, &mut task.host).await {
            tracing::warn!(%error, "no shift was opened after the end of the day");
        }
        Ok(EndOfDay { total: None, receipts: None, cards: Vec::new(), receipt: task.slips.all() })
    }

    /// Configuration, then initialisation with all acquirers. What the terminal can do may have changed.
    pub(super) async fn initialise(&mut self, host: Host) -> Result<Vec<String>> {
        self.usable()?;
        let mut task = Task::followed(host);
        self.done("the configuration", Message::ConfigurationRequest {}, &mut task).await?;
        self.linger_for_all(&mut task).await?;
        if self.counters(true, &mut task.host).await?.is_none() {
            return Err(self.stays_busy());
        }
        self.done("the initialisation", Message::InitializationRequest {}, &mut task).await?;
        self.linger_for_all(&mut task).await?;
        match self.counters(true, &mut task.host).await? {
            Some(_) => Ok(task.slips.all()),
            None => Err(self.stays_busy()),
        }
    }

    async fn done(&mut self, what: &str, request: Message, task: &mut Task) -> Result<()> {
        match self.exchange(request, self.options.admin, task).await? {
            End::Answered(_) => Ok(()),
            end => Err(refused(what, &end).at(&self.options.name)),
        }
    }
}

/// Sums by brand. Whether reversals have signs is not documented: what is taken back counts against, whatever its sign.
fn totals(figures: &[Figure]) -> Totals {
    let mut totals = Totals::default();
    let mut sum: Option<Option<Amount>> = None;
    for figure in figures {
        let number = figure.trx_curr_c.and_then(|number| u16::try_from(number).ok());
        let (Some(currency), Some(minor)) = (number.and_then(Currency::from_number), figure.total_amount) else {
            continue;
        };
        let (sign, words) = match CounterType::of(figure.financial_counter_type) {
            CounterType::Debit => (1, ""),
            CounterType::Credit => (-1, ", refunds"),
            CounterType::DebitReversal => (-1, ", reversals"),
            CounterType::CreditReversal => (1, ", reversed refunds"),
            CounterType::Reservation | CounterType::Other => continue,
        };
        let count = figure.trx_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
        if count == 0 && minor == 0 {
            continue;
        }
        let amount = Amount::new(minor.saturating_abs().saturating_mul(sign), currency);
        let brand = figure.brand.as_deref().map_or_else(|| "?".to_owned(), clean);
        totals.cards.push(CardTotal::new(format!("{brand}{words}"), count, amount));
        sum = Some(match sum {
            None => Some(amount),
            Some(Some(so_far)) if so_far.currency() == currency => {
                Some(Amount::new(so_far.minor().saturating_add(amount.minor()), currency))
            }
            // Several currencies have no sum.
            Some(_) => None,
        });
    }
    totals.total = sum.flatten();
    totals
}

/// Parts of one report.
const PARTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::super::wire::Report;
    use super::*;

    fn report(text: &str) -> Vec<Figure> {
        serde_json::from_str::<Report>(text).expect("reads").financial_report
    }

    #[test]
    fn what_is_taken_back_counts_against() {
        let figures = report(
            r#"{"ReportType":2,"ReportFlags":0,"FinancialReport":[
            {"Brand":"Visa","FinancialCounterType":0,"TrxCurrC":756,"TrxCount":3,"TotalAmount":3870},
            {"Brand":"Visa","FinancialCounterType":1,"TrxCurrC":756,"TrxCount":1,"TotalAmount":500},
            {"Brand":"TWINT","FinancialCounterType":2,"TrxCurrC":756,"TrxCount":"1","TotalAmount":"1290"},
            {"Brand":"Visa","FinancialCounterType":4,"TrxCurrC":756,"TrxCount":1,"TotalAmount":9999},
            {"Brand":"Visa","FinancialCounterType":3,"TrxCurrC":756,"TrxCount":0,"TotalAmount":0}]}"#,
        );
        let told = totals(&figures);
        let francs = |minor| Amount::new(minor, Currency::from_number(756).expect("francs"));
        assert_eq!(told.total, Some(francs(3870 - 500 - 1290)));
        let cards: Vec<_> = told.cards.iter().map(|card| (card.card.as_str(), card.count, card.total)).collect();
        let expected =
            [("Visa", 3, francs(3870)), ("Visa, refunds", 1, francs(-500)), ("TWINT, reversals", 1, francs(-1290))];
        assert_eq!(cards, expected);
        let two = report(
            r#"{"FinancialReport":[{"FinancialCounterType":0,"TrxCurrC":756,"TrxCount":1,"TotalAmount":1},
            {"FinancialCounterType":0,"TrxCurrC":978,"TrxCount":1,"TotalAmount":1}]}"#,
        );
        assert_eq!((totals(&two).total, totals(&two).cards.len()), (None, 2), "two currencies have no sum");
    }
}
