//! One sale: lines, taxes, the receipt, and the order in which money, paper and books follow.

mod checkout;
mod export;
mod receipt;
mod ticket;
mod vat;

pub use checkout::{Checkout, Sold};
pub use export::append_csv;
pub use receipt::Language;
pub use ticket::{Line, Quantity, Ticket};
pub use vat::{Vat, VatRow};
