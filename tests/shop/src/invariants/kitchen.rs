//! Kitchen tickets: what is new in a sale is on one ticket of each of its routes, what was taken out on one cancellation,
//! and nothing of an earlier round again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tresen::SpooledJob;
use tresen::sale::Sale;

use super::books::unreadable;
use super::rolls::kitchen_key;
use super::{Books, Held};
use crate::counter::Counter;
use crate::setup::{Setup, routes, routes_of};

/// What was sent to the kitchen so far.
#[derive(Default)]
pub(super) struct Kitchen {
    last: i64,
    /// The job of each dish, by route, and whether that is a cancellation.
    by_dish: BTreeMap<(String, bool, String), String>,
    /// How much of what each job asks for.
    dishes: BTreeMap<String, Vec<(i64, String)>>,
    /// The key that the paper of a job has, and the other way round.
    keys: BTreeMap<String, String>,
    jobs: BTreeMap<String, String>,
}

impl Kitchen {
    /// The key under which the paper of a job is found.
    pub(super) fn key(&self, job: &SpooledJob) -> String {
        let id = base(&job.id);
        match self.keys.get(id) {
            Some(key) => key.clone(),
            None => id.strip_prefix("receipt-").unwrap_or(id).to_owned(),
        }
    }

    /// What a job asks for, if it is a kitchen ticket.
    pub(super) fn dishes(&self, job: &SpooledJob) -> Option<&Vec<(i64, String)>> {
        self.dishes.get(base(&job.id))
    }

    /// The job whose paper has this key, if that is a kitchen ticket.
    pub(super) fn job(&self, key: &str) -> Option<&str> {
        self.jobs.get(key).map(String::as_str)
    }

    fn take(&mut self, route: &str, job: &str, cancels: bool, lines: &str) -> Held {
        let lines: Value = serde_json::from_str(lines).map_err(unreadable)?;
        let mut dishes = Vec::new();
        for line in lines.as_array().into_iter().flatten() {
            let (Some(name), Some(count)) = (line["name"].as_str(), line["count"].as_i64()) else {
                return Err(format!("a kitchen ticket with {line}"));
            };
            let dish = (route.to_owned(), cancels, name.to_owned());
            let what = if cancels { "cancelled" } else { "ordered" };
            if cancels && !self.by_dish.contains_key(&(route.to_owned(), false, name.to_owned())) {
                return Err(format!("{name} is cancelled at {route} and was never ordered there"));
            }
            if let Some(other) = self.by_dish.insert(dish, job.to_owned()) {
                return Err(format!("{name} is {what} twice at {route}: by {other} and by {job}"));
            }
            dishes.push((count, name.to_owned()));
        }
        let Some((_, first)) = dishes.first() else { return Err(format!("kitchen ticket {job} is empty")) };
        let key = kitchen_key(cancels, route, first);
        self.jobs.insert(key.clone(), job.to_owned());
        self.keys.insert(job.to_owned(), key);
        self.dishes.insert(job.to_owned(), dishes);
        Ok(())
    }

    fn has<'a>(&'a self, name: &'a str, cancels: bool) -> impl Fn(&&'static str) -> bool + 'a {
        move |route| self.by_dish.contains_key(&((*route).to_owned(), cancels, name.to_owned()))
    }
}

/// Without what says which sheet it is.
fn base(job: &str) -> &str {
    let job = job.split_once('#').map_or(job, |(job, _)| job);
    job.split_once("/copy-").map_or(job, |(job, _)| job)
}

/// New tickets order what was not ordered and cancel what was, on the routes of each dish, with their print jobs.
///
/// # Errors
/// What does not hold.
pub(super) fn grows(counter: &Counter, books: &mut Books) -> Held {
    let mut kitchen = std::mem::take(&mut books.kitchen);
    let mut find = books
        .db()
        .prepare_cached("SELECT seq, route, job, cancels, lines FROM orders WHERE seq > ?1 ORDER BY seq")
        .map_err(unreadable)?;
    let rows = find
        .query_map([kitchen.last], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<(i64, String, String, bool, String)>>>)
        .map_err(unreadable)?;
    drop(find);
    let mut held = Ok(());
    for (seq, route, job, cancels, lines) in rows {
        kitchen.last = seq;
        held = held.and_then(|()| kitchen.take(&route, &job, cancels, &lines));
        held = held.and_then(|()| is_as_the_route_says(counter, books, &kitchen, &route, &job));
    }
    books.kitchen = kitchen;
    held
}

fn is_as_the_route_says(counter: &Counter, books: &Books, kitchen: &Kitchen, route: &str, job: &str) -> Held {
    let notebook = counter.world.notebook();
    for (_, name) in kitchen.dishes.get(job).into_iter().flatten() {
        let group = notebook.groups.get(name).copied().unwrap_or_default();
        if !routes_of(group).contains(&route) {
            return Err(format!("{name} is of the group {group:?} and on a ticket of the route {route}"));
        }
    }
    let copies = routes(Setup::Whole).iter().find(|known| known.name == route).map_or(1, |route| route.copies);
    let ids = (1..=copies).map(|n| if n == 1 { job.to_owned() } else { format!("{job}#{n}") });
    let mut missing = ids.filter(|id| books.jobs.get(id).is_none_or(|job| job.sheets != copies));
    match missing.next() {
        Some(missing) => Err(format!("kitchen ticket {job} has {copies} copies, and no print job {missing}")),
        None => Ok(()),
    }
}

/// What the till said it has ordered it has ordered; a closed sale has ordered what is in it and nothing else.
///
/// # Errors
/// What does not hold.
pub(super) fn is_ordered(
    counter: &Counter,
    books: &Books,
    sale: &Sale,
    ordered: &BTreeSet<String>,
    cancelled: &BTreeSet<String>,
) -> Held {
    let (id, kitchen) = (sale.id(), &books.kitchen);
    let groups = &counter.world.notebook().groups;
    let missing = |name: &str, cancels| {
        let routes = routes_of(groups.get(name).copied().unwrap_or_default());
        routes.into_iter().find(|route| !kitchen.has(name, cancels)(route))
    };
    for name in ordered {
        if let Some(route) = missing(name, false) {
            return Err(format!("{name} of sale {id} was ordered, and {route} has no ticket"));
        }
    }
    for name in cancelled {
        if let Some(route) = missing(name, true) {
            return Err(format!("{name} of sale {id} was cancelled, and {route} has no ticket"));
        }
    }
    if sale.ticket().number().is_none() || sale.ticket().original().is_some() {
        return Ok(());
    }
    for line in sale.ticket().lines().iter().filter(|line| line.group.is_some()) {
        if let Some(route) = missing(&line.name, false) {
            return Err(format!("{} of the closed sale {id} was not ordered at {route}", line.name));
        }
        if let Some(route) =
            routes_of(line.group.as_deref().unwrap_or_default()).iter().find(|r| kitchen.has(&line.name, true)(r))
        {
            return Err(format!("{} of the closed sale {id} was cancelled at {route}", line.name));
        }
    }
    Ok(())
}
