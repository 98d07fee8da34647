//! What terminals do differently, and what goes wrong: all of it data.

use super::bytes::Style;

/// How one terminal is. The default is a plain one: it takes an unacknowledged approval back, commits at
/// the acknowledgement, and hands its slips over as text blocks.
#[derive(Debug, Clone)]
pub struct Quirks {
    /// Terminal id.
    pub terminal: u32,
    /// What becomes of an approval that the till does not acknowledge.
    pub unheard: Unheard,
    /// A transaction stands only after all prints were acknowledged too.
    pub commit_after_prints: bool,
    /// Goes on with the customer after the link was cut.
    pub finishes_alone: bool,
    /// How slips are handed over.
    pub slips: Slips,
    /// How 04 0F are written.
    pub style: Style,
    /// The registration is still valid after a reconnect.
    pub stays_registered: bool,
    /// How the completion of a registration looks.
    pub registration: Registration,
    /// How 06 20 is answered until the first payment is asked for, and after that.
    pub repeat_before: Repeat,
    /// See [`Quirks::repeat_before`].
    pub repeat_after: Repeat,
    /// From this payment on 06 20 is honest again, counted from 0.
    pub repeat_honest_from: usize,
    /// 06 20 shows declined transactions, too.
    pub shows_declined: bool,
    /// Reversals name the payment that they take back (BMP 37).
    pub names_original: bool,
    /// Each 06 20 shows a new trace number.
    pub counts_repeats: bool,
    /// How 05 01 is answered.
    pub enquiry: Enquiry,
    /// Tells the truth while it is busy with a customer: 84 9C. Otherwise it pretends to be idle.
    pub admits_busy: bool,
    /// How 06 B0 is answered, and what happens then.
    pub abort: Abort,
    /// What it does with a command that comes while it is busy with the one before.
    pub intrusion: Intrusion,
    /// What happens to each payment in turn; those beyond the end are approved.
    pub fates: Vec<Fate>,
    /// What happens to all further payments.
    pub fate_after: Fate,
    /// Busy for so many milliseconds after each payment.
    pub busy_after: u64,
    /// Answers each message so many milliseconds late.
    pub slow: u64,
    /// Waits so long for an acknowledgement.
    pub patience: u64,
    /// The clock is wrong by so many days.
    pub clock_days: i32,
    /// Messages are cut into single bytes, or joined.
    pub pieces: Pieces,
    /// Says an earlier 04 0F once more, out of turn.
    pub strays: Vec<Stray>,
    /// What happens to single messages.
    pub faults: Vec<Fault>,
    /// What happens at the terminal while the link is gone, after the first payment was asked for.
    pub when_lost: Vec<Event>,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            terminal: 60_000_001,
            unheard: Unheard::Reverses,
            commit_after_prints: false,
            finishes_alone: false,
            slips: Slips::Blocks,
            style: Style { tlv: true, ..Style::default() },
            stays_registered: true,
            registration: Registration::Full,
            repeat_before: Repeat::Honest,
            repeat_after: Repeat::Honest,
            repeat_honest_from: usize::MAX,
            shows_declined: false,
            names_original: true,
            counts_repeats: false,
            enquiry: Enquiry::Status,
            admits_busy: true,
            abort: Abort::Obeys,
            intrusion: Intrusion::Ignored,
            fates: Vec::new(),
            fate_after: Fate::default(),
            busy_after: 0,
            slow: 0,
            patience: 5_000,
            clock_days: 0,
            pieces: Pieces::Whole,
            strays: Vec::new(),
            faults: Vec::new(),
            when_lost: Vec::new(),
        }
    }
}

/// What becomes of an approval that the till does not acknowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unheard {
    /// It is taken back.
    Reverses,
    /// It is taken back with a receipt of its own.
    ReversesWithReceipt,
    /// It stands.
    Keeps,
}

/// How slips are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slips {
    /// As text blocks (06 D3) if the till allows them, else line by line.
    Blocks,
    /// Line by line (06 D1), with tag 1F07 behind the text.
    Lines,
    /// Line by line, the customer's slip first.
    CustomerFirst,
    /// Line by line, only the merchant's slip.
    MerchantOnly,
    /// Line by line, without tags.
    Untagged,
    /// Not at all.
    None,
}

/// How the completion of a registration looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Status, terminal id, currency.
    Full,
    /// `06 0F 00`.
    Empty,
    /// The first so many are answered 84 9C.
    BusyFirst(u8),
}

/// How 06 20 (repeat receipt) is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// As it should be.
    Honest,
    /// 84 xx.
    Refused(u8),
    /// Accepted, then 06 1E xx.
    Aborted(u8),
    /// Prints the slip; no 04 0F.
    PrintsOnly,
    /// Completion, and nothing else.
    Empty,
    /// 04 0F without receipt number.
    Unnumbered,
    /// Accepted, then silence.
    Silent,
    /// Not even accepted.
    Dead,
}

/// How 05 01 (status enquiry) is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enquiry {
    /// With the software version and the status.
    Status,
    /// With the status alone.
    Bare,
    /// `06 0F 00`.
    Empty,
    /// Not at all.
    Silent,
    /// 84 83.
    Refused,
}

/// How 06 B0 (abort) is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abort {
    /// Accepted; the payment ends with 06 1E 6C.
    Obeys,
    /// 84 83; the payment goes on.
    Refuses,
    /// Accepted; the payment goes on.
    GoesOn,
    /// No answer; the payment goes on.
    Ignores,
    /// The terminal ends by itself at the same moment, with 06 1E 6C or with an approval. Its answer to
    /// 06 B0 comes only after so many further messages of the till.
    Crosses {
        /// It ends with an approval.
        approves: bool,
        /// Messages of the till before the answer comes.
        late: u8,
        /// The answer's first byte: 80 (`80 00 00`) or 84 (`84 83 00`).
        accepts: bool,
    },
}

/// What a terminal does with a command that comes in the middle of a repeat receipt or an enquiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intrusion {
    /// Nothing.
    Ignored,
    /// It is heard when the command before has ended.
    Queued,
    /// The command before is given up for it.
    Replaces,
}

/// What happens to one payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// How it ends.
    pub end: End,
    /// How long the customer takes, in milliseconds.
    pub customer: u64,
    /// Intermediate status messages before that.
    pub statuses: usize,
    /// Time between those, in milliseconds.
    pub pace: u64,
}

impl Default for Fate {
    fn default() -> Self {
        Self { end: End::Approved, customer: 400, statuses: 2, pace: 0 }
    }
}

impl From<End> for Fate {
    fn from(end: End) -> Self {
        Self { end, ..Self::default() }
    }
}

/// How one payment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As it was asked.
    Approved,
    /// With another amount or currency.
    ApprovedAs(u64, u16),
    /// 04 0F with this result code, then 06 1E.
    Declined(u8),
    /// 04 0F with this result code, then 06 0F.
    DeclinedCompleted(u8),
    /// 06 1E alone.
    Aborted(u8),
    /// 84 xx to 06 01.
    Refused(u8),
    /// 06 0F alone, and nothing was charged.
    CompletedEmpty,
    /// 04 FF without end.
    FloodsStatus,
    /// 06 D1 of 65,535 bytes without end.
    FloodsPrints,
    /// The approval, again and again.
    FloodsResults,
}

/// Pieces in which bytes leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pieces {
    /// Each message in one.
    Whole,
    /// Each byte alone.
    Bytes,
    /// An answer and what follows it in one.
    Joined,
}

/// A message out of turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// When it is said. Once.
    pub when: Moment,
    /// In the how many-th payment or registration, counted from 0.
    pub nth: usize,
    /// What is said.
    pub what: What,
}

/// When a stray is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// After the completion of a registration.
    Registered,
    /// Before the answer to 06 01.
    BeforeAnswer,
    /// 60 ms after the answer to 06 01.
    AfterAnswer,
    /// While the customer is busy.
    WithCustomer,
    /// After the completion of a payment.
    AfterEnd,
}

/// What a stray says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The 04 0F that was said last, byte for byte.
    LastResult,
    /// These bytes.
    Bytes(Vec<u8>),
}

/// What happens to one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which.
    pub at: At,
    /// What.
    pub act: Act,
}

/// Names one message, counted from 0 since the terminal was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The terminal's message of this number.
    Out(usize),
    /// The till's message of this number.
    In(usize),
    /// The terminal's message with this class and instruction, of this number.
    OutOf(u16, usize),
    /// The till's message with this class and instruction, of this number.
    InOf(u16, usize),
}

/// What happens to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// The link is cut before it.
    CutBefore,
    /// The link is cut after it.
    CutAfter,
    /// The link is reset before it.
    ResetBefore,
    /// Its first bytes are sent, then the link is cut. Only for the terminal's messages.
    CutWithin(usize),
    /// Its first bytes are sent, then nothing more. Only for the terminal's messages.
    StallWithin(usize),
    /// It comes twice. Of the till's messages only answers.
    Twice,
    /// It is lost.
    Swallow,
    /// From here on the terminal neither hears nor says anything on this link.
    Stall,
    /// It comes so many milliseconds late, and all that follows with it.
    Delay(u64),
    /// It comes after so many further messages of the terminal. Only for the terminal's messages.
    Late(usize),
    /// The byte at this place is changed by exclusive or. Only for the terminal's messages.
    Flip(usize, u8),
    /// These bytes are put in at this place. Only for the terminal's messages.
    Insert(usize, Vec<u8>),
}

/// What happens at the terminal while the link is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Another till takes a payment of this amount.
    OtherTill(u64),
    /// The cashier reverses the last payment of this customer at the terminal, if it stands.
    Reversal(String),
    /// The end of the day empties the storage.
    EndOfDay,
    /// Another terminal with this id is put in its place, with a payment of this amount as its last.
    Swap(u32, u64),
}
