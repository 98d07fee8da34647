use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use tresen::config::{FailBack, Redirected, RoutePlan, Severity};
use tresen::{Config, Result};

use crate::devices;
use crate::out::Out;

/// Check a till's configuration without opening any device
///
/// Checks every key, address, option and route, and reports each problem with file, line, key and the
/// allowed values. Shows what each route prints where, also while a printer is away, and where the till is served. Exit status: 0 if the till would open, with or without warnings; 1 if not.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The configuration, such as till.toml
    file: PathBuf,
}

pub(crate) fn run(args: &Args, out: &Out) -> Result<ExitCode> {
    let checked = Config::check_file(&args.file, devices::drivers())?;
    let count = |severity| checked.problems.iter().filter(|p| p.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if errors == 0 {
        tell(&checked.config, *out);
    }
    for problem in &checked.problems {
        out.problem(problem);
    }
    let file = args.file.display();
    if errors > 0 {
        out.say(format_args!("{file}: {}", counted(errors, warnings)));
        return Ok(ExitCode::FAILURE);
    }
    match warnings {
        0 => out.say(format_args!("{file}: OK")),
        _ => out.say(format_args!("{file}: OK, {}", counted(0, warnings))),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the devices, one per line, and what is printed where.
fn tell(config: &Config, out: Out) {
    for (id, device) in &config.devices {
        let addresses: Vec<_> = device.address.iter().map(|a| a.label()).collect();
        match &device.from {
            Some(station) => out.answer(
                &json!({ "class": id.class, "name": id.name, "from": station }),
                format_args!("{id}: offered by {station}"),
            ),
            None => out.answer(
                &json!({ "class": id.class, "name": id.name, "addresses": addresses }),
                format_args!("{id}: {}", addresses.join(", ")),
            ),
        }
    }
    routes(config, out);
    away(config, out);
    remote(config, out);
}

/// Where the till is served, and to how many.
fn remote(config: &Config, out: Out) {
    let Some(remote) = &config.remote else { return };
    let plain = remote.plain.map(|plain| format!(", plain HTTP at {plain}")).unwrap_or_default();
    out.answer(
        &json!({
            "class": "remote", "listen": remote.listen, "plain": remote.plain,
            "connections": remote.connections, "strangers": remote.strangers,
            "strangers-of-one-address": remote.strangers_of_one_address,
            "connections-of-one-caller": remote.connections_of_one_caller, "audit-days": remote.audit_days,
        }),
        format_args!(
            "remote: {}{plain}; {} connections, {} of one caller; {} of strangers, {} of one address; audit {} days",
            remote.listen,
            remote.connections,
            remote.connections_of_one_caller,
            remote.strangers,
            remote.strangers_of_one_address,
            remote.audit_days,
        ),
    );
}

/// What each route prints, and where. A printer that is its own route is shown if a kind of paper comes to it.
fn routes(config: &Config, out: Out) {
    let mut rows = vec![["route", "prints", "station", "on", "rules"].map(str::to_owned)];
    for plan in config.plan() {
        if !config.routes.contains_key(&plan.route) && plan.prints.is_empty() {
            continue;
        }
        out.only_json(&json!({
            "class": "route", "name": plan.route, "prints": plan.prints, "groups": plan.groups,
            "copies": plan.copies, "fail-back": plan.fail_back, "warn-after": plan.warn_after,
            "printers": plan.printers,
        }));
        for at in &plan.printers {
            let station = station(at.station.as_deref(), &plan);
            rows.push([plan.route.clone(), prints(&plan), station, at.printers.join(", then "), rules(&plan)]);
        }
    }
    table(&rows, out);
}

/// A station, or those that have no printer of their own.
fn station(name: Option<&str>, plan: &RoutePlan) -> String {
    let rest = if plan.printers.len() > 1 { "others" } else { "all" };
    name.unwrap_or(rest).to_owned()
}

fn prints(plan: &RoutePlan) -> String {
    let kinds: Vec<_> = plan.prints.iter().map(|kind| kind.name()).collect();
    match (kinds.is_empty(), plan.groups.is_empty()) {
        (true, _) => "what names it".to_owned(),
        (false, true) => kinds.join(", "),
        (false, false) => {
            let groups: Vec<_> = plan.groups.iter().map(String::as_str).collect();
            format!("{}: {}", kinds.join(", "), groups.join(", "))
        }
    }
}

fn rules(plan: &RoutePlan) -> String {
    let mut rules = Vec::new();
    if plan.copies > 1 {
        rules.push(format!("{} copies", plan.copies));
    }
    if plan.fail_back != FailBack::AtOnce {
        rules.push(format!("fail-back {}", plan.fail_back));
    }
    rules.push(match &plan.warn_after {
        Some(time) => format!("warns after {time}"),
        None => "never warns".to_owned(),
    });
    rules.join(", ")
}

/// Where each route prints while a printer is away.
fn away(config: &Config, out: Out) {
    let mut rows = vec![["away", "route", "station", "on"].map(str::to_owned)];
    let plans = config.plan();
    let at = |change: &Redirected| {
        let plan = plans.iter().find(|plan| plan.route == change.route);
        plan.map_or_else(String::new, |plan| station(change.station.as_deref(), plan))
    };
    for plan in config.plan_away() {
        if plan.changes.is_empty() && plan.unaffected.is_empty() {
            continue;
        }
        out.only_json(&json!({
            "class": "away", "printer": plan.away, "changes": plan.changes, "unaffected": plan.unaffected,
        }));
        for change in &plan.changes {
            let on = change.on.as_ref().map_or_else(|| "waits".to_owned(), |on| format!("{on}, marked"));
            rows.push([plan.away.clone(), change.route.clone(), at(change), on]);
        }
        for route in plan.unaffected {
            rows.push([plan.away.clone(), route, "all".to_owned(), "unaffected".to_owned()]);
        }
    }
    table(&rows, out);
}

/// Rows in aligned columns, the first being the header; nothing if there is only that.
fn table<const N: usize>(rows: &[[String; N]], out: Out) {
    if rows.len() < 2 {
        return;
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.say(cells.join("  ").trim_end());
    }
}

/// `2 errors, 1 warning`
pub(super) fn counted(errors: usize, warnings: usize) -> String {
    let some = |n: usize, what: &str| match n {
        0 => None,
        1 => Some(format!("1 {what}")),
        n => Some(format!("{n} {what}s")),
    };
    [some(errors, "error"), some(warnings, "warning")].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
