//! Tenders on customers' accounts in the database, and the balances last seen.
//!
//! | state | meaning | next |
//! |---|---|---|
//! | `asked` | a reservation is being asked for | `held`, `refused`, `doubt` |
//! | `doubt` | it may exist at the server | `held` or `refused`, once the server has been asked by key; `held` or `release`, if a person decides |
//! | `held` | the tender is taken: reserved at the server, or owed locally | `book` when the sale closes, `release` |
//! | `book`, `release` | to be told to the server | `booked` or `unbooked`, `released` |
//!
//! Each change is written with the tender's state and a journal line, in one transaction.

use super::cached::Cached;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use tresen_hal::{Amount, Result};

use super::failure::Failure;
use super::sales::known;
use super::{NewTender, Origin, SaleView, Store, from_json, journal, json, time};
use crate::sale::{OnAccount, TenderKind, TenderOperation};
use crate::sync::{Balance, Booking};

/// Bookings and balances.
pub(super) const SCHEMA: &str = "
    -- Tenders on customers' accounts; the key is the tender's. At the server it has another one, which no till that is
    -- restored from a backup uses again.
    CREATE TABLE bookings (
        key           TEXT PRIMARY KEY,
        server_key    TEXT NOT NULL,
        sale          TEXT NOT NULL REFERENCES sales (id) ON DELETE CASCADE,
        account       TEXT NOT NULL,
        minor         INTEGER NOT NULL,
        currency      TEXT NOT NULL,
        state         TEXT NOT NULL CHECK (state IN
                      ('asked', 'doubt', 'held', 'book', 'release', 'booked', 'released', 'refused', 'unbooked')),
        -- Whether the server has reserved it.
        reserved      INTEGER NOT NULL DEFAULT 0,
        why           TEXT,
        at            TEXT NOT NULL,
        changed_at    TEXT NOT NULL,
        open          INTEGER GENERATED ALWAYS AS (state NOT IN ('booked', 'released', 'refused')) VIRTUAL
    ) STRICT;
    CREATE INDEX bookings_open ON bookings (state, at) WHERE state NOT IN ('booked', 'released', 'refused');
    CREATE INDEX bookings_sale ON bookings (sale);

    -- The balances last seen, less what was reserved.
    CREATE TABLE balances (
        account       TEXT PRIMARY KEY,
        minor         INTEGER NOT NULL,
        currency      TEXT NOT NULL,
        seen_at       TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// A tender on a customer's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct StoredBooking {
    /// Its key, that of the tender.
    pub key: String,
    /// Its key at the server: that of the tender, and the opening of the database in which the tender began.
    pub server_key: String,
    /// The sale.
    pub sale: String,
    /// The account.
    pub account: String,
    /// The amount; negative if the account is credited.
    pub amount: Amount,
    /// Its state.
    pub state: BookingState,
    /// Whether the server has reserved it.
    pub reserved: bool,
    /// Why it was refused, is in doubt or could not be booked.
    pub why: Option<String>,
    /// When it began.
    pub at: Timestamp,
}

/// The state of a tender on an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BookingState {
    /// A reservation is being asked for.
    Asked,
    /// The server may have reserved it.
    Doubt,
    /// Reserved at the server, or owed locally; the sale is open.
    Held,
    /// The sale is closed; the booking is yet to reach the server.
    Book,
    /// Given back; the release is yet to reach the server.
    Release,
    /// Booked at the server.
    Booked,
    /// Released at the server.
    Released,
    /// Not taken.
    Refused,
    /// Taken in local mode, but the balance did not suffice: a person has to settle it with the customer.
    Unbooked,
}

impl BookingState {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Doubt => "doubt",
            Self::Held => "held",
            Self::Book => "book",
            Self::Release => "release",
            Self::Booked => "booked",
            Self::Released => "released",
            Self::Refused => "refused",
            Self::Unbooked => "unbooked",
        }
    }
}

impl StoredBooking {
    /// As the server is asked for it.
    pub(crate) fn request(&self, till: &str) -> Booking {
        let Self { server_key, account, amount, .. } = self;
        Booking { till: till.to_owned(), key: server_key.clone(), account: account.clone(), amount: *amount }
    }
}

/// What the server is to be asked or told, oldest first; and what it could not book.
pub(crate) const TO_TELL: [BookingState; 3] = [BookingState::Doubt, BookingState::Book, BookingState::Release];

impl Store {
    /// Tenders whose reservation was being asked for when an earlier run of the till ended are in doubt.
    pub(crate) async fn doubt_asked(&self) -> Result<()> {
        let at = self.now();
        self.write(move |db| {
            let why = "the till stopped before the server had answered";
            let keys = {
                let mut asked = db.prepare("SELECT key FROM bookings WHERE state = 'asked' ORDER BY at, key")?;
                let keys = asked.query_map([], |row| row.get::<_, String>(0))?;
                keys.collect::<rusqlite::Result<Vec<_>>>()?
            };
            keys.iter().try_for_each(|key| end(db, key, BookingState::Doubt, Some(why), &at).map(drop))
        })
        .await
    }

    /// The tender of this key is in doubt if its reservation is still being asked for.
    pub(crate) async fn account_doubted(&self, key: &str) -> Result<()> {
        let (key, at) = (key.to_owned(), self.now());
        self.write(move |db| {
            if find(db, &key)?.state == BookingState::Asked {
                end(db, &key, BookingState::Doubt, Some("the server's answer could not be written"), &at)?;
            }
            Ok(())
        })
        .await
    }

    /// One booking.
    pub(crate) async fn booking(&self, key: &str) -> Result<StoredBooking> {
        let key = key.to_owned();
        self.read(move |db| find(db, &key)).await
    }

    /// Bookings in one of these states, oldest first, at most `limit`.
    pub(crate) async fn bookings(&self, states: &'static [BookingState], limit: u32) -> Result<Vec<StoredBooking>> {
        self.read(move |db| {
            let states: Vec<_> = states.iter().map(|state| format!("'{}'", state.word())).collect();
            let mut find = db.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM bookings WHERE state IN ({}) ORDER BY at, key LIMIT ?1",
                states.join(", ")
            ))?;
            let mut rows = find.query([limit])?;
            let mut bookings = Vec::new();
            while let Some(row) = rows.next()? {
                bookings.push(booking(row)?);
            }
            Ok(bookings)
        })
        .await
    }

    /// Records the server's answer to a reservation, unless the tender was decided before; and the balance.
    pub(crate) async fn account_answered(
        &self,
        key: &str,
        balance: Option<Amount>,
        refused: Option<String>,
    ) -> Result<SaleView> {
        let (key, at) = (key.to_owned(), self.now());
        self.write(move |db| {
            let known_booking = find(db, &key)?;
            if let Some(balance) = balance {
                see(db, &known_booking.account, balance, &at)?;
            }
            if !matches!(known_booking.state, BookingState::Asked | BookingState::Doubt) {
                return known(db, &known_booking.sale);
            }
            match refused {
                Some(why) => end(db, &key, BookingState::Refused, Some(&why), &at),
                None => {
                    db.run("UPDATE bookings SET reserved = 1 WHERE key = ?1", [&key])?;
                    end(db, &key, BookingState::Held, None, &at)
                }
            }
        })
        .await
    }

    /// Takes a tender locally, if it fits within the limit and the balance last seen. If it does not, it is refused;
    /// in doubt if the server may have reserved it. `why` the server was not asked or did not answer.
    pub(crate) async fn account_locally(
        &self,
        key: &str,
        limit: Option<Amount>,
        sent: bool,
        why: &str,
    ) -> Result<(SaleView, OnAccount)> {
        let (key, why, at) = (key.to_owned(), why.to_owned(), self.now());
        self.write(move |db| {
            let asked = find(db, &key)?;
            let (account, amount) = (&asked.account, asked.amount);
            let fits = fits(db, &asked, limit)?;
            let (state, paid) = match fits {
                Ok(balance) => (BookingState::Held, OnAccount::Owed { balance }),
                Err(not) if sent => {
                    let why = format!("{why}, and {not}");
                    (BookingState::Doubt, OnAccount::Unknown { why })
                }
                Err(not) => (BookingState::Refused, OnAccount::Refused { why: format!("{why}, and {not}") }),
            };
            tracing::debug!(%account, %amount, ?state, "on account without the server");
            let why = match &paid {
                OnAccount::Unknown { why } | OnAccount::Refused { why } => Some(why.as_str()),
                _ => None,
            };
            let view = end(db, &key, state, why, &at)?;
            Ok((view, paid))
        })
        .await
    }

    /// What is left of an account without the server: the balance last seen, less what is owed. Nothing, if it was not seen.
    pub(crate) async fn account_left(&self, booking: &StoredBooking) -> Result<Amount> {
        let booking = booking.clone();
        self.read(move |db| {
            let none = Amount::zero(booking.amount.currency());
            let Some((balance, _)) = seen(db, &booking.account)? else { return Ok(none) };
            let owed = owed(db, &booking.account, None)?;
            Ok(balance.checked_sub(Amount::new(owed, balance.currency())).unwrap_or(none))
        })
        .await
    }

    /// Records what became of a booking that was told to the server, if it still is in the state `from`.
    pub(crate) async fn booking_ended(
        &self,
        key: &str,
        from: BookingState,
        to: BookingState,
        why: Option<String>,
    ) -> Result<bool> {
        let (key, at) = (key.to_owned(), self.now());
        self.write(move |db| {
            if find(db, &key)?.state != from || (from == to) {
                return Ok(false);
            }
            end(db, &key, to, why.as_deref(), &at)?;
            if to == BookingState::Booked {
                spend(db, &key)?;
            }
            Ok(true)
        })
        .await
    }

    /// Replaces the balances last seen.
    pub(crate) async fn set_balances(&self, balances: Vec<Balance>) -> Result<()> {
        let at = self.now();
        self.write(move |db| {
            db.run("DELETE FROM balances", [])?;
            balances.iter().try_for_each(|balance| see(db, &balance.account, balance.amount, &at))
        })
        .await
    }
}

/// Writes the booking of a tender that begins in this opening, or the release of the one that it reverses.
pub(super) fn begin(
    db: &Connection,
    sale: &str,
    key: &str,
    new: &NewTender,
    opening: &str,
    at: &str,
) -> Result<(), Failure> {
    let TenderKind::Account { account } = &new.kind else { return Ok(()) };
    if new.operation == TenderOperation::Reversal {
        let Some(original) = &new.reference else { return Ok(()) };
        db.run(
            "UPDATE bookings SET state = 'release', changed_at = ?2 WHERE key = ?1 AND state = 'held'",
            [original.as_str(), at],
        )?;
        return Ok(());
    }
    let state = if new.taken { BookingState::Held } else { BookingState::Asked };
    db.run(
        "INSERT INTO bookings (key, sale, account, minor, currency, state, at, changed_at, server_key)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)",
        params![
            key,
            sale,
            account,
            new.asked.minor(),
            new.asked.currency().code(),
            state.word(),
            at,
            format!("{key}/{opening}")
        ],
    )?;
    Ok(())
}

/// The sale is closed: what it holds is to be booked.
pub(super) fn book_sale(db: &Connection, sale: &str, at: &str) -> rusqlite::Result<()> {
    let book = "UPDATE bookings SET state = 'book', changed_at = ?2 WHERE sale = ?1 AND state = 'held'";
    db.run(book, [sale, at]).map(|_| ())
}

/// Moves a booking to `state`, its tender to the state that belongs to it, and writes a journal line.
pub(super) fn end(
    db: &Connection,
    key: &str,
    state: BookingState,
    why: Option<&str>,
    at: &str,
) -> Result<SaleView, Failure> {
    db.run(
        "UPDATE bookings SET state = ?2, why = ?3, changed_at = ?4 WHERE key = ?1",
        params![key, state.word(), why, at],
    )?;
    let booking = find(db, key)?;
    let tender = match state {
        BookingState::Held => Some(("taken", booking.amount.minor())),
        BookingState::Refused => Some(("refused", 0)),
        BookingState::Doubt => Some(("unknown", 0)),
        _ => None,
    };
    if let Some((word, taken)) = tender {
        end_tender(db, &booking, word, taken, why, at)?;
    }
    let origin = "SELECT station, source, operator FROM tenders WHERE key = ?1";
    let origin = db.prepare_cached(origin)?.query_row([key], |row| Origin::read(row, 0)).optional()?;
    journal::append(db, at, "account", &booking.sale, &json(&booking)?, &origin.unwrap_or_default())?;
    known(db, &booking.sale)
}

/// Moves the tender of a booking to the state `word`.
pub(super) fn end_tender(
    db: &Connection,
    booking: &StoredBooking,
    word: &str,
    taken: i64,
    why: Option<&str>,
    at: &str,
) -> rusqlite::Result<()> {
    db.run(
        "UPDATE tenders SET state = ?2, taken = ?3, why = ?4, changed_at = ?5 WHERE key = ?1",
        params![booking.key, word, taken, why, at],
    )?;
    db.run("UPDATE sales SET rev = rev + 1, changed_at = ?2 WHERE id = ?1", [&booking.sale, at]).map(drop)
}

/// The balance last seen, if the tender fits; otherwise why not.
fn fits(
    db: &Connection,
    asked: &StoredBooking,
    limit: Option<Amount>,
) -> Result<std::result::Result<Amount, String>, Failure> {
    let Some(limit) = limit else { return Ok(Err("no `account-limit` is configured".into())) };
    let Some((balance, _)) = seen(db, &asked.account)? else {
        return Ok(Err(format!("the balance of account `{}` was never seen", asked.account)));
    };
    if balance.currency() != asked.amount.currency() {
        return Ok(Err(format!("account `{}` is in {}", asked.account, balance.currency().code())));
    }
    let owes = Amount::new(owed(db, &asked.account, Some(&asked.key))?, balance.currency());
    let Some(total) = owes.checked_add(asked.amount) else { return Ok(Err("the amount is out of range".into())) };
    if total.minor() > limit.minor() {
        return Ok(Err(format!("{total} without the server is more than the limit of {limit}")));
    }
    if total.minor() > balance.minor() {
        return Ok(Err(format!("{total} is more than the balance last seen, {balance}")));
    }
    Ok(Ok(Amount::new(balance.minor() - total.minor(), balance.currency())))
}

/// What is owed of an account without the server, in minor units, but for the booking `except`.
fn owed(db: &Connection, account: &str, except: Option<&str>) -> rusqlite::Result<i64> {
    db.one(
        "SELECT coalesce(sum(minor), 0) FROM bookings WHERE account = ?1 AND key IS NOT ?2 AND NOT reserved
         AND state IN ('asked', 'doubt', 'held', 'book') AND minor > 0",
        params![account, except],
        |row| row.get(0),
    )
}

fn see(db: &Connection, account: &str, balance: Amount, at: &str) -> Result<(), Failure> {
    db.run(
        "INSERT OR REPLACE INTO balances (account, minor, currency, seen_at) VALUES (?1, ?2, ?3, ?4)",
        params![account, balance.minor(), balance.currency().code(), at],
    )?;
    Ok(())
}

/// Takes a booking that the server has not reserved before off the balance last seen, until the next one is seen:
/// otherwise the same money could be spent again in local mode.
fn spend(db: &Connection, key: &str) -> rusqlite::Result<()> {
    let spend = "UPDATE balances SET minor = balances.minor - bookings.minor FROM bookings
        WHERE bookings.key = ?1 AND NOT bookings.reserved AND balances.account = bookings.account
        AND balances.currency = bookings.currency";
    db.run(spend, [key]).map(drop)
}

fn seen(db: &Connection, account: &str) -> Result<Option<(Amount, Timestamp)>, Failure> {
    let mut find = db.prepare_cached("SELECT minor, currency, seen_at FROM balances WHERE account = ?1")?;
    let mut rows = find.query([account])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some((amount(row, 0)?, time(&row.get::<_, String>(2)?)?)))
}

fn find(db: &Connection, key: &str) -> Result<StoredBooking, Failure> {
    known_booking(db, key)?.ok_or_else(|| Failure::row(format!("there is no booking `{key}`")))
}

pub(super) fn known_booking(db: &Connection, key: &str) -> Result<Option<StoredBooking>, Failure> {
    let mut find = db.prepare_cached(&format!("SELECT {COLUMNS} FROM bookings WHERE key = ?1"))?;
    let mut rows = find.query([key])?;
    rows.next()?.map(booking).transpose()
}

fn booking(row: &Row<'_>) -> Result<StoredBooking, Failure> {
    Ok(StoredBooking {
        key: row.get(0)?,
        sale: row.get(1)?,
        account: row.get(2)?,
        amount: amount(row, 3)?,
        state: from_json(&format!("\"{}\"", row.get::<_, String>(5)?))?,
        reserved: row.get(6)?,
        why: row.get(7)?,
        at: time(&row.get::<_, String>(8)?)?,
        server_key: row.get(9)?,
    })
}

/// Two columns: minor unit and currency.
fn amount(row: &Row<'_>, at: usize) -> Result<Amount, Failure> {
    let currency = row.get::<_, String>(at + 1)?.parse().map_err(|e: tresen_hal::Error| Failure::row(e.to_string()))?;
    Ok(Amount::new(row.get(at)?, currency))
}

const COLUMNS: &str = "key, sale, account, minor, currency, state, reserved, why, at, server_key";
