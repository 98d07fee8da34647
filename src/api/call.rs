//! Commands by name: what is known of each, what a caller needs for it, and one that is ready to run.

use serde_json::Value;
use tresen_hal::{BoxFuture, Error, Kind, Result};

use super::right::{Grants, Right};
use super::{Command, row};
use crate::store::Origin;
use crate::tresen::Tresen;

/// What is known of a command before it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// Its name: [`Command::NAME`].
    pub name: &'static str,
    /// The first right that it needs: [`Command::RIGHT`].
    pub right: Right,
    /// It changes something: [`Command::CHANGES`].
    pub changes: bool,
    /// It only waits: [`Command::WAITS`].
    pub waits: bool,
}

impl Info {
    pub(super) const fn of<C: Command>() -> Self {
        Self { name: C::NAME, right: C::RIGHT, changes: C::CHANGES, waits: C::WAITS }
    }
}

/// A right that a command needs, on one device or on all.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Need {
    /// The right.
    pub right: Right,
    /// The name of the device or route; `None`: the right is needed without limit to devices.
    pub device: Option<String>,
}

impl Need {
    /// `right` on `device`, or on all.
    pub fn new(right: Right, device: Option<&str>) -> Self {
        Self { right, device: device.map(str::to_owned) }
    }

    /// `right` on all devices.
    pub fn all(right: Right) -> Self {
        Self { right, device: None }
    }
}

/// A command that was read from JSON: what it needs can be checked before it runs.
pub struct Call {
    info: &'static Info,
    command: Box<dyn Asked>,
}

impl Call {
    /// The command `name` with its fields as JSON; `null` means no fields.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: unknown command. [`Kind::Input`]: invalid fields; the error names the command and the
    /// field.
    pub fn read(name: &str, with: Value) -> Result<Self> {
        let row = row(name)?;
        Ok(Self { info: &row.info, command: (row.read)(with)? })
    }

    /// What is known of the command.
    pub fn info(&self) -> &'static Info {
        self.info
    }

    /// The device or route that it names, if any.
    pub fn device(&self) -> Option<&str> {
        self.command.device()
    }

    /// The field with its durable key, if it has such a field: [`Command::key_slot`].
    pub fn key_slot(&mut self) -> Option<&mut Option<String>> {
        self.command.key_slot()
    }

    /// Makes it a call of `station`: who takes a step of a sale may name an operator, and no other station.
    ///
    /// # Errors
    /// [`Kind::Permission`]: it names another station.
    pub fn as_station(&mut self, station: &str) -> Result<()> {
        let Some(origin) = self.command.origin() else { return Ok(()) };
        match &origin.station {
            Some(other) if other != station => {
                let what =
                    format!("`{}`: field `by.station` names `{other}`, and the caller is `{station}`", self.info.name);
                Err(Error::new(Kind::Permission, what).hint("leave `by.station` out"))
            }
            _ => {
                origin.station = Some(station.to_owned());
                Ok(())
            }
        }
    }

    /// All that it needs: [`Command::needs`].
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn needs(&mut self, till: &Tresen) -> Result<Vec<Need>> {
        self.command.needs(till).await
    }

    /// Checks that `grants` cover all that it needs, and returns that. Nothing is looked up for a caller that has the
    /// command's right for no device at all.
    ///
    /// # Errors
    /// [`Kind::Permission`]: a right is missing; the error names the right and the device. Otherwise the database cannot
    /// be read.
    pub async fn permit(&mut self, till: &Tresen, grants: &Grants) -> Result<Vec<Need>> {
        if !grants.some(self.info.right) {
            // The right to sell has no limit to devices, whichever the command names.
            let device = self.device().filter(|_| self.info.right != Right::Sell);
            return Err(self.missing(&Need::new(self.info.right, device)));
        }
        let needs = self.needs(till).await?;
        self.covered(&needs, grants)?;
        Ok(needs)
    }

    /// Checks that `grants` cover `needs`, as they were looked up before.
    ///
    /// # Errors
    /// [`Kind::Permission`]: a right is missing; the error names the right and the device.
    pub fn covered(&self, needs: &[Need], grants: &Grants) -> Result<()> {
        match needs.iter().find(|need| !grants.allow(need.right, need.device.as_deref())) {
            Some(need) => Err(self.missing(need)),
            None => Ok(()),
        }
    }

    /// Whether the till has stored something under its durable key: then it was made before, whatever has become of it.
    /// False if it has no such key.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn was_made(&mut self, till: &Tresen) -> Result<bool> {
        match self.key_slot() {
            Some(Some(key)) => till.store().knows_key(key).await,
            _ => Ok(false),
        }
    }

    /// Runs it. Dropping the future discards the reply; what was started continues.
    pub fn run(self, till: Tresen) -> BoxFuture<'static, Result<Value>> {
        self.command.run(till)
    }

    fn missing(&self, need: &Need) -> Error {
        let (name, right) = (self.info.name, need.right);
        let what = match &need.device {
            Some(device) => format!("`{name}` needs the right `{right}` for `{device}`"),
            None => format!("`{name}` needs the right `{right}`, not limited to some devices"),
        };
        Error::new(Kind::Permission, what).hint("whoever runs the till can grant it")
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Call").field(&self.info.name).finish()
    }
}

/// A [`Command`] whose type is forgotten.
pub(super) trait Asked: Send + Sync {
    fn device(&self) -> Option<&str>;
    fn key_slot(&mut self) -> Option<&mut Option<String>>;
    fn origin(&mut self) -> Option<&mut Origin>;
    fn needs<'a>(&'a mut self, till: &'a Tresen) -> BoxFuture<'a, Result<Vec<Need>>>;
    fn run(self: Box<Self>, till: Tresen) -> BoxFuture<'static, Result<Value>>;
}

pub(super) struct Of<C>(pub(super) C);

impl<C: Command> Asked for Of<C> {
    fn device(&self) -> Option<&str> {
        self.0.device()
    }

    fn key_slot(&mut self) -> Option<&mut Option<String>> {
        self.0.key_slot()
    }

    fn origin(&mut self) -> Option<&mut Origin> {
        self.0.origin()
    }

    fn needs<'a>(&'a mut self, till: &'a Tresen) -> BoxFuture<'a, Result<Vec<Need>>> {
        Box::pin(self.0.needs(till))
    }

    fn run(self: Box<Self>, till: Tresen) -> BoxFuture<'static, Result<Value>> {
        Box::pin(async move {
            let reply = self.0.run(&till).await?;
            serde_json::to_value(reply).map_err(|error| {
                // The command was executed, but its reply cannot be sent.
                let what = format!("the reply to `{}` cannot be written as JSON", C::NAME);
                Error::new(Kind::Protocol, what).because(error)
            })
        })
    }
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
