//! Sales: lines, taxes, tenders, the receipt, and the order of payment, signature, number and print job. Each step is
//! stored before the next begins.

mod account;
mod checkout;
mod line;
mod order;
mod pay;
mod process;
mod receipt;
mod sign;
pub(crate) mod sweeper;
mod tender;
mod ticket;
mod till;
mod tip;
mod vat;

pub(crate) use order::NewTicket;

pub use account::OnAccount;
pub use checkout::{Checkout, Sold};
pub use line::{Line, Quantity, ReturnLine, Returnable};
pub use order::{KitchenTicket, OrderLine, Ordered};
pub use process::Sale;
pub use sign::{Signature, Signer, Signing};
pub use tender::{Tender, TenderKind, TenderOperation, TenderState};
pub use ticket::Ticket;
pub use tip::Tip;
pub use tresen_hal::Language;
pub use vat::{Tax, Vat, VatRow};
