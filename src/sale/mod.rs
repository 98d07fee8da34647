//! Sales: lines, taxes, tenders, the receipt, and the order of payment, signature, number and print job. Each step is
//! stored before the next begins.

mod account;
mod checkout;
mod export;
mod order;
mod process;
mod receipt;
mod sign;
mod tender;
mod ticket;
mod vat;

pub(crate) use order::NewTicket;

pub use crate::language::Language;
pub use account::OnAccount;
pub use checkout::{Checkout, Sold};
pub use export::append_csv;
pub use order::{KitchenTicket, OrderLine, Ordered};
pub use process::Sale;
pub use sign::{Signature, Signer, Signing};
pub use tender::{Tender, TenderKind, TenderOperation, TenderState};
pub use ticket::{Line, Quantity, Ticket};
pub use vat::{Vat, VatRow};
