//! What is held, booked and released; tips, prepaid cards, and cards that are read.
//!
//! The commands are laid out as a till was captured that spoke to a terminal of Feig (crate `zvt` 0.1, folder `data`): 06 22,
//! 06 23, 06 25, 06 C0. Those of 06 09 and 06 0C follow the specification's list of commands.

use super::bytes::{self, ACK, COMPLETION};
use super::fields::Fields;
use super::program::{About, Step};
use super::{Kind, State, Terminal};

/// 04 0F of a card that is not for payments, without its result: a container with its number (tag 4C).
const CARD: [u8; 14] = [0x06, 0x0c, 0x4c, 0x0a, 0, 0, 0, 0, 0, 0, 0x08, 0x1c, 0xa7, 0x2f];

impl Terminal {
    /// One of these commands. False if it is none.
    pub(super) fn hear_of_held(&mut self, code: [u8; 2], body: &[u8], now: u64) -> bool {
        let fields = Fields::read(body);
        match code {
            [0x06, 0x22] => self.take(Kind::Reservation, &fields, None, now),
            [0x06, 0x23] if fields.receipt == Some(0xffff) => self.list(now),
            // What comes is what is released; the rest is booked.
            [0x06, 0x23] => match self.held(&fields) {
                Some((of, held)) => {
                    let released = fields.amount.unwrap_or(u64::MAX);
                    match held.checked_sub(released).filter(|booked| *booked > 0) {
                        Some(booked) => self.take(Kind::Booking(of), &fields, Some(booked), now),
                        None => self.say_no(0xb7, now),
                    }
                }
                None => self.list(now),
            },
            [0x06, 0x25] => match self.held(&fields) {
                Some((of, held)) => self.take(Kind::Release(of), &fields, Some(held), now),
                None => self.list(now),
            },
            // A password of three bytes comes first.
            [0x06, 0x0c] => {
                let fields = Fields::read(body.get(3..).unwrap_or_default());
                match self.stands(&fields, Kind::Payment) {
                    Some((of, _)) => self.take(Kind::Tip(of), &fields, None, now),
                    None => self.say_no(0xb5, now),
                }
            }
            // The card's id, two bytes, and the mode of payment come first.
            [0x06, 0x09] => {
                let fields = Fields::read(body.get(3..).unwrap_or_default());
                self.take(Kind::TopUp, &fields, None, now);
            }
            [0x06, 0xc0] => {
                let result = [&[0x27, 0x00], &CARD[..]].concat();
                let told = bytes::apdu(0x04, 0x0f, &result, false);
                self.start(
                    [Step::Say(ACK.into()), Step::Ask(told, About::Other), Step::Ask(COMPLETION.into(), About::Other)],
                    now,
                );
            }
            _ => return false,
        }
        true
    }

    fn take(&mut self, kind: Kind, fields: &Fields, amount: Option<u64>, now: u64) {
        match amount.or(fields.amount) {
            Some(amount) => self.transact(kind, (amount, fields.currency), now),
            None => self.emit(&bytes::refused(0x83), now),
        }
    }

    /// The open reservations: 06 1E B8 with the receipt number of one, FFFF if there is none.
    fn list(&mut self, now: u64) {
        let open = |t: &&super::Transaction| t.kind == Kind::Reservation && t.state == State::Stored;
        let number = self.ledger.all().iter().find(open).map_or(vec![0xff, 0xff], |t| bytes::bcd(t.receipt.into(), 2));
        let answer = bytes::apdu(0x06, 0x1e, &[&[0xb8, 0x87], &number[..]].concat(), false);
        self.start([Step::Say(ACK.into()), Step::Ask(answer, About::Other)], now);
    }

    fn say_no(&mut self, code: u8, now: u64) {
        self.start([Step::Say(ACK.into()), Step::Ask(bytes::aborted(code), About::Other)], now);
    }

    fn held(&self, fields: &Fields) -> Option<(usize, u64)> {
        self.stands(fields, Kind::Reservation)
    }

    fn stands(&self, fields: &Fields, kind: Kind) -> Option<(usize, u64)> {
        let all = self.ledger.all();
        let at = all
            .iter()
            .rposition(|t| Some(t.receipt) == fields.receipt && t.kind == kind && t.state == State::Stored)?;
        Some((at, all[at].amount))
    }
}
