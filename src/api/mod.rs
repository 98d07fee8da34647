//! Every operation of a till as a command with a reply, for use across process and language boundaries.
//!
//! [`Tresen::ask`] runs a command; [`Tresen::ask_json`] runs one given by name and JSON arguments. The
//! [`blocking`](crate::blocking) handles use the former, the till's [socket](#the-socket) the latter. There is one
//! module of commands per class: [`printer`], [`terminal`], [`scanner`], [`camera`], [`sale`], [`lease`], [`server`],
//! [`remote`], [`till`]; and [`listing`].
//!
//! ```no_run
//! # async fn sell(till: tresen::Tresen) -> tresen::Result<()> {
//! use tresen::{Amount, api::terminal};
//!
//! let pay = terminal::Pay { terminal: "counter".into(), amount: Amount::eur(12_50), key: None };
//! let payment = till.on_behalf_of("handheld 7").ask(pay).await?;
//! # Ok(())
//! # }
//! ```
//!
//! In JSON, amounts are strings (`"12.50 EUR"`), durations milliseconds in fields ending in `_ms`, times RFC 3339, raw
//! bytes for a printer base64. An error is a [`tresen_hal::Error`] with all its fields.
//!
//! `docs/commands.md` in the repository is a reference of all commands; with the feature `schema`, the function `schema`
//! describes them as a JSON schema.
//!
//! Left out: a camera's live picture, which does not suit JSON ([`camera::Frame`] is one picture); whatever takes a function
//! of the program (a signer, a receipt layout, a driver, a configuration built in code), which the program sets up when it
//! [builds](crate::Builder) the till; and closing the till, which is up to the program that opened it.
//!
//! # The socket
//!
//! A running till listens on a Unix socket beside its database, `till.db.sock`, accessible only to its own user and
//! root; `socket = false` under `[till]` disables it. Other platforms have none. The protocol is lines of JSON, at most
//! [`LINE`] bytes each, for at most [`CLIENTS`] clients. [`Client`] implements it.
//!
//! ```text
//! ← {"tresen":"0.1.0","protocol":1,"till":"0198…","name":"Till 1"}
//! → {"id":1,"command":"terminal.pay","with":{"terminal":"counter","amount":"12.50 EUR","key":"a-17"},"caller":"anna"}
//! → {"id":2,"command":"till.snapshot"}
//! ← {"id":2,"reply":{"seq":7,"devices":[…]}}
//! ← {"id":1,"reply":{"charged":{…}}}
//! → {"id":3,"command":"printer.status","with":{"printer":"bra"}}
//! ← {"id":3,"error":{"kind":"config","what":"unknown printer or route `bra`",…}}
//! → {"id":4,"command":"follow"}
//! ← {"id":4,"reply":{"seq":9,"devices":[…]}}
//! ← {"event":{"seq":10,…}}
//! ```
//! - The till sends the first line. `protocol` is incremented when old clients would misunderstand.
//! - Each request gets one reply, when it is done. Replies may arrive in any order; `id` (a number of the client's
//!   choice) matches them to requests. [`IN_FLIGHT`] requests may be pending; more are refused as busy.
//! - `caller` names on whose behalf: see [`Tresen::on_behalf_of`]. `leases` are the keys of the [`lease`]s that the call
//!   depends on: `[{"target":{"device":{"class":"terminal","name":"bar"}},"token":17}]`.
//! - `follow` replies with the current state of the devices and then sends each event. A client that reads too slowly
//!   misses events, which shows in their `seq`.
//! - Disconnecting discards the replies; commands already sent still run. Choose the keys of payments and print jobs
//!   yourself and ask again with the same key: [`terminal::Find`], [`printer::Outcome`].
//! - A line that is not a request is answered with an error, its `id` `null` if it has none. A line that is too long
//!   closes the connection, and so does a client that does not read for [`PATIENCE`].

mod base64;
mod call;
pub mod camera;
mod client;
mod dispatch;
pub mod lease;
mod line;
pub mod listing;
mod message;
mod millis;
pub mod printer;
pub mod remote;
mod right;
pub mod sale;
pub mod scanner;
#[cfg(feature = "schema")]
mod schema;
#[cfg_attr(not(unix), allow(dead_code, reason = "without Unix sockets there is no server"))]
mod serve;
pub mod server;
pub mod socket;
mod strict;
pub mod terminal;
pub mod till;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tresen_hal::{Error, Kind, Result};

use crate::store::Origin;
use crate::tresen::Tresen;
use call::{Asked, Of};

pub use call::{Call, Info, Need};
pub use client::{Client, Following};
pub use dispatch::{Dispatch, InFlight, Place, relay};
pub use message::{Message, Request};
pub use right::{Grants, Right};
#[cfg(feature = "schema")]
pub use schema::{markdown, schema, typescript};
pub use serve::{CLIENTS, FOLLOW, IN_FLIGHT, LINE, PATIENCE, PROTOCOL};
pub(crate) use socket::Socket;

/// An operation of a till, and its reply.
pub trait Command: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its name in JSON, such as `printer.print`.
    const NAME: &'static str;
    /// What a caller from outside needs for it, on [`device`](Self::device) or, where it names none, without limit to
    /// devices.
    const RIGHT: Right;
    /// It changes something, and doing it late or twice is not the same as doing it once: a caller from outside gives
    /// each request a key.
    const CHANGES: bool;
    /// The command only waits for input. If its caller disconnects it is dropped, and consumes nothing.
    const WAITS: bool = false;
    /// The reply.
    type Reply: Serialize + DeserializeOwned + Send + 'static;

    /// The device or route that it names, if any.
    fn device(&self) -> Option<&str> {
        None
    }

    /// All that a caller from outside needs for it. The device of a stored job or payment, and whether money goes to or
    /// from the customer, are looked up; where they cannot be told, the right is needed without limit to devices. What
    /// was looked up is written into the command (a sale's `rev`), so that it still holds when the command runs.
    ///
    /// # Errors
    /// The database cannot be read.
    fn needs(&mut self, till: &Tresen) -> impl Future<Output = Result<Vec<Need>>> + Send {
        let _ = till;
        std::future::ready(Ok(vec![Need::new(Self::RIGHT, self.device())]))
    }

    /// The field with its durable key: repeating the command under the same one is safe even after the till was
    /// restarted. `None`: the command has no such key.
    fn key_slot(&mut self) -> Option<&mut Option<String>> {
        None
    }

    /// On whose behalf it says it is, if it says.
    fn origin(&mut self) -> Option<&mut Origin> {
        None
    }

    /// Runs the command. Dropping the future discards the reply; what was started continues.
    fn run(self, till: &Tresen) -> impl Future<Output = Result<Self::Reply>> + Send;
}

impl Tresen {
    /// Runs a command of [`api`](crate::api).
    ///
    /// # Errors
    /// As the method of the same name: [`printer::Print`] as [`Printer::print`](crate::Printer::print).
    pub async fn ask<C: Command>(&self, command: C) -> Result<C::Reply> {
        command.run(self).await
    }

    /// Runs the command `name` with its fields as JSON; `null` means no fields.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: unknown command. [`Kind::Input`]: invalid fields; the error names the command and the
    /// field. Otherwise as [`Tresen::ask`].
    pub async fn ask_json(&self, name: &str, with: Value) -> Result<Value> {
        Call::read(name, with)?.run(self.clone()).await
    }
}

/// The names of all commands.
pub fn commands() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.info.name)
}

/// What is known of a command; `None` if there is none of this name.
pub fn command(name: &str) -> Option<&'static Info> {
    ROWS.iter().map(|row| &row.info).find(|info| info.name == name)
}

/// A command's entry in the table.
pub(crate) struct Row {
    pub(crate) info: Info,
    read: fn(Value) -> Result<Box<dyn Asked>>,
    #[cfg(feature = "schema")]
    describe: fn(&mut schema::Generators) -> schema::Description,
}

impl Row {
    #[cfg(not(feature = "schema"))]
    const fn of<C: Command>() -> Self {
        Self { info: Info::of::<C>(), read: asked::<C> }
    }

    #[cfg(feature = "schema")]
    const fn of<C>() -> Self
    where
        C: Command + schemars::JsonSchema,
        C::Reply: schemars::JsonSchema,
    {
        Self { info: Info::of::<C>(), read: asked::<C>, describe: schema::describe::<C> }
    }
}

/// The command of this name.
pub(crate) fn row(name: &str) -> Result<&'static Row> {
    ROWS.iter().find(|row| row.info.name == name).ok_or_else(|| {
        let class = name.split('.').next().unwrap_or_default();
        let near: Vec<_> = commands().filter(|known| known.split('.').next() == Some(class)).collect();
        let hint = match near.is_empty() {
            true => "`till.commands` lists all".to_owned(),
            false => format!("expected one of {}", near.join(", ")),
        };
        Error::new(Kind::Unsupported, format!("unknown command `{name}`")).hint(hint)
    })
}

fn asked<C: Command>(with: Value) -> Result<Box<dyn Asked>> {
    Ok(Box::new(Of(read::<C>(with)?)))
}

/// Builds a command from its fields.
fn read<C: Command>(with: Value) -> Result<C> {
    let with = if with.is_null() { Value::Object(serde_json::Map::new()) } else { with };
    strict::read(&with).map_err(|wrong| Error::new(Kind::Input, format!("`{}`: {wrong}", C::NAME)))
}

/// All commands; a new one needs an entry here.
const ROWS: &[Row] = &[
    Row::of::<printer::Print>(),
    Row::of::<printer::Submit>(),
    Row::of::<printer::Outcome>(),
    Row::of::<printer::Find>(),
    Row::of::<printer::Reprint>(),
    Row::of::<printer::Adopt>(),
    Row::of::<printer::Cancel>(),
    Row::of::<printer::Status>(),
    Row::of::<printer::Identity>(),
    Row::of::<printer::Preview>(),
    Row::of::<printer::Picture>(),
    Row::of::<printer::KickDrawer>(),
    Row::of::<printer::Capabilities>(),
    Row::of::<printer::Phase>(),
    Row::of::<printer::Reset>(),
    Row::of::<terminal::Pay>(),
    Row::of::<terminal::TryPay>(),
    Row::of::<terminal::Refund>(),
    Row::of::<terminal::Reverse>(),
    Row::of::<terminal::PreAuthorise>(),
    Row::of::<terminal::Increment>(),
    Row::of::<terminal::Book>(),
    Row::of::<terminal::Release>(),
    Row::of::<terminal::Tip>(),
    Row::of::<terminal::TopUp>(),
    Row::of::<terminal::ReadCard>(),
    Row::of::<terminal::Display>(),
    Row::of::<terminal::Input>(),
    Row::of::<terminal::Print>(),
    Row::of::<terminal::AgeCheck>(),
    Row::of::<terminal::Abort>(),
    Row::of::<terminal::Serving>(),
    Row::of::<terminal::Questions>(),
    Row::of::<terminal::Answer>(),
    Row::of::<terminal::Find>(),
    Row::of::<terminal::Open>(),
    Row::of::<terminal::Recover>(),
    Row::of::<terminal::Settle>(),
    Row::of::<terminal::EndOfDay>(),
    Row::of::<terminal::Totals>(),
    Row::of::<terminal::Diagnose>(),
    Row::of::<terminal::Initialise>(),
    Row::of::<terminal::RepeatReceipt>(),
    Row::of::<terminal::Status>(),
    Row::of::<terminal::Capabilities>(),
    Row::of::<scanner::Next>(),
    Row::of::<scanner::Discard>(),
    Row::of::<scanner::SetEnabled>(),
    Row::of::<scanner::Beep>(),
    Row::of::<scanner::Trigger>(),
    Row::of::<scanner::Capabilities>(),
    Row::of::<camera::Next>(),
    Row::of::<camera::Frame>(),
    Row::of::<camera::Discard>(),
    Row::of::<camera::Capabilities>(),
    Row::of::<sale::Open>(),
    Row::of::<sale::OpenRefund>(),
    Row::of::<sale::Find>(),
    Row::of::<sale::ByNumber>(),
    Row::of::<sale::Since>(),
    Row::of::<sale::ListOpen>(),
    Row::of::<sale::ListParked>(),
    Row::of::<sale::ListClosed>(),
    Row::of::<sale::Returnable>(),
    Row::of::<sale::Reprint>(),
    Row::of::<sale::Refresh>(),
    Row::of::<sale::Add>(),
    Row::of::<sale::Remove>(),
    Row::of::<sale::AddTip>(),
    Row::of::<sale::RemoveTip>(),
    Row::of::<sale::ReturnOne>(),
    Row::of::<sale::Park>(),
    Row::of::<sale::ResumeParked>(),
    Row::of::<sale::SetNote>(),
    Row::of::<sale::PayCard>(),
    Row::of::<sale::ReverseCard>(),
    Row::of::<sale::PayCash>(),
    Row::of::<sale::PayOut>(),
    Row::of::<sale::PayAccount>(),
    Row::of::<sale::PayOther>(),
    Row::of::<sale::GiveBack>(),
    Row::of::<sale::Order>(),
    Row::of::<sale::Orders>(),
    Row::of::<sale::Void>(),
    Row::of::<sale::CheckOut>(),
    Row::of::<sale::Close>(),
    Row::of::<sale::Resume>(),
    Row::of::<lease::Acquire>(),
    Row::of::<lease::Queue>(),
    Row::of::<lease::Leave>(),
    Row::of::<lease::Renew>(),
    Row::of::<lease::Release>(),
    Row::of::<lease::Ask>(),
    Row::of::<lease::TakeOver>(),
    Row::of::<lease::List>(),
    Row::of::<till::Info>(),
    Row::of::<till::Commands>(),
    Row::of::<till::Snapshot>(),
    Row::of::<till::Capabilities>(),
    Row::of::<till::SetTender>(),
    Row::of::<till::Phase>(),
    Row::of::<till::Reset>(),
    Row::of::<till::Detach>(),
    Row::of::<till::Reload>(),
    Row::of::<till::PrinterFor>(),
    Row::of::<till::OpenJobs>(),
    Row::of::<till::Backup>(),
    Row::of::<till::Export>(),
    Row::of::<till::NewId>(),
    Row::of::<listing::Health>(),
    Row::of::<listing::RecentEvents>(),
    Row::of::<listing::Jobs>(),
    Row::of::<listing::Payments>(),
    Row::of::<listing::Journal>(),
    Row::of::<server::Sync>(),
    Row::of::<server::AcceptGap>(),
    Row::of::<server::RefreshReference>(),
    Row::of::<server::Reference>(),
    Row::of::<server::FindReference>(),
    Row::of::<server::Unbooked>(),
    Row::of::<server::AccountsInDoubt>(),
    Row::of::<server::SettleAccount>(),
    Row::of::<remote::Enrol>(),
    Row::of::<remote::Token>(),
    Row::of::<remote::Clients>(),
    Row::of::<remote::Revoke>(),
    Row::of::<remote::Audit>(),
];

#[cfg(test)]
mod tests;
