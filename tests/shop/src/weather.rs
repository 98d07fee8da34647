//! Everything that goes wrong around the till.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tresen::Amount;
use tresen::payment::zvt::sim::{Misbehaviour, Side};
use tresen::sync::sim::Fault;

use crate::counter::{Actor, Counter, Shift};
use crate::dice::Dice;
use crate::plan::Plan;
use crate::world::World;

/// The weather.
pub struct Weather {
    dice: Dice,
    /// The time between two events, on average.
    gap: Duration,
}

impl Weather {
    /// So many mishaps as the plan wants, and between none and twice as many by the dice.
    pub fn new(plan: &Plan, mut dice: Dice) -> Self {
        let gap = plan.length / plan.faults.max(1);
        let gap = [gap / 2, gap, gap * 4][dice.index(3)];
        Self { dice, gap }
    }

    fn event(&mut self, world: &World) {
        let dice = &mut self.dice;
        let printer = &world.printers[dice.index(world.printers.len())];
        let terminal = &world.terminals[dice.index(world.terminals.len())];
        world.notebook().count("faults");
        let kinds = match (world.radios.is_empty(), world.is_remote()) {
            (true, _) => 14,
            (false, false) => 18,
            (false, true) => 22,
        };
        match dice.below(kinds) {
            0 => {
                let lines = dice.below(20) as u32;
                tell(world, format_args!("leaves {lines} lines of paper in {}", printer.name()));
                printer.with(|p| p.faults.paper_out_after_lines = Some(lines.max(1)));
            }
            1 => {
                let open = dice.percent(50);
                tell(world, format_args!("{} the cover of {}", if open { "opens" } else { "closes" }, printer.name()));
                printer.with(|p| p.cover(open));
            }
            2 => {
                tell(world, format_args!("gives {} a new roll and shuts it", printer.name()));
                printer.with(|p| {
                    p.load_paper();
                    p.cover(false);
                });
            }
            3 => {
                tell(world, format_args!("switches {} off and on", printer.name()));
                printer.with(|p| p.power_cycle());
            }
            4 => {
                let how = misbehaviour(dice);
                tell(world, format_args!("has the terminal at the {} misbehave: {how:?}", terminal.name()));
                terminal.with(|t| t.misbehave(how));
            }
            5 => {
                let how = misbehaviour(dice);
                tell(world, format_args!("has the terminal at the {} misbehave: {how:?}", terminal.name()));
                terminal.with(|t| t.misbehave(how));
            }
            6 => {
                let until = world.story.time() + dice.millis(500, 90_000);
                tell(world, format_args!("refuses connections to the {} until {until:?}", terminal.name()));
                terminal.refuse_until(until);
                terminal.cut();
            }
            7 => {
                let until = world.story.time() + dice.millis(500, 90_000);
                tell(world, format_args!("refuses connections to {} until {until:?}", printer.name()));
                printer.refuse_until(until);
                printer.cut();
            }
            8 => {
                tell(world, format_args!("pulls the cable of the {}", terminal.name()));
                terminal.cut();
            }
            9 => {
                let scanner = &world.scanners[dice.index(world.scanners.len())];
                tell(world, format_args!("pulls the cables of {} and {}", printer.name(), scanner.name()));
                printer.cut();
                scanner.cut();
            }
            10 => {
                let how = ["ABORT", "ROLLBACK"][dice.index(2)];
                tell(world, format_args!("fills the disk ({how})"));
                fill_disk(world, how);
            }
            12 => {
                let reachable = dice.percent(40);
                tell(world, format_args!("{} the server", if reachable { "brings back" } else { "takes away" }));
                world.server.set_reachable(reachable);
            }
            13 => {
                let faults: Vec<_> = (0..=dice.below(4)).map(|_| server_fault(dice)).collect();
                tell(world, format_args!("has the server misbehave: {faults:?}"));
                world.server.add_faults(faults);
            }
            14..=16 => {
                let (radio, long) = (&world.radios[dice.index(world.radios.len())], dice.millis(500, 60_000));
                tell(world, format_args!("carries {} out of range for {long:?}", radio.name()));
                world.carry_away(radio, world.story.time() + long);
            }
            17 => {
                let radio = &world.radios[dice.index(world.radios.len())];
                tell(world, format_args!("drops {}", radio.name()));
                world.notebook().count("handhelds dropped");
                let now = world.story.time();
                radio.drop_it(now, now + dice.millis(60_000, 600_000));
            }
            18..=20 => {
                let radio = &world.radios[dice.index(world.radios.len())];
                tell(world, format_args!("breaks the connection of {}", radio.name()));
                radio.cut();
            }
            21 => {
                let orderly = dice.percent(50);
                tell(world, format_args!("has the till's server restarted{}", if orderly { "" } else { " at once" }));
                world.notebook().count("restarts of the server");
                world.door.restart(orderly);
            }
            _ => {
                // Only the bar's terminal is used by others, too.
                let amount = Amount::eur(90_00 + dice.below(1_000) as i64);
                if let Some(bar) = world.terminals.get(1)
                    && bar.is_idle()
                {
                    tell(world, format_args!("has somebody type {amount} in at the bar"));
                    let receipt = bar.with(|t| t.by_hand(tresen::payment::zvt::sim::Kind::Payment, amount).receipt);
                    let mut notebook = world.notebook();
                    notebook.by_hand.insert((1, receipt));
                    notebook.asked.entry(bar.name().to_owned()).or_default()[0] += 1;
                }
            }
        }
    }
}

impl Actor for Weather {
    fn shift<'a>(&'a mut self, counter: &'a Counter) -> Shift<'a> {
        Box::pin(async move {
            let world: &Arc<World> = &counter.world;
            loop {
                let pause = self.dice.millis(200, 2 * self.gap.as_millis() as u64);
                counter.pause(pause).await;
                if !world.is_open() {
                    return;
                }
                self.event(world);
                counter.check().await;
                let pause = self.dice.millis(0, 10_000);
                counter.pause(pause).await;
                free_disk(world);
            }
        })
    }
}

/// Everything works again, and what hangs is switched off and on.
pub fn clear_up(world: &World) {
    tell(world, "clears up");
    for place in &world.printers {
        place.trouble(0);
        place.refuse_until(Duration::ZERO);
        place.with(|p| {
            p.load_paper();
            p.cover(false);
        });
        place.cut();
    }
    for place in &world.terminals {
        place.trouble(0);
        place.refuse_until(Duration::ZERO);
        place.with(|t| t.behave());
        place.cut();
    }
    for place in &world.scanners {
        place.trouble(0);
        place.cut();
    }
    world.server.set_reachable(true);
    for radio in &world.radios {
        radio.set_trouble(0);
        radio.carry_away(Duration::ZERO);
    }
    free_disk(world);
}

/// Every write fails from now on, `how` SQLite names: the statement alone, or the transaction.
fn fill_disk(world: &World, how: &str) {
    let mut script = String::new();
    for (table, write) in WRITES {
        script += &format!(
            "CREATE TRIGGER IF NOT EXISTS full_{table}_{write} BEFORE {write} ON {table} BEGIN
                 SELECT RAISE({how}, 'database or disk is full');
             END;"
        );
    }
    beside(world, &script);
}

/// There is room again.
pub fn free_disk(world: &World) {
    let script: String = WRITES.iter().map(|(t, w)| format!("DROP TRIGGER IF EXISTS full_{t}_{w};")).collect();
    beside(world, &script);
}

fn beside(world: &World, script: &str) {
    if world.is_dead() || !world.database().exists() {
        return;
    }
    let db = Connection::open(world.database()).expect("the database is there");
    db.execute_batch(script).expect("nobody else writes at this moment");
}

fn server_fault(dice: &mut Dice) -> Fault {
    match dice.below(4) {
        0 => Fault::Lost,
        1 => Fault::AnswerLost,
        2 => Fault::Late(dice.millis(100, 30_000)),
        _ => Fault::Twice,
    }
}

fn misbehaviour(dice: &mut Dice) -> Misbehaviour {
    let message = dice.index(8);
    let side = if dice.percent(50) { Side::FromTill } else { Side::ToTill };
    match dice.below(14) {
        0 | 1 => Misbehaviour::Decline(0x05),
        2 => Misbehaviour::Part(Amount::eur(1 + dice.below(10_00) as i64)),
        3 => Misbehaviour::Busy,
        4 | 5 => Misbehaviour::HangUp { side, message, after: dice.percent(50) },
        6 => Misbehaviour::NoAnswer { message },
        7 => Misbehaviour::Late { message, by: dice.millis(1_000, 120_000) },
        8 => Misbehaviour::Twice { message },
        9 => Misbehaviour::HangAfterAcknowledgement,
        10 => Misbehaviour::BusyFor(dice.millis(1_000, 60_000)),
        11 => Misbehaviour::MuteAfterApproval,
        12 => Misbehaviour::HangUpAfterApproval,
        _ => Misbehaviour::UnknownField { first: dice.percent(50) },
    }
}

fn tell(world: &World, what: impl std::fmt::Display) {
    world.story.tell("the weather", what);
}

const WRITES: [(&str, &str); 8] = [
    ("intents", "INSERT"),
    ("intents", "UPDATE"),
    ("jobs", "INSERT"),
    ("jobs", "UPDATE"),
    ("sales", "INSERT"),
    ("sales", "UPDATE"),
    ("tenders", "INSERT"),
    ("tenders", "UPDATE"),
];
