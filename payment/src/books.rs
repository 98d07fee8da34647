//! What drivers of all protocols do with the journal; drivers of one's own can use it as well.

use tresen_hal::{Amount, Effect, Error, Kind, Result, Retry};

use crate::journal::{Entry, Journal, Reference, Transaction};
use crate::operation::Request;
use crate::outcome::Payment;
use crate::terminal::Settled;

/// How the transaction with this key stands, if the journal has it. The same key is the same transaction.
///
/// # Errors
/// The journal cannot be read, or the key is another transaction's.
pub async fn already(
    journal: &dyn Journal,
    terminal: &str,
    request: &Request,
    operation: &Transaction,
) -> Result<Option<Payment>> {
    let id = &request.intent;
    let Some(entry) = journal.find(id).await? else { return Ok(None) };
    let intent = &entry.intent;
    if intent.amount != request.amount || intent.operation != *operation || intent.terminal != terminal {
        let what = format!("`{}` is already the key of another transaction: {}", id.0, intent.amount);
        return Err(Error::new(Kind::Input, what).at(terminal).hint("use a new key"));
    }
    let begun = || Payment::unknown(id, "it was begun, and the terminal has not been asked about it yet");
    Ok(Some(entry.outcome().unwrap_or_else(begun)))
}

/// Refuses a reversal, booking or release of what the journal has ended already, or may have. Drivers ask this when what is
/// open has been settled, and before anything is sent: a terminal may do it twice. What failed does not count.
///
/// # Errors
/// [`Kind::Input`]: it has been reversed, booked or released. [`Kind::Busy`]: it is not known yet whether it has. Otherwise
/// the journal cannot be read.
pub async fn unended(journal: &dyn Journal, terminal: &str, request: &Request, operation: &Transaction) -> Result<()> {
    let (true, Some(reference)) = (operation.is_end(), operation.of()) else { return Ok(()) };
    for end in journal.ends(terminal, operation).await? {
        let (id, done) = (&end.intent.id, past(&end.intent.operation));
        if *id == request.intent {
            continue;
        }
        let error = match end.outcome() {
            Some(Payment::NotCharged(_)) => continue,
            Some(Payment::Charged(_) | Payment::Partial(_)) => {
                let hint = match reference.key() {
                    Some(_) => "it is reversed, booked or released once",
                    None => "if that was another transaction, name this one by the reference of its charge",
                };
                Error::new(Kind::Input, format!("{reference} was {done} by `{}`", id.0)).hint(hint)
            }
            Some(Payment::Unknown(_)) | None => {
                let what = format!("whether {reference} was {done} by `{}` is being settled", id.0);
                Error::new(Kind::Busy, what)
                    .with_retry(Retry::AfterOperator)
                    .hint(format!("have the terminal asked again (recover), or settle `{}`, then try again", id.0))
            }
        };
        return Err(error.with_effect(Effect::None).at(terminal));
    }
    Ok(())
}

/// What it has done to the transaction that it names.
fn past(end: &Transaction) -> &'static str {
    match end {
        Transaction::Booking { .. } => "booked",
        Transaction::Release { .. } => "released",
        _ => "reversed",
    }
}

/// What the pre-authorisation with this reference holds, if the journal has it.
pub(crate) async fn held(journal: &dyn Journal, terminal: &str, reference: &Reference) -> Result<Option<Amount>> {
    let Some(holder) = journal.holder(terminal, reference).await? else { return Ok(None) };
    let entry = journal.find(&holder).await?.filter(|e| e.intent.operation == Transaction::PreAuthorisation);
    Ok(entry.and_then(|entry| entry.outcome()?.into_charge()).map(|charge| charge.amount))
}

/// Whether a booking, or else a release, of `amount` fits what `named` holds.
///
/// # Errors
/// [`Kind::Input`]: it does not.
pub(crate) fn fits_held(operation: &Transaction, named: &str, held: Amount, amount: Amount) -> Result<()> {
    let (fits, hint) = match operation {
        Transaction::Booking { .. } => (amount.minor() <= held.minor(), "book at most what is held"),
        _ => (amount == held, "name what is held"),
    };
    if fits && amount.currency() == held.currency() {
        return Ok(());
    }
    Err(Error::new(Kind::Input, format!("{named} holds {held}, not {amount}")).hint(hint))
}

/// Something is open about which the terminal has not been asked.
///
/// # Errors
/// The journal cannot be read.
pub async fn unasked(journal: &dyn Journal, terminal: &str) -> Result<bool> {
    for intent in journal.open(terminal).await? {
        if journal.find(&intent.id).await?.is_some_and(|e| e.is_unasked()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is open at this terminal, oldest first.
///
/// # Errors
/// The journal cannot be read.
pub async fn open(journal: &dyn Journal, terminal: &str) -> Result<Vec<Entry>> {
    let mut open = Vec::new();
    for intent in journal.open(terminal).await? {
        open.extend(journal.find(&intent.id).await?);
    }
    Ok(open)
}

/// Writes how it ended. If the journal has another end by now, that one is returned; unknown if it cannot be written.
///
/// # Errors
/// None at present.
pub async fn conclude(journal: &dyn Journal, payment: Payment) -> Result<Payment> {
    let id = payment.intent().clone();
    let Err(error) = journal.conclude(&id, &payment).await else { return Ok(payment) };
    tracing::error!(%error, intent = id.0, "the outcome could not be written");
    if error.kind() == Kind::Input
        && let Ok(Some(entry)) = journal.find(&id).await
    {
        if !entry.is_open() {
            return Ok(entry.outcome().expect("what is not open has an outcome"));
        }
        let payment = Payment::unknown(&id, error.to_string());
        if journal.conclude(&id, &payment).await.is_ok() {
            return Ok(payment);
        }
    }
    // The journal still has it open.
    Ok(Payment::unknown(&id, format!("the outcome could not be written: {error}")))
}

/// How often the terminal was asked about this one and did not answer.
pub(crate) fn unanswered(entry: &Entry) -> u8 {
    match &entry.payment {
        Some(Payment::Unknown(unknown)) => unknown.unanswered,
        _ => 0,
    }
}

/// What is not asked about any more, as it stands.
pub(crate) fn left_alone(entry: Entry) -> Option<Settled> {
    let Some(Payment::Unknown(unknown)) = &entry.payment else { return None };
    let evidence = format!("{}; it is not asked again", unknown.why);
    let payment = Payment::Unknown(unknown.clone());
    Some(Settled::new(entry.intent, payment, evidence))
}

/// Why an amount cannot be asked of a terminal.
pub(crate) fn unpayable(amount: Amount) -> Option<Error> {
    let hint = match amount.minor() {
        1..=MOST => return None,
        ..1 => "it takes amounts above zero".to_owned(),
        _ => format!("it takes at most {}", Amount::new(MOST, amount.currency())),
    };
    Some(Error::new(Kind::Input, format!("{amount} cannot be paid at a terminal")).hint(hint))
}

/// How often a terminal that does not answer is asked about one payment. Each time costs a connection.
pub(crate) const LOOKS: u8 = 3;
/// The largest amount that terminals take: twelve digits.
const MOST: i64 = 999_999_999_999;
