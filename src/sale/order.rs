//! Kitchen tickets: what is new in a sale since it was last ordered, split by route.
//!
//! What was ordered is kept per route, as quantities of articles. An order compares them with the lines that the sale
//! has now: what is more is ordered, what is less is cancelled.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use tresen_hal::{Language, Result};
use tresen_printers::Receipt;
use tresen_printers::document::Style;

use super::line::{Line, Quantity};
use super::ticket::Ticket;
use crate::config::Config;
use crate::language::Printed;
use crate::store::{NewJob, Origin};

/// A kitchen ticket of a sale: [`crate::Tresen::order`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct KitchenTicket {
    /// The number of the order within the sale, from 1.
    pub number: i64,
    /// The route that prints it.
    pub route: String,
    /// Its print job.
    pub job: String,
    /// Whether it cancels what was ordered before.
    pub cancels: bool,
    /// What to make, or what not to make any more.
    pub lines: Vec<OrderLine>,
}

/// One line of a kitchen ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OrderLine {
    /// What it is.
    #[serde(flatten)]
    pub article: Ordered,
    /// How many; positive, also on a cancellation.
    pub count: i64,
}

/// What was ordered, without quantity and price.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Ordered {
    /// The name of the article.
    pub name: String,
    /// The article number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// The group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The weight of one portion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grams: Option<i64>,
}

/// A ticket with its print job.
pub(crate) struct NewTicket {
    pub(crate) ticket: KitchenTicket,
    pub(crate) job: NewJob,
}

/// An order that is about to be stored.
pub(crate) struct Order<'a> {
    pub(crate) config: &'a Config,
    /// The route for groups that have none; otherwise they are refused.
    pub(crate) otherwise: Option<&'a str>,
    pub(crate) origin: &'a Origin,
    pub(crate) at: Timestamp,
    /// Its number within the sale.
    pub(crate) number: i64,
}

impl Order<'_> {
    /// The tickets for what has changed since `before`; of a voided sale everything is cancelled. Cancellations come
    /// first.
    pub(crate) fn tickets(&self, sold: &Ticket, voided: bool, before: &[KitchenTicket]) -> Result<Vec<NewTicket>> {
        let wanted = if voided { Vec::new() } else { wanted(sold.lines()) };
        let mut by_route: BTreeMap<String, Vec<(Ordered, i64)>> = BTreeMap::new();
        for (article, count) in wanted {
            let routes = match (self.config.routes_for_group(article.group.as_deref()), self.otherwise) {
                (Err(_), Some(route)) => vec![route.to_owned()],
                (routes, _) => routes?,
            };
            for route in routes {
                by_route.entry(route).or_default().push((article.clone(), count));
            }
        }
        for ticket in before {
            by_route.entry(ticket.route.clone()).or_default();
        }
        let mut tickets = Vec::new();
        for (route, wanted) in &by_route {
            let (new, cancelled) = changes(wanted, before.iter().filter(|ticket| ticket.route == *route));
            for (cancels, lines) in [(true, cancelled), (false, new)] {
                if !lines.is_empty() {
                    tickets.push(self.ticket(sold, route, cancels, lines)?);
                }
            }
        }
        tickets.sort_by_key(|new| !new.ticket.cancels);
        Ok(tickets)
    }

    fn ticket(&self, sold: &Ticket, route: &str, cancels: bool, lines: Vec<OrderLine>) -> Result<NewTicket> {
        let what = if cancels { "cancel" } else { "order" };
        let job = format!("{what}-{}-{}-{route}", sold.id(), self.number);
        let ticket = KitchenTicket { number: self.number, route: route.to_owned(), job, cancels, lines };
        let paper = self.paper(sold, &ticket, self.config.till.language);
        let copies = self.config.route(route).map_or(1, |route| route.copies);
        let job = NewJob::new(&ticket.job, route, &(&paper).into(), copies, self.origin)?;
        Ok(NewTicket { ticket, job })
    }

    fn paper(&self, sold: &Ticket, ticket: &KitchenTicket, language: Language) -> Receipt {
        let texts = language.texts();
        let large = Style::new().size(2, 2);
        let mut paper = Receipt::new();
        if ticket.cancels {
            paper = paper.styled(format!(" {} ", texts.cancelled), large.bold().invert().centre());
        }
        let at = self.at.to_zoned(TimeZone::system()).strftime(texts.date).to_string();
        paper = paper
            .styled(format!("{} {}", texts.order, sold.label()), large.bold().centre())
            .row(format!("{} {}", ticket.route, ticket.number), at);
        let who: Vec<_> = [&self.origin.station, &self.origin.operator].into_iter().flatten().cloned().collect();
        if !who.is_empty() {
            paper = paper.text(who.join(", "));
        }
        paper = paper.rule();
        for OrderLine { article, count } in &ticket.lines {
            let sign = if ticket.cancels { "-" } else { "" };
            let weight = article.grams.map(|grams| format!("{grams} g ")).unwrap_or_default();
            paper = paper.styled(format!("{sign}{count} x {weight}{}", article.name), large);
        }
        match sold.note() {
            Some(note) => paper.rule().text(note).cut(),
            None => paper.cut(),
        }
    }
}

/// What each line asks for; negative where it takes something back. Discounts, which have a negative price, ask for
/// nothing.
fn wanted(lines: &[Line]) -> Vec<(Ordered, i64)> {
    let goods = lines.iter().filter(|line| line.unit_price.minor() >= 0);
    let wanted = goods.map(|line| {
        let (count, grams) = match line.quantity {
            Quantity::Pieces(count) => (count, None),
            Quantity::Grams(grams) => (grams.signum(), Some(grams.saturating_abs())),
        };
        let (name, number, group) = (line.name.clone(), line.article.clone(), line.group.clone());
        (Ordered { name, number, group, grams }, count)
    });
    wanted.collect()
}

/// What is more, in the order of the lines, and what is less, in the order in which it was ordered.
fn changes<'a>(
    wanted: &[(Ordered, i64)],
    before: impl Iterator<Item = &'a KitchenTicket>,
) -> (Vec<OrderLine>, Vec<OrderLine>) {
    let mut missing: BTreeMap<&Ordered, i64> = BTreeMap::new();
    for (article, count) in wanted {
        let sum = missing.entry(article).or_default();
        *sum = sum.saturating_add(*count);
    }
    // More was taken back than sold.
    missing.values_mut().for_each(|count| *count = (*count).max(0));
    let mut first_ordered = Vec::new();
    for ticket in before {
        for line in &ticket.lines {
            if !first_ordered.contains(&&line.article) {
                first_ordered.push(&line.article);
            }
            let sum = missing.entry(&line.article).or_default();
            *sum = sum.saturating_sub(if ticket.cancels { -line.count } else { line.count });
        }
    }
    let cancelled = first_ordered.into_iter().filter_map(|article| {
        let count = missing.get(article).copied().filter(|count| *count < 0)?;
        Some(OrderLine { article: article.clone(), count: count.saturating_neg() })
    });
    let cancelled = cancelled.collect();
    // The last lines are the new ones.
    let mut new = Vec::new();
    for (article, count) in wanted.iter().rev() {
        let left = missing.get_mut(article).filter(|left| **left > 0);
        if let Some(left) = left
            && *count > 0
        {
            let count = (*count).min(*left);
            *left -= count;
            new.push(OrderLine { article: article.clone(), count });
        }
    }
    new.reverse();
    (new, cancelled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sale::Vat;
    use tresen_hal::Amount;

    fn line(name: &str, count: i64, cents: i64) -> Line {
        Line::pieces(name, count, Amount::eur(cents), Vat::percent(19)).expect("fits")
    }

    fn said(lines: &[OrderLine]) -> Vec<String> {
        lines.iter().map(|line| format!("{} {}", line.count, line.article.name)).collect()
    }

    /// Orders what is new of these lines, and adds it to what was ordered.
    #[track_caller]
    fn order(before: &mut Vec<KitchenTicket>, lines: &[Line], new: &[&str], cancelled: &[&str]) {
        let (now, less) = changes(&wanted(lines), before.iter());
        assert_eq!(
            (said(&now), said(&less)),
            (new.iter().map(|s| (*s).to_owned()).collect(), cancelled.iter().map(|s| (*s).to_owned()).collect())
        );
        for (cancels, lines) in [(true, less), (false, now)] {
            before.push(KitchenTicket { number: 1, route: "kitchen".into(), job: "j".into(), cancels, lines });
        }
    }

    #[test]
    fn only_what_changed_is_ordered_or_cancelled() {
        let mut before = Vec::new();
        order(&mut before, &[line("Soup", 2, 500), line("Fish", 1, 900)], &["2 Soup", "1 Fish"], &[]);
        order(&mut before, &[line("Soup", 2, 500), line("Fish", 1, 900)], &[], &[]);
        // One more on a line of its own, and a line replaced by one with another price.
        order(&mut before, &[line("Fish", 1, 800), line("Soup", 2, 500), line("Soup", 1, 500)], &["1 Soup"], &[]);
        order(&mut before, &[line("Soup", 1, 500)], &[], &["2 Soup", "1 Fish"]);
        // Taken back by a line with a negative quantity, and more than there was.
        order(&mut before, &[line("Soup", 1, 500), line("Soup", -3, 500)], &[], &["1 Soup"]);
        order(&mut before, &[line("Fish", 1, 900), line("Soup", 1, 500)], &["1 Fish", "1 Soup"], &[]);
    }

    #[test]
    fn remarks_stay_beside_what_they_belong_to_and_discounts_are_left_out() {
        let mut before = Vec::new();
        order(&mut before, &[line("Soup", 1, 500)], &["1 Soup"], &[]);
        let lines = [
            line("Soup", 1, 500),
            line("Soup", 1, 500),
            line("no salt", 1, 0),
            line("Soup", 1, 500),
            line("Discount", 1, -100),
        ];
        order(&mut before, &lines, &["1 Soup", "1 no salt", "1 Soup"], &[]);
    }

    #[test]
    fn portions_of_different_weight_are_different_things() {
        let ham = |grams| Line::weighed("Ham", grams, Amount::eur(19_90), Vat::percent(7)).expect("fits");
        let mut before = Vec::new();
        order(&mut before, &[ham(200), ham(300)], &["1 Ham", "1 Ham"], &[]);
        order(&mut before, &[ham(200), ham(250)], &["1 Ham"], &["1 Ham"]);
        let last =
            |cancels| before.iter().rev().find(|t| t.cancels == cancels).expect("a ticket").lines[0].article.grams;
        assert_eq!((last(true), last(false)), (Some(300), Some(250)));
    }
}
